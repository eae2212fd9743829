"""Post a batch whatever the database says: the only place that knows what its errors mean for a posting."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.common.database import DatabaseError, Pause, Trouble, sqlstate_of, trouble
from services.payments import metrics

E = TypeVar("E")
A = TypeVar("A")


async def settle(
    events: Sequence[E],
    place: str,
    post: Callable[[Sequence[E], bool], Awaitable[list[A]]],
    reject: Callable[[E, BaseException, str], Awaitable[list[A]]],
) -> list[A]:
    """An answer an event, in order, however long the database is away.

    A lost race: `post(events, read_all=True)`. The server away: wait. Values that cannot be stored: halve the batch until one
    event stands alone, and `reject(event, error, sqlstate)` it.
    """
    read_all = False
    pause = Pause(place)
    while True:
        try:
            answers = await post(events, read_all)
        except DatabaseError as error:
            then, state = trouble(error), sqlstate_of(error)
            metrics.DATABASE_TROUBLE.labels(state, then.name).inc()
            match then:
                case Trouble.AGAIN:
                    read_all = True
                case Trouble.WAIT:
                    await pause.wait(error)
                case Trouble.REJECTED if len(events) > 1:
                    middle = len(events) // 2
                    first = await settle(events[:middle], place, post, reject)
                    return first + await settle(events[middle:], place, post, reject)
                case Trouble.REJECTED:
                    return await reject(events[0], error, state)
        else:
            metrics.BATCHES.inc()
            return answers
