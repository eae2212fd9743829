"""Each thing that the doctor looks at: healthy, and sick in each way."""

from typing import Any

import pytest

from cli.doctor import installation
from cli.doctor.database import Database, judge_database
from cli.doctor.finding import Finding, Health, exit_status, sick, unseen, well
from cli.doctor.surroundings import Topic, judge_redis, judge_settings, judge_topics, judge_vault
from services.common import topics
from services.common.environment import is_loopback

HEALTHY: dict[str, Any] = {
    "server": [(170_004, 256, "on", 50, 1000.0)],
    "transactions": [],
    "payments": [("0012",)],
    "letters": [],
    "projection": [(1.0,)],
    "outbox": [(0, 0.0)],
    "unsealed": [(0.2,)],
    "partitions": [(5,)],
    "epochs": [(1, 2)],
}


def judged(**rows: Any) -> list[Finding]:
    seen = Database(rows={**HEALTHY, **rows}, asked_at=1000.0)
    return judge_database(seen, {"payments": "0012"}, {7: "UNKNOWN_CARD", 13: "WRONG_TAC"})


def test_a_healthy_database_has_nothing_wrong() -> None:
    assert exit_status(judged()) == 0


@pytest.mark.parametrize(
    ("rows", "thing"),
    [
        ({"server": [(160_000, 256, "on", 50, 1000.0)]}, "database version"),
        ({"server": [(170_000, 64, "on", 50, 1000.0)]}, "database locks"),
        ({"server": [(170_000, 256, "off", 50, 1000.0)]}, "database durability"),
        ({"server": [(170_000, 256, "on", 3, 1000.0)]}, "database connections"),
        ({"server": [(170_000, 256, "on", 50, 1010.0)]}, "clock of the database"),
        ({"transactions": [("psql", 42, 600.0)]}, "long transactions"),
        ({"payments": [("0011",)]}, "migrations of payments"),
        ({"letters": [(13, 1, 1.0)]}, "dead letters"),
        ({"letters": [(7, 1, 3600.0)]}, "dead letters"),
        ({"projection": [(90.0,)]}, "card projection"),
        ({"outbox": [(3, 300.0)]}, "outcomes to be sent"),
        ({"unsealed": [(60.0,)]}, "seals of the ledger"),
        ({"partitions": [(0,)]}, "partitions of transfers"),
        ({"epochs": [(0, 1)]}, "epochs of terminals' keys"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(rows: dict[str, Any], thing: str) -> None:
    wrong = [one for one in judged(**rows) if one.health is Health.SICK]
    assert [one.thing for one in wrong] == [thing]
    assert wrong[0].todo


STAMPED = {"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}
TOPICS = {
    name: Topic(
        1 if name in topics.ORDERED else 12,
        3,
        {**STAMPED, **({"cleanup.policy": "compact"} if name in topics.COMPACTED else {})},
    )
    for name in topics.ALL
}


def test_topics_as_they_should_be() -> None:
    assert exit_status(judge_topics(TOPICS, kafka=True)) == 0


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (topics.OUTCOMES, {"settings": {**STAMPED, "retention.ms": "86400000"}}, "kept for 24 hours"),
        (topics.OUTCOMES, {"settings": {"message.timestamp.type": "CreateTime"}}, "not LogAppendTime"),
        (topics.CARD_EVENTS, {"settings": STAMPED}, "not compact"),
        (topics.CARD_HOTLIST, {"partitions": 12}, "follow each other in one"),
        (topics.TRANSACTIONS_BUS, {"partitions": 6}, "differ in their number"),
    ],
)
def test_topics_that_are_not(name: str, change: dict[str, Any], said: str) -> None:
    found = judge_topics({**TOPICS, name: TOPICS[name]._replace(**change)}, kafka=True)
    [bad] = [one for one in found if one.health is Health.SICK]
    assert said in bad.said


def test_a_topic_that_is_kept_for_ever_or_lacks() -> None:
    for_ever = TOPICS[topics.SEALS]._replace(settings={**STAMPED, "retention.ms": "-1"})
    assert exit_status(judge_topics({**TOPICS, topics.SEALS: for_ever}, kafka=True)) == 0
    fewer = {name: topic for name, topic in TOPICS.items() if name != topics.SEALS}
    assert any("missing: ledger.seals" in one.said for one in judge_topics(fewer, kafka=True))


def test_surroundings_and_status() -> None:
    assert judge_redis("h:1", answers=False).health is Health.SICK
    assert judge_vault("card", "", development=True, loopback=False).health is Health.SICK
    assert judge_settings({"ONECARD_KAFKA": "kafka.city:9092"}, is_loopback)[0].health is Health.SICK
    assert exit_status([well("a", ""), unseen("b", "")]) == 2
    assert exit_status([unseen("b", ""), sick("a", "", "")]) == 1


def test_a_name_that_leads_to_several_machines_is_that_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"payments-streams": ["10.0.0.2", "10.0.0.3", "10.0.0.2"], "card-api": ["10.0.0.9"]}

    def look_up(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        if host not in known:
            raise OSError
        return [(2, 1, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(installation, "getaddrinfo", look_up)
    named = {
        "payments-streams": "http://payments-streams:9100/metrics",
        "card": "http://card-api:9100/metrics",
        "away": "http://away:9100/metrics",
    }
    assert installation.every_instance(named) == {
        "payments-streams-1": "http://10.0.0.2:9100/metrics",
        "payments-streams-2": "http://10.0.0.3:9100/metrics",
        "card": "http://card-api:9100/metrics",
        "away": "http://away:9100/metrics",
    }
