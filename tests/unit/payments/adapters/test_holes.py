"""A record that a broker passes over for a moment is waited for; one that is not there is not waited for long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.common.topics import OUTCOMES
from services.payments.adapters import holes, outcome_log
from services.payments.adapters.holes import Holes
from services.payments.adapters.outcome_consumer import OutcomeConsumer
from services.payments.adapters.outcome_log import OutcomeLog

HOME = TopicPartition(OUTCOMES, 0)


@dataclass(frozen=True)
class Record:
    offset: int
    key: bytes = b"BUS-1"

    @property
    def value(self) -> bytes:
        return b"%d" % self.offset


def records(*offsets: int) -> list[Record]:
    return [Record(offset) for offset in offsets]


class Passing:
    """A consumer of five records whose broker passes one over when it is first asked, or always."""

    def __init__(self, passed_over: int, *, for_good: bool = False) -> None:
        self._hidden = {passed_over}
        self._for_good = for_good
        self._position = 0

    def assign(self, places: list[TopicPartition]) -> None:
        assert places == [HOME]

    async def seek_to_beginning(self, _: TopicPartition) -> None:
        self._position = 0

    def assignment(self) -> set[TopicPartition]:
        return {HOME}

    async def position(self, _: TopicPartition) -> int:
        return self._position

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._position = offset

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        assert timeout_ms
        found = records(*(offset for offset in range(self._position, 5) if offset not in self._hidden))
        if not self._for_good:
            self._hidden.clear()
        self._position = found[-1].offset + 1 if found else self._position
        return {HOME: found} if found else {}


def test_what_has_no_hole_is_taken_whole() -> None:
    assert Holes[TopicPartition]().before(HOME, 3, records(3, 4, 5)) == (records(3, 4, 5), None)


def test_a_reader_stops_before_the_first_hole() -> None:
    found: Holes[TopicPartition] = Holes()
    assert found.before(HOME, 3, records(3, 4, 6, 8)) == (records(3, 4), 5)
    assert found.before(HOME, 5, records(6, 8)) == ([], 5)
    assert found.before(HOME, 5, records(5, 6)) == (records(5, 6), None)


def test_what_was_read_already_is_left_out() -> None:
    assert Holes[TopicPartition]().before(HOME, 4, records(2, 3, 4, 5)) == (records(4, 5), None)
    assert Holes[TopicPartition]().before(HOME, 4, records(2, 3)) == ([], None)


def test_a_record_that_does_not_come_is_passed_over_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Holes[TopicPartition] = Holes()
    assert found.before(HOME, 3, records(4, 5)) == ([], 3)
    monkeypatch.setattr(holes, "PATIENCE_SECONDS", -1.0)
    assert found.before(HOME, 3, records(4, 5)) == (records(4, 5), None)
    assert found.before(HOME, 6, records(7, 9)) == ([], 6), "the next holes are waited for as well"


@pytest.mark.parametrize("passed_over", range(5))
async def test_every_outcome_is_taken_although_the_broker_passes_one_over(passed_over: int) -> None:
    consumer = OutcomeConsumer(cast(AIOKafkaConsumer, Passing(passed_over)), "tansu")
    taken: list[Any] = []
    for _ in range(2):
        found = await consumer.take(10)
        assert isinstance(found, dict)
        taken += found.get(0, [])
    assert taken == records(*range(5))


async def test_the_past_is_read_over_a_record_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def consuming(*_: object) -> AsyncIterator[OutcomeConsumer]:
        yield OutcomeConsumer(cast(AIOKafkaConsumer, Passing(2, for_good=True)), "tansu")

    monkeypatch.setattr(outcome_log, "consuming", consuming)
    monkeypatch.setattr(outcome_log, "_PIECE_SECONDS", 0.05)
    monkeypatch.setattr(holes, "PATIENCE_SECONDS", 0.3)
    past = await OutcomeLog("", "tansu").read(b"BUS-1", {0: 1}, {0: 5})
    assert past.values == [b"1", b"3", b"4"]
    assert past.offsets == {0: 5}
