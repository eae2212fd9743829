"""One posting: a batch of records in one PostgreSQL transaction. The order of its statements is what makes it exact."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import topics
from services.common.clock import instant
from services.common.database import driver_transaction, place_of
from services.payments.adapters.rows import batch_digest, copy_rows, transfer_rows, verdict_rows
from services.payments.adapters.wire import Outcomes, Received, Undecided
from services.payments.domain.account import AccountStatus, HolderAccount, Usage
from services.payments.domain.card import Card
from services.payments.domain.posting import Book, Journal, Rules, decide
from services.payments.domain.tap import Tap
from services.payments.domain.transfer import Leg
from services.payments.domain.verdict import Answer, Reason, Verdict

Entry = tuple[Received, Tap | Undecided]
"""A record and what was read from it."""

Point = Literal["locked", "written", "committed", "sent", "acknowledged"]
"""Named steps of a posting, where tests stop a process."""
AtPoint = Callable[[Point], Awaitable[None]]


async def pass_by(point: Point) -> None:
    """Stop nowhere."""


class BatchKey(NamedTuple):
    """The key of the batch digests; it never enters the database."""

    key: bytes
    version: int


# The card table is immutable, so reading it beside the lock is safe; everything that changes is on the locked row, which
# PostgreSQL reads again after a wait. An installation on distributed tables replaces this one statement.
_LOCK: Final = """
select c.card_identifier, a.id, a.credits_posted_fen - a.debits_posted_fen - a.debits_pending_fen, a.overdraft_fen,
       a.status, a.cards::text, a.usage::text
from payments.card c join payments.account a on a.id = c.account_id
where c.card_identifier = any($1::text[])
order by a.id
for no key update of a"""

NEXT_BATCH: Final = "select nextval('payments.batch_number')"

_KNOWN: Final = """
select v.terminal, v.sequence, v.body_digest, v.reason, v.fare_fen, v.charged_fen, v.batch, v.row,
       (extract(epoch from b.now) * 1000)::bigint
from unnest($1::int[], $2::bigint[]) as asked(terminal, sequence)
join payments.verdict v using (terminal, sequence)
join payments.batch b on b.number = v.batch"""

_WRITE: Final = """
with changed as (
    update payments.account a
    set debits_posted_fen = a.debits_posted_fen + n.debits_fen, version = a.version + 1,
        usage = coalesce(n.usage::json, a.usage)
    from unnest($1::bigint[], $2::bigint[], $3::text[]) as n(id, debits_fen, usage)
    where a.id = n.id
), accrued as (
    insert into payments.accrual (account_id, debits_fen, credits_fen)
    select * from unnest($4::bigint[], $5::bigint[], $6::bigint[])
)
insert into payments.batch (number, now, verdicts, transfers, digest, key_version) values ($7, $8, $9, $10, $11, $12)"""

_DEAD: Final = """
insert into payments.dead_letter (
    topic, partition, "offset", append_time_ms, cause, sqlstate, merchant_id, terminal_id, sequence, body_digest,
    card_identifier, record, create_time)
select n.*, $13
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::text[], $8::text[], $9::bigint[],
            $10::bytea[], $11::text[], $12::bytea[]) as n
on conflict do nothing"""

_REPLAYED: Final = """
update payments.dead_letter d
set cause = coalesce(n.cause, d.cause), resolved_time = case when n.decided then $7::timestamptz end
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::smallint[], $6::boolean[])
     as n(topic, partition, "offset", append_time_ms, cause, decided)
where (d.topic, d.partition, d."offset", d.append_time_ms) = (n.topic, n.partition, n."offset", n.append_time_ms)"""

_OUTBOX: Final = "insert into payments.outbox (topic, payload) values ($1, $2)"

_decode_cards = msgspec.json.Decoder(tuple[Card, ...]).decode
_decode_usage = msgspec.json.Decoder(dict[str, Any]).decode
_encode_json = msgspec.json.Encoder().encode
_NO_USAGE: Final[Usage] = {}
# Look-ups by number, because calling an enumeration costs more than the rest of a row.
_STATUS: Final = {status.value: status for status in AccountStatus}
_REASON: Final = {reason.value: reason for reason in Reason}


class Ledger:
    """Posts batches. One instance a process; `post` may run in several lanes at once, correctness comes from the locks."""

    def __init__(self, engine: AsyncEngine, rules: Rules, key: BatchKey, at: AtPoint = pass_by) -> None:
        self.place = place_of(engine)
        self._engine = engine
        self._rules = rules
        self._key = key
        self._at = at
        # Highest sequence posted from (partition, terminal): a terminal's taps are spread over partitions by card, and come
        # in order within one.
        self._highest: dict[tuple[int, int], int] = {}

    async def post(
        self, entries: Sequence[Entry], now_ms: int, *, read_all: bool = False, replay: bool = False
    ) -> list[Answer]:
        """Decide and write a batch in one transaction; an answer an entry, in order.

        `read_all` reads every identity, not only those that this process may have seen: needed after 23505.
        `replay` says that the entries are dead letters: the decided ones are marked, their outcomes go to the outbox.
        Raises what the database raises; then nothing was written.
        """
        taps = [tap for _, tap in entries if isinstance(tap, Tap)]
        async with driver_transaction(self._engine) as driver:
            answers = await self._post(driver, entries, taps, now_ms, read_all, replay)
        await self._at("committed")
        for record, read in entries:
            if isinstance(read, Tap):
                road = record.partition, read.terminal.number
                self._highest[road] = max(read.sequence, self._highest.get(road, 0))
        return answers

    async def _post(
        self,
        driver: "asyncpg.Connection[Any]",
        entries: Sequence[Entry],
        taps: Sequence[Tap],
        now_ms: int,
        read_all: bool,
        replay: bool,
    ) -> list[Answer]:
        journal = Journal()
        if taps:
            book = Book(_accounts(await driver.fetch(_LOCK, list({tap.card_identifier for tap in taps}))))
            await self._at("locked")
            book.verdicts.update(await self._known(driver, entries, read_all))
            batch = await driver.fetchval(NEXT_BATCH)
            journal = decide(taps, book, self._rules, batch, now_ms)
            if journal.decided:
                await self._write(driver, journal, book, batch, now_ms)
        decided = iter(journal.answers)
        answers = [next(decided) if isinstance(read, Tap) else Answer(None, read.cause) for _, read in entries]
        if replay:
            await _write_replayed(driver, entries, answers, now_ms)
        else:
            await _write_dead(driver, entries, answers, now_ms)
        await self._at("written")
        return answers

    async def _known(
        self, driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], read_all: bool
    ) -> dict[tuple[int, int], Verdict]:
        """Verdicts of identities that may be known. The hint may be wrong; the primary key is not (23505)."""
        highest = self._highest
        asked = [
            read.identity
            for record, read in entries
            if isinstance(read, Tap)
            and (read_all or read.sequence <= highest.get((record.partition, read.terminal.number), _UNSEEN))
        ]
        if not asked:
            return {}
        rows = await driver.fetch(_KNOWN, *map(list, zip(*asked, strict=True)))
        return {
            (terminal, sequence): Verdict(digest, _REASON[reason], fare_fen, charged_fen, batch, row, decide_time_ms)
            for terminal, sequence, digest, reason, fare_fen, charged_fen, batch, row, decide_time_ms in rows
        }

    async def _write(self, driver: "asyncpg.Connection[Any]", journal: Journal, book: Book, batch: int, now_ms: int) -> None:
        verdicts = verdict_rows(journal.decided)
        transfers = transfer_rows(journal.legs, batch, now_ms)
        await copy_rows(driver, verdicts, transfers)
        changed = {a.id: a for a in book.accounts.values() if a.debits_fen or a.usage_changed}.values()
        accrued = _accrued(journal.legs)
        await driver.execute(
            _WRITE,
            [a.id for a in changed],
            [a.debits_fen for a in changed],
            [_encode_json(a.usage).decode() if a.usage_changed else None for a in changed],
            list(accrued),
            [debited for debited, _ in accrued.values()],
            [credited for _, credited in accrued.values()],
            batch,
            instant(now_ms),
            len(journal.decided),
            len(journal.legs),
            batch_digest(self._key.key, batch, now_ms, verdicts, transfers),
            self._key.version,
        )


_UNSEEN: Final = 2**63
"""Nothing is known of a terminal that this process has not met, so all its identities are read."""


def _accounts(rows: Iterable[Any]) -> dict[str, HolderAccount]:
    """Accounts by card; two cards of one holder share the object."""
    by_id: dict[int, HolderAccount] = {}
    by_card: dict[str, HolderAccount] = {}
    for card_identifier, account_id, available_fen, overdraft_fen, status, cards, usage in rows:
        account = by_id.get(account_id)
        if account is None:
            account = by_id[account_id] = HolderAccount(
                account_id,
                available_fen,
                overdraft_fen,
                _STATUS[status],
                _decode_cards(cards),
                _decode_usage(usage) if usage else _NO_USAGE,
            )
        by_card[card_identifier] = account
    return by_card


def _accrued(legs: Iterable[Leg]) -> dict[int, tuple[int, int]]:
    """Debits and credits by account, for the accounts that are not updated a batch at a time."""
    sums: dict[int, tuple[int, int]] = {}
    for leg in legs:
        amount = leg.amount_fen
        if leg.debit_account != leg.account_id:
            debited, credited = sums.get(leg.debit_account, (0, 0))
            sums[leg.debit_account] = debited + amount, credited
        debited, credited = sums.get(leg.credit_account, (0, 0))
        sums[leg.credit_account] = debited, credited + amount
    return sums


async def _write_dead(
    driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], answers: Sequence[Answer], now_ms: int
) -> None:
    rows = [
        (*record[:4], answer.cause, *_identity_facts(read), record.value)
        for (record, read), answer in zip(entries, answers, strict=True)
        if answer.cause is not None
    ]
    if rows:
        await driver.execute(_DEAD, *map(list, zip(*rows, strict=True)), instant(now_ms))


def _identity_facts(read: Tap | Undecided) -> tuple[str, str | None, str | None, int | None, bytes | None, str | None]:
    if isinstance(read, Tap):
        return "", read.terminal.merchant_id, read.terminal.terminal_id, read.sequence, read.digest, read.card_identifier
    return read.sqlstate, read.merchant_id, read.terminal_id, read.sequence, read.digest, read.card_identifier


async def _write_replayed(
    driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], answers: Sequence[Answer], now_ms: int
) -> None:
    """Close the dead letters that were decided; tell their merchants through the outbox, for no fetch began this."""
    encode = Outcomes().encode
    messages: list[tuple[bytes, bytes]] = []
    rows = []
    for (record, read), answer in zip(entries, answers, strict=True):
        rows.append((*record[:4], answer.cause, answer.verdict is not None))
        if isinstance(read, Tap) and (outcome := encode(read, answer)) is not None:
            messages.append((read.terminal.merchant_id.encode(), outcome))
    await driver.execute(_REPLAYED, *map(list, zip(*rows, strict=True)), instant(now_ms))
    if messages:
        await driver.execute(_OUTBOX, topics.OUTCOMES, msgspec.msgpack.encode(messages))
