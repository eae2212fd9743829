"""A vault in a file gives its operations to who knows the PIN, and its keys to nobody."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.keyvault.field import FieldCipher
from services.common.keyvault.software import (
    MOST_WRONG_PINS,
    Hardness,
    SoftwareVault,
    check_value,
    combine,
    create_token,
    open_token,
    unlock_token,
)
from services.common.keyvault.vault import (
    Purpose,
    TamperedError,
    TokenLockedError,
    UnknownKeyError,
    VaultError,
    WrongPinError,
)

QUICK = Hardness(passes=1, memory_kib=64, lanes=1)
PIN, SO_PIN = "pin of the service", "pin of the administrator"


@pytest.fixture
def vault(tmp_path: Path) -> SoftwareVault:
    made = create_token(tmp_path / "card.token", "card", PIN, SO_PIN, hardness=QUICK)
    made.add_version("data", Purpose.WRAP)
    made.add_version("index", Purpose.MAC)
    return made


def test_what_was_wrapped_is_given_back_to_who_names_what_it_is_bound_to(vault: SoftwareVault) -> None:
    wrapped = vault.wrap("data", b"a holder's key..", b"holder 1")
    assert wrapped.version == 1
    assert vault.unwrap("data", 1, wrapped.blob, b"holder 1") == b"a holder's key.."
    with pytest.raises(TamperedError):
        vault.unwrap("data", 1, wrapped.blob, b"holder 2")
    for at in range(len(wrapped.blob)):
        altered = bytearray(wrapped.blob)
        altered[at] ^= 1
        with pytest.raises(TamperedError):
            vault.unwrap("data", 1, bytes(altered), b"holder 1")
    with pytest.raises(TamperedError):
        vault.unwrap("data", 1, wrapped.blob[:20], b"holder 1")


def test_a_key_serves_its_purpose_alone(vault: SoftwareVault) -> None:
    with pytest.raises(UnknownKeyError):
        vault.mac("data", 1, b"message")
    with pytest.raises(UnknownKeyError):
        vault.wrap("index", b"secret", b"")
    with pytest.raises(UnknownKeyError):
        vault.mac("index", 2, b"message")
    with pytest.raises(UnknownKeyError):
        vault.current("nothing")
    with pytest.raises(VaultError, match="another purpose"):
        vault.add_version("index", Purpose.WRAP)


def test_a_new_version_waits_until_it_is_activated_and_the_old_one_still_opens(vault: SoftwareVault) -> None:
    old = vault.wrap("data", b"secret", b"")
    digest = vault.mac("index", 1, b"number")
    assert vault.add_version("data", Purpose.WRAP) == 2
    assert vault.add_version("index", Purpose.MAC) == 2
    again = open_token(vault.file, PIN)
    assert again.versions("data") == (1, 2)
    assert again.wrap("data", b"secret", b"").version == 1  # until every process knows the new one
    again.activate("data", 2)
    again = open_token(vault.file, PIN)
    assert again.wrap("data", b"secret", b"").version == 2
    assert again.unwrap("data", old.version, old.blob, b"") == b"secret"
    assert again.mac("index", 1, b"number") == digest
    assert again.mac("index", 2, b"number") != digest
    again.destroy_version("data", 1)
    with pytest.raises(UnknownKeyError):
        open_token(vault.file, PIN).unwrap("data", old.version, old.blob, b"")
    with pytest.raises(UnknownKeyError):
        again.activate("data", 1)
    with pytest.raises(VaultError, match="current"):
        again.destroy_version("data", 2)


def test_a_wrong_pin_opens_nothing_and_too_many_lock_the_token(vault: SoftwareVault) -> None:
    for _ in range(MOST_WRONG_PINS - 1):
        with pytest.raises(WrongPinError):
            open_token(vault.file, "guessed guessed")
    assert open_token(vault.file, PIN).versions("data") == (1,)  # a good one forgets the wrong ones
    for _ in range(MOST_WRONG_PINS):
        with pytest.raises(WrongPinError):
            open_token(vault.file, "guessed guessed")
    with pytest.raises(TokenLockedError):
        open_token(vault.file, PIN)
    with pytest.raises(WrongPinError):
        unlock_token(vault.file, "guessed guessed", "the new pin")
    unlock_token(vault.file, SO_PIN, "the new pin")
    assert open_token(vault.file, "the new pin").check_values() == vault.check_values()
    with pytest.raises(WrongPinError):
        open_token(vault.file, PIN)


def test_guesses_at_once_are_counted_one_by_one(vault: SoftwareVault) -> None:
    def guess(_: int) -> type[BaseException]:
        try:
            open_token(vault.file, "guessed guessed")
        except VaultError as error:
            return type(error)
        return SystemExit

    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(guess, range(32)))
    assert (heard.count(WrongPinError), heard.count(TokenLockedError)) == (MOST_WRONG_PINS, 32 - MOST_WRONG_PINS)


def test_an_altered_header_is_noticed(vault: SoftwareVault) -> None:
    token = msgspec.msgpack.decode(vault.file.read_bytes())
    token["development"] = True
    vault.file.write_bytes(msgspec.msgpack.encode(token))
    with pytest.raises(WrongPinError, match="altered"):
        open_token(vault.file, PIN)


def test_the_file_is_its_owners_alone(vault: SoftwareVault) -> None:
    assert vault.file.stat().st_mode & 0o777 == 0o600
    vault.file.chmod(0o640)
    with pytest.raises(VaultError, match="read by others"):
        open_token(vault.file, PIN)


def test_a_token_is_never_written_over_and_a_half_written_one_is_not_taken(vault: SoftwareVault) -> None:
    with pytest.raises(VaultError, match="exists"):
        create_token(vault.file, "card", PIN, SO_PIN, hardness=QUICK)
    vault.file.with_suffix(".partial").write_bytes(b"half of a tok")
    assert open_token(vault.file, PIN).add_version("data", Purpose.WRAP) == 2
    with pytest.raises(VaultError, match="no token"):
        open_token(vault.file.with_name("other.token"), PIN)
    with pytest.raises(VaultError, match="PINs"):
        create_token(vault.file.with_name("weak.token"), "card", "short", SO_PIN)


def test_nothing_secret_stands_in_the_file(vault: SoftwareVault) -> None:
    content = vault.file.read_bytes()
    for key in vault._keys:
        assert key.secret not in content


def test_a_key_is_put_together_from_components_and_told_by_its_check_value(vault: SoftwareVault) -> None:
    parts = [os.urandom(16) for _ in range(3)]
    key = combine(parts)
    assert combine([*parts, key]) == bytes(16)
    vault.add_version("root", Purpose.WRAP, key)
    assert ("root", 1, Purpose.WRAP, check_value(Purpose.WRAP, key)) in vault.check_values()
    with pytest.raises(VaultError, match="16 bytes"):
        vault.add_version("root", Purpose.WRAP, key + key)
    with pytest.raises(VaultError, match="two or more"):
        combine([key])


def test_the_cipher_is_the_standards() -> None:
    # SM4 of sixteen zero bytes under a key of zeros begins with these three.
    assert check_value(Purpose.WRAP, bytes(16)) == "9F1F7B"


@given(st.binary(max_size=300), st.integers(0, 2**63 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_a_field_opens_in_its_own_place_alone(plaintext: bytes, holder: int, field: int, version: int) -> None:
    cipher = FieldCipher(bytes(range(16)))
    sealed = cipher.seal(holder, field, version, plaintext)
    assert cipher.open(holder, field, version, sealed) == plaintext
    for place in ((holder ^ 1, field, version), (holder, field ^ 1, version), (holder, field, version ^ 1)):
        with pytest.raises(TamperedError):
            cipher.open(*place, sealed)
    with pytest.raises(TamperedError):
        FieldCipher(bytes(16)).open(holder, field, version, sealed)
