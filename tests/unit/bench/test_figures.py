import json
from pathlib import Path

import pytest

from bench import contenders
from bench.figures import Figures
from bench.report import write_report
from tests.unit.bench.runs import measured


@pytest.fixture
def figures() -> Figures:
    return Figures(measured())


def test_a_ratio_is_the_median_of_the_ratios_of_each_round(figures: Figures) -> None:
    assert figures.faster(contenders.PER_RECORD_FAUST) == 6.0  # of 6.0, 5.0 and 6.2
    assert figures.ledger_over_pgbench == 20.0  # of 20, 40 and 10


def test_two_workers_are_compared_where_both_are_at_work(figures: Figures) -> None:
    assert figures.two_workers_over_one == pytest.approx(1.2)  # of 1.2, 1.25 and 1.0
    assert figures.speed(contenders.TWO_WORKERS) == 31_000


def test_a_contender_can_be_slower_and_yet_cheaper(figures: Figures) -> None:
    assert figures.faster(contenders.PLAIN_CONSUMER) == 2.0
    assert figures.thriftier(contenders.PLAIN_CONSUMER) == 1.0


def test_the_worker_is_told_by_the_median_round(figures: Figures) -> None:
    flat = figures.flat()
    assert flat["taps_per_second"] == 30_000
    assert (flat["taps_per_second_lowest"], flat["taps_per_second_highest"]) == (20_000, 31_000)
    assert flat["taps_per_worker_cpu_second"] == 30_000
    assert flat["postgresql_cpu_us_per_tap"] == pytest.approx(5 / 300_000 * 1e6, abs=0.001)
    assert flat["worker_rss_mb"] == 180.0


def test_the_flat_figures_have_the_names_that_others_read(figures: Figures) -> None:
    assert figures.flat().keys() >= {
        "broker",
        "cores",
        "taps_per_second",
        "taps_per_worker_cpu_second",
        "tap_to_outcome_p50_ms_at_2000",
        "tap_to_outcome_p99_ms_at_2000",
        "tap_to_outcome_p99_ms_at_10000",
        "two_workers_over_one",
        "ledger_over_pgbench",
        "over_plain_consumer",
        "over_per_record_faust",
        "worker_rss_mb",
    }


def test_a_report_is_a_page_a_picture_and_a_flat_file(figures: Figures, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page, picture, flat = write_report(figures, tmp_path)
    assert json.loads(flat.read_text()) == figures.flat()
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert "| worker | 30,000 | 30,000 | 33.3 | 16.7 | 3.3 |" in text
    assert "| 10,000 | 50 | 120 |" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 128
