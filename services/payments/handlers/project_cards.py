"""Keep the card projection up to date from `card.events`, and decide the taps that waited for a card."""

from collections.abc import Sequence

import structlog

from services.common.clock import now_ms
from services.common.database import DatabaseError, Pause, Trouble, trouble
from services.payments import metrics
from services.payments.adapters.cards import Beat, CardEventError, CardProjection, decode_card_event
from services.payments.adapters.wire import Received, Undecided, encode_dead_letter
from services.payments.domain.card import Card
from services.payments.domain.verdict import Cause
from services.payments.handlers.post_taps import Owed, PostTaps
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters

log = structlog.get_logger()


class ProjectCards:
    """Handles records of `card.events`."""

    def __init__(self, projection: CardProjection, post: PostTaps, replay: ReplayDeadLetters) -> None:
        self._projection = projection
        self._post = post
        self._replay = replay

    async def __call__(self, records: Sequence[Received]) -> Owed:
        """Store the states and heartbeats; a record that says nothing usable becomes a dead letter."""
        cards: list[tuple[Card, int]] = []
        beats: dict[int, Beat] = {}
        bad: list[Received] = []
        for record in records:
            try:
                event = decode_card_event(record.value)
            except CardEventError as error:
                log.warning("card_event_unusable", partition=record.partition, offset=record.offset, error=str(error))
                bad.append(record)
                continue
            if isinstance(event, Beat):
                beats[record.partition] = max(event, beats.get(record.partition, event))
            else:
                cards.append(event)
        new = await self._store(cards, beats)
        if new:
            await self._replay.of_cards(new)
        return await self._bury(bad)

    async def _store(self, cards: list[tuple[Card, int]], beats: dict[int, Beat]) -> list[str]:
        pause = Pause(self._projection.place)
        while True:
            try:
                return await self._projection.store(cards, beats)
            except DatabaseError as error:
                match trouble(error):
                    case Trouble.AGAIN:
                        continue
                    case Trouble.WAIT:
                        await pause.wait(error)
                    case Trouble.REJECTED:
                        raise

    async def _bury(self, bad: list[Received]) -> Owed:
        if bad:
            await self._post.settle([(record, Undecided(Cause.UNDECODABLE)) for record in bad])
        for record in bad:
            metrics.DEAD_LETTERS.labels(record.topic, Cause.UNDECODABLE.name).inc()
        return Owed(dead_letters=[encode_dead_letter(record, Cause.UNDECODABLE, "", now_ms()) for record in bad])
