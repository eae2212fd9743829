"""One contract for the root of terminals' keys, whatever it is kept in: it makes the keys of epochs, and stays."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.cmac import CMAC

from services.common.keyvault.hardware import HardwareVault, open_hardware
from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from services.common.keyvault.vault import Purpose, UnknownKeyError, VaultError
from tests.support import tokens_of_chips

ROOT = bytes(range(16))
LABEL = "terminal-root"
Vault = SoftwareVault | HardwareVault


def software(folder: Path) -> SoftwareVault:
    return create_token(folder / "payments.token", "payments", "pin of a test", "pin of another", hardness=Hardness(1, 64, 1))


@pytest.fixture(params=["software", "PKCS#11"])
def vault(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    if request.param == "software":
        yield software(tmp_path)
        return
    library = tokens_of_chips.softhsm()
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    label = f"payments {tmp_path.name}"[:32]
    tokens_of_chips.set_up_token(tmp_path, label)
    tokens_of_chips.unload(library)
    hardware = open_hardware(str(library), label, tokens_of_chips.PIN)
    yield hardware
    hardware.close()


def by_hand(vault: Vault, epoch: int) -> bytes:
    cipher: Callable[[bytes], SM4 | AES] = SM4 if isinstance(vault, SoftwareVault) else AES
    keyed = CMAC(cipher(ROOT))
    keyed.update(b"onecard terminal epoch\0" + epoch.to_bytes(4))
    return keyed.finalize()


def test_the_key_of_an_epoch_is_the_code_of_its_number_under_the_root(vault: Vault) -> None:
    assert vault.add_version(LABEL, Purpose.TERMINAL, ROOT) == 1
    for epoch in (1, 2, 2**31 - 1):
        assert vault.derive_terminal_epoch(LABEL, 1, epoch) == by_hand(vault, epoch)
    assert ROOT not in {vault.derive_terminal_epoch(LABEL, 1, epoch) for epoch in range(1, 50)}


def test_the_first_epoch_of_a_known_root_has_a_known_key(tmp_path: Path) -> None:
    vault = software(tmp_path)
    vault.add_version(LABEL, Purpose.TERMINAL, ROOT)
    assert vault.derive_terminal_epoch(LABEL, 1, 1).hex() == "b176ad8f374a55dd576e4d295e12a585"


def test_another_version_of_the_root_makes_other_keys(vault: Vault) -> None:
    assert [vault.add_version(LABEL, Purpose.TERMINAL) for _ in range(2)] == [1, 2]
    assert vault.derive_terminal_epoch(LABEL, 1, 1) != vault.derive_terminal_epoch(LABEL, 2, 1)
    assert vault.current(LABEL) == 1
    vault.activate(LABEL, 2)
    assert (vault.current(LABEL), vault.versions(LABEL)) == (2, (1, 2))
    vault.destroy_version(LABEL, 1)
    with pytest.raises(UnknownKeyError):
        vault.derive_terminal_epoch(LABEL, 1, 1)


def test_a_number_that_is_no_epoch_has_no_key(vault: Vault) -> None:
    vault.add_version(LABEL, Purpose.TERMINAL, ROOT)
    for epoch in (-1, 0, 2**31):
        with pytest.raises(ValueError, match="epoch"):
            vault.derive_terminal_epoch(LABEL, 1, epoch)


def test_a_root_of_terminals_serves_nothing_else_and_no_other_key_serves_for_it(vault: Vault) -> None:
    vault.add_version(LABEL, Purpose.TERMINAL, ROOT)
    vault.add_version("aes.master", Purpose.CHIP_AES)
    with pytest.raises(UnknownKeyError):
        vault.derive_terminal_epoch("aes.master", 1, 1)
    with pytest.raises(UnknownKeyError):
        vault.derive_terminal_epoch("nothing", 1, 1)
    with pytest.raises(VaultError), vault.use(LABEL, 1) as key:
        key.encipher(bytes(16))
    with pytest.raises(VaultError, match="another purpose"):
        vault.add_version(LABEL, Purpose.CHIP_AES)
    with pytest.raises(VaultError, match="16 bytes"):
        vault.add_version("terminal-root-2", Purpose.TERMINAL, bytes(8))


def test_its_check_value_tells_it_without_giving_it_away(vault: Vault) -> None:
    vault.add_version(LABEL, Purpose.TERMINAL, ROOT)
    cipher: Callable[[bytes], SM4 | AES] = SM4 if isinstance(vault, SoftwareVault) else AES
    keyed = CMAC(cipher(ROOT))
    keyed.update(bytes(16))
    assert vault.check_values() == [(LABEL, 1, Purpose.TERMINAL, keyed.finalize()[:3].hex().upper())]
    assert ROOT.hex() not in repr(vault.__dict__)
