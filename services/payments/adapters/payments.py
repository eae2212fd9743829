"""Payments as they stand, and the rulings that made them.

A one-step payment has no row of its own until something happens to it: its ruling and its transfers say everything.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.common.clock import milliseconds
from services.payments.adapters.rows import copy_rows, payment_rows
from services.payments.domain.operation import Kind, Ruling
from services.payments.domain.payment import Part, Payment, PaymentStatus
from services.payments.domain.transfer import place_of_payment, transfers_of_payment
from services.payments.domain.verdict import Reason

_RULINGS: Final = """
select o.terminal, o.request_id, o.body_digest, o.kind, o.reason, o.amount_fen, o.moved_fen, o.account_id, o.payment, o.batch,
       o.row, b.now
from unnest($1::int[], $2::text[]) as asked(terminal, request_id)
join payments.operation o on o.terminal = asked.terminal and o.request_id = asked.request_id
join payments.batch b on b.number = o.batch"""
# With the accounts of places that reservations hold; holders' purses hang on their owner.
_OWNERS: Final = """
select o.account_id
from unnest($1::bigint[], $2::int[], $3::uuid[]) as asked(batch, row, id)
join payments.operation o on o.batch = asked.batch and o.row = asked.row and o.payment = asked.id
union
select part from payments.payment p cross join unnest(p.part_accounts) as part
where p.id = any($3::uuid[]) and part < 4294967296"""
_STORED: Final = """
select id, terminal, merchant, scene, request_id, account_id, payee, one_step, status, part_accounts, held_fen, captured_fen,
       refunded_fen, create_time, expire_time
from payments.payment where id = any($1::uuid[])"""
_OF_JOURNAL: Final = """
select o.payment, o.terminal, m.merchant_id, m.scene, o.request_id, o.account_id, t.payee, true, 2, t.accounts, t.fen, t.fen,
       t.nothing, b.now, b.now
from unnest($1::bigint[], $2::int[], $3::uuid[], $4::uuid[], $5::uuid[]) as asked(batch, row, id, first, last)
join payments.operation o on o.batch = asked.batch and o.row = asked.row and o.payment = asked.id
join payments.batch b on b.number = o.batch
join payments.terminal l on l.id = o.terminal
join payments.merchant m on m.id = l.merchant
cross join lateral (
    select min(credit_account) as payee, array_agg(debit_account order by leg) as accounts,
           array_agg(amount_fen order by leg) as fen, array_agg(0::bigint) as nothing
    from payments.transfer where id between asked.first and asked.last
) t"""
_CHANGE: Final = """
update payments.payment p
set status = n.status, captured_total_fen = n.captured_total_fen, refunded_total_fen = n.refunded_total_fen,
    captured_fen = n.captured_fen::bigint[], refunded_fen = n.refunded_fen::bigint[]
from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
     as n(id, status, captured_total_fen, refunded_total_fen, captured_fen, refunded_fen)
where p.id = n.id"""

# Look-ups by number, because calling an enumeration costs more than the rest of a row.
REASON: Final = {reason.value: reason for reason in Reason}
_KIND: Final = {kind.value: kind for kind in Kind}
_STATUS: Final = {status.value: status for status in PaymentStatus}


async def read_rulings(
    driver: "asyncpg.Connection[Any]", identities: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Ruling]:  # fmt: skip
    """The rulings that these identities have; they never change."""
    rows = await driver.fetch(_RULINGS, *columns(identities))
    return {(row[0], row[1]): ruling_of(row[2:]) for row in rows}


def ruling_of(facts: Sequence[Any]) -> Ruling:
    """A ruling of the columns of its row, from `body_digest` to the batch's clock."""
    digest, kind, reason, amount_fen, moved_fen, account_id, payment, batch, row, now = facts
    return Ruling(
        digest, _KIND[kind], REASON[reason], amount_fen, moved_fen, account_id, payment and payment.bytes, batch, row,
        milliseconds(now),
    )  # fmt: skip


async def read_owners(driver: "asyncpg.Connection[Any]", payments: Iterable[bytes]) -> set[int]:
    """Which accounts must be locked for these payments; that never changes. For one that does not exist there are none."""
    places = [(*place_of_payment(payment), UUID(bytes=payment)) for payment in payments]
    return {row[0] for row in await driver.fetch(_OWNERS, *columns(places))}


async def read_payments(driver: "asyncpg.Connection[Any]", payments: Iterable[bytes]) -> dict[bytes, Payment]:
    """Payments as they stand; under the lock of their accounts they stay so."""
    asked = set(payments)
    found = {
        row[0].bytes: _payment(row, stored=True) for row in await driver.fetch(_STORED, [_uuid(payment) for payment in asked])
    }
    if missing := asked - found.keys():
        places = [
            (*place_of_payment(payment), _uuid(payment), *map(_uuid, transfers_of_payment(payment))) for payment in missing
        ]  # fmt: skip
        rows = await driver.fetch(_OF_JOURNAL, *columns(places))
        found |= {row[0].bytes: _payment(row, stored=False) for row in rows if row[9] is not None}
    return found


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


def _payment(row: Sequence[Any], *, stored: bool) -> Payment:
    uuid, terminal, merchant, scene, request_id, account_id, payee, one_step, status, *parts, created, expires = row
    return Payment(
        uuid.bytes, terminal, merchant, scene, request_id, account_id, payee, one_step, _STATUS[status],
        [Part(*part) for part in zip(*parts, strict=True)], milliseconds(created), milliseconds(expires), stored=stored,
    )  # fmt: skip


async def write_payments(driver: "asyncpg.Connection[Any]", payments: Mapping[bytes, Payment]) -> None:
    """Store those that a batch changed."""
    changed = [payment for payment in payments.values() if payment.changed]
    await copy_rows(driver, payments=payment_rows(payment for payment in changed if not payment.stored))
    if stored := [_changes(payment) for payment in changed if payment.stored]:
        await driver.execute(_CHANGE, *columns(stored))


def _changes(payment: Payment) -> tuple[object, ...]:
    return (
        UUID(bytes=payment.id), payment.status, payment.captured_fen, payment.refunded_fen,
        _literal(part.captured_fen for part in payment.parts), _literal(part.refunded_fen for part in payment.parts),
    )  # fmt: skip


def _literal(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows as columns, for `unnest`; there is at least one."""
    return list(map(list, zip(*rows, strict=True)))
