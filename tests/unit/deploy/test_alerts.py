"""No alert is without a runbook, a test, somebody who is told, and a fault or a reason; and what is committed is what is built."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.grafana.expressions import FAULTS_OF_CALLS, RATE
from deploy.grafana.names import exported, metrics_in
from deploy.prometheus import build
from deploy.prometheus.alertmanager import RECEIVERS, alertmanager_of
from deploy.prometheus.alerts import ALERTS, Table, holes, read_alerts
from deploy.prometheus.rules import rules_of
from deploy.prometheus.times import scaled, scaled_seconds, seconds_of
from tests.support.wanted import require

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = sorted((ROOT / "deploy" / "prometheus" / "tests").glob("*.yml"))
TABLE = read_alerts()


def run(program: str, *arguments: str | Path) -> None:
    """A tool of Prometheus, which must be content."""
    require("" if shutil.which(program) else f"no {program} here", "ONECARD_PROMETHEUS")
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_is_committed_is_what_is_built() -> None:
    assert build.differences() == []


def test_a_file_that_was_edited_or_is_missing_is_named(tmp_path: Path) -> None:
    assert build.main(["--into", str(tmp_path)]) == 0
    assert build.differences(tmp_path) == []
    (tmp_path / build.RULES).write_text("groups: []\n")
    (tmp_path / build.ALERTMANAGER).unlink()
    assert build.differences(tmp_path) == [build.RULES, build.ALERTMANAGER]


def test_there_is_no_hole() -> None:
    assert holes(TABLE, RUNBOOKS) == []


def changed(name: str, **change: object) -> Table:
    return msgspec.structs.replace(TABLE, alerts={**TABLE.alerts, name: msgspec.structs.replace(TABLE.alerts[name], **change)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"severity": "shout"}, "there is no severity shout"),
        ({"runbook": "nowhere"}, "there is no page docs/runbooks/nowhere.md"),
        ({"fault": ""}, "either a fault fires it, or there is a reason why none does"),
        ({"proof": "it is too hard"}, "either a fault fires it, or there is a reason why none does"),
        ({"hides": ["Nothing"]}, "it hides Nothing, which is no alert"),
        ({"times": {"old": "soon"}}, "old is no time: soon"),
    ],
)
def test_a_hole_is_named(change: dict[str, Any], said: str) -> None:
    assert f"HotlistOld: {said}" in holes(changed("HotlistOld", **change), RUNBOOKS)


def test_a_page_that_no_alert_leads_to_and_a_row_that_is_missing_are_named() -> None:
    without = msgspec.structs.replace(TABLE, alerts={k: v for k, v in TABLE.alerts.items() if v.runbook != "bank"})
    assert holes(without, RUNBOOKS) == ["docs/runbooks/bank.md: no alert leads there"]
    renamed = msgspec.structs.replace(TABLE, alerts={**TABLE.alerts, "Another": TABLE.alerts["HotlistOld"]})
    assert holes(renamed, RUNBOOKS) == ["Another: docs/runbooks/README.md has no row for it"]


def test_the_doctor_leads_to_pages_that_exist() -> None:
    calls = [
        call
        for file in (ROOT / "cli" / "doctor").glob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "sick" and len(call.args) == 4
    ]
    named = {str(page.value) for call in calls if isinstance(page := call.args[3], ast.Constant)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (RUNBOOKS / f"{name}.md").is_file()] == []


def test_the_index_names_no_alert_that_is_none() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (RUNBOOKS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(TABLE.alerts)


def test_a_key_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(ALERTS.read_text(encoding="utf-8") + '\nreciever = "on-call"\n', encoding="utf-8")
    with pytest.raises(msgspec.ValidationError, match="reciever"):
        read_alerts(file)


def test_every_metric_of_an_expression_is_one_that_somebody_exports() -> None:
    rules = [rule for group in rules_of(TABLE)["groups"] for rule in group["rules"]]
    known = exported() | {rule["record"] for rule in rules if "record" in rule}
    unknown = {rule.get("alert", rule.get("record")): metrics_in(rule["expr"]) - known for rule in rules}
    assert {name: names for name, names in unknown.items() if names} == {}


def test_the_error_budget_is_that_of_the_dashboards() -> None:
    calls = [rule["expr"] for rule in rules_of(TABLE)["groups"][0]["rules"] if rule["labels"] == {"what": "calls"}]
    assert calls == [FAULTS_OF_CALLS.replace(RATE, window) for window in TABLE.records["faults"].windows]


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("[a-z]*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_is_what_to_look_at_what_to_do_and_when_it_is_over(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [part for part in parts if part in {"Look", "Do", "Over"}] == ["Look", "Do", "Over"]
    opening = text.partition("\n## ")[0]
    for name, alert in TABLE.alerts.items():
        if alert.runbook == page.stem:
            assert f"`{name}`" in opening


def cases() -> dict[str, list[list[bool]]]:
    """For each alert, the cases: at each moment that is looked at, does it fire?"""
    found: dict[str, list[list[bool]]] = {}
    for file in TESTS:
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            asked = f'ALERTS{{alertname="{case["name"]}",alertstate="firing"}}'
            moments = case["promql_expr_test"]
            assert [moment["expr"] for moment in moments] == [asked] * len(moments), case["name"]
            found.setdefault(case["name"], []).append(["exp_samples" in moment for moment in moments])
    return found


def test_each_alert_is_seen_silent_then_firing_then_silent_again() -> None:
    found = cases()
    assert found.keys() == TABLE.alerts.keys()
    assert {name: case for name, seen in found.items() for case in seen if case != [False, True, False]} == {}


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_promtool_sees_the_alerts_fire_and_resolve(file: Path) -> None:
    run("promtool", "test", "rules", file)


@pytest.mark.parametrize("scale", [1, 20])
def test_promtool_and_amtool_take_what_is_built(scale: int, tmp_path: Path) -> None:
    build.main(["--scale", str(scale), "--into", str(tmp_path)])
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", tmp_path / build.RULES)
    run("amtool", "check-config", tmp_path / build.ALERTMANAGER)


@pytest.mark.parametrize(
    ("span", "fast", "seconds"),
    [
        ("30s", "1500ms", "1.5"),
        ("5m", "15000ms", "15"),
        ("15m", "45000ms", "45"),
        ("1h", "180000ms", "180"),
        ("6h", "6h", "21600"),
        ("26h", "26h", "93600"),
    ],
)
def test_times_up_to_an_hour_go_faster_and_longer_ones_stay(span: str, fast: str, seconds: str) -> None:
    assert (scaled(span, 20), scaled_seconds(span, 20)) == (fast, seconds)
    assert (scaled(span, 1), scaled_seconds(span, 1)) == (span, str(seconds_of(span)))


def test_every_time_of_an_alert_is_used() -> None:
    for name, alert in TABLE.alerts.items():
        used = set(re.findall(r"\$\{(\w+?)(?:_seconds)?\}", alert.expression + alert.wait))
        assert used == alert.times.keys(), name


def test_a_page_and_a_ticket_go_to_different_people_and_each_has_an_address(tmp_path: Path) -> None:
    for name in ("on-call", "office"):
        (tmp_path / name).write_text(f"http://people.example/{name}\n")
    made = alertmanager_of(TABLE, tmp_path)
    routes = {route["matchers"][0]: route["receiver"] for route in made["route"]["routes"]}
    assert routes == {'severity="page"': "on-call", 'severity="ticket"': "office"}
    addresses = {receiver["name"]: receiver["webhook_configs"][0]["url"] for receiver in made["receivers"]}
    assert addresses == {name: f"http://people.example/{name}" for name in ("on-call", "office")}
    (tmp_path / "office").unlink()
    with pytest.raises(OSError, match="office"):
        alertmanager_of(TABLE, tmp_path)


def test_the_committed_receivers_are_nobody() -> None:
    assert {file.name: file.read_text().startswith("http://127.0.0.1:") for file in RECEIVERS.iterdir()} == {
        "office": True,
        "on-call": True,
    }


def test_what_is_for_one_run_does_not_overwrite_what_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main(["--scale", "20"])
    assert "--into FOLDER" in capsys.readouterr().err


def test_nothing_is_held_back_by_what_it_holds_back() -> None:
    hidden = [(name, other) for name, alert in TABLE.alerts.items() for other in alert.hides]
    assert [pair for pair in hidden if pair[0] in TABLE.alerts[pair[1]].hides] == []
