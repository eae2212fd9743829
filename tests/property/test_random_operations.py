"""Random operations of several writers at once, held against a model that does one thing after the other.

The same journal decided again by the product's own rules, from the database alone, must say the same too.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.payments.domain.operation import KIND
from tests.support.arena import WRITERS, Arena, open_arena
from tests.support.crowd import Authorization, Crowd, Name, Reservation, Step, Task
from tests.support.replay import replay
from tests.support.town import Database

writers = st.integers(0, WRITERS - 1)
authorizations = st.builds(
    Authorization,
    writer=writers,
    card=st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3, 4]),
    fen=st.sampled_from([1, 50, 50, 120, 120, 200, 201, 333, 601]),
    at_once=st.booleans(),
    hours=st.sampled_from([0, 0, 0, 2, 26]),
)
reservations = st.builds(
    Reservation,
    writer=writers,
    card=st.sampled_from([0, 1, 2, 3, 4]),
    places=st.sampled_from([1, 1, 2, 3, 4]),
    once=st.booleans(),
    hours=st.sampled_from([0, 0, 0, 2, 26]),
)
steps = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(["capture", "capture", "void", "refund", "refund", "expire"]),
        writer=writers,
        by_id=st.booleans(),
        caller=st.sampled_from([-1, -1, 0, 1, 2]),
        fen=st.sampled_from([None, 1, 30, 50, 120]),
        more=st.booleans(),
        hours=st.sampled_from([0, 0, 2, 26]),
    ),
    min_size=2,
    max_size=5,
)
tasks = st.lists(
    st.builds(
        Task,
        kind=st.sampled_from(["post", "post", "post", "top_up", "open_purse", "open_purse", "open_pot", "set_status"]),
        writer=writers,
        which=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
        fen=st.sampled_from([3, 100, 400, 1_600]),
        right=st.booleans(),
    ),
    min_size=2,
    max_size=5,
)
callers = st.integers(0, 3)
taps = st.lists(st.tuples(writers, st.integers(0, 4), st.sampled_from([1, 90, 700]), st.booleans()), min_size=1, max_size=4)
names: "Bundle[Name]" = Bundle("names")
RULES_AT_ONCE = 4


class City(RuleBasedStateMachine):
    """Asks a little, and lets everybody do it at once when enough has come together."""

    def __init__(self, arena: Arena) -> None:
        super().__init__()
        self.arena = arena
        self.rules_since = 0

    @initialize()
    def begin(self) -> None:
        self.crowd = Crowd(self.arena)

    @rule(target=names, caller=callers, asked=st.lists(authorizations, min_size=1, max_size=3))
    def authorize(self, caller: int, asked: list[Authorization]) -> Any:
        self.rules_since += 1
        made = [self.crowd.new_name(caller) for _ in asked]
        for name, one in zip(made, asked, strict=True):
            self.crowd.authorize(name, one)
        return multiple(*made)

    @rule(target=names, caller=callers, asked=authorizations, writer=writers, void_first=st.booleans())
    def a_payment_and_its_void_at_once(self, caller: int, asked: Authorization, writer: int, void_first: bool) -> Any:
        self.rules_since += 1
        name = self.crowd.new_name(caller)
        if void_first:
            self.crowd.void(name, writer)
        self.crowd.authorize(name, asked)
        if not void_first:
            self.crowd.void(name, writer)
        return name

    @rule(target=names, caller=callers, asked=authorizations, then=steps)
    def a_payment_and_what_becomes_of_it(self, caller: int, asked: Authorization, then: list[Step]) -> Any:
        self.rules_since += 1
        return a_life(self.crowd, caller, asked, then)

    @rule(name=names, asked=authorizations)
    def authorize_under_a_used_name(self, name: Name, asked: Authorization) -> None:
        self.rules_since += 1
        self.crowd.authorize(name, asked)

    @rule(target=names, caller=callers, asked=st.lists(reservations, min_size=1, max_size=3), then=steps)
    def reserve(self, caller: int, asked: list[Reservation], then: list[Step]) -> Any:
        self.rules_since += 1
        made = [self.crowd.new_name(caller) for _ in asked]
        for name, one in zip(made, asked, strict=True):
            self.crowd.reserve(name, one)
        for step in then:
            self.crowd.follow(made[0], step)
        return multiple(*made)

    @rule(name=names, asked=steps)
    def follow(self, name: Name, asked: list[Step]) -> None:
        self.rules_since += 1
        for step in asked:
            self.crowd.follow(name, step)

    @rule(writer=writers, hours=st.sampled_from([0, 2]))
    def sweep(self, writer: int, hours: int) -> None:
        self.rules_since += 1
        self.crowd.sweep(writer, hours)

    @rule(asked=tasks)
    def back_office(self, asked: list[Task]) -> None:
        self.rules_since += 1
        for task in asked:
            self.crowd.back_office(task)

    @rule(asked=taps)
    def tap(self, asked: list[tuple[int, int, int, bool]]) -> None:
        self.rules_since += 1
        for writer, card, fen, rides in asked:
            self.crowd.tap(writer, card, fen, rides=rides)

    @rule(asked=st.lists(st.tuples(writers, st.integers(0, 999)), min_size=1, max_size=4))
    def again(self, asked: list[tuple[int, int]]) -> None:
        self.rules_since += 1
        for writer, which in asked:
            self.crowd.again(writer, which)

    # What becomes of it differs from run to run, so nothing but the rules themselves may decide which rule is next.
    @precondition(lambda self: self.rules_since >= RULES_AT_ONCE)
    @rule()
    def go(self) -> None:
        self.rules_since = 0
        self.crowd.go()

    def teardown(self) -> None:
        if hasattr(self, "crowd"):
            self.crowd.end()


def a_life(crowd: Crowd, caller: int, asked: Authorization, then: list[Step]) -> Name:
    """Every second step is asked by the writer who asked for the payment, so it comes behind; the others by whoever it is."""
    name = crowd.new_name(caller)
    crowd.authorize(name, asked)
    for number, step in enumerate(then):
        crowd.follow(name, step if number % 2 else step._replace(writer=asked.writer))
    return name


@pytest.fixture
def arena(database: Database) -> Iterator[Arena]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        arena = runner.run(open_arena(database, runner))
        yield arena
        for engine in arena.engines:
            runner.run(engine.dispose())


def test_random_operations_of_many_writers_are_those_of_one_thread_in_the_order_of_the_journal(arena: Arena) -> None:
    run_state_machine_as_test(
        lambda: City(arena),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],  # another run is another race, so there is nothing to shrink
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )


def test_busy_days_are_those_of_one_thread_and_the_whole_journal_is_decided_again_from_the_database(arena: Arena) -> None:
    """What Hypothesis makes is small and odd; this is large and ordinary."""
    said: Counter[tuple[str, str]] = Counter()
    for seed in range(4):
        crowd = Crowd(arena)
        a_busy_day(crowd, random.Random(seed))
        crowd.end()
        for operation, answer in crowd.world.answers:
            result = answer.problem or (answer.ruling and answer.ruling.reason)
            said[type(operation).__name__, result.name if result is not None else ""] += 1
    approved = {kind for kind, result in said if result == "NONE"}
    # Adjustments and admissions are made by taps; nobody asks for them.
    assert approved == {kind.__name__ for kind in KIND} - {"Adjust", "Admit"}
    usual = {"INSUFFICIENT_FUNDS", "NOT_HELD", "VOIDED", "CONFLICT", "EXCEEDS_PAID", "OVER_PAYMENT_LIMIT", "OVER_DAY_COUNT"}
    usual |= {"NAME_TAKEN", "ACCOUNT_FROZEN", "OVER_GUARDIAN_PAYMENT", "OVER_GUARDIAN_DAY", "QUOTA_FULL", "ALREADY_RESERVED"}
    assert {result for _, result in said} >= usual
    _, differences, decided = arena.runner.run(replay(arena.engine, arena.rules))
    assert not differences
    assert decided > 400


def a_busy_day(crowd: Crowd, order: random.Random) -> None:
    """A hundred times something, and everybody at it whenever enough has come together."""

    def authorization() -> Authorization:
        card, fen = order.choice([0, 0, 1, 1, 2, 2, 3, 4]), order.choice([5, 20, 50, 80, 120, 200, 333, 601])
        return Authorization(order.randrange(WRITERS), card, fen, order.random() < 0.3, order.choice([0, 0, 0, 0, 2, 26]))

    def some_steps() -> list[Step]:
        return [
            Step(
                order.choice(["capture", "capture", "capture", "void", "refund", "refund", "expire"]),
                order.randrange(WRITERS),
                order.random() < 0.5,
                order.choice([-1, -1, -1, 0, 1, 2]),
                order.choice([None, 1, 10, 30, 50]),
                order.random() < 0.8,
                order.choice([0, 0, 0, 2]),
            )
            for _ in range(order.randrange(1, 4))
        ]

    def some_tasks() -> list[Task]:
        return [
            Task(
                order.choice(["post", "post", "post", "top_up", "top_up", "open_purse", "open_pot", "set_status"]),
                order.randrange(WRITERS),
                (order.randrange(100), order.randrange(100), order.randrange(100)),
                order.choice([3, 100, 400]),
                order.random() < 0.5,
            )
            for _ in range(order.randrange(1, 4))
        ]

    known: list[Name] = []
    for _ in range(130):
        caller, writer = order.randrange(4), order.randrange(WRITERS)
        match order.randrange(18):
            case 0 | 1 | 2:
                known.append(a_life(crowd, caller, authorization(), some_steps()))
            case 3 | 4 | 5:
                known.append(crowd.new_name(caller))
                crowd.authorize(known[-1], authorization())
            case 6:
                known.append(crowd.new_name(caller))
                crowd.authorize(known[-1], authorization())
                crowd.void(known[-1], writer)
            case 7 if known:
                crowd.authorize(order.choice(known), authorization())
            case 8 | 9 | 10 | 11:
                for task in some_tasks():
                    crowd.back_office(task)
            case 12:
                crowd.tap(writer, order.randrange(5), order.choice([1, 90, 300]), rides=order.random() < 0.4)
            case 13:
                crowd.again(writer, order.randrange(1_000))
            case 14:
                crowd.sweep(writer, order.choice([0, 2, 2]))
            case 15 | 16:
                known.append(crowd.new_name(caller))
                hours = order.choice([0, 0, 0, 0, 2])
                crowd.reserve(
                    known[-1], Reservation(writer, order.randrange(5), order.randrange(1, 4), order.random() < 0.3, hours)
                )
                if order.random() < 0.3:
                    crowd.void(known[-1], writer)
            case _ if known:
                name = order.choice(known)
                for step in some_steps():
                    crowd.follow(name, step)
        if crowd.waiting >= 16:
            crowd.go()
