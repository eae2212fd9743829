"""What is asked at the same moment is asked once, and each hears its own answer."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from services.issuance.adapters.gather import Gather


class Table:
    """Doubles what it is asked; 13 is trouble."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        await asyncio.sleep(0)
        if 13 in questions:
            raise ValueError("13")
        return [question * 2 for question in questions]


async def test_whoever_comes_alone_does_not_wait() -> None:
    table = Table()
    assert await Gather(table)(1) == 2
    assert table.asked == [[1]]


async def test_what_waits_meanwhile_is_asked_at_once_and_in_order() -> None:
    table = Table()
    gather = Gather(table, key=int, lanes=1)
    assert await asyncio.gather(*map(gather, range(100, 350))) == [number * 2 for number in range(100, 350)]
    assert [number for asked in table.asked for number in asked] == list(range(100, 350))
    assert len(table.asked) <= 5


async def test_of_one_key_there_is_one_in_a_statement() -> None:
    table = Table()
    gather = Gather(table, key=lambda number: number % 2, lanes=1)
    assert await asyncio.gather(*map(gather, range(6))) == [0, 2, 4, 6, 8, 10]
    assert all(len({number % 2 for number in asked}) == len(asked) for asked in table.asked)


async def test_ones_trouble_is_nobody_elses() -> None:
    gather = Gather(Table(), key=int, lanes=1)
    answers = await asyncio.gather(*map(gather, (11, 12, 13, 14)), return_exceptions=True)
    assert answers[:2] + answers[3:] == [22, 24, 28]
    assert isinstance(answers[2], ValueError)
    with pytest.raises(ValueError, match="13"):
        await gather(13)
    assert await gather(1) == 2


async def test_a_question_whose_asker_has_gone_is_not_asked_any_more() -> None:
    table = Table()
    gather = Gather(table, key=int, lanes=1)
    first, gone = asyncio.create_task(gather(1)), asyncio.create_task(gather(2))
    gone.cancel()
    assert await first == 2
    await asyncio.gather(gone, return_exceptions=True)
    assert [2] not in table.asked


@pytest.mark.parametrize(
    ("trouble", "asked_again"),
    [
        (asyncpg.SerializationError("lost a race"), True),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), False),
        (asyncpg.AdminShutdownError("terminating connection"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
    ],
)
async def test_what_was_perhaps_written_is_not_asked_again(trouble: Exception, asked_again: bool) -> None:
    asked: list[list[int]] = []

    async def written_and_unheard(questions: Sequence[int]) -> list[int]:
        asked.append(list(questions))
        if len(questions) > 1:
            raise trouble
        return list(questions)

    gather = Gather(written_and_unheard, key=int, lanes=1)
    answers = await asyncio.gather(*map(gather, (1, 2)), return_exceptions=True)
    assert answers == ([1, 2] if asked_again else [trouble] * 2)
    assert len(asked) == (3 if asked_again else 1)
