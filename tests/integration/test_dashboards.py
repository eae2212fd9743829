"""The dashboards' queries on a real Prometheus, over a few minutes that are written for it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.grafana import answers, check
from deploy.grafana.answers import MAY_BE_EMPTY
from deploy.grafana.pages import Page, Panel, Target, read_pages
from deploy.grafana.prometheus import NothingStoredError, Prometheus, prometheus_on

INSTALLED = shutil.which("prometheus") and shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    not INSTALLED and os.environ.get("ONECARD_PROMETHEUS") != "required", reason="Prometheus is not installed"
)

TAPS = next(page for page in read_pages() if page.name == "taps")
SECONDS, EVERY = 120, 5
SERIES = {
    'onecard_taps_total{instance="w1",channel="bus",outcome="posted",reason=""}': 10,
    'onecard_taps_total{instance="w2",channel="bus",outcome="posted",reason=""}': 10,
    'onecard_taps_total{instance="w1",channel="campus",outcome="refused",reason="CARD_LOCKED"}': 1,
    'onecard_tap_to_ledger_seconds_bucket{channel="bus",le="0.1"}': 50,
    'onecard_tap_to_ledger_seconds_bucket{channel="bus",le="1"}': 100,
    'onecard_tap_to_ledger_seconds_bucket{channel="bus",le="60"}': 100,
    'onecard_tap_to_ledger_seconds_bucket{channel="bus",le="3600"}': 300,
    'onecard_tap_to_ledger_seconds_bucket{channel="bus",le="+Inf"}': 300,
    'onecard_tap_to_ledger_seconds_count{channel="bus"}': 300,
    'onecard_ledger_check_timestamp_seconds{job="payments-streams",instance="w1"}': 5,
    'onecard_ledger_check_timestamp_seconds{job="payments-streams",instance="w2"}': 0,
    'onecard_today_fund_paid_fen{job="payments-streams",instance="w1",fund="concession_fund"}': 100,
    'onecard_today_fund_paid_fen{job="payments-streams",instance="w2",fund="concession_fund"}': 9000,
}
"""What each grows by, every five seconds."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes that ended a minute ago, as Prometheus stores them."""
    folder = tmp_path_factory.mktemp("stored")
    began = int(time.time()) - SECONDS - 60
    lines = [
        f"{series} {growth * at // EVERY} {began + at}"
        for series, growth in SERIES.items()
        for at in range(0, SECONDS + 1, EVERY)
    ]
    (folder / "metrics").write_text("\n".join([*lines, "# EOF\n"]), encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "metrics"), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "data"


@pytest.fixture(scope="module")
def prometheus(stored: Path) -> Iterator[Prometheus]:
    with prometheus_on(stored) as started:
        yield started


def panel(title: str, page: Page = TAPS) -> Panel:
    return next(one for one in page.panels if one.title == title)


def refused(prometheus: Prometheus, one: Panel) -> list[str]:
    return [text.partition(": ")[2] for text in answers.refusals(TAPS, one, prometheus.answer(TAPS, one, prometheus.window()))]


def test_what_was_stored_is_found_with_its_time(prometheus: Prometheus) -> None:
    window = prometheus.window()
    assert SECONDS - 15 <= window.end - window.begin <= SECONDS + 400, "a series is seen for five minutes after its last point"
    (target, series), *_ = prometheus.answer(TAPS, panel("Taps by channel and outcome"), window)
    assert {one.name(target.legend) for one in series} == {"bus, posted", "campus, refused"}
    rates = {one.name(target.legend): max(value for _, value in one.points) for one in series}
    assert rates == pytest.approx({"bus, posted": 4, "campus, refused": 0.2}, rel=0.1)


def test_the_latency_of_fresh_taps_leaves_out_those_that_came_late(prometheus: Prometheus) -> None:
    """Two of three come an hour late; of the others half take less than 0.1 s and all less than 1 s."""
    one = panel("From the tap to the ledger: half of them, and 99 of 100")
    (_, (median,)), (_, (most,)) = prometheus.answer(TAPS, one, prometheus.window())
    assert max(value for _, value in median.points if value == value) == pytest.approx(0.1, abs=0.001)
    assert 0.9 < max(value for _, value in most.points if value == value) <= 1
    late = panel("Taps that come late")
    ((_, (share,)),) = prometheus.answer(TAPS, late, prometheus.window())
    assert max(value for _, value in share.points if value == value) == pytest.approx(2 / 3, abs=0.001)


def test_money_is_shown_in_yuan_and_as_the_elected_worker_has_it(prometheus: Prometheus) -> None:
    money = next(page for page in read_pages() if page.name == "money")
    ((_, (paid,)),) = prometheus.answer(money, panel("Paid by funds today", money), prometheus.window())
    assert (paid.labels["instance"], paid.points[-1][1]) == ("w1", SECONDS / EVERY)


def test_a_healthy_panel_is_taken_and_one_without_data_is_refused(prometheus: Prometheus) -> None:
    assert refused(prometheus, panel("Why taps are refused")) == []
    (empty,) = refused(prometheus, panel("Lag by topic"))
    assert empty.startswith("A is empty: max by (topic)")


def test_series_that_a_real_answer_does_not_tell_apart_are_refused(prometheus: Prometheus) -> None:
    taps = panel("Why taps are refused")
    by_worker = replace(taps, targets=[Target("A", "onecard_taps_total", "{{channel}}", "")])
    assert refused(prometheus, by_worker) == ["2 series are called “bus”"]


def test_the_whole_check_names_what_a_run_without_cards_lacks(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(stored)]) == 1
    said = capsys.readouterr()
    assert "✗ cards / Verbs that were done: A is empty" in said.err
    assert "taps / Taps by channel and outcome" not in said.err
    for name, title in MAY_BE_EMPTY:
        assert f"{name} / {title}" not in said.err
    assert "7 dashboards, " in said.out


def test_a_run_that_stored_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NothingStoredError), prometheus_on(tmp_path / "nowhere"):
        pass
    assert check.main([str(tmp_path)]) == 1
    assert "no metric of onecard" in capsys.readouterr().err
