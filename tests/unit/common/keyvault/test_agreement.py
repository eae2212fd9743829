"""What is sealed to a public key of the vault is opened by its private half alone, for one use and in one place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.window.sealed import SealingKey, seal
from services.card.adapters.kit_key import KitKey, bound_to
from services.common.keyvault.agreement import point_of, private_key
from services.common.keyvault.software import Hardness, SoftwareVault, check_value, create_token, open_token
from services.common.keyvault.vault import Purpose, Sealed, TamperedError, UnknownKeyError

PIN = "pin of the service"


@pytest.fixture
def vault(tmp_path: Path) -> SoftwareVault:
    made = create_token(tmp_path / "card.token", "card", PIN, "pin of another", hardness=Hardness(1, 64, 1))
    made.add_version("kit", Purpose.AGREE)
    made.add_version("data", Purpose.WRAP)
    return made


def sealed_to(vault: SoftwareVault, version: int = 1) -> Sealed:
    item = seal(SealingKey(version, vault.public_key("kit", version), "kit"), "id", b"a form", 1)
    return Sealed(item.key_version, item.ephemeral_key, item.sealed)


def test_what_was_sealed_outside_is_opened_inside(vault: SoftwareVault, tmp_path: Path) -> None:
    sealed = sealed_to(vault)
    assert KitKey(vault).open("kit", "id", sealed) == b"a form"
    again = open_token(tmp_path / "card.token", PIN)
    assert again.public_key("kit", 1) == vault.public_key("kit", 1)
    assert KitKey(again).open("kit", "id", sealed) == b"a form"


def test_no_byte_can_be_altered_and_no_use_or_place_exchanged(vault: SoftwareVault) -> None:
    sealed, info = sealed_to(vault), b"onecard kit queue 1"
    place = bound_to("kit", "id", 1)
    assert vault.unseal("kit", sealed, info, place) == b"a form"
    wrong = [(sealed, b"another use", place), (sealed, info, bound_to("ki", "tid", 1))]
    for at in range(len(sealed.ciphertext)):
        altered = bytearray(sealed.ciphertext)
        altered[at] ^= 1
        wrong.append((sealed._replace(ciphertext=bytes(altered)), info, place))
    wrong += [(sealed._replace(ephemeral_key=point), info, place) for point in (b"", bytes(65), b"\4" + bytes(64))]
    for one, use, where in wrong:
        with pytest.raises(TamperedError):
            vault.unseal("kit", one, use, where)


def test_a_key_serves_its_purpose_alone(vault: SoftwareVault) -> None:
    with pytest.raises(UnknownKeyError):
        vault.public_key("data", 1)
    with pytest.raises(UnknownKeyError):
        vault.wrap("kit", b"secret", b"")
    with pytest.raises(UnknownKeyError):
        vault.unseal("kit", sealed_to(vault)._replace(version=2), b"", b"")


@given(st.binary(min_size=32, max_size=32))
def test_any_components_make_a_key_which_is_told_by_its_check_value(secret: bytes) -> None:
    assert len(point_of(private_key(secret))) == 65
    assert len(check_value(Purpose.AGREE, secret)) == 6


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_the_ends_of_the_range_are_keys_too(secret: bytes) -> None:
    assert point_of(private_key(secret))[0] == 4
