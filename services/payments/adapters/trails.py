"""The rows that one payment has left in PostgreSQL. Everything here reads, on one snapshot that may not write."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.database import driver_of
from services.payments.adapters.payments import read_payments
from services.payments.domain.account import AccountKind
from services.payments.domain.payment import Payment
from services.payments.domain.trail import Identity, Place
from services.payments.domain.transfer import LEGS, place_of_payment, transfer_id

_READ_ONLY: Final = text("set transaction isolation level repeatable read, read only")
_VERDICT: Final = """
select v.terminal, v.sequence, v.batch, v.row, v.outcome, v.reason, v.fare_fen, v.charged_fen, v.account_id, v.event_time,
       v.body_digest, b.now, m.merchant_id, l.terminal_id, m.scene
from payments.verdict v
join payments.batch b on b.number = v.batch
join payments.terminal l on l.id = v.terminal
join payments.merchant m on m.id = l.merchant
"""
_OPERATION: Final = """
select o.terminal, o.request_id, o.batch, o.row, o.kind, o.outcome, o.reason, o.amount_fen, o.moved_fen, o.account_id,
       o.payment, o.body, b.now, m.merchant_id, l.terminal_id, m.scene
from payments.terminal l
join payments.merchant m on m.id = l.merchant
join payments.operation o on o.terminal = l.id
join payments.batch b on b.number = o.batch
"""
_TAP: Final = text(
    _VERDICT + "where m.merchant_id = :merchant and l.terminal_id = :terminal and v.sequence = :sequence"
)  # fmt: skip
_TAP_AT: Final = text(_VERDICT + "where v.batch = :batch and v.row = :row")
_ASKED: Final = text(
    _OPERATION + "where o.request_id = :request and (:merchant = '' or m.merchant_id = :merchant)"
    " and (:terminal = '' or l.terminal_id = :terminal) order by o.batch limit 20"
)
_ASKED_AT: Final = text(_OPERATION + "where o.batch = :batch and o.row = :row")
# What was asked about a payment: by the till that made it or its merchant, or by the ledger when its time was over.
_ABOUT: Final = text(f"""
{_OPERATION} where o.payment = :payment and o.batch >= :batch
    and (o.terminal = :till or l.terminal_id = '*' and m.merchant_id = :merchant)
union all
{_OPERATION} where l.terminal_id = '*' and o.request_id = :expired
order by batch, row""")  # constants
# Adjustments of a holder's fares have transfers on the holder's account, and lie behind the tap.
_ADJUSTED: Final = text(
    f"{_OPERATION} where (o.batch, o.row) in (select t.batch, t.row from payments.transfer t"  # noqa: S608  # constants
    " where t.account_id = :account and t.id > :after and t.code = 10) and o.kind = 10 order by o.batch, o.row"
)
_CAUSED: Final = text(
    _OPERATION + "where o.terminal = :terminal and o.request_id >= :first and o.request_id < :last order by o.batch, o.row"
)
_TRANSFERS: Final = text("select id, code, debit_account, credit_account, amount_fen, currency from payments.transfer"
                         " where id between :first and :last order by id")  # fmt: skip
_ACCOUNTS: Final = text("select id, kind, name, owner, purpose from payments.account where id = any(:ids)")
_CARDS: Final = text("select card_identifier from payments.card where account_id = :account order by create_time")
_RIDE: Final = text("""
select tariff_key, rated, awaits_exit from payments.ride
where account_id = :account and event_time = :at and terminal = :terminal and sequence = :sequence""")
_DEAD: Final = text("""
select topic, partition, "offset", append_time_ms, cause, sqlstate, card_identifier, create_time, resolved_time
from payments.dead_letter where merchant_id = :merchant and terminal_id = :terminal and sequence = :sequence
order by create_time limit 50""")
_SEAL: Final = text("""
(select number, create_time from payments.seal
 where last_batch >= :batch and first_batch <= :batch and not cast(:batch as bigint) <@ holes order by last_batch limit 1)
union all
(select number, create_time from payments.seal where late <> '{}' and late @> array[cast(:batch as bigint)] limit 1)""")


@asynccontextmanager
async def looking(engine: AsyncEngine) -> AsyncIterator["Rows"]:
    """Of one moment."""
    async with engine.begin() as connection:
        await connection.execute(_READ_ONLY)
        yield Rows(connection)


class Rows:
    """What can be asked of the snapshot."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def tap(self, identity: Identity) -> Any | None:
        """The verdict of a tap."""
        asked = {"merchant": identity.merchant_id, "terminal": identity.terminal_id, "sequence": identity.sequence}
        return next(iter(await self._all(_TAP, **asked)), None)

    async def operations(self, identity: Identity) -> Sequence[Any]:
        """What was asked under a request id, by whomever the identity leaves open."""
        asked = {"merchant": identity.merchant_id, "terminal": identity.terminal_id, "request": identity.request_id}
        return await self._all(_ASKED, **asked)

    async def at(self, place: Place) -> tuple[Any | None, Any | None]:
        """The verdict or the operation at a place of the journal. An admission has the place behind its tap's."""
        asked = place._asdict()
        verdict = next(iter(await self._all(_TAP_AT, **asked)), None)
        return verdict, None if verdict else next(iter(await self._all(_ASKED_AT, **asked)), None)

    async def about(self, payment: UUID, till: int, merchant_id: str) -> Sequence[Any]:
        """Every operation that made or changed a payment, in order."""
        asked = {"payment": payment, "batch": place_of_payment(payment.bytes)[0], "till": till, "merchant": merchant_id}
        return await self._all(_ABOUT, **asked, expired=f"expire:{payment.hex}")

    async def adjustments(self, account_id: int, after: UUID) -> Sequence[Any]:
        """Of any fare of a holder, posted after a transfer id."""
        return await self._all(_ADJUSTED, account=account_id, after=after)

    async def caused(self, terminal: int, sequence: int) -> Sequence[Any]:
        """Adjustments of other taps' fares that a tap has caused."""
        name = f"adjust {sequence}"
        return await self._all(_CAUSED, terminal=terminal, first=f"{name} ", last=f"{name}!")

    async def transfers(self, now_ms: int, place: Place) -> Sequence[Any]:
        """Of the event at a place."""
        first, last = (UUID(bytes=transfer_id(now_ms, *place, leg)) for leg in (0, LEGS - 1))
        return await self._all(_TRANSFERS, first=first, last=last)

    async def accounts(self, ids: Iterable[int]) -> dict[int, str]:
        """As operators call them: by name, or whose they are. Never by who that is."""
        return {row.id: _label(row) for row in await self._all(_ACCOUNTS, ids=list(set(ids)))}

    async def cards(self, account_id: int) -> tuple[str, ...]:
        """That point to an account."""
        return tuple(row.card_identifier for row in await self._all(_CARDS, account=account_id))

    async def ride(self, verdict: Any) -> Any | None:
        """How a tariff that remembers has rated it; kept until the acceptance horizon."""
        asked = {"account": verdict.account_id, "at": verdict.event_time}
        rows = await self._all(_RIDE, **asked, terminal=verdict.terminal, sequence=verdict.sequence)
        return next(iter(rows), None)

    async def dead_letters(self, identity: Identity) -> Sequence[Any]:
        """Records of a tap that had no verdict."""
        asked = {"merchant": identity.merchant_id, "terminal": identity.terminal_id, "sequence": identity.sequence}
        return await self._all(_DEAD, **asked)

    async def payments(self, payments: Iterable[bytes]) -> dict[bytes, Payment]:
        """As they stand; in the transaction that is open."""
        return await read_payments(await driver_of(self._connection), payments)

    async def seal(self, batch: int) -> Any | None:
        """That covers a batch."""
        return next(iter(await self._all(_SEAL, batch=batch)), None)

    async def _all(self, statement: Any, **asked: object) -> Sequence[Any]:
        return (await self._connection.execute(statement, asked)).all()


def _label(row: Any) -> str:
    match row.kind:
        case AccountKind.HOLDER:
            return f"holder {row.id}"
        case AccountKind.PURSE:
            return f"purse {row.purpose} of holder {row.owner}"
    return str(row.name or f"account {row.id}")
