"""The dashboards are what they are built from, and the checker refuses what it says it refuses."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.grafana import answers, rules
from deploy.grafana.answers import MAY_BE_EMPTY, Series
from deploy.grafana.build import differences, texts
from deploy.grafana.names import exported, metrics_in
from deploy.grafana.pages import Page, Panel, Place, Target, page_of, read_pages

PAGES = {page.name: page for page in read_pages()}
HEALTH = PAGES["health"]
TAPS_A_SECOND = next(panel for panel in HEALTH.panels if panel.title == "Taps a second")
ROOT = Path(__file__).parents[2]


def test_what_is_committed_is_what_is_built() -> None:
    assert differences() == []


def test_a_file_that_was_edited_is_missing_or_is_too_many_is_named(tmp_path: Path) -> None:
    for name, text in texts().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert differences(tmp_path) == []
    (tmp_path / "money.json").write_text(texts()["money.json"].replace("yuan", "euro") + " ", encoding="utf-8")
    (tmp_path / "taps.json").unlink()
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    assert differences(tmp_path) == ["money.json", "old.json", "taps.json"]


def test_nothing_of_the_dashboards_is_refused() -> None:
    assert rules.refusals(list(PAGES.values()), exported()) == []


def test_there_are_seven_and_each_is_described_in_the_documents_with_its_picture() -> None:
    document = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    assert len(PAGES) == 7
    for name in PAGES:
        assert f"(pictures/dashboard-{name}.png)" in document
        assert (ROOT / "docs" / "pictures" / f"dashboard-{name}.png").stat().st_size > 10_000


def changed(**change: object) -> Page:
    """The first dashboard with its first figure changed."""
    return replace(
        HEALTH,
        panels=[replace(panel, **change) if panel is TAPS_A_SECOND else panel for panel in HEALTH.panels],  # type: ignore[arg-type]
    )


def asking(**change: str) -> Page:
    return changed(targets=[replace(TAPS_A_SECOND.targets[0], **change)])


@pytest.mark.parametrize(
    ("page", "refusal"),
    [
        (asking(expr="sum(rate(onecard_tap_total[5m]))"), "asks for what no process exports: onecard_tap_total"),
        (asking(expr='up{job="$station"}'), "uses variables that nothing sets: station"),
        (asking(legend="${station:csv}"), "uses variables that nothing sets: station"),
        (asking(source="another"), "asks the datasource another"),
        (changed(source=""), "asks the datasource that happens to be the default"),
        (changed(place=Place(2, 1, 4, 5)), "“Taps a second” and “Books out of balance” overlap"),
        (changed(place=Place(22, 90, 4, 5)), "does not stand on the 24 columns"),
        (changed(id=HEALTH.panels[-1].id), "have one id"),
        (changed(targets=[]), "asks nothing"),
        (changed(title=""), "has no title, description or unit"),
        (changed(description=""), "has no title, description or unit"),
        (changed(unit=""), "has no title, description or unit"),
        (replace(HEALTH, description=""), "has no uid, title or description"),
        (replace(HEALTH, links=[]), "does not lead to the other dashboards"),
        (replace(HEALTH, tags=[]), "does not lead to the other dashboards"),
        (replace(HEALTH, variables={"job": ".*"}, variable_sources={"job": ""}), "the variable job asks the datasource"),
        (replace(HEALTH, variables={"job": ".*"}, variable_sources={"job": "x"}), "nothing uses the variable job"),
    ],
)
def test_a_dashboard_is_refused(page: Page, refusal: str) -> None:
    assert [text for text in rules.refusals([page], exported()) if refusal in text]


def test_two_dashboards_with_one_address_are_refused() -> None:
    found = rules.refusals([HEALTH, replace(PAGES["taps"], uid=HEALTH.uid)], exported())
    assert found == [f"{name}: another dashboard has the uid onecard-health" for name in ("health", "taps")]


def test_panels_inside_of_a_closed_row_are_looked_at_too() -> None:
    found = json.loads(texts()["health.json"])
    found["panels"] = [{"type": "row", "title": "closed", "panels": found["panels"]}]
    assert len(page_of("health", found).panels) == len(HEALTH.panels) + 1


LINES = replace(TAPS_A_SECOND, kind="timeseries", title="Lines")
BUS, CAMPUS = {"channel": "bus"}, {"channel": "campus"}
POINTS = [(1.0, 2.0), (2.0, math.nan)]
NOTHING = [(1.0, math.nan)]


def wrong(*queries: tuple[str, list[Series]], panel: Panel = LINES) -> list[str]:
    answer = [(Target("AB"[at], "up", legend, ""), series) for at, (legend, series) in enumerate(queries)]
    return [text.partition(": ")[2] for text in answers.refusals(HEALTH, panel, answer)]


def test_an_answer_that_names_each_series_is_taken() -> None:
    assert (
        wrong(("p50 {{channel}}", [Series(BUS, POINTS), Series(CAMPUS, POINTS)]), ("p99 {{ channel }}", [Series(BUS, POINTS)]))
        == []
    )


@pytest.mark.parametrize("series", [[], [Series(BUS, NOTHING)], [Series(BUS, [])]], ids=["none", "no number", "no point"])
def test_an_empty_answer_is_refused(series: list[Series]) -> None:
    assert wrong(("{{channel}}", [Series(BUS, POINTS)]), ("other", series)) == ["B is empty: up"]


def test_a_panel_with_a_reason_may_be_empty_and_is_held_to_the_other_rules() -> None:
    fires = next(panel for panel in HEALTH.panels if panel.title == "What fires")
    assert wrong(("{{alertname}}", []), panel=fires) == []
    assert wrong(("alert", [Series(BUS, POINTS), Series(CAMPUS, POINTS)]), panel=fires) == ["2 series are called “alert”"]


def test_series_that_look_alike_are_refused() -> None:
    assert wrong(("taps", [Series(BUS, POINTS), Series(CAMPUS, POINTS)])) == ["2 series are called “taps”"]
    assert wrong(("{{channel}}", [Series(BUS, POINTS)]), ("bus", [Series({}, POINTS)])) == ["2 series are called “bus”"]


def test_a_name_by_a_label_that_is_not_there_is_refused() -> None:
    assert wrong(("taps {{line}}", [Series(BUS, POINTS)])) == ["A is named by the label line, which a series lacks"]
    assert "a series has no name" in wrong(("{{line}}", [Series(BUS, POINTS)]))


def test_one_number_that_gets_two_is_refused() -> None:
    assert wrong(("{{channel}}", [Series(BUS, POINTS), Series(CAMPUS, POINTS)]), panel=TAPS_A_SECOND) == [
        "shows one number and gets 2"
    ]


def test_every_panel_that_may_be_empty_is_there_and_says_why() -> None:
    assert all(MAY_BE_EMPTY.values())
    assert MAY_BE_EMPTY.keys() <= {(page.name, panel.title) for page in PAGES.values() for panel in page.panels}
    assert len(MAY_BE_EMPTY) < sum(len(page.panels) for page in PAGES.values()) / 6


@pytest.mark.parametrize(
    ("expr", "metrics"),
    [
        (
            'sum by (channel, le) (rate(onecard_taps_total{outcome!="re{pe}ated",reason=~"a|b"}[$__rate_interval])) * 60',
            {"onecard_taps_total"},
        ),
        ("max(a_b) and on (job, instance) topk(1, c_d) or vector(0)", {"a_b", "c_d"}),
        ('label_replace(rate(x_bucket{le="60"}[5m]), "le", "+Inf", "", "")', {"x_bucket"}),
        ("count(up == bool 0) offset 5m / 1e3 unless ignoring (job) process_open_fds", {"up", "process_open_fds"}),
        ("time() - max(seen_timestamp_seconds)", {"seen_timestamp_seconds"}),
    ],
)
def test_the_metrics_of_a_query_are_found(expr: str, metrics: set[str]) -> None:
    assert metrics_in(expr) == metrics


def test_what_is_exported_is_named_as_a_scrape_shows_it() -> None:
    assert {
        "onecard_taps_total",
        "onecard_tap_to_ledger_seconds_bucket",
        "onecard_build_info",
        "process_open_fds",
    } <= exported()
    assert not {"onecard_taps", "onecard_tap_to_ledger_seconds"} & exported()


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_grafana_is_told_where_everything_is(kind: str) -> None:
    (file,) = (ROOT / "deploy" / "grafana" / "provisioning" / kind).glob("*.yml")
    text = file.read_text(encoding="utf-8")
    wanted: dict[str, Callable[[], bool]] = {
        "datasources": lambda: "uid: onecard-prometheus" in text and "type: prometheus" in text,
        "dashboards": lambda: "path: /var/lib/grafana/dashboards" in text and "type: file" in text,
    }
    assert wanted[kind]()
