"""One contract for the keys of chips, whatever the roots are kept in; what is computed is computed here once more, another way."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from services.common.keyvault.hardware import HardwareVault, open_hardware
from services.common.keyvault.software import SoftwareVault
from services.common.keyvault.vault import CHIP_PURPOSES, Purpose, UnknownKeyError, VaultError, WrongPinError
from services.issuance.domain.product import Product
from services.issuance.vault.operations import ChipKeys, KeyRef, chip_keys, label_of
from tests.support import tokens_of_chips
from tests.support.chip_crypto import decipher, encipher, mac, pad
from tests.support.chip_driver import PRODUCTS

IDENTIFIER = bytes.fromhex("440700D15600000500000001A1B2C3D4")
CHALLENGE = bytes(range(0x40, 0x50))
NAMES = ("transport", "update", "master", "internal", "pin_reload", "irk")


class Case(NamedTuple):
    token: SoftwareVault | HardwareVault
    keys: ChipKeys
    product: Product
    secrets: dict[str, bytes]

    def ref(self, name: str, version: int = 1) -> KeyRef:
        return KeyRef(label_of(self.product.algorithm, name), version)

    def card(self, name: str) -> bytes:
        """The card's key, made by hand."""
        factor = IDENTIFIER[8:] + bytes(255 - byte for byte in IDENTIFIER[8:])
        return encipher(self.product, self.secrets[self.ref(name).label], factor)

    @property
    def challenge(self) -> bytes:
        return CHALLENGE[: self.product.challenge_bytes]


def secrets_for(product: Product) -> dict[str, bytes]:
    names = {"transport", "irk", *(key.name for key in product.keys)}
    return {label_of(product.algorithm, name): os.urandom(16) for name in sorted(names)}


@pytest.fixture(params=["software SM4", "software DES", "software AES", "PKCS#11 AES"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    kept_in, algorithm = request.param.split()
    product = next(one for one in PRODUCTS.values() if one.algorithm == algorithm)
    secrets = secrets_for(product)
    if kept_in == "software":
        software = tokens_of_chips.software_token(tmp_path, (product,), secrets)
        yield Case(software, chip_keys(software, product), product, secrets)
        return
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    hardware = tokens_of_chips.hardware_token(tmp_path, f"chips {tmp_path.name}"[:32], (product,), secrets)
    yield Case(hardware, chip_keys(hardware, product), product, secrets)
    hardware.close()


def test_a_challenge_is_answered_with_the_cards_own_key(case: Case) -> None:
    for name in ("transport", "update", "master"):
        found = case.keys.external_authenticate(case.ref(name), IDENTIFIER, case.challenge)
        assert found == encipher(case.product, case.card(name), case.challenge)
    other = IDENTIFIER[:-1] + b"\0"
    assert case.keys.external_authenticate(case.ref("update"), other, case.challenge) != encipher(
        case.product, case.card("update"), case.challenge
    )


def test_a_key_load_carries_the_new_key_under_the_old_one_and_a_mac(case: Case) -> None:
    key = case.product.key("update")
    header = case.product.load_header(key)
    data = case.keys.load_key(
        case.ref("update"),
        case.ref("transport"),
        IDENTIFIER,
        case.challenge,
        header=header,
        key_header=case.product.key_header,
    )
    assert len(data) == header[-1]
    under = case.card("transport")
    assert decipher(case.product, under, data[:-4]) == pad(case.product, case.product.key_header + case.card("update"))
    assert data[-4:] == mac(case.product, under, case.challenge, header + data[:-4])


def test_a_mac_is_the_cards(case: Case) -> None:
    for message in (b"", b"1234567", bytes(16), bytes(100)):
        found = case.keys.mac(case.ref("master"), IDENTIFIER, case.challenge, message)
        assert found == mac(case.product, case.card("master"), case.challenge, message)


def test_a_card_that_proves_itself_is_believed_and_no_other(case: Case) -> None:
    genuine = encipher(case.product, case.card("master"), case.challenge)
    assert case.keys.verify_internal(case.ref("master"), IDENTIFIER, case.challenge, genuine)
    for answer in (b"", genuine[:-1], genuine + b"\0", bytes(len(genuine)), bytes([genuine[0] ^ 1]) + genuine[1:]):
        assert not case.keys.verify_internal(case.ref("master"), IDENTIFIER, case.challenge, answer)


def test_an_identifier_ends_with_a_mac_under_the_root_itself_of_any_version(case: Case) -> None:
    body = IDENTIFIER[:12]
    root = case.secrets[case.ref("irk").label]
    made = case.keys.identifier_mac(case.ref("irk"), body)
    assert made == mac(case.product, root, bytes(case.product.algorithm.block_bytes), body)
    label = case.ref("irk").label
    assert case.keys.check_identifier(label, body + made)
    assert not case.keys.check_identifier(label, body + bytes([made[0] ^ 1]) + made[1:])
    assert case.token.add_version(label, CHIP_PURPOSES[case.product.algorithm]) == 2  # type: ignore[index]
    assert case.keys.check_identifier(label, body + case.keys.identifier_mac(case.ref("irk", 2), body))
    assert case.keys.check_identifier(label, body + made)


def test_roots_are_renewed_version_by_version(case: Case) -> None:
    label = case.ref("update").label
    purpose = CHIP_PURPOSES[case.product.algorithm]  # type: ignore[index]
    before = case.keys.external_authenticate(case.ref("update"), IDENTIFIER, case.challenge)
    assert case.token.current(label) == 1
    assert case.token.add_version(label, purpose) == 2
    assert case.token.current(label) == 1
    case.token.activate(label, 2)
    assert (case.token.current(label), case.token.versions(label)) == (2, (1, 2))
    assert case.keys.external_authenticate(case.ref("update"), IDENTIFIER, case.challenge) == before
    assert case.keys.external_authenticate(case.ref("update", 2), IDENTIFIER, case.challenge) != before
    with pytest.raises(VaultError, match="current"):
        case.token.destroy_version(label, 2)
    case.token.destroy_version(label, 1)
    for version in (1, 3):
        with pytest.raises(UnknownKeyError):
            case.keys.external_authenticate(case.ref("update", version), IDENTIFIER, case.challenge)
        with pytest.raises(UnknownKeyError):
            case.token.activate(label, version)
    with pytest.raises(UnknownKeyError):
        case.token.current("nothing")


def test_check_values_are_the_first_bytes_of_enciphered_zeros(case: Case) -> None:
    zeros = bytes(case.product.algorithm.block_bytes)
    shown = {label: value for label, _, _, value in case.token.check_values()}
    for label, secret in case.secrets.items():
        assert shown[label] == encipher(case.product, secret, zeros)[:3].hex().upper()


def test_a_root_of_another_kind_or_length_is_not_taken(case: Case) -> None:
    with pytest.raises(VaultError):
        case.token.add_version(case.ref("update").label, Purpose.MAC)
    with pytest.raises(VaultError, match="16 bytes"):
        case.token.add_version(case.ref("update").label, CHIP_PURPOSES[case.product.algorithm], bytes(8))  # type: ignore[index]


def test_what_is_in_the_hardware_stays_there_and_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    product = next(one for one in PRODUCTS.values() if one.algorithm == "AES")
    secrets = secrets_for(product)
    vault = tokens_of_chips.hardware_token(tmp_path, "chips", (product,), secrets)
    import pkcs11  # noqa: PLC0415

    for key in vault._keys.values():
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.VALUE]
        assert not key[pkcs11.Attribute.EXTRACTABLE]
    label = label_of(product.algorithm, "update")
    vault.add_version(label, Purpose.CHIP_AES)
    vault.activate(label, 2)
    told = vault.check_values()
    chip = chip_keys(vault, product).external_authenticate(KeyRef(label, 2), IDENTIFIER, CHALLENGE)
    left_behind = [found for found in vault._session.get_objects() if found.object_class == pkcs11.ObjectClass.SECRET_KEY]
    assert len(left_behind) == len(told)  # the chip's own key was destroyed after its use
    vault.close()
    library = tokens_of_chips.softhsm()
    again = open_hardware(str(library), "chips", tokens_of_chips.PIN)
    assert (again.check_values(), again.current(label)) == (told, 2)
    assert chip_keys(again, product).external_authenticate(KeyRef(label, 2), IDENTIFIER, CHALLENGE) == chip
    again.close()
    with pytest.raises(WrongPinError):
        open_hardware(str(library), "chips", "guessed guessed")
    with pytest.raises(VaultError, match="no token"):
        open_hardware(str(library), "nothing", tokens_of_chips.PIN)
    with pytest.raises(VaultError):
        open_hardware(str(tmp_path / "no library"), "chips", tokens_of_chips.PIN)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "tokens").rglob("*") if file.is_file())
    assert stored
    assert not [label for label, secret in secrets.items() if secret in stored]


def test_known_answers() -> None:
    """SM4: GB/T 32907 A.1; DES: NIST SP 800-67 B.1 with two keys; AES: FIPS 197 C.1."""
    from services.common.keyvault.algorithms import Algorithm, SoftwareKey  # noqa: PLC0415

    sm4 = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert SoftwareKey(Algorithm.SM4, sm4).encipher(sm4).hex() == "681edf34d206965e86b3e94f536e4246"
    aes = bytes(range(16))
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert SoftwareKey(Algorithm.AES, aes).encipher(plain).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    # Both halves equal: it is single DES, whose answer everybody knows.
    des = bytes.fromhex("133457799BBCDFF1") * 2
    assert SoftwareKey(Algorithm.DES, des).encipher(bytes.fromhex("0123456789ABCDEF")).hex() == "85e813540f0ab405"
