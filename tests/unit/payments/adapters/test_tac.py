"""Codes of transactions: the derivation by known answers and made by hand, and what the verifier says of each kind of wrong."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from sdk.merchant.transaction import TerminalKey
from services.common.keyvault.hardware import open_hardware
from services.common.keyvault.software import Hardness, create_token
from services.common.keyvault.vault import EpochRoots, Purpose, VaultError
from services.payments.adapters.epochs import EpochKeys, open_terminal_vault
from services.payments.adapters.tac import Verifier, terminal_key
from services.payments.config import Config
from services.payments.domain.epoch import Epoch
from services.payments.domain.tap import Scene, Terminal
from services.payments.domain.verdict import Cause
from services.payments.keys import TERMINAL_ROOT
from tests.support import tokens_of_chips
from tests.support.terminal_keys import PIN, key_of, vault

TERMINAL = Terminal(7, "BUS-1", "BUS-1-T0", Scene.BUS, 1, False)
BODY = b"the very bytes of a body"


def cmac(key: bytes, message: bytes) -> bytes:
    """By hand, over the block cipher alone (NIST SP 800-38B)."""

    def encipher(block: bytes) -> bytes:
        return Cipher(SM4(key), ECB()).encryptor().update(block)

    def doubled(block: bytes) -> bytes:
        number = int.from_bytes(block) << 1
        return (number ^ (0x87 | 1 << 128) if number >> 128 else number).to_bytes(16)

    subkey = doubled(encipher(bytes(16)))
    blocks = [message[at : at + 16] for at in range(0, len(message), 16)] or [b""]
    if len(blocks[-1]) < 16:
        blocks[-1], subkey = (blocks[-1] + b"\x80").ljust(16, b"\0"), doubled(subkey)
    blocks[-1] = bytes(a ^ b for a, b in zip(blocks[-1], subkey, strict=True))
    state = bytes(16)
    for block in blocks:
        state = encipher(bytes(a ^ b for a, b in zip(state, block, strict=True)))
    return state


class Keys(EpochKeys):
    """Of epochs that a test names, without a database."""

    def __init__(self, *epochs: Epoch, through: EpochRoots | None = None) -> None:
        super().__init__(None, through or vault())  # type: ignore[arg-type]  # nothing is read
        self.told = epochs
        self.asked = 0

    async def refresh(self) -> bool:
        self.asked += 1
        self._read_at = time.monotonic()
        if self.told == self.epochs:
            return False
        self._keys = {epoch.number: key for epoch in self.told if not epoch.retired and (key := self._derive(epoch))}
        self.epochs = self.told
        return True


async def verifier(*epochs: Epoch) -> Verifier:
    made = Verifier(Keys(*(epochs or (Epoch(1, 1, 0),))))
    await made.refresh_if_due()
    return made


def test_the_way_from_the_root_to_a_code_has_known_answers() -> None:
    epoch_key = vault().derive_terminal_epoch(TERMINAL_ROOT, 1, 1)
    key = terminal_key(epoch_key, "BUS-1", "BUS-1-T0")
    assert key.hex() == "988d5b758ee7566e002d7a4fa6612c50"
    assert TerminalKey(1, key).tac(BODY).hex() == "a648ca63c8cea9b9f6d655a012ca8efa"


def test_each_step_is_the_cmac_that_the_standard_says() -> None:
    epoch_key = cmac(bytes(range(16)), b"onecard terminal epoch\0" + (1).to_bytes(4))
    assert vault().derive_terminal_epoch(TERMINAL_ROOT, 1, 1) == epoch_key
    key = cmac(epoch_key, b"onecard terminal key\0BUS-1\0BUS-1-T0")
    assert key_of("BUS-1", "BUS-1-T0").key == key
    for body in (b"", BODY, bytes(16), bytes(100)):
        assert TerminalKey(1, key).tac(body) == cmac(key, body)


def test_no_two_terminals_share_a_key() -> None:
    epoch_key = bytes(16)
    places = [("A", "B"), ("AB", ""), ("A", "BC"), ("AB", "C"), ("B", "A"), ("", "AB")]
    assert len({terminal_key(epoch_key, *place) for place in places}) == len(places)


async def test_what_the_sdk_signs_is_believed() -> None:
    made = await verifier()
    for _ in range(2):  # with a context that is made, and one that is there
        assert made.check(TERMINAL, 1, BODY, key_of("BUS-1", "BUS-1-T0").tac(BODY)) is None


@given(body=st.binary(max_size=80), at=st.integers(0, 127))
async def test_no_bit_of_a_code_may_differ(body: bytes, at: int) -> None:
    made = await verifier()
    tac = bytearray(key_of("BUS-1", "BUS-1-T0").tac(body))
    tac[at // 8] ^= 1 << at % 8
    assert made.check(TERMINAL, 1, body, bytes(tac)) is Cause.WRONG_TAC


async def test_another_body_another_terminals_key_or_a_part_of_a_code_is_wrong() -> None:
    made = await verifier()
    key = key_of("BUS-1", "BUS-1-T0")
    tac = key.tac(BODY)
    others = [
        b"",
        tac[:-1],
        tac + b"\0",
        bytes(16),
        key_of("BUS-1", "BUS-1-T1").tac(BODY),
        key_of("BUS-2", "BUS-1-T0").tac(BODY),
    ]
    for wrong in (*others, key_of("BUS-1", "BUS-1-T0", 2).tac(BODY), key.tac(BODY + b"\0")):
        assert made.check(TERMINAL, 1, BODY, wrong) is Cause.WRONG_TAC


async def test_an_epoch_is_unknown_until_it_is_added_and_retired_for_ever() -> None:
    keys = Keys(Epoch(1, 1, 0))
    made = Verifier(keys)
    await made.refresh_if_due()
    first, second = (key_of("BUS-1", "BUS-1-T0", epoch).tac(BODY) for epoch in (1, 2))
    assert made.check(TERMINAL, 2, BODY, second) is Cause.UNKNOWN_EPOCH
    assert made.check(TERMINAL, 0, BODY, first) is Cause.UNKNOWN_EPOCH
    assert made.check(TERMINAL, 2**32 - 1, BODY, first) is Cause.UNKNOWN_EPOCH
    keys.told = (Epoch(1, 1, 0), Epoch(2, 1, 10**15))  # before its time, by our clock: the terminal's may be ahead
    keys._read_at -= made.MISS_SECONDS
    await made.refresh_if_due()
    assert made.check(TERMINAL, 1, BODY, first) is None
    assert made.check(TERMINAL, 2, BODY, second) is None
    keys.told = (Epoch(1, 1, 0, retired=True), Epoch(2, 1, 10**15))
    keys._read_at -= made.REFRESH_SECONDS
    await made.refresh_if_due()
    assert made.check(TERMINAL, 1, BODY, first) is Cause.RETIRED_EPOCH
    assert made.check(TERMINAL, 2, BODY, second) is None


async def test_unknown_epochs_have_the_database_asked_once_a_second_at_most() -> None:
    keys = Keys(Epoch(1, 1, 0))
    made = Verifier(keys)
    await made.refresh_if_due()
    for _ in range(100):
        assert made.check(TERMINAL, 9, BODY, bytes(16)) is Cause.UNKNOWN_EPOCH
        await made.refresh_if_due()
    assert keys.asked == 1
    keys._read_at -= made.MISS_SECONDS
    await made.refresh_if_due()
    assert keys.asked == 2


async def test_nobody_begins_to_work_without_the_key_of_an_epoch_that_counts() -> None:
    with pytest.raises(VaultError, match="epoch 2"):
        await Keys(Epoch(1, 1, 0), Epoch(2, 5, 0)).begin()
    await Keys(Epoch(1, 5, 0, retired=True), Epoch(2, 1, 0)).begin()


async def test_an_epoch_whose_root_came_later_is_unknown_until_the_next_start() -> None:
    made = await verifier(Epoch(1, 1, 0), Epoch(2, 5, 0))
    assert made.check(TERMINAL, 1, BODY, key_of("BUS-1", "BUS-1-T0").tac(BODY)) is None
    assert made.check(TERMINAL, 2, BODY, key_of("BUS-1", "BUS-1-T0", 2).tac(BODY)) is Cause.UNKNOWN_EPOCH


async def test_a_hardware_module_makes_keys_that_verify_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tokens_of_chips.softhsm()
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    tokens_of_chips.set_up_token(tmp_path, "payments")
    tokens_of_chips.unload(library)
    monkeypatch.setenv("ONECARD_PKCS11_MODULE", str(library))
    monkeypatch.setenv("ONECARD_PKCS11_TOKEN", "payments")
    administered = open_hardware(str(library), "payments", tokens_of_chips.PIN)
    administered.add_version(TERMINAL_ROOT, Purpose.TERMINAL)
    administered.close()
    module = open_terminal_vault(Config(database_url="", kafka="", vault_pin=tokens_of_chips.PIN), on_loopback=False)
    keys = Keys(Epoch(1, 1, 0), through=module)
    made = Verifier(keys)
    await made.refresh_if_due()
    key = terminal_key(keys.of(1), TERMINAL.merchant_id, TERMINAL.terminal_id)
    assert made.check(TERMINAL, 1, BODY, TerminalKey(1, key).tac(BODY)) is None
    assert made.check(TERMINAL, 1, BODY, key_of("BUS-1", "BUS-1-T0").tac(BODY)) is Cause.WRONG_TAC


def test_without_its_vault_nothing_begins_and_a_development_token_stays_on_its_machine(tmp_path: Path) -> None:
    def configured(**more: object) -> Config:
        return Config(database_url="", kafka="", **more)  # type: ignore[arg-type]

    with pytest.raises(VaultError, match="ONECARD_VAULT_PIN"):
        open_terminal_vault(configured(vault=vault().file), on_loopback=True)
    with pytest.raises(VaultError, match="ONECARD_VAULT "):
        open_terminal_vault(configured(vault_pin=PIN), on_loopback=True)
    with pytest.raises(VaultError, match="development"):
        open_terminal_vault(configured(vault=vault().file, vault_pin=PIN), on_loopback=False)
    assert open_terminal_vault(configured(vault=vault().file, vault_pin=PIN), on_loopback=True).label == "payments"
    other = create_token(tmp_path / "empty.token", "payments", PIN, "pin of another", hardness=Hardness(1, 64, 1))
    with pytest.raises(VaultError, match=TERMINAL_ROOT):
        open_terminal_vault(configured(vault=other.file, vault_pin=PIN), on_loopback=True)


@pytest.mark.parametrize(
    ("kafka", "here"),
    [("127.0.0.1:9092", True), ("localhost:1,127.0.0.2:2", True), ("127.0.0.1:1,kafka:9092", False), ("10.0.0.1:9092", False)],
)
def test_a_worker_is_alone_on_its_machine_when_its_whole_broker_is_there(kafka: str, here: bool) -> None:
    assert Config(database_url="", kafka=kafka).broker_on_loopback is here
