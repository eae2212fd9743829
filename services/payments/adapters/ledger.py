"""One posting: a batch of taps or operations in one PostgreSQL transaction. The order of its statements makes it exact."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import topics
from services.common.clock import instant, milliseconds
from services.common.database import driver_transaction, place_of
from services.payments.adapters.rows import batch_digest, copy_rows, operation_rows, payment_rows, transfer_rows, verdict_rows
from services.payments.adapters.wire import Outcomes, Received, Undecided
from services.payments.domain.account import (
    FIRST_HOLDER_ACCOUNT,
    FIRST_PURSE_ACCOUNT,
    Account,
    AccountKind,
    AccountStatus,
    HolderAccount,
    Purse,
    Usage,
)
from services.payments.domain.book import Book, Journal, Rules
from services.payments.domain.card import Card
from services.payments.domain.operation import (
    Answered,
    Authorize,
    Capture,
    Expire,
    Kind,
    OpenAccount,
    Operation,
    Post,
    Refund,
    Ruling,
    SetAccountStatus,
    TopUp,
    Void,
)
from services.payments.domain.payment import Part, Payment, PaymentStatus
from services.payments.domain.posting import decide
from services.payments.domain.tap import ITSELF, Tap
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


_FACTS: Final = """a.id, a.credits_posted_fen - a.debits_posted_fen - a.debits_pending_fen, a.overdraft_fen, a.status,
       a.debits_pending_fen, a.purses, a.cards::text, a.usage::text"""

# The card table is immutable, so reading it beside the lock is safe; everything that changes is on the locked row, which
# PostgreSQL reads again after a wait. An installation on distributed tables replaces these two statements.
_LOCK_CARDS: Final = f"""
select c.card_identifier, {_FACTS}
from payments.card c join payments.account a on a.id = c.account_id
where c.card_identifier = any($1::text[])
order by a.id
for no key update of a"""  # noqa: S608  # constants

_LOCK: Final = f"""
select c.card_identifier, {_FACTS}
from payments.account a
left join payments.card c on c.account_id = a.id and c.card_identifier = any($1::text[])
where a.guarded and a.kind <> 6
      and a.id in (select account_id from payments.card where card_identifier = any($1::text[])
                   union select unnest($2::bigint[]))
order by a.id
for no key update of a"""  # noqa: S608  # constants

# Read before the lock, because it never changes: whose a payment or purse is, and what an operation was answered.
_OWNERS_OF_PAYMENTS: Final = "select id, account_id from payments.payment where id = any($1::uuid[])"
_OWNERS_OF_PURSES: Final = "select id, owner from payments.account where id = any($1::bigint[])"
_RULINGS: Final = """
select o.terminal, o.request_id, o.body_digest, o.kind, o.reason, o.amount_fen, o.moved_fen, o.account_id, o.payment, o.batch,
       o.row, b.now
from unnest($1::int[], $2::text[]) as asked(terminal, request_id)
join payments.operation o on o.terminal = asked.terminal and o.request_id = asked.request_id
join payments.batch b on b.number = o.batch"""

# Read after the lock under which they change.
PAYMENT_FACTS: Final = (
    "id, terminal, merchant, scene, request_id, account_id, payee, one_step, status, part_accounts, held_fen, captured_fen,"
    " refunded_fen, create_time, expire_time"
)
_PAYMENTS: Final = f"select {PAYMENT_FACTS} from payments.payment where id = any($1::uuid[])"  # noqa: S608  # constants
_PURSES: Final = """
select a.id, a.credits_posted_fen - a.debits_posted_fen - a.debits_pending_fen, a.overdraft_fen, a.status, a.debits_pending_fen,
       a.owner, a.purpose, a.void_after, a.fund_account
from payments.account a where a.owner = any($1::bigint[]) order by a.id"""
_NAMES: Final = "select name from payments.account where name = any($1::text[])"

_NEXT_BATCH: Final = "select nextval('payments.batch_number')"

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
)
insert into payments.batch (number, now, verdicts, operations, transfers, digest, key_version)
values ($11, $12, $13, $14, $15, $16, $17)"""

_CHANGE_PAYMENTS: Final = """
update payments.payment p
set status = n.status, captured_total_fen = n.captured_total_fen, refunded_total_fen = n.refunded_total_fen,
    captured_fen = n.captured_fen::bigint[], refunded_fen = n.refunded_fen::bigint[]
from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
     as n(id, status, captured_total_fen, refunded_total_fen, captured_fen, refunded_fen)
where p.id = n.id"""

_OPEN: Final = """
with opened as (
    insert into payments.account (id, kind, name, currency, guarded, overdraft_fen, owner, purpose, void_after, fund_account)
    select * from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[], $5::boolean[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::timestamptz[], $10::bigint[])
    returning owner
)
update payments.account a set purses = a.purses + o.n, version = a.version + 1
from (select owner, count(*)::int as n from opened where owner is not null group by owner) o where a.id = o.owner"""

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
_KIND: Final = {kind.value: kind for kind in Kind}
_PAYMENT_STATUS: Final = {status.value: status for status in PaymentStatus}


class Ledger:
    """Posts batches. One instance a process; its methods may run side by side, correctness comes from the locks."""

    def __init__(self, engine: AsyncEngine, rules: Rules, key: BatchKey, at: AtPoint = pass_by) -> None:
        self.place = place_of(engine)
        self._engine = engine
        self._rules = rules
        self._key = key
        self._at = at
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
        async with driver_transaction(self._engine) as driver:
            journal = await self._post(driver, taps, self._maybe_known(entries, read_all), now_ms) if taps else Journal()
            decided = iter(journal.answers)
            answers = [next(decided) if isinstance(read, Tap) else Answer(None, read.cause) for _, read in entries]
            if replay:
                await _write_replayed(driver, entries, answers, now_ms)
            else:
                await _write_dead(driver, entries, answers, now_ms)
            await self._at("written")
        await self._at("committed")
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
        async with driver_transaction(self._engine) as driver:
            journal = await self._operate(driver, operations, now_ms, read_all)
            await self._at("written")
        await self._at("committed")
        self._remember(operations)
        return journal.answered

    async def _post(
        self, driver: "asyncpg.Connection[Any]", taps: Sequence[Tap], maybe_known: Sequence[tuple[int, int]], now_ms: int
    ) -> Journal:
        rows = await driver.fetch(_LOCK_CARDS, list({tap.card_identifier for tap in taps}))
        book = await self._book(driver, rows)
        await self._at("locked")
        if maybe_known:
            book.verdicts.update(await _known(driver, maybe_known))
        batch = await driver.fetchval(_NEXT_BATCH)
        journal = decide(taps, (), book, self._rules, batch, now_ms)
        await self._write(driver, journal, book, batch, now_ms)
        return journal

    async def _operate(
        self, driver: "asyncpg.Connection[Any]", operations: Sequence[Operation], now_ms: int, read_all: bool
    ) -> Journal:
        referred = await _referred(driver, operations)
        cards = list({operation.card_identifier for operation in operations if isinstance(operation, Authorize)})
        if referred.accounts:
            rows = await driver.fetch(_LOCK, cards, list(referred.accounts))
        else:
            rows = await driver.fetch(_LOCK_CARDS, cards) if cards else []
        book = await self._book(driver, rows)
        await self._at("locked")
        book.rulings.update(referred.rulings)
        known = [o.request.identity for o in operations if read_all or o.request.identity in self._recent]
        if known:
            book.rulings.update(await _rulings(driver, known))
        if referred.payments:
            book.payments.update(await _payments(driver, list(referred.payments)))
        if names := [operation.name for operation in operations if isinstance(operation, OpenAccount) and operation.name]:
            book.names.update(row[0] for row in await driver.fetch(_NAMES, names))
        batch = await driver.fetchval(_NEXT_BATCH)
        journal = decide((), operations, book, self._rules, batch, now_ms)
        await self._write(driver, journal, book, batch, now_ms)
        await _tell(driver, journal, book)
        return journal

    async def _book(self, driver: "asyncpg.Connection[Any]", rows: Iterable[Any]) -> Book:
        """The locked accounts, and the purses under the locks of their holders."""
        by_card, by_id = _accounts(rows)
        with_purses = [a.id for a in by_id.values() if isinstance(a, HolderAccount) and a.purse_count]
        if with_purses:
            for row in await driver.fetch(_PURSES, with_purses):
                purse = _purse(row)
                holder = by_id[purse.owner]
                assert isinstance(holder, HolderAccount)
                holder.purses.append(purse)
                by_id[purse.id] = purse
        return Book(by_card, by_id)

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

    async def _write(self, driver: "asyncpg.Connection[Any]", journal: Journal, book: Book, batch: int, now_ms: int) -> None:
        if not journal.row:
            return
        verdicts = verdict_rows(journal.decided)
        transfers = transfer_rows(journal.legs, batch, now_ms)
        operations = operation_rows(journal.ruled, journal.barred)
        await copy_rows(driver, verdicts, transfers, operations, payment_rows(journal.payments))
        if journal.opened:
            await driver.execute(_OPEN, *_columns(map(_opened, journal.opened)))
        if changed := _changed_payments(journal, book):
            await driver.execute(_CHANGE_PAYMENTS, *_columns(changed))
        accounts = [account for account in book.locked.values() if account.changed]
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
            len(journal.ruled) + len(journal.barred),
            len(journal.legs),
            batch_digest(self._key.key, batch, now_ms, verdicts, transfers, operations),
            self._key.version,
        )


_UNSEEN: Final = 2**63
"""Nothing is known of a terminal that this process has not met, so all its identities are read."""
_MOST_RECENT: Final = 100_000


class Referred(NamedTuple):
    """What operations refer to, read before the lock because it never changes."""

    accounts: set[int]
    payments: set[bytes]
    rulings: Mapping[tuple[int, str], Ruling]


async def _referred(driver: "asyncpg.Connection[Any]", operations: Iterable[Operation]) -> Referred:
    accounts: set[int] = set()
    payments: set[bytes] = set()
    names: set[tuple[int, str]] = set()
    for operation in operations:
        match operation:
            case Authorize():
                pass
            case TopUp() | SetAccountStatus():
                accounts.add(operation.account_id)
            case Post():
                accounts.update(entry.account_id for entry in operation.entries)
            case OpenAccount():
                if operation.purse is not None:
                    accounts.add(operation.purse.owner)
            case Capture() | Void() | Refund() | Expire():
                if operation.reference.payment is not None:
                    payments.add(operation.reference.payment)
                else:
                    names.add((operation.request.caller.number, operation.reference.authorize_request_id))
    rulings = await _rulings(driver, list(names)) if names else {}
    payments |= {ruling.payment for ruling in rulings.values() if ruling.payment is not None}
    if payments:
        accounts.update(row[1] for row in await driver.fetch(_OWNERS_OF_PAYMENTS, _uuids(payments)))
    if purses := [account for account in accounts if account >= FIRST_PURSE_ACCOUNT]:
        accounts.update(row[1] for row in await driver.fetch(_OWNERS_OF_PURSES, purses))
    return Referred(accounts, payments, rulings)


async def _rulings(driver: "asyncpg.Connection[Any]", identities: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Ruling]:
    rows = await driver.fetch(_RULINGS, *_columns(identities))
    return {
        (terminal, request_id): Ruling(
            digest, _KIND[kind], _REASON[reason], amount_fen, moved_fen, account_id, payment and payment.bytes, batch, row,
            milliseconds(now),
        )
        for terminal, request_id, digest, kind, reason, amount_fen, moved_fen, account_id, payment, batch, row, now in rows
    }  # fmt: skip


async def _payments(driver: "asyncpg.Connection[Any]", ids: Sequence[bytes]) -> dict[bytes, Payment]:
    return {row[0].bytes: payment_of(row) for row in await driver.fetch(_PAYMENTS, _uuids(ids))}


def _uuids(ids: Iterable[bytes]) -> list[UUID]:
    return [UUID(bytes=some) for some in ids]


def payment_of(row: Sequence[Any]) -> Payment:
    """A payment of its row: the columns of `PAYMENT_FACTS`."""
    uuid, terminal, merchant, scene, request_id, account_id, payee, one_step, status, *parts, created, expires = row
    return Payment(
        uuid.bytes, terminal, merchant, scene, request_id, account_id, payee, one_step, _PAYMENT_STATUS[status],
        [Part(*part) for part in zip(*parts, strict=True)], milliseconds(created), milliseconds(expires),
    )  # fmt: skip


async def _known(driver: "asyncpg.Connection[Any]", asked: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Verdict]:
    rows = await driver.fetch(_KNOWN, *_columns(asked))
    return {
        (terminal, sequence): Verdict(digest, _REASON[reason], fare_fen, charged_fen, batch, row, decide_time_ms)
        for terminal, sequence, digest, reason, fare_fen, charged_fen, batch, row, decide_time_ms in rows
    }


def _accounts(rows: Iterable[Any]) -> tuple[dict[str, HolderAccount], dict[int, Account]]:
    """Accounts by card and by number; two cards of one holder share the object."""
    by_id: dict[int, Account] = {}
    by_card: dict[str, HolderAccount] = {}
    for card_identifier, account_id, available_fen, overdraft_fen, status, held_fen, purses, cards, usage in rows:
        account = by_id.get(account_id)
        if account is None:
            if account_id >= FIRST_HOLDER_ACCOUNT:
                account = HolderAccount(
                    account_id,
                    available_fen,
                    overdraft_fen,
                    _STATUS[status],
                    held_fen,
                    cards=_decode_cards(cards),
                    usage=_decode_usage(usage) if usage else _NO_USAGE,
                    purse_count=purses,
                )
            else:
                account = Account(account_id, available_fen, overdraft_fen, _STATUS[status], held_fen)
            by_id[account_id] = account
        if card_identifier is not None:
            assert isinstance(account, HolderAccount)
            by_card[card_identifier] = account
    return by_card, by_id


def _purse(row: Sequence[Any]) -> Purse:
    account_id, available_fen, overdraft_fen, status, held_fen, owner, purpose, void_after, fund_account = row
    void_after_ms = milliseconds(void_after) if void_after is not None else 0
    return Purse(
        account_id, available_fen, overdraft_fen, _STATUS[status], held_fen, owner=owner, purpose=purpose,
        void_after_ms=void_after_ms, fund_account=fund_account,
    )  # fmt: skip


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


def _changed_payments(journal: Journal, book: Book) -> list[tuple[object, ...]]:
    """Of payments that are not new: those are written as they stand at the end of the batch."""
    new = {payment.id for payment in journal.payments}
    return [
        (
            UUID(bytes=payment.id), payment.status, payment.captured_fen, payment.refunded_fen,
            _literal([part.captured_fen for part in payment.parts]), _literal([part.refunded_fen for part in payment.parts]),
        )
        for payment in book.payments.values()
        if payment.changed and payment.id not in new
    ]  # fmt: skip


def _literal(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows as columns, for `unnest`; there is at least one."""
    return list(map(list, zip(*rows, strict=True)))


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


async def _tell(driver: "asyncpg.Connection[Any]", journal: Journal, book: Book) -> None:
    """One row in the outbox for the whole batch, because no fetch began it."""
    encode = Outcomes().encode_ruling
    messages: list[tuple[bytes, bytes]] = []
    for operation, ruling in journal.ruled:
        caller = operation.request.caller
        merchant_id, terminal_id = caller.merchant_id, caller.terminal_id
        if isinstance(operation, Expire) and ruling.payment is not None:
            # Nobody asked; it is told to the merchant whose payment it was.
            merchant_id, terminal_id = book.payments[ruling.payment].merchant_id, ITSELF
        messages.append((merchant_id.encode(), encode(merchant_id, terminal_id, operation.request.request_id, ruling)))
    if messages:
        await driver.execute(_OUTBOX, topics.OUTCOMES, msgspec.msgpack.encode(messages))


async def _write_dead(
    driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], answers: Sequence[Answer], now_ms: int
) -> None:
    rows = [
        (*record[:4], answer.cause, *_identity_facts(read), record.value)
        for (record, read), answer in zip(entries, answers, strict=True)
        if answer.cause is not None
    ]
    if rows:
        await driver.execute(_DEAD, *_columns(rows), instant(now_ms))


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
    await driver.execute(_REPLAYED, *_columns(rows), instant(now_ms))
    if messages:
        await driver.execute(_OUTBOX, topics.OUTCOMES, msgspec.msgpack.encode(messages))
