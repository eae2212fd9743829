import asyncio
from typing import Any

import pytest

from services.payments.adapters import work_log
from services.payments.adapters.work_log import MOST_SPANS, WorkLog, together


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            lines.append({"event": event, **facts})

    monkeypatch.setattr(work_log, "log", Log())
    monkeypatch.setattr(work_log, "EVERY_SECONDS", 0.02)
    return lines


async def test_a_second_of_batches_is_one_line_that_leads_to_every_one_of_them(said: list[dict[str, Any]]) -> None:
    work = WorkLog()
    for batch in (7, 9, 8, 12, 0):
        work.posted(batch)
    work.acknowledged("transactions.bus", 3, 100, 140)
    work.acknowledged("transactions.bus", 3, 141, 150)
    assert said == []
    await asyncio.sleep(0.05)
    assert said == [
        {
            "event": "batches_posted",
            "count": 4,
            "batches": [[7, 9], [12, 12]],
            "records": {"transactions.bus/3": [100, 150]},
        }
    ]


async def test_who_has_nothing_to_do_says_nothing(said: list[dict[str, Any]]) -> None:
    work = WorkLog()
    work.posted(0)
    work.say()
    await asyncio.sleep(0.05)
    assert said == []
    work.posted(1)
    work.say()
    await asyncio.sleep(0.05)
    assert [line["batches"] for line in said] == [[[1, 1]]], "what was said is not said again"


async def test_the_line_of_many_that_draw_in_turns_stays_short_and_says_so(said: list[dict[str, Any]]) -> None:
    work = WorkLog()
    for batch in range(1, 3 * MOST_SPANS, 2):
        work.posted(batch)
    work.say()
    assert said[0]["batches"] == [[1, 3 * MOST_SPANS - 1]]
    assert said[0]["others_between"]


def test_spans_that_touch_or_overlap_are_one() -> None:
    assert together([[5, 6], [1, 2], [3, 3], [6, 8], [10, 10]]) == [[1, 3], [5, 8], [10, 10]]
