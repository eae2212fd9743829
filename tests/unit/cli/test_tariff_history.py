"""A rider's history: what a later tap shows of an earlier one is rated as if it had been known at once."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cli.tariff.history import awaited, rate_history
from cli.tariff.reading import read_file, read_person, terminal_of
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.tap import Facts, Scene, Side, Tap

NINGBO = read_file(Path(__file__).parents[3] / "tariffs" / "ningbo" / "bus-and-rail.toml").tariff
MOST_MS = 240 * 60_000
CARD = read_person({"born": "1990-01-01"}).card
START_MS = 1_780_000_000_000
BUS = Facts(line="12")
IN = Facts(line="metro", stop="Gulou", side=Side.ENTRY)
OUT = Facts(line="metro", stop="Airport", side=Side.EXIT)
waits = st.one_of(st.integers(0, 300).map(lambda minutes: minutes * 60_000), st.sampled_from([MOST_MS, MOST_MS + 1]))
rides = st.lists(st.tuples(st.sampled_from([BUS, IN, OUT]), waits), min_size=1, max_size=12)


def taps_of(ridden: list[tuple[Facts, int]]) -> list[Tap]:
    taps, time_ms = [], START_MS
    for sequence, (facts, wait_ms) in enumerate(ridden):
        time_ms += wait_ms
        taps.append(Tap(terminal_of("M", Scene.BUS), sequence, b"", "C", time_ms, None, facts))
    return taps


def fates(taps: list[Tap]) -> list[bool | None]:
    """Of each tap whether it is an entry without an exit; None: an entry whose exit may still come."""
    found: list[bool | None] = []
    for at, tap in enumerate(taps):
        following = next((later for later in taps[at + 1 :] if later.facts.side is not Side.SINGLE), None)
        if tap.facts.side is not Side.ENTRY:
            found.append(False)
        elif following is None:
            found.append(None)
        else:
            in_time = following.event_time_ms - tap.event_time_ms <= MOST_MS
            found.append(following.facts.side is not Side.EXIT or not in_time)
    return found


@given(rides)
def test_a_history_is_what_one_would_rate_who_knew_which_exits_come(ridden: list[tuple[Facts, int]]) -> None:
    taps = taps_of(ridden)
    state: State = {}
    expected: list[Fare] = []
    for tap, unmatched in zip(taps, fates(taps), strict=True):
        fare, state = NINGBO.rate(tap, CARD, state, unmatched=bool(unmatched))
        expected.append(fare)
    rated = rate_history(NINGBO, [(tap, CARD) for tap in taps])
    assert [one.fare for one in rated] == expected
    assert rated[-1].after == state
    assert awaited(rated) == next((tap.identity for tap, fate in zip(taps, fates(taps), strict=True) if fate is None), None)


@given(rides)
def test_the_last_step_of_an_explanation_is_the_fare(ridden: list[tuple[Facts, int]]) -> None:
    for one in rate_history(NINGBO, [(tap, CARD) for tap in taps_of(ridden)]):
        *_, last = NINGBO.explain(one.tap, one.card, one.before, unmatched=one.unmatched)
        assert last.after == one.fare
