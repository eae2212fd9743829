import json
from pathlib import Path

import pytest

from bench import contenders
from bench.figures import Figures
from bench.ledger_figures import LedgerFigures
from bench.online import State
from bench.online_figures import p50_ms, per_second
from bench.report import write_report
from bench.targets import Target
from tests.unit.bench.runs import ledger_round, measured


@pytest.fixture
def figures() -> Figures:
    return Figures(measured())


def test_a_ratio_is_the_median_of_the_ratios_of_each_round(figures: Figures) -> None:
    assert figures.faster(contenders.PER_RECORD_FAUST) == 6.0  # of 6.0, 5.0 and 6.2
    assert figures.ledger.over_pgbench == 20.0  # of 20, 40 and 10
    assert figures.ledger.past_over_empty == pytest.approx(0.9)  # of 1, 0.5 and 0.9
    assert figures.ledger.over_copy == pytest.approx(0.2)


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
        "ledger_over_copy",
        "posting_rate_10m_over_empty",
        "authorise_over_empty_rpc_at_256",
        "authorise_over_one_tx_at_64",
        "single_call_p50_over_one_tx",
        "two_api_processes_over_one_at_256",
        "mtls_over_plain_at_64",
        "authorise_per_second_at_64",
        "empty_rpc_p99_ms_at_1",
        "one_tx_p50_ms_at_16",
        "digest_share_of_poster_cpu",
        "over_plain_consumer",
        "over_per_record_faust",
        "worker_rss_mb",
    }


def test_calls_are_compared_within_their_round(figures: Figures) -> None:
    assert figures.online is not None
    assert figures.online.over(State.EMPTY_RPC, 256) == pytest.approx(0.8)
    assert figures.online.over(State.ONE_TX, 64) == pytest.approx(4.0)
    assert figures.online.over(State.ONE_TX, 1, p50_ms) == pytest.approx(1.0)
    assert figures.online.two_processes_over_one == pytest.approx(1.5)
    assert figures.online.tls_over_plain() == pytest.approx(0.9)
    assert figures.online.of(State.AUTHORISE, 64, per_second) == 3_200  # the median round


def test_a_shorter_past_has_a_name_of_its_own() -> None:
    flat = LedgerFigures([ledger_round(1_000.0, 0.8)], history=500_000).flat()
    assert flat["posting_rate_500k_over_empty"] == pytest.approx(0.8)
    assert "posting_rate_10m_over_empty" not in flat


def test_a_target_is_met_or_missed_by_something() -> None:
    assert Target("speed", 3, 3.0).verdict == "met"
    assert Target("speed", 3, 2.7).verdict == "missed by 10.0 %"
    assert Target("wait", 1.2, 1.1, at_least=False).verdict == "met"
    assert Target("wait", 1.2, 1.5, at_least=False).verdict == "missed by 25.0 %"
    assert (Target("part", 0.03, 0.0225, at_least=False, percent=True).found, Target("speed", 15, 20.0).wanted) == (
        "2.25 %",
        "≥ 15 ×",
    )
    assert (Target("speed", 3, None).found, Target("speed", 3, None).verdict) == ("not measured", "")


def test_the_digest_is_a_step_of_its_own(figures: Figures) -> None:
    assert figures.digest_share == pytest.approx(1 / len(figures.measured.steps))


def test_without_h2load_everything_else_is_told(tmp_path: Path) -> None:
    run = measured()
    run.online.clear()
    (tmp_path / "docs").mkdir()
    page, _, flat = write_report(Figures(run), tmp_path)
    assert "apt-get install nghttp2-client" in page.read_text()
    assert "not measured" in page.read_text()
    assert "authorise_per_second_at_64" not in json.loads(flat.read_text())


def test_a_report_is_a_page_a_picture_and_a_flat_file(figures: Figures, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page, picture, flat = write_report(figures, tmp_path)
    assert json.loads(flat.read_text()) == figures.flat()
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert "| worker | 30,000 | 30,000 | 33.3 | 16.7 | 3.3 |" in text
    assert "| 10,000 | 50 | 120 |" in text
    assert "| 64 in flight: one transaction a call | 800 | 64.0 | 192.0 | 250 | 50 |" in text
    assert "| payments a second over empty calls, 256 in flight | ≥ 0.85 × | 0.8 × | missed by 5.9 % |" in text
    assert "| ledger part over COPY of the same transfers | ≥ 0.15 × | 0.2 × | met |" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 128
