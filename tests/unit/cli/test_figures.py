"""Metrics become figures: counters over restarts, rates, quantiles."""

from math import inf

import pytest

from cli.city.figures import Watch, quantile
from cli.city.metrics import Counters, Scrape, parse

LATENCIES = {0.1: 50.0, 0.2: 90.0, 0.5: 100.0, inf: 100.0}


def reading(posted: float, refused: float = 0, imbalance: float = 0, within: dict[str, float] | None = None) -> Scrape:
    lines = [
        f'onecard_taps_total{{channel="bus",outcome="posted",reason=""}} {posted}',
        f'onecard_taps_total{{channel="bus",outcome="refused",reason="INSUFFICIENT_FUNDS"}} {refused}',
        f'onecard_ledger_imbalance_fen{{currency="156"}} {imbalance}',
        'onecard_consumer_lag_seconds{topic="transactions.bus",partition="0",consumergroup="payments"} 0.25',
        *(f'onecard_tap_to_ledger_seconds_bucket{{channel="bus",le="{le}"}} {count}' for le, count in (within or {}).items()),
        "python_gc_objects_collected_total 7",
    ]
    return parse("\n".join(lines) + "\n")


def test_only_our_own_samples_are_read() -> None:
    assert not [name for name, _ in reading(1) if not name.startswith("onecard_")]


def test_quantile_lies_between_the_bounds_of_its_bucket() -> None:
    assert quantile(LATENCIES, 0.5) == pytest.approx(0.1)
    assert quantile(LATENCIES, 0.7) == pytest.approx(0.15)
    assert quantile(LATENCIES, 0.99) == pytest.approx(0.47)


def test_quantile_of_nothing_is_unknown() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0.0, inf: 0.0}, 0.5) is None


def test_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile({0.1: 0.0, inf: 10.0}, 0.5) == pytest.approx(0.1)


def test_a_restarted_process_goes_on_counting() -> None:
    counters = Counters()
    for value in (10, 25, 5, 8):
        counters.take("payments-1", reading(value))
    posted = [total for labels, total in counters.named("onecard_taps_total") if labels["outcome"] == "posted"]
    assert posted == [33]


def test_rate_counts_decisions_of_all_workers() -> None:
    watch = Watch()
    for second in range(5):
        figures = watch.observe(second, {"a": reading(100 * second, second), "b": reading(200 * second), "c": None})
    assert figures.taps_per_second == pytest.approx(301)
    assert figures.posted == 1200
    assert figures.refused == {"INSUFFICIENT_FUNDS": 4}
    assert figures.lag_seconds == pytest.approx(0.25)
    assert len(figures.history) == 5


def test_quantiles_forget_what_is_long_past() -> None:
    watch = Watch()
    slow = {"0.1": 0.0, "1.0": 1000.0, "+Inf": 1000.0}
    watch.observe(0, {"a": reading(0)})
    watch.observe(1, {"a": reading(1000, within=slow)})
    for second in range(2, 30):
        fast = {"0.1": second * 10.0, "1.0": 1000 + second * 10.0, "+Inf": 1000 + second * 10.0}
        figures = watch.observe(second, {"a": reading(1000 + second * 10, within=fast)})
    assert figures.p99_seconds is not None
    assert figures.p99_seconds <= 0.1


def test_an_imbalance_anywhere_shows() -> None:
    figures = Watch().observe(0, {"a": reading(0), "b": reading(0, imbalance=-3)})
    assert figures.imbalance_fen == -3


def test_what_nobody_said_is_unknown() -> None:
    figures = Watch().observe(0, {"a": None})
    assert figures.imbalance_fen is None
    assert figures.lag_seconds is None
    assert figures.p50_seconds is None
