import json
from pathlib import Path

import pytest

from bench import contenders
from bench.card_figures import CardFigures
from bench.errors import BenchError
from bench.figures import Figures
from bench.ledger_figures import LedgerFigures
from bench.losses import refused
from bench.online import State
from bench.online_figures import p50_ms, per_second
from bench.plan import FULL
from bench.programs.lose import Lost
from bench.report import write_report
from bench.targets import Target
from services.payments.domain.verdict import Reason
from tests.unit.bench.runs import card_measured, ledger_round, measured


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


def test_late_taps_are_told_beside_those_in_order(figures: Figures) -> None:
    flat = figures.flat()
    assert (flat["late_taps_per_second"], flat["late_over_in_order"], flat["late_share"]) == (24_000, 0.8, 0.15)


def test_the_flat_figures_have_the_names_that_others_read(figures: Figures) -> None:
    assert figures.flat().keys() >= {
        "broker",
        "cores",
        "taps_per_second",
        "taps_per_worker_cpu_second",
        "tac_per_core_second",
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
        "holder_view_over_one_row_rpc",
        "holder_view_with_payments_over_one_row_rpc",
        "holder_view_per_second",
        "bulk_applications_per_second",
        "bulk_over_copy",
        "lookup_500k_over_50k",
        "cards_per_core_second",
        "personalise_over_empty_stream",
        "our_share_of_issue_time",
        "cards_per_second_at_1",
        "card_server_cpu_us_at_200",
    }


def test_calls_are_compared_within_their_round(figures: Figures) -> None:
    assert figures.online is not None
    assert figures.online.over(State.EMPTY_RPC, 256) == pytest.approx(0.8)
    assert figures.online.over(State.ONE_TX, 64) == pytest.approx(4.0)
    assert figures.online.over(State.ONE_TX, 1, p50_ms) == pytest.approx(1.0)
    assert figures.online.two_processes_over_one == pytest.approx(1.5)
    assert figures.online.tls_over_plain() == pytest.approx(0.9)
    assert figures.online.of(State.AUTHORISE, 64, per_second) == 3_200  # the median round


def test_the_card_service_is_compared_within_its_round(figures: Figures) -> None:
    card = figures.card
    assert card.view_over_one_row("holder_view") == pytest.approx(0.4)
    assert card.view_over_one_row("holder_view_with_payments") == pytest.approx(0.2)
    assert card.bulk_per_second("bulk_applications") == pytest.approx(2_500)  # the median round
    assert card.bulk_over_copy == pytest.approx(0.2)
    assert card.look_up_many_over_few == pytest.approx(1.05)


def test_cards_are_compared_with_the_empty_streams_of_their_round(figures: Figures) -> None:
    issuance = figures.issuance
    assert issuance.over_empty(200) == pytest.approx(0.66)  # of 0.6, 0.75 and 0.66
    assert issuance.our_share == pytest.approx(0.05)
    assert issuance.cards_per_core_second == pytest.approx(25.0)  # four families of 10 ms each
    assert issuance.card_seconds == pytest.approx(10.5 / 8)


def test_a_loss_counts_until_the_slower_of_both_roads_refuses(figures: Figures) -> None:
    assert figures.card.losses.percentile_ms(99) == pytest.approx(500)
    assert figures.flat()["loss_to_refusal_online_p50_ms"] == pytest.approx(300)


def test_a_card_is_refused_in_the_stream_from_the_first_tap_behind_the_last_that_was_not() -> None:
    lost = Lost(10.0, 10.2, [(1, 10.1), (2, 10.3), (3, 10.5), (4, 10.7)])
    late = {1: Reason.HOTLISTED, 2: Reason.NONE, 3: Reason.HOTLISTED, 4: Reason.HOTLISTED}
    found = refused([lost], late)
    assert (*found.online, *found.stream) == pytest.approx((0.2, 0.5))
    with pytest.raises(BenchError, match="accepted when it was tapped last"):
        refused([lost], {**late, 4: Reason.NONE})


def test_a_whole_city_has_the_name_that_others_read() -> None:
    assert "lookup_4600k_over_50k" in CardFigures(card_measured(), FULL.for_city().many_holders).flat()


def test_a_shorter_past_has_a_name_of_its_own() -> None:
    flat = LedgerFigures([ledger_round(1_000.0, 0.8)], history=500_000).flat()
    assert flat["posting_rate_500k_over_empty"] == pytest.approx(0.8)
    assert "posting_rate_10m_over_empty" not in flat


def test_a_target_is_met_or_missed_by_something() -> None:
    assert Target("speed", 3, 3.0).verdict == "met"
    assert Target("speed", 3, 2.7).verdict == "missed by 10.0 %"
    assert Target("wait", 1.2, 1.1, at_least=False).verdict == "met"
    assert Target("wait", 1.2, 1.5, at_least=False).verdict == "missed by 25.0 %"
    assert (Target("part", 0.03, 0.0225, at_least=False, unit="%").found, Target("speed", 15, 20.0).wanted) == (
        "2.25 %",
        "≥ 15 ×",
    )
    assert (Target("rows", 2000, 2500.4, unit="/s").found, Target("rows", 2000, None, unit="/s").wanted) == (
        "2,500/s",
        "≥ 2,000/s",
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
    assert "| 64 in flight: everything of a holder, payments away | 400 | 10.0 | 30.0 | 250 | 50 | 0.40 × |" in text
    assert "| applications in bulk | ≥ 2,000/s | 2,500/s | met |" in text
    assert "| 500,000 people |" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 128
