"""The journal decided again: by the product's own rules, in one thread, from what stands in the database and nothing else.

A tap's body is with its terminal, not in the ledger: what taps did to the accounts is taken from their transfers.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import milliseconds
from services.common.database import driver_session
from services.payments.adapters.locking import holder_of
from services.payments.adapters.payments import ruling_of
from services.payments.adapters.requests import admission_of, again
from services.payments.domain.account import AccountStatus, HolderAccount
from services.payments.domain.admission import redeem
from services.payments.domain.book import Rules
from services.payments.domain.operation import NO_DIGEST, Operation, Ruling
from services.payments.domain.places import Admission
from services.payments.domain.spent import spend
from services.payments.domain.tap import Scene, Terminal
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread

_TERMINALS = """
select t.id, m.merchant_id, t.terminal_id, m.scene, m.payable_account
from payments.terminal t join payments.merchant m on m.id = t.merchant"""
_HOLDERS = "select id, 0, overdraft_fen, 1, 0, 0, cards::text, null from payments.account where kind = 1 order by id"
_NAMES = "select name from payments.account where name is not null and kind <> 7"
_JOURNAL = """
select b.number, b.now, o.row, o.terminal, o.request_id, o.body, o.body_digest, o.kind, o.reason, o.amount_fen, o.moved_fen,
       o.account_id, o.payment
from payments.batch b left join payments.operation o on o.batch = b.number and o.kind not in (10, 12) -- which stand with their taps
where b.number > $1 order by b.number, o.row"""
_ADMITTED = "select body, account_id from payments.operation where batch = $1 and kind = 12 order by row"
_CHARGED = """
select account_id, terminal, (extract(epoch from event_time) * 1000)::bigint, sum(amount_fen)::bigint
from payments.transfer where batch = $1 and code = 1 group by row, account_id, terminal, event_time order by row"""
_TAPS = "select debit_account, credit_account, amount_fen from payments.transfer where batch = $1 order by id"


@dataclass(slots=True)
class Batch:
    """Operations with the rulings that are stored, in the order of their rows; none where taps were posted."""

    number: int
    now_ms: int
    operations: list[tuple[Operation, Ruling]] = field(default_factory=list)
    barred: list[tuple[int, str, Ruling]] = field(default_factory=list)


class Difference(NamedTuple):
    """What stands in the journal, and what the rules say now."""

    stored: Ruling
    decided: Ruling | None


async def replay(engine: AsyncEngine, rules: Rules, after_batch: int = 0) -> tuple[OneThread, list[Difference], int]:
    """The ledger as it is after the journal, where the two differ, and how many operations were decided again.

    `after_batch` begins later; then only those holders are known to be right whose accounts began later too.
    """
    differences: list[Difference] = []
    count = 0
    async with driver_session(engine) as driver:
        ledger = await _empty(driver, rules)
        terminals = await _read_terminals(driver)
        async for batch in _read(driver, terminals, after_batch):
            if not batch.operations:
                for body, account_id in await driver.fetch(_ADMITTED, batch.number):
                    _redeem(ledger, admission_of(body), account_id)
                for debit, credit, fen in await driver.fetch(_TAPS, batch.number):
                    _apply(ledger, debit, credit, fen)
                for holder, terminal, at_ms, fen in await driver.fetch(_CHARGED, batch.number):
                    _watch(ledger, holder, terminals[terminal].scene, at_ms, fen)
                continue
            operations = [operation for operation, _ in batch.operations]
            journal = ledger.post(operations, batch=batch.number, now_ms=batch.now_ms)
            for (_, stored), answer in zip(batch.operations, journal.answered, strict=True):
                count += 1
                if answer.ruling != stored:
                    differences.append(Difference(stored, answer.ruling))
            differences += [
                Difference(stored, ledger.book.rulings.get((terminal, request_id)))
                for terminal, request_id, stored in batch.barred
                if ledger.book.rulings.get((terminal, request_id)) != stored
            ]
    return ledger, differences, count


async def _empty(driver: "asyncpg.Connection[Any]", rules: Rules) -> OneThread:
    """Holders with nothing on their accounts; everything else is opened by the journal."""
    ledger = OneThread(rules, 0)
    ledger.add(*(holder_of(*row) for row in await driver.fetch(_HOLDERS)))
    ledger.book.names.update(row[0] for row in await driver.fetch(_NAMES))
    assert all(account.status is AccountStatus.OPEN for account in ledger.book.locked.values())
    return ledger


def _redeem(ledger: OneThread, admission: Admission, account_id: int) -> None:
    """End the reservation that let a visitor in; the places themselves are a transfer."""
    if admission.payment is not None:
        payment = ledger.book.payments[admission.payment]
        holder = ledger.book.locked[account_id]
        assert isinstance(holder, HolderAccount)
        held = redeem(payment, admission.places, ledger.book.locked[admission.places_account], holder)
        ledger.promised_fen[payment.payee] -= held


def _apply(ledger: OneThread, debit: int, credit: int, fen: int) -> None:
    locked = ledger.book.locked
    if debit in locked:
        locked[debit].take(fen)
    else:
        ledger.accrued_fen[debit] -= fen
    if credit in locked:
        locked[credit].give(fen)
    else:
        ledger.accrued_fen[credit] += fen


def _watch(ledger: OneThread, holder: int, scene: Scene, at_ms: int, fen: int) -> None:
    """What a child was charged in a tap counts for what is paid online behind it."""
    account = ledger.book.locked[holder]
    assert isinstance(account, HolderAccount)
    for card in account.cards[:1]:  # all of a holder's cards tell the same limits
        usage = spend(account.usage, card, fen, scene, at_ms)
        assert not isinstance(usage, Reason), "a tap was posted that a guardian does not allow"
        account.use(usage)


async def _read_terminals(driver: "asyncpg.Connection[Any]") -> dict[int, Terminal]:
    return {
        number: Terminal(number, merchant_id, terminal_id, Scene(scene), payee, retired=False)
        for number, merchant_id, terminal_id, scene, payee in await driver.fetch(_TERMINALS)
    }


async def _read(driver: "asyncpg.Connection[Any]", terminals: Mapping[int, Terminal], after_batch: int) -> AsyncIterator[Batch]:
    batch: Batch | None = None
    for number, now, row, terminal, request_id, body, digest, *ruled in await driver.fetch(_JOURNAL, after_batch):
        if batch is None or batch.number != number:
            if batch is not None:
                yield batch
            batch = Batch(number, milliseconds(now))
        if row is None:
            continue
        ruling = ruling_of((digest, *ruled, number, row, now))
        if digest == NO_DIGEST:
            batch.barred.append((terminal, request_id, ruling))
        else:
            operation = again(terminals[terminal], request_id, body, ruling.account_id)
            batch.operations.append((operation, ruling))
    if batch is not None:
        yield batch
