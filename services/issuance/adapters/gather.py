"""What many streams ask of the database at the same moment is asked once: a round trip costs more than what it carries."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from services.common.database import DatabaseError, sqlstate_of

A = TypeVar("A")
R = TypeVar("R")

_MOST: Final = 100
"""In one statement."""
_NOBODY_KNOWS: Final = ("08", "57")
"""A connection that broke, or a server that went away: perhaps everything was committed before."""


class Gather(Generic[A, R]):
    """Asks for all that waits, again and again while something does; whoever comes alone does not wait for others.

    A statement that fails for several is asked for each of them: one's trouble is nobody else's. Where nobody knows whether it
    was carried out, it is not asked again, for then what was written would be taken for somebody else's.
    """

    def __init__(
        self, ask: Callable[[Sequence[A]], Awaitable[Sequence[R]]], key: Callable[[A], Hashable] = id, lanes: int = 2
    ) -> None:
        """`ask` answers in order. Of one `key` there is one in a statement. `lanes`: statements at the same time."""
        self._ask = ask
        self._key = key
        self._lanes = lanes
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: A) -> R:
        """Its answer, or what was raised for it."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._busy < self._lanes:
            self._busy += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)  # nobody else holds it
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._answer(batch)
        finally:
            self._busy -= 1  # nothing comes between the last look and this

    async def _answer(self, batch: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._ask([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, each hears it of its own question
            if len(batch) > 1 and _taken_back(error):
                for alone in batch:
                    await self._answer([alone])
                return
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)

    def _take(self) -> list[tuple[A, asyncio.Future[R]]]:
        taken: dict[Hashable, tuple[A, asyncio.Future[R]]] = {}
        left: list[tuple[A, asyncio.Future[R]]] = []
        for question, waiting in self._waiting:
            key = self._key(question)
            if waiting.done():
                continue  # whoever asked has gone, and nothing was done
            if len(taken) < _MOST and key not in taken:
                taken[key] = (question, waiting)
            else:
                left.append((question, waiting))
        self._waiting = left
        return list(taken.values())


def _taken_back(error: Exception) -> bool:
    """The server has said no, or was never asked."""
    state = sqlstate_of(error)
    return not isinstance(error, DatabaseError) or (state != "" and not state.startswith(_NOBODY_KNOWS))
