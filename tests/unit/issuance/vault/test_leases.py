"""The vault computes for the blank that a record holds, for whoever holds it, each step so many times, and for nobody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from services.common.keyvault.vault import UnknownKeyError
from services.issuance.domain.blank import BlankState
from services.issuance.domain.effects import Generation, Operation
from services.issuance.domain.product import Product
from services.issuance.domain.record import RecordState
from services.issuance.domain.update_card import PIN, VALIDITY
from services.issuance.vault.blanks import Held
from services.issuance.vault.leases import MOST, STALE_SECONDS, Granted, Lease, Leases
from services.issuance.vault.operations import KeyRef
from services.issuance.vault.protocol import Ask, Open, Purpose, VaultRefusal
from tests.support.chip_driver import PRODUCTS

PRODUCT = PRODUCTS["ssc3"]
IDENTIFIER = "440700D15600000500000001A1B2C3D4"
WINDOW = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
UPDATE, MASTER, INTERNAL, PIN_RELOAD = (PRODUCT.key(name) for name in ("update", "master", "internal", "pin_reload"))
CHALLENGE = bytes(16)
HELD = Held(
    1,
    RecordState.TOUCHED,
    17,
    3,
    WINDOW,
    "B1",
    IDENTIFIER,
    PRODUCT.code,
    BlankState.PERSONALISING,
    holds=True,
    barred=False,
    versions=None,
)
ISSUED = replace(
    HELD,
    state=RecordState.ISSUED,
    blank_state=BlankState.HANDED_OVER,
    versions={f"sm4.{name}": 1 for name in ("transport", "update", "master", "internal", "pin_reload", "read")},
)
OPEN = Open(1, Purpose.PERSONALISE, 7, 1, IDENTIFIER, 17, 3, WINDOW, PRODUCT.code)


@dataclass
class Table:
    records: dict[int, Held]
    approvals: dict[tuple[int, int, int, str], str] = field(default_factory=dict)

    async def held(self, records: Sequence[int]) -> Mapping[int, Held]:
        return {record: self.records[record] for record in records if record in self.records}

    async def keep_versions(self, serial: str, versions: Mapping[str, int]) -> None:
        for number, held in self.records.items():
            if held.serial == serial and held.versions is None:
                self.records[number] = replace(held, versions=dict(versions))

    async def signed(self, record: int, approval: int, clerk: int, terminal: str) -> str:
        return self.approvals.get((record, approval, clerk, terminal), "")


class Vault:
    """Leases over a table, with a clock that stands."""

    def __init__(self, held: Held = HELD, products: Sequence[Product] = (PRODUCT,)) -> None:
        self.table = Table({7: held})
        self.version = 1
        self.now = 0.0
        self.leases = Leases(self.table, products, lambda _: self.version, lambda: self.now)

    def becomes(self, **changes: Any) -> None:
        self.table.records[7] = replace(self.table.records[7], **changes)

    async def open(self, **changes: Any) -> int:
        lease = await self.leases.open(msgspec.structs.replace(OPEN, **changes))
        assert isinstance(lease, Lease), lease
        return lease.number

    async def refusal(self, **changes: Any) -> VaultRefusal:
        lease = await self.leases.open(msgspec.structs.replace(OPEN, **changes))
        assert isinstance(lease, VaultRefusal)
        return lease

    def ask(self, lease: int, operation: Operation = Operation.EXTERNAL_AUTHENTICATE, **given: Any) -> Granted | VaultRefusal:
        asked: dict[str, Any] = {"address": UPDATE.address, "generation": Generation.TRANSPORT, "challenge": CHALLENGE, **given}
        granted = self.leases.grant(Ask(1, lease, operation, **asked))
        return granted if isinstance(granted, VaultRefusal) else granted[1]


LOAD: dict[str, Any] = {
    "operation": Operation.LOAD_KEY,
    "address": MASTER.address,
    "loads": UPDATE.address,
    "header": PRODUCT.load_header(UPDATE),
}
RELOAD: dict[str, Any] = {
    "operation": Operation.RELOAD_PIN,
    "address": PIN_RELOAD.address,
    "generation": Generation.FINAL,
    "header": PRODUCT.pin and PRODUCT.pin_header(PRODUCT.pin),
    "data": b"123456",
}
VERIFY: dict[str, Any] = {
    "operation": Operation.VERIFY_CARD,
    "address": INTERNAL.address,
    "generation": Generation.FINAL,
    "data": bytes(16),
}


async def test_a_lease_gives_the_keys_of_the_place_and_the_generation() -> None:
    vault = Vault()
    lease = await vault.open()
    assert vault.ask(lease) == Granted(KeyRef("sm4.transport", 1))
    assert vault.ask(lease, generation=Generation.FINAL) == Granted(KeyRef("sm4.update", 1))
    assert vault.ask(lease, **LOAD) == Granted(KeyRef("sm4.transport", 1), KeyRef("sm4.update", 1))
    assert vault.ask(lease, **VERIFY) == Granted(KeyRef("sm4.internal", 1))


@pytest.mark.parametrize(
    ("asked", "held", "refusal"),
    [
        ({}, {"barred": True}, VaultRefusal.BARRED),
        ({"record": 8}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"identifier": IDENTIFIER[:-1] + "0"}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"product": "ssc2"}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"application": 18}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"clerk": 4}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"terminal": WINDOW + "0"}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({"epoch": 2}, {}, VaultRefusal.NOT_THIS_BLANK),
        ({}, {"holds": False}, VaultRefusal.NOT_THIS_BLANK),
        ({}, {"epoch": 2}, VaultRefusal.SUPERSEDED),
        ({}, {"state": RecordState.VERIFIED, "blank_state": BlankState.VERIFIED}, VaultRefusal.WRONG_PURPOSE),
        ({}, {"state": RecordState.ISSUED, "blank_state": BlankState.HANDED_OVER}, VaultRefusal.WRONG_PURPOSE),
        ({}, {"state": RecordState.SPOILING}, VaultRefusal.WRONG_PURPOSE),
        ({}, {"blank_state": BlankState.MISSING}, VaultRefusal.WRONG_PURPOSE),
        ({"purpose": Purpose.UPDATE}, {}, VaultRefusal.WRONG_PURPOSE),
        ({"purpose": Purpose.CHECK}, {}, VaultRefusal.WRONG_PURPOSE),
    ],
)
async def test_no_lease_is_opened_for_anything_else(asked: Any, held: Any, refusal: VaultRefusal) -> None:
    vault = Vault(replace(HELD, **held), list(PRODUCTS.values()))
    assert await vault.refusal(**asked) is refusal
    assert len(vault.leases) == 0
    assert vault.table.records[7].versions is None


async def test_a_number_that_is_no_lease_gets_nothing() -> None:
    vault = Vault()
    lease = await vault.open()
    assert vault.ask(lease ^ 1) is VaultRefusal.NO_LEASE
    vault.leases.close(lease)
    assert vault.ask(lease) is VaultRefusal.NO_LEASE


async def test_a_newer_epoch_ends_the_older_lease_at_once() -> None:
    vault = Vault()
    old = await vault.open()
    vault.becomes(epoch=2, clerk=4, terminal="onecard://merchant/CITY-HALL/terminal/WINDOW-2")
    new = await vault.open(epoch=2, clerk=4, terminal="onecard://merchant/CITY-HALL/terminal/WINDOW-2")
    assert vault.ask(old) is VaultRefusal.SUPERSEDED
    assert vault.ask(new) == Granted(KeyRef("sm4.transport", 1))
    assert await vault.refusal() is VaultRefusal.SUPERSEDED


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"barred": True}, VaultRefusal.BARRED),
        ({"epoch": 2}, VaultRefusal.SUPERSEDED),
        ({"holds": False}, VaultRefusal.NOT_THIS_BLANK),
        ({"state": RecordState.PRINT_RELEASED, "blank_state": BlankState.VERIFIED}, VaultRefusal.WRONG_PURPOSE),
    ],
)
async def test_an_open_lease_ends_with_the_next_look_when_its_reason_is_gone(change: Any, refusal: VaultRefusal) -> None:
    vault = Vault()
    lease = await vault.open()
    await vault.leases.look()
    assert isinstance(vault.ask(lease), Granted)
    vault.becomes(**change)
    await vault.leases.look()
    assert vault.ask(lease) is refusal
    vault.becomes(barred=False, epoch=1, holds=True, state=RecordState.TOUCHED, blank_state=BlankState.PERSONALISING)
    await vault.leases.look()
    assert vault.ask(lease) is refusal  # it does not come back to life


async def test_a_lease_that_nobody_could_look_at_gives_nothing_until_somebody_did() -> None:
    vault = Vault()
    lease = await vault.open()
    vault.now += STALE_SECONDS + 1
    assert vault.ask(lease) is VaultRefusal.UNAVAILABLE
    await vault.leases.look()
    assert isinstance(vault.ask(lease), Granted)


@pytest.mark.parametrize("step", [{}, LOAD, VERIFY], ids=["authenticate", "load a key", "verify"])
async def test_each_step_is_counted_in_its_epoch_however_often_a_lease_is_opened(step: Any) -> None:
    vault = Vault()
    operation = step.get("operation", Operation.EXTERNAL_AUTHENTICATE)
    for _ in range(MOST[operation]):
        assert isinstance(vault.ask(await vault.open(), **step), Granted)
    assert vault.ask(await vault.open(), **step) is VaultRefusal.COUNT_EXCEEDED
    vault.now += 100_000
    assert vault.ask(await vault.open(), **step) is VaultRefusal.COUNT_EXCEEDED
    vault.becomes(epoch=2)
    assert isinstance(vault.ask(await vault.open(epoch=2), **step), Granted)


async def test_keys_are_counted_each_by_itself_and_a_refused_step_counts_nothing() -> None:
    vault = Vault()
    lease = await vault.open()
    for _ in range(100):
        assert vault.ask(lease, challenge=b"") is VaultRefusal.MALFORMED
    for _ in range(MOST[Operation.EXTERNAL_AUTHENTICATE]):
        vault.ask(lease)
    assert vault.ask(lease) is VaultRefusal.COUNT_EXCEEDED
    assert isinstance(vault.ask(lease, address=MASTER.address), Granted)
    assert isinstance(vault.ask(lease, generation=Generation.FINAL), Granted)


@pytest.mark.parametrize(
    "asked",
    [
        {"challenge": bytes(8)},
        {"challenge": bytes(32)},
        {"address": 0x7F},
        {"address": INTERNAL.address},  # it does not authenticate terminals
        {**LOAD, "loads": None},
        {**LOAD, "loads": 0x7F},
        {**LOAD, "address": UPDATE.address},  # that key does not protect it
        {**LOAD, "header": b""},
        {**LOAD, "header": PRODUCT.load_header(MASTER)},
        {**VERIFY, "address": MASTER.address},
        {**VERIFY, "data": bytes(8)},
    ],
)
async def test_what_no_card_is_asked_is_not_computed(asked: Any) -> None:
    vault = Vault()
    assert vault.ask(await vault.open(), **asked) is VaultRefusal.MALFORMED


async def test_a_lease_to_make_a_card_sets_no_pin() -> None:
    vault = Vault()
    assert vault.ask(await vault.open(), **RELOAD) is VaultRefusal.WRONG_PURPOSE


async def test_a_card_that_was_issued_is_updated_when_a_second_person_has_signed_and_as_they_did() -> None:
    vault = Vault(ISSUED)
    assert await vault.refusal(purpose=Purpose.UPDATE) is VaultRefusal.WRONG_PURPOSE
    vault.table.approvals = {(7, 5, 3, WINDOW): PIN, (7, 6, 3, WINDOW): VALIDITY}
    assert await vault.refusal(purpose=Purpose.UPDATE, approval=7) is VaultRefusal.WRONG_PURPOSE
    lease = await vault.open(purpose=Purpose.UPDATE, approval=5)
    assert vault.ask(lease, **RELOAD) == Granted(KeyRef("sm4.pin_reload", 1))
    assert vault.ask(lease, **VERIFY) == Granted(KeyRef("sm4.internal", 1))
    assert vault.ask(lease, generation=Generation.FINAL) is VaultRefusal.WRONG_PURPOSE  # the validity was not signed
    for wrong in ({"data": b"12345"}, {"data": b"12345x"}, {"header": b""}):
        assert vault.ask(lease, **{**RELOAD, **wrong}) is VaultRefusal.MALFORMED
    lease = await vault.open(purpose=Purpose.UPDATE, approval=6)
    assert vault.ask(lease, generation=Generation.FINAL) == Granted(KeyRef("sm4.update", 1))
    assert vault.ask(lease, **RELOAD) is VaultRefusal.WRONG_PURPOSE
    assert vault.ask(lease, **LOAD) is VaultRefusal.WRONG_PURPOSE
    assert vault.ask(lease) is VaultRefusal.WRONG_PURPOSE  # the transport key
    assert vault.ask(lease, address=MASTER.address, generation=Generation.FINAL) is VaultRefusal.WRONG_PURPOSE


@pytest.mark.parametrize("purpose", [Purpose.UPDATE, Purpose.CHECK])
async def test_what_is_done_to_an_issued_card_is_done_by_whoever_has_its_record(purpose: Purpose) -> None:
    vault = Vault(ISSUED)
    vault.table.approvals = {(7, 5, clerk, at): PIN for clerk in (3, 99) for at in (WINDOW, WINDOW + "0")}
    for other in ({"clerk": 99}, {"terminal": WINDOW + "0"}):
        assert await vault.refusal(purpose=purpose, approval=5, **other) is VaultRefusal.NOT_THIS_BLANK
    assert await vault.open(purpose=purpose, approval=5)


async def test_a_check_reads_and_proves_and_does_nothing_else() -> None:
    vault = Vault(ISSUED)
    lease = await vault.open(purpose=Purpose.CHECK)
    assert vault.ask(lease, address=0x0A, generation=Generation.FINAL) == Granted(KeyRef("sm4.read", 1))
    assert vault.ask(lease, **VERIFY) == Granted(KeyRef("sm4.internal", 1))
    for asked in ({"generation": Generation.FINAL}, {"address": 0x0A}, LOAD, RELOAD):
        assert vault.ask(lease, **asked) is VaultRefusal.WRONG_PURPOSE


async def test_a_chip_keeps_the_versions_with_which_it_was_begun() -> None:
    vault = Vault()
    await vault.open()
    vault.version = 2
    lease = await vault.open()
    assert vault.ask(lease, **LOAD) == Granted(KeyRef("sm4.transport", 1), KeyRef("sm4.update", 1))


async def test_a_chip_that_nobody_began_with_our_keys_is_neither_checked_nor_updated() -> None:
    vault = Vault(replace(ISSUED, versions=None))
    vault.table.approvals = {(7, 5, 3, WINDOW): PIN}
    for asked in ({"purpose": Purpose.CHECK}, {"purpose": Purpose.UPDATE, "approval": 5}):
        assert await vault.refusal(**asked) is VaultRefusal.NOT_THIS_BLANK


async def test_without_a_root_no_chip_is_begun() -> None:
    vault = Vault()

    def missing(label: str) -> int:
        raise UnknownKeyError(label)

    vault.leases = Leases(vault.table, [PRODUCT], missing)
    with pytest.raises(UnknownKeyError):
        await vault.leases.open(OPEN)
    assert vault.table.records[7].versions is None
