"""`OutcomeService`: a merchant hears what became of its own transactions, and of nobody else's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError

from onecard.payments.v1.outcome_service_pb2 import BEGIN_OLDEST, SubscribeRequest, SubscribeResponse
from onecard.payments.v1.outcome_service_pb2_grpc import OutcomeServiceServicer
from onecard.payments.v1.outcomes_pb2 import Outcome
from services.common.errors import Code, DomainError
from services.common.peer import Peer
from services.payments.adapters.outcome_cursor import BadCursorError, Cursor, decode_cursor
from services.payments.adapters.outcome_feed import OutcomeFeed
from services.payments.adapters.outcome_log import OutcomeLog
from services.payments.handlers.follow_outcomes import FollowOutcomes, Piece
from services.payments.metrics import OUTCOME_SUBSCRIBERS, OUTCOMES_SENT

log = structlog.get_logger()

SILENCE_SECONDS: Final = 5.0
"""After so long without an outcome a subscriber is told that the stream lives, and how far it is."""


class OutcomeService(OutcomeServiceServicer):
    """Streams outcomes. `peer` says who makes the call that is being served."""

    def __init__(self, feed: OutcomeFeed, past: OutcomeLog, peer: Callable[[], Peer]) -> None:
        self._feed = feed
        self._past = past
        self._peer = peer

    async def Subscribe(self, request: SubscribeRequest, context: Any) -> AsyncIterator[SubscribeResponse]:  # noqa: N802 - gRPC's name
        """A merchant's outcomes, for as long as it listens. Raises DomainError."""
        merchant_id = self._peer().subject.merchant_id
        if not merchant_id:
            raise DomainError(Code.PERMISSION_DENIED, "NOT_A_MERCHANT", "only merchants and their terminals have outcomes")
        begin = _cursor_of(request, merchant_id)
        following = FollowOutcomes(self._feed, self._past, merchant_id, begin, oldest=request.begin == BEGIN_OLDEST)
        with OUTCOME_SUBSCRIBERS.track_inprogress():
            async with aclosing(_never_silent(following)) as pieces:
                async for piece in pieces:
                    yield _response(piece, merchant_id)
                    OUTCOMES_SENT.inc(len(piece.values))


def _cursor_of(request: SubscribeRequest, merchant_id: str) -> Cursor | None:
    try:
        return decode_cursor(request.cursor, merchant_id) if request.cursor else None
    except BadCursorError:
        raise DomainError(
            Code.INVALID_ARGUMENT, "BAD_CURSOR", "this is no cursor of this merchant; begin without one"
        ) from None


async def _never_silent(following: FollowOutcomes) -> AsyncGenerator[Piece, None]:
    """Its pieces, and an empty one wherever nothing comes for a while."""
    async with aclosing(following.pieces()) as pieces:
        while True:
            coming = asyncio.ensure_future(anext(pieces))
            try:
                while not (await asyncio.wait({coming}, timeout=SILENCE_SECONDS))[0]:
                    if cursor := following.cursor:
                        yield Piece(cursor, [])
                yield coming.result()
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


def _response(piece: Piece, merchant_id: str) -> SubscribeResponse:
    response = SubscribeResponse(cursor=piece.cursor, another_life=piece.another_life)
    for value in piece.values:
        try:
            outcome = Outcome.FromString(value)
        except DecodeError:
            log.warning("outcome_unreadable", merchant=merchant_id)
            continue
        if outcome.identity.merchant_id == merchant_id:
            response.outcomes.append(outcome)
    return response
