"""Follow a merchant's outcomes: what was missed first, then what comes, without a hole and for as long as somebody listens."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from services.common.errors import Code, DomainError
from services.payments.adapters.outcome_consumer import OLDEST, RoadError
from services.payments.adapters.outcome_cursor import Cursor, Life, encode_cursor
from services.payments.adapters.outcome_feed import Listener, OutcomeFeed
from services.payments.adapters.outcome_log import OutcomeLog

_MOST_AT_ONCE: Final = 500
_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0


class Piece(NamedTuple):
    """Some outcomes, or none when only the cursor has moved."""

    cursor: bytes
    """Behind them."""
    values: list[bytes]
    """Serialized outcomes."""
    another_life: bool = False
    """The road has lost what it kept: it begins with the oldest again."""


class FollowOutcomes:
    """One subscriber's way.

    It listens to the shared feed first, and then reads from the log what came before that: so there is no hole between the
    two. A subscriber that is too slow for the feed begins anew where it was.
    """

    def __init__(self, feed: OutcomeFeed, past: OutcomeLog, merchant_id: str, begin: Cursor | None, *, oldest: bool) -> None:
        """Begin behind a cursor; without one with the oldest outcome, or with those that come from now on."""
        self._feed = feed
        self._past = past
        self._merchant_id = merchant_id
        self._oldest = oldest
        self._cursor = begin
        self._listener: Listener | None = None

    @property
    def cursor(self) -> bytes:
        """Behind everything that was passed on, as it is now; empty before the beginning is found."""
        if self._listener is not None and (reached := self._feed.reached(self._listener)) is not None:
            self._move(self._listener.life, {self._listener.home: reached})
        return b"" if self._cursor is None else encode_cursor(self._cursor)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Everything from the beginning on, for ever. Raises DomainError when the beginning cannot be found."""
        await self._await_road()
        while True:
            with self._feed.listening(self._merchant_id) as listener:
                cursor, another_life = self._place(listener)
                yield Piece(encode_cursor(cursor), [], another_life)
                async for piece in self._catch_up(listener, cursor):
                    yield piece
                async for piece in self._listen(listener):
                    yield piece

    async def _await_road(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._feed.begun()
        except TimeoutError:
            message = "outcomes cannot be read at the moment; ask again"
            raise DomainError(Code.UNAVAILABLE, "ROAD_AWAY", message) from None

    def _place(self, listener: Listener) -> tuple[Cursor, bool]:
        """Where to begin in this life of the road, and whether the cursor was of another one."""
        life, before = listener.life, self._cursor
        if before is not None and before.life == life:
            return before, False
        if before is None and not self._oldest:
            return self._move(life, {listener.home: listener.since[listener.home]}), False
        # Where the number of partitions was changed, a key has moved, and anything may be anywhere.
        everywhere = self._move(life, dict.fromkeys(range(life.partitions), OLDEST))
        return everywhere, before is not None and before.cluster_id != life.cluster_id

    async def _catch_up(self, listener: Listener, cursor: Cursor) -> AsyncGenerator[Piece, None]:
        """Up to where the listener began, a piece at a time; a listener that was closed meanwhile is of no use any more."""
        since = dict(enumerate(listener.since))
        behind = {partition: offset for partition, offset in cursor.offsets.items() if offset != since[partition]}
        while behind:
            if listener.closed:
                listener.clear()
                return
            try:
                past = await self._past.read(listener.merchant, behind, since)
            except RoadError:
                await asyncio.sleep(_PAUSE_SECONDS)  # the feed says aloud that the broker is away
                continue
            cursor = self._move(listener.life, {**cursor.offsets, **past.offsets})
            yield Piece(encode_cursor(cursor), past.values)
            behind = {partition: offset for partition, offset in past.offsets.items() if offset < since[partition]}

    async def _listen(self, listener: Listener) -> AsyncGenerator[Piece, None]:
        """What comes, until the listener is closed and empty."""
        self._listener = listener
        try:
            while comings := await listener.take(_MOST_AT_ONCE):
                at_home = [coming.offset for coming in comings if coming.partition == listener.home]
                if at_home:
                    self._move(listener.life, {listener.home: at_home[-1] + 1})
                yield Piece(self.cursor, [coming.value for coming in comings])
        finally:
            self._listener = None

    def _move(self, life: Life, offsets: dict[int, int]) -> Cursor:
        self._cursor = cursor = Cursor.at(life, offsets)
        return cursor
