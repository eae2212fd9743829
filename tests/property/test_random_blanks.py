"""Random days of windows and kits, held against the rules written once more: every blank in one place, every shift's sum right.

ONECARD_BLANK_DAYS=500 plays more of them.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.postgres import Postgres
from services.common.clock import now_ms
from services.common.database import driver_session, make_engine
from services.issuance.adapters.blanks import Signed, find_blank, find_blanks, move, resume
from services.issuance.adapters.entries import unsound
from services.issuance.adapters.shifts import Books
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.blank import Blank, BlankState, Fence, Verb
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.shift import Count
from services.issuance.handlers.close_shift import Closed, CloseShift
from services.issuance.handlers.countersign import decide_countersignature
from services.issuance.handlers.once import transact
from services.issuance.handlers.watch_blanks import BarLostBlanks
from tests.support.blank_desk import Tills
from tests.support.blanks import add_blanks
from tests.support.databases import drop_database, make_database

T = TypeVar("T")

WHITE, RESERVED, MAKING, VERIFIED, PRINTED = "white", "reserved", "making", "verified", "printed"
IN_HAND = (WHITE, RESERVED, MAKING, VERIFIED, PRINTED)
STATES = {
    WHITE: BlankState.ASSIGNED,
    RESERVED: BlankState.RESERVED,
    MAKING: BlankState.PERSONALISING,
    VERIFIED: BlankState.VERIFIED,
    PRINTED: BlankState.PRINTED,
    "handed over": BlankState.HANDED_OVER,
    "spoiled": BlankState.SPOILED,
    "returned": BlankState.RETURNED,
    "destroyed": BlankState.DESTROYED,
    "on its way": BlankState.IN_TRANSFER,
    "back": BlankState.RETURNED_UNUSED,
    "missing": BlankState.MISSING,
}
NEXT = {
    RESERVED: (Verb.BEGIN, MAKING),
    MAKING: (Verb.VERIFY, VERIFIED),
    VERIFIED: (Verb.PRINT, PRINTED),
    PRINTED: (Verb.HAND_OVER, "handed over"),
}
PLACES = 3
pick = st.integers(0, 10_000)


@dataclass
class Plastic:
    """One blank, as somebody who watches it all would say."""

    serial: str
    place: int | None
    """Of the windows and kits; None: at the depot, or nowhere here."""
    state: str = WHITE
    record: int = 0
    epoch: int = 0
    barred: bool = False
    goes_to: int | None = None


class Days(RuleBasedStateMachine):
    """Three places; the last one is a kit that may be lost."""

    loop: asyncio.Runner
    engine: AsyncEngine
    numbers: "count[int]"

    def __init__(self) -> None:
        super().__init__()
        self.plastic: list[Plastic] = []
        self.flows: list[Counter[str]] = [Counter() for _ in range(PLACES)]
        self.opening = [0] * PLACES
        self.tills = Tills()
        self.closing = CloseShift(self.engine, self.tills)
        self.lost = False

    def run(self, work: Awaitable[T]) -> T:
        async def await_it() -> T:
            return await work

        return self.loop.run(await_it())

    def act(self, work: Any) -> Any:
        """In a transaction of its own, begun again when it lost a race."""
        return self.run(transact(self.engine, work))

    @initialize()
    def begin(self) -> None:
        day = next(self.numbers)
        self.names = [f"onecard://merchant/CITY-HALL/terminal/W{day}-{place}" for place in range(PLACES)]

    def by(self, place: int, *, two: bool = False) -> Signed:
        return Signed(10 + place, 100 + place, self.names[place], 99 if two else 0)

    def one(self, which: int, *states: str) -> Plastic | None:
        """One of those that are in a state, and not barred."""
        found = [plastic for plastic in self.plastic if plastic.state in states and not plastic.barred]
        return found[which % len(found)] if found else None

    def move(self, plastic: Plastic, verb: Verb, signed: Signed, fence: Fence | None = None, **more: Any) -> Any:
        return self.act(lambda driver: move(driver, plastic.serial, verb, signed, fence, **more))

    def leaves(self, plastic: Plastic, how: str) -> None:
        if plastic.state in IN_HAND:
            assert plastic.place is not None
            self.flows[plastic.place][how] += 1

    # Blanks come

    @rule(size=st.integers(1, 4), place=st.integers(0, PLACES - 1))
    def assign(self, size: int, place: int) -> None:
        serials = self.act(lambda driver: add_blanks(driver, size, self.names[place]))
        self.plastic += [Plastic(serial, place) for serial in serials]
        self.flows[place]["received"] += size

    # Cards are made

    @rule(which=pick)
    def reserve(self, which: int) -> None:
        if plastic := self.one(which, WHITE):
            assert plastic.place is not None
            fence = Fence(next(self.numbers), 1)
            assert isinstance(self.move(plastic, Verb.RESERVE, self.by(plastic.place), fence, application=5), Blank)
            plastic.state, plastic.record, plastic.epoch = RESERVED, fence.record, 1

    @rule(which=pick, stale=st.booleans())
    def go_on(self, which: int, stale: bool) -> None:
        if plastic := self.one(which, *NEXT):
            assert plastic.place is not None
            verb, after = NEXT[plastic.state]
            fence = Fence(plastic.record, plastic.epoch - stale)
            done = self.move(plastic, verb, self.by(plastic.place), fence)
            if stale:
                assert done is Refusal.SUPERSEDED
                return
            assert isinstance(done, Blank)
            if after == "handed over":
                self.leaves(plastic, "issued")
                plastic.place = None
            plastic.state = after

    @rule(which=pick, place=st.integers(0, PLACES - 1))
    def resume_somewhere(self, which: int, place: int) -> None:
        if plastic := self.one(which, *NEXT):
            fence = Fence(plastic.record, plastic.epoch + 1)

            async def take(driver: Any) -> Refusal | None:
                blank = await find_blank(driver, plastic.serial)
                assert blank is not None
                return await resume(driver, blank, self.names[place], self.by(place), fence)

            assert self.act(take) is None
            if plastic.place != place:
                self.leaves(plastic, "transferred")
                self.flows[place]["received"] += 1
            plastic.place, plastic.epoch = place, fence.epoch

    @rule(which=pick)
    def two_windows_take_the_same_card(self, which: int) -> None:
        if plastic := self.one(which, RESERVED, MAKING):
            assert plastic.place is not None
            verb, after = NEXT[plastic.state]
            fence = Fence(plastic.record, plastic.epoch)
            signed = self.by(plastic.place)

            async def both() -> list[Any]:
                again = [transact(self.engine, lambda d: move(d, plastic.serial, verb, signed, fence)) for _ in range(2)]
                return await asyncio.gather(*again)

            done = self.run(both())
            assert sum(isinstance(one, Blank) for one in done) == 1
            plastic.state = after

    @rule(which=pick)
    def release(self, which: int) -> None:
        if plastic := self.one(which, RESERVED):
            assert plastic.place is not None
            fence = Fence(plastic.record, plastic.epoch)
            assert isinstance(self.move(plastic, Verb.RELEASE, self.by(plastic.place), fence), Blank)
            plastic.state, plastic.record = WHITE, 0

    # Blanks go

    @rule(which=pick)
    def spoil(self, which: int) -> None:
        if plastic := self.one(which, *IN_HAND):
            assert plastic.place is not None
            assert isinstance(self.move(plastic, Verb.SPOIL, self.by(plastic.place), reason="KEY_REFUSED"), Blank)
            self.leaves(plastic, "spoiled")
            plastic.state = "spoiled"

    @rule(which=pick, place=st.integers(0, PLACES - 1))
    def give_away(self, which: int, place: int) -> None:
        if (plastic := self.one(which, WHITE)) and plastic.place != place:
            assert plastic.place is not None
            assert isinstance(self.move(plastic, Verb.TRANSFER, self.by(plastic.place), to=self.names[place]), Blank)
            self.leaves(plastic, "transferred")
            plastic.state, plastic.place, plastic.goes_to = "on its way", None, place

    @rule(which=pick)
    def arrive(self, which: int) -> None:
        if plastic := self.one(which, "on its way"):
            assert plastic.goes_to is not None
            assert isinstance(self.move(plastic, Verb.ARRIVE, self.by(plastic.goes_to)), Blank)
            plastic.state, plastic.place, plastic.goes_to = WHITE, plastic.goes_to, None
            self.flows[plastic.place]["received"] += 1

    @rule(which=pick)
    def take_back(self, which: int) -> None:
        if plastic := self.one(which, WHITE, "spoiled"):
            verb, after = (Verb.RETURN_UNUSED, "back") if plastic.state == WHITE else (Verb.RETURN, "returned")
            assert isinstance(self.move(plastic, verb, Signed(50, 500, self.names[0])), Blank)
            self.leaves(plastic, "returned")
            plastic.state, plastic.place = after, None

    @rule(which=pick)
    def miss(self, which: int) -> None:
        if plastic := self.one(which, *IN_HAND, "spoiled", "on its way", "back"):
            assert isinstance(self.move(plastic, Verb.MISS, self.by(0, two=True), incident="I-1"), Blank)
            self.leaves(plastic, "missing")
            plastic.state, plastic.place, plastic.goes_to = "missing", None, None

    @rule(which=pick)
    def find(self, which: int) -> None:
        if plastic := self.one(which, "missing"):
            assert isinstance(self.move(plastic, Verb.FIND, self.by(0, two=True), incident="I-1"), Blank)
            plastic.state = "returned"

    @rule(which=pick)
    def destroy(self, which: int) -> None:
        if plastic := self.one(which, "returned"):
            assert isinstance(self.move(plastic, Verb.DESTROY, self.by(0, two=True)), Blank)
            plastic.state = "destroyed"

    @rule()
    def lose_the_kit(self) -> None:
        async def lost() -> dict[str, int]:
            return {self.names[-1]: now_ms()}

        async def bar() -> None:
            async with self.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await BarLostBlanks(self.engine, lost)(connection)

        self.run(bar())
        self.lost = True
        for plastic in self.plastic:
            if plastic.place == PLACES - 1 and plastic.state in (WHITE, RESERVED, MAKING, VERIFIED):
                plastic.barred = True

    @precondition(lambda self: self.lost)
    @rule(which=pick)
    def nothing_more_is_made_of_a_barred_blank(self, which: int) -> None:
        barred = [plastic for plastic in self.plastic if plastic.barred]
        if barred:
            plastic = barred[which % len(barred)]
            verb = NEXT[plastic.state][0] if plastic.state in NEXT else Verb.RESERVE
            fence = Fence(plastic.record or 1, plastic.epoch)
            assert self.move(plastic, verb, self.by(PLACES - 1), fence, application=1) is Refusal.BLANK_BARRED

    # Shifts end

    @rule(place=st.integers(0, PLACES - 1), wrong=st.integers(-1, 1), cash=st.integers(0, 500), short=st.integers(-50, 50))
    def close(self, place: int, wrong: int, cash: int, short: int) -> None:
        here = [plastic for plastic in self.plastic if plastic.place == place]
        unused = sum(plastic.state in (WHITE, RESERVED, MAKING, VERIFIED) for plastic in here)
        lying = sum(plastic.state == PRINTED for plastic in here)
        spoiled = sum(plastic.state == "spoiled" for plastic in here)
        self.tills.fen[self.names[place]] = cash
        counted = Count(max(0, unused + wrong), spoiled, lying, max(0, cash + short))
        actor = Actor(10 + place, frozenset({Role.CLERK}), 100 + place, self.names[place], "HALL", now_ms() + 60_000)
        closed, books = self.run(self._close(actor, counted))
        flows = self.flows[place]
        assert (books.opening, books.on_hand, books.lying, books.spoiled_held) == (
            self.opening[place], unused + lying, lying, spoiled
        )  # fmt: skip
        told = {name: getattr(books, name) for name in flows}
        assert told == dict(flows)
        gone = sum(times for how, times in flows.items() if how != "received")
        assert books.opening + flows["received"] == gone + books.on_hand
        if counted.unused != unused:
            assert closed.refusal is Refusal.BLANKS_DIFFER
            return
        assert closed.closed
        assert self.tills.fen[self.names[place]] == counted.cash_fen
        self.flows[place] = Counter()
        self.opening[place] = unused + lying

    async def _close(self, actor: Actor, counted: Count) -> tuple[Closed, Books]:
        number = await transact(self.engine, lambda driver: self.closing.count(driver, actor, counted))
        books = (await self.closing.books(number)).books
        assert books is not None
        cash_fen, digest = await self.closing.till_fen(actor.terminal), [str(number).encode()]

        def close() -> Any:
            return transact(
                self.engine,
                lambda driver: self.closing.close(driver, number, actor, "change", cash_fen, digest, now_ms()),
            )

        closed = await close()
        if closed.refusal is Refusal.SECOND_PERSON_NEEDED:
            second = Actor(99, frozenset({Role.SUPERVISOR}), 999, actor.terminal, "HALL", now_ms() + 60_000)
            asked = closed.countersignature
            await transact(
                self.engine, lambda driver: decide_countersignature(driver, asked, second, now_ms(), sign=True, reason="")
            )
            closed = await close()
        await self.closing.post(actor.terminal)
        return closed, books

    @invariant()
    def every_blank_is_in_exactly_one_place(self) -> None:
        if self.plastic:
            self.run(self._agrees())

    def teardown(self) -> None:
        async def whole() -> list[str]:
            async with driver_session(self.engine) as driver:
                return await unsound(driver)

        assert self.run(whole()) == []

    async def _agrees(self) -> None:
        async with driver_session(self.engine) as driver:
            blanks = {blank.serial: blank for blank in await find_blanks(driver, [one.serial for one in self.plastic])}
        for plastic in self.plastic:
            blank = blanks[plastic.serial]
            assert (blank.state, blank.barred) == (STATES[plastic.state], plastic.barred or blank.barred)
            assert (blank.place in self.names) == (plastic.place is not None)
            if plastic.place is not None:
                assert blank.place == self.names[plastic.place]


@pytest.fixture(scope="module")
def days(postgres_server: Postgres) -> Iterator[type[Days]]:
    """The machine on a database and an event loop of its own."""
    with asyncio.Runner() as runner:
        database = runner.run(make_database(postgres_server))
        engine = make_engine(database.issuance_url, "tests", sessions=4)
        yield type("BoundDays", (Days,), {"loop": runner, "engine": engine, "numbers": count(1)})
        runner.run(engine.dispose())
        runner.run(drop_database(database))


def test_every_blank_is_in_one_place_and_every_shift_adds_up_whatever_happens(days: type[Days]) -> None:
    run_state_machine_as_test(
        days,
        settings=settings(
            max_examples=int(os.environ.get("ONECARD_BLANK_DAYS", "40")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
