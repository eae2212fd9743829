"""Faults and alerts name each other; what runs side by side tells apart; and what became of an alert is seen to its end."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import msgspec
import pytest

from cli.city.faults.fault import Fault, fired_by, gaps, nothing
from cli.city.faults.progress import PAGE, Awaited, Progress, alerts_by_fault, begin_progress, receiver_of
from cli.city.faults.table import ALL, FAULTS, chosen, rounds
from cli.city.notices import Notice
from deploy.prometheus.alerts import read_alerts

TABLE = read_alerts()
BEGAN = datetime(2026, 11, 28, 8, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def told(
    alert: str = "HotlistOld",
    *,
    fires: bool = True,
    began: float = 10,
    which: str = "a",
    receiver: str = "on-call",
    page: bool = True,
) -> Notice:
    return Notice(receiver, alert, PAGE if page else "ticket", fires, at(began), which, "it is so")


def watched(*also: str) -> Progress:
    return Progress([Awaited("hotlist-stuck", "HotlistOld", "on-call")], also, BEGAN)


def test_each_fault_that_an_alert_names_is_made_and_each_that_is_made_is_named() -> None:
    assert gaps(TABLE, list(FAULTS)) == []


def test_a_fault_that_is_missing_or_for_nothing_is_named() -> None:
    names = [name for name in FAULTS if name != "garbage"] + ["boredom"]
    assert gaps(TABLE, names) == ["nobody makes the fault garbage", "no alert is fired by the fault boredom"]


def test_what_a_fault_does_besides_are_alerts_that_there_are_and_not_its_own() -> None:
    for fault in FAULTS.values():
        assert fault.also <= TABLE.alerts.keys(), fault.name
        assert not fault.also & set(fired_by(TABLE, fault.name)), fault.name


def test_each_says_what_goes_wrong_and_how_long_it_takes() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert len(fault.what) > 20, name
        assert not fault.what.endswith("."), name
        assert 10 <= fault.seconds <= 600, name


def test_a_person_names_some_or_all_and_hears_which_there_are() -> None:
    assert [fault.name for fault in chosen("repeats, garbage")] == ["garbage", "repeats"]
    assert [fault.name for fault in chosen(ALL)] == list(FAULTS)
    for names in ("boredom", "garbage,boredom", "", ","):
        with pytest.raises(ValueError, match=r"take some of imbalance, .*, or all"):
            chosen(names)


def test_side_by_side_each_alert_tells_of_one_fault_alone() -> None:
    alerts = alerts_by_fault(TABLE, FAULTS.values())
    made = rounds(list(FAULTS.values()), dict(alerts))
    assert sorted(fault.name for some in made for fault in some) == sorted(FAULTS)
    for some in made:
        assert len(some) == 1 or not any(fault.alone for fault in some)
        for one, other in combinations(some, 2):
            assert not (alerts[one.name] | one.also) & (alerts[other.name] | other.also)
    assert len(made) < len(FAULTS), "some do go side by side"


def test_what_stops_others_is_run_alone() -> None:
    calm, storm = Fault("calm", "a breeze", nothing, nothing), Fault("storm", "a tempest", nothing, nothing, alone=True)
    more = Fault("more", "another breeze", nothing, nothing)
    made = rounds([calm, storm, more], {"calm": {"A"}, "storm": {"B"}, "more": {"C"}})
    assert [[fault.name for fault in some] for some in made] == [["calm", "more"], ["storm"]]


def test_whom_an_alert_must_reach_is_what_its_severity_says() -> None:
    assert receiver_of(TABLE, "LedgerImbalance") == "on-call"
    assert receiver_of(TABLE, "DeadLetters") == "office"
    progress = begin_progress([FAULTS["garbage"], FAULTS["workers-away"]], TABLE, BEGAN)
    assert {one.alert: (one.fault, one.receiver) for one in progress.awaited.values()} == {
        "DeadLetters": ("garbage", "office"),
        "JobDown": ("workers-away", "on-call"),
    }


def test_an_alert_that_fires_reaches_its_receiver_and_ends_has_succeeded() -> None:
    progress = watched()
    assert progress.silent == ["HotlistOld"]
    assert progress.take(told(), at(12)) == "HotlistOld fired after 10 s, on-call told after 12 s"
    assert (progress.silent, progress.standing, progress.succeeded) == ([], ["HotlistOld"], False)
    progress.mend(at(20))
    assert "told that it is over, 17 s after" in progress.take(told(fires=False), at(37))
    assert (progress.standing, progress.succeeded) == ([], True)


def test_it_is_over_only_when_each_of_that_name_is() -> None:
    progress = watched()
    progress.take(told(which="a"), at(12))
    assert progress.take(told(which="b"), at(13)) == ""
    progress.mend(at(20))
    assert progress.take(told(which="a", fires=False), at(30)) == ""
    assert not progress.succeeded
    progress.take(told(which="b", fires=False), at(40))
    assert progress.succeeded
    assert progress.awaited["HotlistOld"].over_after == 20


def test_what_fired_before_the_fault_does_not_count() -> None:
    progress = watched()
    assert progress.take(told(began=-5), at(1)) == ""
    assert progress.silent == ["HotlistOld"]
    assert progress.take(told("JobDown", began=-5), at(1)) == ""
    assert progress.problems == []


def test_an_alert_that_ended_before_it_was_mended_fired_all_the_same() -> None:
    progress = watched()
    progress.take(told(), at(12))
    progress.take(told(fires=False), at(15))
    progress.mend(at(20))
    assert progress.succeeded


def test_an_alert_that_goes_to_somebody_else_is_a_problem_and_does_not_count() -> None:
    progress = watched()
    progress.take(told(receiver="office"), at(12))
    assert progress.problems == ["HotlistOld went to office, not to on-call"]
    assert progress.silent == ["HotlistOld"]


@pytest.mark.parametrize(
    ("alert", "page", "problems"),
    [("JobDown", True, 1), ("TargetDown", False, 0), ("AppendLag", True, 0)],
    ids=["a page for something else", "a ticket", "a page that is foreseen"],
)
def test_a_page_that_nobody_expects_is_a_problem(alert: str, page: bool, problems: int) -> None:
    progress = watched("AppendLag")
    progress.take(told(alert, page=page, receiver="on-call" if page else "office"), at(12))
    assert len(progress.problems) == problems
    assert progress.besides == {alert}


def test_without_alerts_that_name_it_a_fault_awaits_nothing_by_itself() -> None:
    quiet = msgspec.structs.replace(TABLE, alerts={k: v for k, v in TABLE.alerts.items() if k != "DeadLetters"})
    assert begin_progress([FAULTS["garbage"]], quiet, BEGAN).awaited == {}
