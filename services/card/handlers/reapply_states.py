"""What was published of cards since the moment that the registry went back to: what bars one is done again, the rest named."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any, Final, NamedTuple

import asyncpg
from google.protobuf.message import DecodeError
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.card_events_pb2 import CARD_STATUS_CANCELLED, CardEvent, CardState
from services.card.adapters import audit
from services.card.adapters.cards import lock_card, store_card
from services.card.domain.actor import OPERATOR
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import BARRED_BY, LifeRules, Party, barred_again
from services.card.handlers.once import transact
from services.common.announce import Announcer
from services.common.clock import now_ms as clock
from services.common.database import driver_session
from services.common.topics import CARD_EVENTS

_AT_ONCE: Final = 5000
_EPOCH: Final = "select epoch from card.installation"
_KNOWN: Final = "select card_identifier, id, version from card.card where card_identifier = any($1::text[])"
_RAISE: Final = "update card.installation set epoch = greatest(epoch, $1)"


class Cause(Enum):
    """What a person must look at, and what to do."""

    MADE_SINCE = "made since, and not known any more: it is cancelled everywhere; its holder gets another one"
    USED_SINCE = "collected or enabled since: its holder has it, and it must be enabled again"
    RELEASED_SINCE = "released since: it stays barred until its holder comes"
    CANCELLED_SINCE = "cancelled since, and cancelled again: what was paid out or moved to a successor must be compared"
    CHANGED_SINCE = "changed since in what does not bar it: categories, limits, the electronic card"


@dataclass(slots=True)
class Reapplied:
    """What became of it."""

    named: Callable[[Cause, str], None]
    barred: int = 0
    """Cards that are lost, locked or cancelled again."""
    cards: dict[Cause, list[str]] = field(default_factory=dict)
    """Card identifiers, for whoever looks at them."""
    strangers: int = 0
    """Cards that were published before the moment, and are in no registry of ours."""

    def name(self, cause: Cause, card_identifier: str) -> None:
        """One more for a person."""
        self.named(cause, card_identifier)
        self.cards.setdefault(cause, []).append(card_identifier)


class _Published(NamedTuple):
    """The newest state of a card that is newer than the registry's."""

    order: tuple[int, int]
    state: CardState
    card: int
    """0: not in the registry."""


async def reapply_states(
    engine: AsyncEngine,
    announcer: Announcer,
    rules: LifeRules,
    published: Iterable[bytes],
    to_ms: int,
    named: Callable[[Cause, str], None] = lambda *_: None,
) -> Reapplied:
    """As the owner, before anybody is served, and before the cards are announced anew. It may be cut off and run again.

    `published`: the values of `card.events`. `named` is told of each card for a person before anything is done.
    """
    done = Reapplied(named)
    news, highest = await _newer(engine, published)
    for one in news:
        if one.card:
            await _again(engine, rules, one, done)
        elif one.state.status_periods and one.state.status_periods[0].valid_from_ms > to_ms:
            done.name(Cause.MADE_SINCE, one.state.card_identifier)
            await announcer.send(CARD_EVENTS, [_ended(one.state, highest + 1)])
        else:
            done.strangers += 1

    async def close(driver: "asyncpg.Connection[Any]") -> None:
        await driver.execute(_RAISE, highest)
        counts = Counter({cause.name: len(cards) for cause, cards in done.cards.items()})
        await audit.record(driver, OPERATOR, "restore.reapply", detail={"barred": done.barred, **counts})

    await transact(engine, close)
    return done


async def _newer(engine: AsyncEngine, published: Iterable[bytes]) -> tuple[list[_Published], int]:
    """What is newer than the registry, and the highest epoch that was published."""
    found: dict[str, _Published] = {}
    states = _states(published)
    async with driver_session(engine) as driver:
        epoch: int = await driver.fetchval(_EPOCH)
        highest = epoch
        while some := list(islice(states, _AT_ONCE)):
            rows = await driver.fetch(_KNOWN, [state.card_identifier for state in some])
            known = {identifier: (card, version) for identifier, card, version in rows}
            for state in some:
                card, version = known.get(state.card_identifier, (0, 0))
                order = state.epoch, state.version
                highest = max(highest, state.epoch)
                newest = found.get(state.card_identifier)
                if order > (epoch, version) and (newest is None or order > newest.order):
                    found[state.card_identifier] = _Published(order, state, card)
    return list(found.values()), highest


def _states(values: Iterable[bytes]) -> Iterator[CardState]:
    for value in values:
        try:
            event = CardEvent.FromString(value)
        except DecodeError:
            continue
        if event.HasField("state"):
            yield event.state


async def _again(engine: AsyncEngine, rules: LifeRules, one: _Published, done: Reapplied) -> None:
    period = one.state.status_periods[-1]
    # The official codes are the message's numbers less one.
    published, since_ms = SocialStatus(period.status - 1), period.valid_from_ms

    async def act(driver: "asyncpg.Connection[Any]") -> bool:
        card = await lock_card(driver, one.card)
        assert card is not None, "cards are never taken away"
        after = barred_again(rules, card, published, since_ms)
        if after is None or published is SocialStatus.CANCELLED:
            done.name(_cause(card.social, published, barred=after is not None), one.state.card_identifier)
        if after is not None:
            await store_card(driver, after, BARRED_BY[published], Party.SYSTEM, OPERATOR, min(since_ms, clock()))
        return after is not None

    done.barred += await transact(engine, act)


def _cause(before: SocialStatus, published: SocialStatus, *, barred: bool) -> Cause:
    if barred:
        return Cause.CANCELLED_SINCE
    if published is before:
        return Cause.CHANGED_SINCE
    return Cause.USED_SINCE if before is SocialStatus.SEALED else Cause.RELEASED_SINCE


def _ended(state: CardState, epoch: int) -> tuple[bytes, bytes]:
    """What cancels a card that no registry knows, wherever it was heard of."""
    ended = CardState()
    ended.CopyFrom(state)
    ended.epoch = epoch
    ended.status_periods.add(status=CARD_STATUS_CANCELLED, valid_from_ms=clock())
    return state.card_identifier.encode(), CardEvent(state=ended).SerializeToString()
