"""One payment alone: a read and a conditional write instead of a transaction with locks, decided by the same rules.

The read is one snapshot of everything that the decision looks at. The write happens only if nobody has touched the account
since: every writer raises its version. It is one statement, so it is committed whole or not at all.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.common import topics
from services.common.clock import instant
from services.payments.adapters.locking import ACCOUNT_FACTS, holder_of
from services.payments.adapters.payments import ruling_of
from services.payments.domain.account import HolderAccount
from services.payments.domain.book import Journal
from services.payments.domain.calendar import service_date
from services.payments.domain.operation import Authorize, Ruling
from services.payments.domain.transfer import transfer_id

_READ: Final = f"""
select nextval('payments.batch_number'), a.version, {ACCOUNT_FACTS}, o.body_digest, o.kind, o.reason, o.amount_fen, o.moved_fen,
       o.account_id, o.payment, o.batch, o.row, b.now
from payments.card c
join payments.account a on a.id = c.account_id
left join payments.operation o on o.terminal = $2 and o.request_id = $3
left join payments.batch b on b.number = o.batch
where c.card_identifier = $1"""  # noqa: S608  # constants

_WRITE: Final = """
with changed as (
    update payments.account
    set debits_posted_fen = debits_posted_fen + $3, usage = coalesce($4::text::json, usage), version = version + 1
    where id = $1 and version = $2 returning id
), ruled as (
    insert into payments.operation (terminal, request_id, batch, row, kind, outcome, reason, amount_fen, moved_fen, account_id,
                                    payment, body_digest, body)
    select $5, $6::text, $7, 0, $8, $9, $10, $11, $3, $1, $12, $13, $14 from changed
), moved as (
    insert into payments.transfer (id, batch, row, leg, code, debit_account, credit_account, amount_fen, currency, account_id,
                                   terminal, sequence, event_time, service_date, posting_date)
    select $15, $7, 0, 0, $16, $1, $17, $3, $18, $1, $5, 0, $19, $20, $20 from changed where $3 > 0
), accrued as (
    insert into payments.accrual (account_id, debits_fen, credits_fen) select $17, 0, $3 from changed where $3 > 0
), told as (
    insert into payments.outbox (topic, payload) select $21::text, $22 from changed
)
insert into payments.batch (number, now, verdicts, operations, transfers, digest, key_version)
select $7, $19, 0, 1, case when $3 > 0 then 1 else 0 end, $23, $24 from changed"""

_WRITTEN: Final = "INSERT 0 1"
_encode_json = msgspec.json.Encoder().encode


class Seen(NamedTuple):
    """What the decision is taken on."""

    batch: int
    version: int
    account: HolderAccount
    known: Ruling | None


async def read_alone(driver: "asyncpg.Connection[Any]", asked: Authorize) -> Seen | None:
    """The account as it is now, and the verdict that the identity may have; None for an unknown card."""
    request = asked.request
    row: Sequence[Any] | None = await driver.fetchrow(_READ, asked.card_identifier, request.caller.number, request.request_id)
    if row is None:
        return None
    batch, version, *facts = row
    account, ruling = facts[:8], facts[8:]
    return Seen(batch, version, holder_of(*account), None if ruling[0] is None else ruling_of(ruling))


async def write_alone(
    driver: "asyncpg.Connection[Any]", seen: Seen, journal: Journal, now_ms: int, told: bytes, digest: bytes, key_version: int
) -> bool:
    """Write a one-step payment or its decline, of one leg at most; False when the account has changed since it was read."""
    ((operation, ruling),) = journal.ruled
    request, account, at = operation.request, seen.account, instant(now_ms)
    leg = journal.legs[0] if journal.legs else None
    status = await driver.execute(
        _WRITE,
        account.id,
        seen.version,
        account.debits_fen,
        _encode_json(account.usage).decode() if account.usage_changed else None,
        request.caller.number,
        request.request_id,
        seen.batch,
        ruling.kind,
        2 if ruling.reason else 1,
        ruling.reason,
        ruling.amount_fen,
        _uuid(ruling.payment),
        ruling.digest,
        request.body,
        _uuid(transfer_id(now_ms, seen.batch, 0, 0)),
        leg.code if leg else 0,
        leg.credit_account if leg else 0,
        leg.currency if leg else 0,
        at,
        service_date(now_ms),
        topics.OUTCOMES,
        told,
        digest,
        key_version,
    )
    return status == _WRITTEN


def _uuid(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=value)
