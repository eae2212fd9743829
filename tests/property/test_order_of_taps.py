"""Charges do not depend on the order in which accepted taps arrive: for random riders, tariffs and permutations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.domain.account import AccountStatus, HolderAccount
from services.payments.domain.book import Rules
from services.payments.domain.card import Card, CategoryPeriod
from services.payments.domain.rating.rule import Fare
from services.payments.domain.tap import Facts, Scene, Side, Tap, Terminal
from services.payments.domain.tariff import Tariffs
from services.payments.domain.verdict import Reason
from tests.support.one_thread import SINCE_EVER, OneThread
from tests.unit.payments.tariffs.rider import at, read

HOLDER = 2**32 + 1
SHORTFALLS = 4
LOSSES = 3
MINUTE = 60_000
START = at("2026-03-30 20:00")
"""A month ends during the second day."""
CHANGE = at("2026-03-31 12:00")
NOW = at("2026-04-10 00:00")
TERMINALS = [Terminal(n, f"M{n % 2}", f"T{n}", Scene.BUS, 1000 + n % 2, retired=False) for n in (1, 2, 3)]
CARDS = tuple(
    Card(
        name,
        date(1961, 4, 1),
        SINCE_EVER,
        (CategoryPeriod("student", resident=True, valid_from_ms=0), CategoryPeriod("ordinary", True, CHANGE)),
        1,
        1,
    )
    for name in ("OLD", "NEW")
)
FILES = [
    "beijing/metro.toml",
    "hangzhou/bus.toml",
    "ningbo/bus-and-rail.toml",
    "london/underground.toml",
    "panan/bus.toml",
    "jiangmen/bus.toml",
]
LINES = {
    "beijing/metro.toml": [""],
    "hangzhou/bus.toml": ["four-yuan", "two", "other"],
    "ningbo/bus-and-rail.toml": ["metro", "12", "15"],
    "london/underground.toml": ["zones 1-3", "extension"],
    "panan/bus.toml": [""],
    "jiangmen/bus.toml": ["1", "2"],
}
STOPS = {
    "beijing/metro.toml": ["km 0", "km 6", "km 22", "km 52"],
    "ningbo/bus-and-rail.toml": ["Gulou", "Tianyi Square", "Airport"],
}


@st.composite
def days(draw: st.DrawFn) -> tuple[str, list[Tap]]:
    """A tariff, and the taps of some days in the order of their times."""
    file = draw(st.sampled_from(FILES))
    tariff = read(file)
    taps = []
    for number in range(1, draw(st.integers(2, 14)) + 1):
        terminal = draw(st.sampled_from(TERMINALS))
        line = draw(st.sampled_from(LINES[file]))
        time = START + draw(st.sampled_from([1, 2, 5, 30, 60, 90, 240])) * draw(st.integers(0, 30)) * MINUTE
        vehicle = f"V{number}"  # the block of a vehicle is acceptance, and not of this property
        journeys = file == "beijing/metro.toml" or line == "metro"
        side = draw(st.sampled_from([Side.ENTRY, Side.EXIT])) if journeys else Side.SINGLE
        stop = draw(st.sampled_from(STOPS[file])) if journeys else ""
        card = draw(st.sampled_from(["OLD", "NEW"]))
        taps.append(Tap(terminal, number, bytes([number]) * 32, card, time, None, Facts(line, stop, vehicle, side)))
        assert tariff.knows(taps[-1])
    return file, sorted(taps, key=lambda tap: (tap.event_time_ms, tap.terminal.number, tap.sequence))


def ledger(file: str, money_fen: int) -> OneThread:
    day = 24 * 60 * MINUTE
    thread = OneThread(Rules(Tariffs([read(file)]), LOSSES, 180 * day, 10 * MINUTE, 0, fare_shortfalls_account=SHORTFALLS), NOW)
    thread.add(HolderAccount(HOLDER, money_fen, 0, AccountStatus.OPEN, cards=CARDS))
    return thread


Fares = dict[tuple[int, int], Fare]
Verdicts = Counter[tuple[str, int]]


def arrive(file: str, taps: Sequence[Tap], cuts: Sequence[int], money_fen: int) -> tuple[OneThread, Verdicts, Fares]:
    """Post in batches; answers the ledger, the verdicts, and what each accepted tap costs in the end."""
    thread, verdicts, fares = ledger(file, money_fen), Verdicts(), Fares()
    bounds = sorted({0, len(taps), *(cut % (len(taps) + 1) for cut in cuts)})
    for begin, end in pairwise(bounds):
        journal = thread.post(taps=taps[begin:end])
        for decided in journal.decided:
            verdicts[decided.verdict.reason.name, decided.tap.sequence] += 1
            if decided.verdict.posted:
                fares[decided.tap.identity] = Fare(decided.verdict.fare_fen, decided.verdict.charged_fen)
        fares.update((one.tap.identity, Fare(one.fare.fare_fen, one.fare.charged_fen)) for one in journal.adjusted)
    return thread, verdicts, fares


def takings(thread: OneThread) -> dict[int, int]:
    """What everybody has but the holder."""
    return {account: fen for account, fen in thread.accrued_fen.items() if fen}


@given(days(), st.randoms(use_true_random=False), st.lists(st.integers(0, 20), max_size=4))
def test_charges_do_not_depend_on_the_order_of_arrival(day: tuple[str, list[Tap]], chance: Random, cuts: list[int]) -> None:
    file, taps = day
    shuffled = list(taps)
    chance.shuffle(shuffled)
    ordered, _, fares = arrive(file, taps, [], 10**9)
    mixed, verdicts, mixed_fares = arrive(file, shuffled, cuts, 10**9)
    assert all(reason == "NONE" for reason, _ in verdicts)
    assert mixed_fares == fares
    assert takings(mixed) == takings(ordered)
    assert mixed.funds(HOLDER) == ordered.funds(HOLDER)
    assert mixed.book.accounts["OLD"].usage == ordered.book.accounts["OLD"].usage
    assert SHORTFALLS not in takings(mixed)


@given(days(), st.randoms(use_true_random=False), st.lists(st.integers(0, 20), max_size=4), st.integers(0, 3000))
def test_where_funds_bind_money_is_conserved_and_each_tap_has_one_verdict(
    day: tuple[str, list[Tap]], chance: Random, cuts: list[int], money_fen: int
) -> None:
    file, taps = day
    chance.shuffle(taps)
    thread, verdicts, kept = arrive(file, [*taps, *taps], cuts, money_fen)
    assert sum(verdicts.values()) == len(taps)
    account = thread.book.accounts["OLD"]
    assert account.available_fen >= 0
    assert account.available_fen + sum(takings(thread).values()) == money_fen
    assert {n for reason, n in verdicts if reason == "NONE"} == {sequence for _, sequence in kept}
    for merchant in (0, 1):
        earned = sum(
            kept[tap.identity].fare_fen for tap in taps if tap.identity in kept and tap.terminal.number % 2 == merchant
        )
        assert takings(thread).get(1000 + merchant, 0) == earned
    short = sum(ride.short_fen for history in thread.rides.values() for ride in history.rides)
    assert takings(thread).get(SHORTFALLS, 0) == -short
    paid = sum(fare.charged_fen for fare in kept.values())
    assert money_fen - account.available_fen == paid - short
    # Of those that were refused, none would have been accepted with nothing.
    assert {reason for reason, _ in verdicts} <= {"NONE", Reason.INSUFFICIENT_FUNDS.name}


def test_a_late_tap_gives_back_what_it_made_cheaper() -> None:
    file = "hangzhou/bus.toml"
    first = Tap(TERMINALS[0], 1, bytes(32), "OLD", START, None, Facts("two", "", "V1"))
    second = first._replace(sequence=2, event_time_ms=START + 30 * MINUTE, facts=Facts("other", "", "V2"))
    thread = ledger(file, 10_000)
    assert thread.post(taps=[second]).answers[0].verdict.charged_fen == 180  # type: ignore[union-attr]
    (answer,) = thread.post(taps=[first]).answers
    assert answer.verdict is not None
    assert answer.verdict.charged_fen == 180
    (revised,) = answer.adjusted
    assert (revised.sequence, revised.revision, revised.charged_fen) == (2, 1, 0)
    assert thread.funds(HOLDER)[0] == 10_000 - 180


def test_what_nobody_can_pay_any_more_is_a_shortfall_and_given_back_first() -> None:
    enter = Tap(TERMINALS[0], 1, bytes(32), "OLD", START, None, Facts("", "km 0", "", Side.ENTRY))
    again = enter._replace(sequence=2, event_time_ms=START + 600 * MINUTE)
    leave = enter._replace(sequence=3, event_time_ms=START + 60 * MINUTE, facts=Facts("", "km 6", "", Side.EXIT))
    thread = ledger("beijing/metro.toml", 500)
    thread.post(taps=[enter])
    (answer,) = thread.post(taps=[again]).answers
    assert [(one.sequence, one.charged_fen) for one in answer.adjusted] == [(1, 800)]
    assert thread.funds(HOLDER)[0] == 0
    assert takings(thread) == {1001: 800, SHORTFALLS: -300}
    (answer,) = thread.post(taps=[replace_time(leave)]).answers
    assert answer.verdict is not None
    assert answer.verdict.reason is Reason.INSUFFICIENT_FUNDS
    thread.book.accounts["OLD"].give(300)
    (answer,) = thread.post(taps=[leave._replace(sequence=4)]).answers
    assert answer.verdict is not None
    assert answer.verdict.charged_fen == 300
    assert [(one.sequence, one.charged_fen, one.revision) for one in answer.adjusted] == [(1, 0, 2)]
    assert takings(thread) == {1001: 300}
    assert thread.funds(HOLDER)[0] == 500 + 300 - 300


def replace_time(tap: Tap) -> Tap:
    return tap._replace(event_time_ms=tap.event_time_ms + MINUTE)


@pytest.mark.parametrize("late", [False, True])
def test_a_limit_counts_what_came_later_in_the_same_day(late: bool) -> None:
    canteen = replace(read("example-campus/canteen.toml"), scene=Scene.BUS)
    thread = ledger("jiangmen/bus.toml", 10_000)
    thread.rules = replace(thread.rules, tariffs=Tariffs([canteen]))
    noon, morning = (Tap(TERMINALS[0], n, bytes(32), "OLD", START + n * MINUTE, 1200) for n in (2, 1))
    taps = [noon, morning] if late else [morning, noon]
    reasons = [answer.verdict.reason for answer in thread.post(taps=taps).answers if answer.verdict]
    assert reasons == [Reason.NONE, Reason.OVER_PERIOD_LIMIT]
    next_day = morning._replace(sequence=3, event_time_ms=START + 10 * 60 * MINUTE)
    last = morning._replace(sequence=4, event_time_ms=START + 3 * MINUTE, price_fen=800)
    over = morning._replace(sequence=5, event_time_ms=START, price_fen=1)
    reasons = [answer.verdict.reason for answer in thread.post(taps=[next_day, last, over]).answers if answer.verdict]
    assert reasons == [Reason.NONE, Reason.NONE, Reason.OVER_PERIOD_LIMIT]
