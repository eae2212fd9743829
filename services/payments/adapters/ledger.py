"""One posting: a batch of taps or operations in one PostgreSQL transaction. The order of its statements makes it exact."""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import topics
from services.common.clock import instant, milliseconds
from services.common.database import driver_session, driver_transaction, place_of
from services.common.tracing import span
from services.payments.adapters.dead_letters import Entry, close_replayed, write_dead_letters
from services.payments.adapters.locking import lock_accounts
from services.payments.adapters.lone import read_alone, write_alone
from services.payments.adapters.payments import REASON, columns, read_payments, read_rulings, write_payments
from services.payments.adapters.referred import read_referred, taken_names
from services.payments.adapters.requests import adjustment, admission
from services.payments.adapters.rides import (
    Awaited,
    awaited,
    change_rides,
    let_rest,
    read_caused,
    read_histories,
    ride_rows,
)
from services.payments.adapters.rows import batch_digest, copy_rows, operation_rows, transfer_rows, verdict_rows
from services.payments.adapters.spent_tokens import read_spent, write_spent
from services.payments.adapters.wire import Outcomes
from services.payments.adapters.work_log import WorkLog
from services.payments.domain.account import Account, AccountKind, HolderAccount
from services.payments.domain.book import Book, Journal, Rules, Sitting
from services.payments.domain.operation import (
    Answered,
    Authorize,
    Expire,
    OpenAccount,
    Operation,
    Reserve,
)
from services.payments.domain.places import reservations
from services.payments.domain.posting import decide, end_ride, histories_wanted
from services.payments.domain.ride import Adjusted, History
from services.payments.domain.tap import ITSELF, Tap
from services.payments.domain.transfer import ROWS
from services.payments.domain.verdict import Answer, Verdict

Point = Literal["locked", "written", "committed", "sent", "acknowledged"]
"""Named steps of a posting, where tests stop a process."""
AtPoint = Callable[[Point], Awaitable[None]]


async def pass_by(point: Point) -> None:
    """Stop nowhere."""


class BatchKey(NamedTuple):
    """The key of the batch digests; it never enters the database."""

    key: bytes
    version: int


_KNOWN: Final = """
select v.terminal, v.sequence, v.body_digest, v.reason, v.fare_fen, v.charged_fen, v.batch, v.row,
       (extract(epoch from b.now) * 1000)::bigint
from unnest($1::int[], $2::bigint[]) as asked(terminal, sequence)
join payments.verdict v using (terminal, sequence)
join payments.batch b on b.number = v.batch"""

_WRITE: Final = """
with changed as (
    update payments.account a
    set debits_posted_fen = a.debits_posted_fen + n.debits_fen, credits_posted_fen = a.credits_posted_fen + n.credits_fen,
        debits_pending_fen = a.debits_pending_fen + n.held_fen, status = coalesce(n.status, a.status),
        usage = coalesce(n.usage::json, a.usage), version = a.version + 1
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[])
         as n(id, debits_fen, credits_fen, held_fen, status, usage)
    where a.id = n.id
), accrued as (
    insert into payments.accrual (account_id, debits_fen, credits_fen, credits_pending_fen)
    select * from unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
), told as (
    insert into payments.outbox (topic, payload) select $18::text, $19::bytea where $19::bytea is not null
)
insert into payments.batch (number, now, verdicts, operations, transfers, digest, key_version)
values ($11, $12, $13, $14, $15, $16, $17)"""

_OPEN: Final = """
with opened as (
    insert into payments.account (id, kind, name, currency, guarded, overdraft_fen, owner, purpose, void_after, fund_account)
    select * from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[], $5::boolean[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::timestamptz[], $10::bigint[])
    returning owner
)
update payments.account a set purses = a.purses + o.n, version = a.version + 1
from (select owner, count(*)::int as n from opened where owner is not null group by owner) o where a.id = o.owner"""

_encode_json = msgspec.json.Encoder().encode


class Ledger:
    """Posts batches. One instance a process; its methods may run side by side, correctness comes from the locks."""

    def __init__(
        self,
        engine: AsyncEngine,
        rules: Rules,
        key: BatchKey,
        at: AtPoint = pass_by,
        *,
        alone: bool = True,
        work: WorkLog | None = None,
    ) -> None:
        """`alone=False` puts a payment that comes alone through the ordinary transaction too."""
        self.place = place_of(engine)
        self.places: dict[tuple[str, int], int] = {}
        """The accounts of places, by slot: those that taps need must be here before they are posted."""
        self.rules = rules
        self.engine = engine
        self.work = work or WorkLog()
        self._key = key
        self._at = at
        self._alone = alone
        # Highest sequence posted from (partition, terminal): a terminal's taps are spread over partitions by card, and come
        # in order within one.
        self._highest: dict[tuple[int, int], int] = {}
        self._recent: OrderedDict[tuple[int, str], None] = OrderedDict()

    async def post(
        self, entries: Sequence[Entry], now_ms: int, *, read_all: bool = False, replay: bool = False
    ) -> list[Answer]:
        """Decide and write a batch of taps in one transaction; an answer an entry, in order.

        `read_all` reads every identity, not only those that this process may have seen: needed after 23505.
        `replay` says that the entries are dead letters: the decided ones are marked, their outcomes go to the outbox.
        Raises what the database raises; then nothing was written.
        """
        taps = [tap for _, tap in entries if isinstance(tap, Tap)]
        async with driver_transaction(self.engine) as driver:
            journal = await self._post(driver, taps, self._maybe_known(entries, read_all), now_ms) if taps else Journal()
            decided = iter(journal.answers)
            answers = [next(decided) if isinstance(read, Tap) else Answer(None, read.cause) for _, read in entries]
            if replay:
                await close_replayed(driver, entries, answers, now_ms)
            else:
                await write_dead_letters(driver, entries, answers, now_ms)
            await self._at("written")
        await self._at("committed")
        self.work.posted(journal.batch)
        for record, read in entries:
            if isinstance(read, Tap):
                road = record.partition, read.terminal.number
                self._highest[road] = max(read.sequence, self._highest.get(road, 0))
        return answers

    async def operate(self, operations: Sequence[Operation], now_ms: int, *, read_all: bool = False) -> list[Answered]:
        """Decide and write a batch of online operations in one transaction; an answer an operation, in order.

        `read_all` as for `post`. What is to be told goes to the outbox. Raises what the database raises; then nothing was
        written.
        """
        if self._alone and len(operations) == 1 and not read_all:
            (alone,) = operations
            if isinstance(alone, Authorize) and alone.capture and not alone.token:
                answered = await self._pay_alone(alone, now_ms)
                if answered:
                    return [answered]
        async with driver_transaction(self.engine) as driver:
            journal = await self._operate(driver, operations, now_ms, read_all)
            await self._at("written")
        await self._at("committed")
        self.work.posted(journal.batch)
        self._remember(operations)
        return journal.answered

    async def end_rides(self, entries: Sequence[Awaited], now_ms: int) -> list[int]:
        """Charge entries whose exit did not come in time as such; how many fares changed, an entry. Told by the outbox.

        Where the exit is known, or comes later after all, the entry costs nothing again. Raises what the database raises.
        """
        async with driver_transaction(self.engine) as driver:
            locked = await lock_accounts(driver, [], list({entry.account_id for entry in entries}))
            book, journal = Book(locked.by_card, locked.by_id), Journal()
            sitting = Sitting(book, self.rules, journal, locked.batch, now_ms)
            open_ = [entry for entry in entries if awaited(entry, locked.by_id)]
            wanted = {(entry.account_id, entry.tariff_key): milliseconds(entry.event_time) for entry in open_}
            if wanted:
                book.histories = await read_histories(driver, wanted)
            for entry in open_:
                account = locked.by_id[entry.account_id]
                assert isinstance(account, HolderAccount)
                history = book.histories[entry.account_id, entry.tariff_key]
                end_ride(history, (entry.terminal, entry.sequence), account, sitting)
            await self._write(driver, journal, book, locked.batch, now_ms, tell_adjusted=True)
            await let_rest(driver, entries)
        self.work.posted(journal.batch)
        changed = Counter((one.account_id, *one.cause.identity) for one in journal.adjusted)
        return [changed[entry.account_id, entry.terminal, entry.sequence] for entry in entries]

    async def _post(
        self, driver: "asyncpg.Connection[Any]", taps: Sequence[Tap], maybe_known: Sequence[tuple[int, int]], now_ms: int
    ) -> Journal:
        places = {slot.key: self.places[slot.key] for slot in self.rules.slots(taps, now_ms)}
        with span("lock"):
            locked = await lock_accounts(driver, list({tap.card_identifier for tap in taps}), list(places.values()))
        await self._at("locked")
        book = Book(locked.by_card, locked.by_id, places=places)
        if places and (held := _reserved(locked.by_card.values(), places)):
            book.payments = await read_payments(driver, held)
        if maybe_known:
            book.verdicts.update(await _known(driver, maybe_known))
        if wanted := histories_wanted(taps, book, self.rules):
            book.histories = await read_histories(driver, wanted)
            _refuse_unread(taps, book)
        with span("decide", batch=locked.batch):
            journal = decide(taps, (), book, self.rules, locked.batch, now_ms)
        if repeated := {tap.identity for tap, answer in zip(taps, journal.answers, strict=True) if answer.repeated}:
            caused = await read_caused(driver, list(repeated))
            journal.answers = [
                answer._replace(adjusted=tuple(caused[tap.identity])) if answer.repeated and tap.identity in caused else answer
                for tap, answer in zip(taps, journal.answers, strict=True)
            ]
        with span("write"):
            await self._write(driver, journal, book, locked.batch, now_ms)
        return journal

    async def _operate(
        self, driver: "asyncpg.Connection[Any]", operations: Sequence[Operation], now_ms: int, read_all: bool
    ) -> Journal:
        referred = await read_referred(driver, operations)
        taken = await taken_names(driver, operations)
        cards = list({operation.card_identifier for operation in operations if isinstance(operation, Authorize | Reserve)})
        with span("lock"):
            locked = await lock_accounts(driver, cards, list(referred.accounts))
        await self._at("locked")
        book = Book(locked.by_card, locked.by_id, rulings=dict(referred.rulings), names=taken)
        known = {o.request.identity for o in operations if read_all or o.request.identity in self._recent}
        if known:
            book.rulings.update(await read_rulings(driver, list(known)))
        if not referred.names.isdisjoint(book.rulings.keys() - referred.rulings.keys()):
            raise asyncpg.SerializationError("a payment that is referred to was made meanwhile, and its account is not locked")
        if referred.payments:
            payments = await read_payments(driver, referred.payments)
            book.payments.update((id_, payment) for id_, payment in payments.items() if payment.account_id in book.locked)
        if tokens := [
            operation.token.number for operation in operations if isinstance(operation, Authorize) and operation.token
        ]:
            book.spent.update(await read_spent(driver, tokens))
        with span("decide", batch=locked.batch):
            journal = decide((), operations, book, self.rules, locked.batch, now_ms)
        problems = [o.request.identity for o, a in zip(operations, journal.answered, strict=True) if a.ruling is None]
        if (unread := set(problems) - known) and await read_rulings(driver, list(unread)):
            raise asyncpg.SerializationError("what has no verdict now has one already")
        with span("write"):
            await self._write(driver, journal, book, locked.batch, now_ms)
        return journal

    async def _pay_alone(self, asked: Authorize, now_ms: int) -> Answered | None:
        """A one-step payment in two statements; None when it has company at its account, or bound purses."""
        async with driver_session(self.engine) as driver:
            for _ in range(_TRIES_ALONE):
                seen = await read_alone(driver, asked)
                if seen is None or seen.account.purse_count:
                    return None
                await self._at("locked")
                book = Book({asked.card_identifier: seen.account}, {seen.account.id: seen.account})
                if seen.known is not None:
                    book.rulings[asked.request.identity] = seen.known
                journal = decide((), (asked,), book, self.rules, seen.batch, now_ms)
                if journal.ruled:
                    transfers = transfer_rows(journal.legs, seen.batch, now_ms)
                    operations = operation_rows(journal.ruled, ())
                    digest = batch_digest(self._key.key, seen.batch, now_ms, b"", transfers, operations)
                    told = _told(journal, book)
                    assert told is not None
                    if not await write_alone(driver, seen, journal, now_ms, told, digest, self._key.version):
                        continue
                await self._at("committed")
                self.work.posted(journal.batch)
                self._remember((asked,))
                return journal.answered[0]
        return None

    def _maybe_known(self, entries: Sequence[Entry], read_all: bool) -> list[tuple[int, int]]:
        """Identities that may have a verdict. The hint may be wrong; the primary key is not (23505)."""
        highest = self._highest
        return [
            read.identity
            for record, read in entries
            if isinstance(read, Tap)
            and (read_all or read.sequence <= highest.get((record.partition, read.terminal.number), _UNSEEN))
        ]

    def _remember(self, operations: Iterable[Operation]) -> None:
        """The identities that are most likely to be asked again: those of a moment ago."""
        recent = self._recent
        for operation in operations:
            recent[operation.request.identity] = None
        while len(recent) > _MOST_RECENT:
            recent.popitem(last=False)

    async def _write(
        self,
        driver: "asyncpg.Connection[Any]",
        journal: Journal,
        book: Book,
        batch: int,
        now_ms: int,
        *,
        tell_adjusted: bool = False,
    ) -> None:
        if not journal.row:
            return
        if journal.row > ROWS:
            # Like everything that cannot be stored: the batch is halved.
            raise asyncpg.ProgramLimitExceededError("the batch has more rows than a transfer's id can tell apart")
        verdicts = verdict_rows(journal.decided)
        transfers = transfer_rows(journal.legs, batch, now_ms)
        ruled = [*journal.ruled, *map(adjustment, journal.adjusted), *map(admission, journal.admitted)]
        operations = operation_rows(ruled, journal.barred)
        await copy_rows(driver, verdicts, transfers, operations, rides=ride_rows(journal.rides))
        if book.histories:
            rides = (ride for history in book.histories.values() for ride in history.rides)
            if changed := [ride for ride in rides if ride.stored and ride.changed]:
                await change_rides(driver, changed)
        if journal.opened:
            # In the order of their names, so that two batches that want the same ones cannot deadlock.
            await driver.execute(_OPEN, *columns(map(_opened, sorted(journal.opened, key=lambda asked: asked.name))))
        if journal.spent:
            await write_spent(driver, journal.spent, batch)
        if book.payments:
            await write_payments(driver, book.payments)
        # One that was only refused something gets a new version, too: a payment alone that read it before must read it again,
        # or it would stand in the journal before a refusal that has not seen it.
        judged = {ruling.account_id for _, ruling in journal.ruled}
        accounts = [account for account in book.locked.values() if account.changed or account.id in judged]
        accrued = _accrued(journal, book.locked)
        await driver.execute(
            _WRITE,
            [a.id for a in accounts],
            [a.debits_fen for a in accounts],
            [a.credits_fen for a in accounts],
            [a.held_change_fen for a in accounts],
            [a.status.value if a.status_changed else None for a in accounts],
            [_changed_usage(a) for a in accounts],
            list(accrued),
            [sums[0] for sums in accrued.values()],
            [sums[1] for sums in accrued.values()],
            [sums[2] for sums in accrued.values()],
            batch,
            instant(now_ms),
            len(journal.decided),
            len(ruled) + len(journal.barred),
            len(journal.legs),
            batch_digest(self._key.key, batch, now_ms, verdicts, transfers, operations),
            self._key.version,
            topics.OUTCOMES,
            _told(journal, book, journal.adjusted if tell_adjusted else ()),
        )


def _reserved(holders: Iterable[HolderAccount], places: Mapping[tuple[str, int], int]) -> list[bytes]:
    """The holds of their reservations that may let somebody in."""
    held = [one for holder in holders for one in reservations(holder.usage)]
    return [bytes.fromhex(one.payment) for one in held if (one.merchant_id, one.begins_ms) in places]


def _refuse_unread(taps: Sequence[Tap], book: Book) -> None:
    """A tap that is among the rides has a verdict, which the hint in memory did not expect: once more, with reading."""
    of_account: dict[int, list[History]] = {}
    for (account_id, _), history in book.histories.items():
        of_account.setdefault(account_id, []).append(history)
    for tap in taps:
        account = book.accounts.get(tap.card_identifier)
        if account is None or tap.identity in book.verdicts:
            continue
        if any(history.has(tap.place) for history in of_account.get(account.id, ())):
            raise asyncpg.SerializationError("what has no verdict now has one already")


_UNSEEN: Final = 2**63
"""Nothing is known of a terminal that this process has not met, so all its identities are read."""
_MOST_RECENT: Final = 100_000
_TRIES_ALONE: Final = 2


async def _known(driver: "asyncpg.Connection[Any]", asked: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Verdict]:
    rows = await driver.fetch(_KNOWN, *columns(asked))
    return {
        (terminal, sequence): Verdict(digest, REASON[reason], fare_fen, charged_fen, batch, row, decide_time_ms)
        for terminal, sequence, digest, reason, fare_fen, charged_fen, batch, row, decide_time_ms in rows
    }


def _changed_usage(account: Account) -> str | None:
    if isinstance(account, HolderAccount) and account.usage_changed:
        return _encode_json(account.usage).decode()
    return None


def _opened(asked: OpenAccount) -> tuple[object, ...]:
    purse = asked.purse
    if purse is None:
        kind, terms = AccountKind.BACK_OFFICE, (None, None, None, None)
        return asked.account_id, kind, asked.name, asked.currency, asked.guarded, asked.overdraft_fen, *terms
    void_after = instant(purse.void_after_ms) if purse.void_after_ms else None
    bound = purse.owner, purse.purpose, void_after, purse.fund_account
    return asked.account_id, AccountKind.PURSE, None, asked.currency, True, 0, *bound


def _accrued(journal: Journal, locked: Mapping[int, Account]) -> dict[int, tuple[int, int, int]]:
    """Debits, credits and pending credits by account, for the accounts that are not updated a batch at a time."""
    sums: dict[int, tuple[int, int, int]] = {}
    for leg in journal.legs:
        amount = leg.amount_fen
        if leg.debit_account not in locked:
            debited, credited, pending = sums.get(leg.debit_account, _NOTHING)
            sums[leg.debit_account] = debited + amount, credited, pending
        if leg.credit_account not in locked:
            debited, credited, pending = sums.get(leg.credit_account, _NOTHING)
            sums[leg.credit_account] = debited, credited + amount, pending
    for account_id, change in journal.pending.items():
        debited, credited, pending = sums.get(account_id, _NOTHING)
        sums[account_id] = debited, credited, pending + change
    return sums


_NOTHING: Final = 0, 0, 0


def _told(journal: Journal, book: Book, adjusted: Sequence[Adjusted] = ()) -> bytes | None:
    """What is told of the operations: one row in the outbox for the whole batch, because no fetch began it."""
    if not journal.ruled and not adjusted:
        return None
    outcomes = Outcomes()
    encode = outcomes.encode_ruling
    messages = [(one.tap.terminal.merchant_id.encode(), outcomes.encode_revised(one.revised)) for one in adjusted]
    for operation, ruling in journal.ruled:
        caller = operation.request.caller
        merchant_id, terminal_id = caller.merchant_id, caller.terminal_id
        if isinstance(operation, Expire) and ruling.payment is not None:
            # Nobody asked; it is told to the merchant whose payment it was.
            merchant_id, terminal_id = book.payments[ruling.payment].merchant_id, ITSELF
        messages.append((merchant_id.encode(), encode(merchant_id, terminal_id, operation.request.request_id, ruling)))
    return msgspec.msgpack.encode(messages)
