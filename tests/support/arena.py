"""Writers before two processes' ledgers, and the question whether what they did is what one thread would have done.

Each writer has a clock of its own. Whatever order the locks gave them is in the journal; by that order, and with each batch's
own clock, the model must say the same of every operation, and end with the same balances, holds, payments and counts.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.card_events_pb2 import SpendingLimits
from sdk.merchant.transaction import SignedRecord
from services.common.clock import milliseconds
from services.common.database import driver_session, make_engine
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.payments import read_payments
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.account import AccountStatus, Purpose
from services.payments.domain.book import Rules
from services.payments.domain.card import CardStatus
from services.payments.domain.limits import Limits
from services.payments.domain.operation import (
    NO_DIGEST,
    Answered,
    Kind,
    Operation,
    Problem,
    Ruling,
)
from services.payments.domain.payment import Payment
from services.payments.domain.places import Slot
from services.payments.domain.tap import Scene, Terminal
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.open_accounts import Opening, open_accounts
from services.payments.handlers.open_places import OpenPlaces
from services.payments.handlers.post_taps import PostTaps
from services.payments.handlers.register_merchants import ensure_terminal
from services.payments.handlers.settle import settle
from tests.support import model
from tests.support.office import BANK, FUND, Office, open_office
from tests.support.replay import replay
from tests.support.town import (
    BUS,
    CONFIG,
    FIRST_ACCOUNT,
    KEY,
    LONG_AGO_MS,
    Database,
    build_town,
    card_identifier,
    card_state,
    now_ms,
    received,
)

HOUR_MS = 3_600_000
OPENING_FEN, OVERDRAFT_FEN = 1_500, 200
HOLDERS, WRITERS, PLACES = 3, 6, 8
LIMITS = {
    "": model.Limits(600, 1_200, 7, {"CAMPUS": 600}),
    "student": model.Limits(200, 400, 3, {}),
}
GUARDIANS = model.Limits(300, 450, 4, {"CAMPUS": 350})
"""Of the last holder, who is a child."""
PURPOSES = {"meals": {"CAMPUS"}, "rides": {"BUS"}, "everything": {"CAMPUS", "BUS"}}
_worlds = count()


@dataclass(slots=True)
class Arena:
    """Two ledgers on one database, and everybody who asks them."""

    office: Office
    ledgers: list[Ledger]
    taps: PostTaps
    rules: Rules
    callers: list[Terminal]
    """Two tills of a canteen, its merchant, and a bus."""
    engines: list[AsyncEngine]
    runner: asyncio.Runner

    @property
    def engine(self) -> AsyncEngine:
        return self.office.engine


@dataclass(slots=True)
class World:
    """One example: three holders nobody else touches, what was asked, and what the model knows."""

    base: int
    wanted: model.Model
    before: dict[int, tuple[int, int]]
    """(balance, promised) of the accounts that are not guarded, when it began."""
    first_batch: int
    read_up_to: int
    slot: Slot
    """Of a site that nobody else knows; it is over before some writers' clocks."""
    asked: dict[tuple[int, str, bytes], model.Asked] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    made: dict[tuple[int, str], Ruling] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)
    answers: list[tuple[Operation, Answered]] = field(default_factory=list)
    tapped: dict[bytes, tuple[model.Caller, str, int, int]] = field(default_factory=dict)
    stored: dict[tuple[int, str], Ruling] = field(default_factory=dict)

    @property
    def holders(self) -> list[int]:
        return [FIRST_ACCOUNT + self.base + n for n in range(HOLDERS)]


async def open_arena(database: Database, runner: asyncio.Runner) -> Arena:
    engine = make_engine(database.application_url, "random", sessions=12)
    other = make_engine(database.application_url, "random too", sessions=8)
    office = await open_office(await build_town(engine, 0))
    rules = replace(
        await read_rules(engine, CONFIG),
        limits={
            category: Limits(one, day, payments, {Scene[scene]: fen for scene, fen in scenes.items()})
            for category, (one, day, payments, scenes) in LIMITS.items()
        },
        purposes={name: Purpose(frozenset(Scene[scene] for scene in scenes)) for name, scenes in PURPOSES.items()},
    )
    async with engine.begin() as connection:
        bus = await ensure_terminal(connection, BUS, "BUS-1-T0")
    ledgers = [Ledger(engine, rules, KEY), Ledger(other, rules, KEY)]
    taps = PostTaps(ledgers[0], office.town.registry, office.town.verifier)
    return Arena(office, ledgers, taps, rules, [office.till, office.other_till, office.merchant, bus], [engine, other], runner)


async def open_world(arena: Arena) -> World:
    base = next(_worlds) * 10
    first = await last_batch(arena)
    holders = [FIRST_ACCOUNT + base + n for n in range(HOLDERS)]
    await open_accounts(arena.engine, KEY, [Opening(holder, OPENING_FEN) for holder in holders], lambda _: None)
    locked = ((CardStatus.NORMAL, LONG_AGO_MS, 0), (CardStatus.LOCKED, LONG_AGO_MS + 1, 0))
    await arena.office.town.project(
        *(card_state(base + n) for n in range(HOLDERS - 1)),
        card_state(base + HOLDERS - 1, limits=[(_as_told(GUARDIANS), LONG_AGO_MS)]),
        card_state(base + 3, account=holders[0], category="student"),
        card_state(base + 4, account=holders[1], periods=locked),
    )
    async with arena.engine.begin() as connection:
        update = text("update payments.account set overdraft_fen = :fen where id = :id")
        await connection.execute(update, {"fen": OVERDRAFT_FEN, "id": holders[0]})
    began = now_ms() - HOUR_MS
    slot = Slot(f"SITE-{base}", began, began + 3 * HOUR_MS, PLACES)
    await OpenPlaces(arena.ledgers[0])([slot])
    cards = {card_identifier(base + n): model.Plastic(holders[n]) for n in range(HOLDERS)}
    cards[card_identifier(base + 3)] = model.Plastic(holders[0], "student")
    cards[card_identifier(base + 4)] = model.Plastic(holders[1], locked=True)
    beginning = model.Model(cards, LIMITS, PURPOSES, guardians={holders[-1]: GUARDIANS})
    beginning.pots = {holder: model.Pot(posted=OPENING_FEN) for holder in holders}
    beginning.pots[holders[0]].overdraft = OVERDRAFT_FEN
    beginning.pots[arena.ledgers[0].places[slot.key]] = model.Pot(posted=PLACES)
    unguarded = {BANK, FUND, arena.rules.places_taken_account, *(caller.payable_account for caller in arena.callers)}
    before = {account: await sums(arena, account) for account in unguarded}
    return World(base, beginning, before, first, await last_batch(arena), slot)


def _as_told(limits: model.Limits) -> SpendingLimits:
    return SpendingLimits(
        payment_fen=limits.one, day_fen=limits.day, day_payments=limits.payments, campus_day_fen=limits.scene["CAMPUS"]
    )


async def last_batch(arena: Arena) -> int:
    async with arena.engine.connect() as connection:
        return await connection.scalar(text("select coalesce(max(number), 0) from payments.batch")) or 0


async def sums(arena: Arena, account: int) -> tuple[int, int]:
    found = await arena.office.sums(account)
    return found.balance_fen, found.credits_pending_fen


def as_caller(terminal: Terminal) -> model.Caller:
    return model.Caller(
        terminal.number, terminal.merchant_id, terminal.terminal_id, terminal.scene.name, terminal.payable_account
    )  # fmt: skip


async def ask_and_compare(arena: Arena, world: World, queues: Sequence[Sequence[tuple[Operation | SignedRecord, int]]]) -> None:
    await asyncio.gather(*(write(arena, world, number, queue) for number, queue in enumerate(queues)))
    await follow_the_journal(arena, world)
    await compare_states(arena, world)
    for operation, answer in world.answers:
        check_answer(world, operation, answer)


async def write(arena: Arena, world: World, writer: int, queue: Sequence[tuple[Operation | SignedRecord, int]]) -> None:
    """One writer: one thing after the other, some by ones, some by twos and threes."""
    size = 1 + writer % 3
    for at in range(0, len(queue), size):
        some = queue[at : at + size]
        if records := [one for one, _ in some if isinstance(one, SignedRecord)]:
            await arena.taps(received(records))
        operations = [one for one, _ in some if not isinstance(one, SignedRecord)]
        if operations:
            clock = now_ms() + max(hours for _, hours in some) * HOUR_MS
            answers = await ask(arena.ledgers[writer % 2], operations, clock)
            world.answers += zip(operations, answers, strict=True)


async def ask(ledger: Ledger, operations: Sequence[Operation], clock: int) -> list[Answered]:
    async def post(some: Sequence[Operation], read_all: bool) -> list[Answered]:
        return await ledger.operate(some, clock, read_all=read_all)

    async def reject(operation: Operation, error: BaseException, state: str) -> list[Answered]:
        raise AssertionError(f"{operation} was rejected: {state}") from error

    return await settle(operations, ledger.place, post, reject)


async def follow_the_journal(arena: Arena, world: World) -> None:
    """Let the model decide what was decided, in the same order; it must say the same."""
    callers = {caller.number: caller for caller in map(as_caller, [*arena.callers, arena.office.window, arena.office.service])}
    for batch, row, now, terminal, name, digest, reason, amount, moved, account, payment in await journal(arena, world):
        world.read_up_to = max(world.read_up_to, batch)
        if digest in world.tapped:
            said = world.wanted.tap(*world.tapped[digest])
            assert said == ("" if reason == 0 else Reason(reason).name), (batch, row)
            continue
        if digest == NO_DIGEST:
            assert (Reason(reason), world.wanted.names[terminal, name]) == (Reason.VOIDED, ("authorize", None))
            continue
        asked = world.asked[terminal, name, digest]
        handle = payment.bytes if payment is not None else None
        decided = world.wanted.decide(callers[terminal], name, asked, now, handle)
        stored = "" if reason == 0 else Reason(reason).name, amount, moved, account
        assert stored == decided, (batch, row, asked, now)


async def journal(arena: Arena, world: World) -> list[tuple[Any, ...]]:
    """(batch, row, …) of everything that was decided since we last looked, in order."""
    async with driver_session(arena.engine) as driver:
        operations = await driver.fetch(
            "select o.batch, o.row, b.now, o.terminal, o.request_id, o.body_digest, o.reason, o.amount_fen, o.moved_fen,"
            " o.account_id, o.payment, o.kind from payments.operation o join payments.batch b on b.number = o.batch"
            " where o.batch > $1",
            world.read_up_to,
        )
        verdicts = await driver.fetch(
            "select v.batch, v.row, b.now, v.terminal, '', v.body_digest, v.reason, 0, 0, 0, null"
            " from payments.verdict v join payments.batch b on b.number = v.batch where v.batch > $1",
            world.read_up_to,
        )
    rows = [(row[0], row[1], milliseconds(row[2]), *row[3:11]) for row in [*operations, *verdicts]]
    assert len({row[:2] for row in rows}) == len(rows), "two things stand at one place of the journal"
    return sorted(rows, key=lambda row: row[:2])


async def compare_states(arena: Arena, world: World) -> None:
    """Every balance, hold, status and count, and every payment."""
    wanted = world.wanted
    async with driver_session(arena.engine) as driver:
        rows = await driver.fetch(
            "select id, credits_posted_fen - debits_posted_fen, debits_pending_fen, status,"
            " usage::jsonb -> 'online' ->> 0, usage::jsonb -> 'online' ->> 1, usage::jsonb -> 'online' ->> 2,"
            " usage::jsonb -> 'guardian', usage::jsonb ->> 'reserved'"
            " from payments.account where id = any($1::bigint[])",
            list(wanted.pots),
        )
        payments = await read_payments(driver, wanted.payments) if wanted.payments else {}
    found = {row[0]: (row[1], row[2], AccountStatus(row[3]).name.lower()) for row in rows}
    assert found == {number: (pot.posted, pot.held, pot.status) for number, pot in wanted.pots.items()}
    counted = {row[0]: (int(row[4]), int(row[5]), int(row[6])) for row in rows if row[4] is not None}
    kept = {row[0]: {bytes.fromhex(one[4]) for one in json.loads(row[8])} for row in rows if row[8] is not None}
    assert kept == {holder: set(reserved) for holder, reserved in wanted.reserved.items() if reserved}
    assert all(count >= 0 for counts in counted.values() for count in counts)
    assert counted == {holder: spent[:3] for holder, spent in wanted.spent.items()}
    watched = {(row[0], int(day)): spent[:2] for row in rows for day, spent in (row[7] or {}).items() if spent[1]}
    assert watched == {day: [sum(fen for _, fen in spent), len(spent)] for day, spent in wanted.watched.items() if spent}
    compare_payments(payments, wanted)


def compare_payments(found: Mapping[bytes, Payment], wanted: model.Model) -> None:
    """Status, end, and each purse's part."""
    assert {
        handle: (
            payment.status.name,
            payment.expire_time_ms,
            [[part.account_id, part.held_fen, part.captured_fen, part.refunded_fen] for part in payment.parts],
        )
        for handle, payment in found.items()
    } == {handle: (paid.status, paid.ends_at, paid.parts) for handle, paid in wanted.payments.items()}


def check_answer(world: World, operation: Operation, answer: Answered) -> None:
    """One identity has one verdict: all who asked heard the same, or that the name belongs to another body."""
    identity, ruling = operation.request.identity, answer.ruling
    if ruling is None:
        return
    assert world.stored.setdefault(identity, ruling) == ruling
    if ruling.reason is not Reason.NONE:
        return
    if ruling.kind in (Kind.AUTHORIZE, Kind.RESERVE):
        world.made[identity] = ruling
    if ruling.kind is Kind.OPEN_ACCOUNT and ruling.account_id not in world.opened:
        world.opened.append(ruling.account_id)


async def decide_again(arena: Arena, world: World) -> None:
    """From the database alone."""
    for operation, answer in world.answers:
        if answer.problem is Problem.CONFLICT:
            stored = world.stored.get(operation.request.identity)
            assert stored is None or stored.digest != operation.request.digest
    for account, (balance, promised) in world.before.items():
        now = await sums(arena, account)
        assert now == (balance + world.wanted.others[account], promised + world.wanted.promised[account]), account
    books = await check_books(arena.engine)
    assert books.balance, books.problem
    ledger, differences, decided = await replay(arena.engine, arena.rules, world.first_batch)
    assert not differences
    assert decided >= len({o.request.identity for o, a in world.answers if a.ruling and a.ruling.digest != NO_DIGEST})
    compare_payments(ledger.book.payments, world.wanted)
    for number, pot in world.wanted.pots.items():
        one = ledger.book.locked[number]
        assert (one.available_fen, one.held_fen, one.status.name.lower()) == (pot.free, pot.held, pot.status)
