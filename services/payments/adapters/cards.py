"""The projection of card.events: which account a card draws on, and the states of the cards of each account."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from google.protobuf.message import DecodeError
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import card_events_pb2 as messages
from onecard.card.v1.card_events_pb2 import CardEvent, CardState
from services.common.clock import instant
from services.common.database import driver_transaction, place_of
from services.payments.domain.account import FIRST_HOLDER_ACCOUNT, FIRST_PURSE_ACCOUNT, AccountKind
from services.payments.domain.card import (
    Card,
    CardStatus,
    CategoryPeriod,
    ElectronicPeriod,
    ElectronicUse,
    SpendingLimitPeriod,
    StatusPeriod,
)
from services.payments.domain.limits import Limits
from services.payments.domain.tap import Scene

_OPEN: Final = """
insert into payments.account (id, kind, guarded) select id, $2, true from unnest($1::bigint[]) as n(id) order by id
on conflict do nothing"""
_POINT: Final = """
insert into payments.card (card_identifier, account_id) select * from unnest($1::text[], $2::bigint[])
on conflict do nothing returning card_identifier"""
_LOCK: Final = """
select a.id, a.cards::text, (select array_agg(c.card_identifier) from payments.card c where c.account_id = a.id)
from payments.account a where a.id = any($1::bigint[]) order by a.id for no key update of a"""
_STORE: Final = """
update payments.account a set cards = n.cards::json, version = a.version + 1
from unnest($1::bigint[], $2::text[]) as n(id, cards) where a.id = n.id"""
_BEAT: Final = """
insert into payments.card_projection (partition, committed_up_to)
select * from unnest($1::int[], $2::timestamptz[]) as n(partition, committed_up_to) order by partition
on conflict (partition) do update set committed_up_to = greatest(excluded.committed_up_to, card_projection.committed_up_to)"""
_FORGET: Final = "delete from payments.card_projection where $1 > 0 and partition >= $1"

_SCENES: Final = {Scene.BUS: "bus_day_fen", Scene.CAMPUS: "campus_day_fen", Scene.SCENIC: "scenic_day_fen"}

_OPTIONAL: Final = {one.name for one in fields(Card) if one.default is not MISSING}

_decode_cards = msgspec.json.Decoder(tuple[Card, ...]).decode
_encode_json = msgspec.json.Encoder().encode


class CardEventError(ValueError):
    """A record of card.events that says nothing usable; the message names the field, never its value."""


class Beat(NamedTuple):
    """A heartbeat of one partition."""

    committed_up_to_ms: int
    partitions: int
    """How many the publisher writes to; 0: it did not say."""


def decode_card_event(value: bytes) -> tuple[Card, int] | Beat:
    """A card and its account, or a heartbeat. Raises CardEventError."""
    try:
        event = CardEvent.FromString(value)
    except DecodeError:
        raise CardEventError("not a CardEvent") from None
    match event.WhichOneof("event"):
        case "heartbeat":
            return Beat(event.heartbeat.committed_up_to_ms, event.heartbeat.partitions)
        case "state":
            return _card(event.state), event.state.account_id
        case _:
            raise CardEventError("neither a state nor a heartbeat")


def _card(state: CardState) -> Card:
    if not (0 < len(state.card_identifier) <= 32 and state.card_identifier.isascii() and state.card_identifier.isprintable()):
        raise CardEventError("card_identifier")
    if not FIRST_HOLDER_ACCOUNT <= state.account_id < FIRST_PURSE_ACCOUNT:
        raise CardEventError("account_id")
    try:
        birth_date = date.fromisoformat(state.birth_date) if state.birth_date else None
        statuses = tuple(
            StatusPeriod(CardStatus(p.status), p.valid_from_ms, p.hotlist_published_ms) for p in state.status_periods
        )
        uses = tuple(ElectronicPeriod(ElectronicUse(p.use), p.valid_from_ms) for p in state.electronic_periods)
    except ValueError:
        raise CardEventError("birth_date, status or use") from None
    categories = tuple(CategoryPeriod(p.category, p.resident, p.valid_from_ms) for p in state.category_periods)
    limits = tuple(SpendingLimitPeriod(_limits(p), p.valid_from_ms) for p in state.spending_limit_periods)
    for name, periods in (("status", statuses), ("category", categories), ("electronic", uses), ("spending_limit", limits)):
        since = [period.valid_from_ms for period in periods]
        if since != sorted(since):
            raise CardEventError(f"{name}_periods out of order")
    return Card(
        state.card_identifier,
        birth_date,
        statuses,
        categories,
        state.epoch,
        state.version,
        state.successor_card_identifier,
        state.predecessor_card_identifier,
        uses,
        limits,
    )


def _limits(period: messages.SpendingLimitPeriod) -> Limits | None:
    if not period.HasField("limits"):
        return None
    said = {field.name: value for field, value in period.limits.ListFields()}
    scenes = {scene: said[name] for scene, name in _SCENES.items() if name in said}
    return Limits(said.get("payment_fen"), said.get("day_fen"), said.get("day_payments"), scenes)


async def open_holders(driver: "asyncpg.Connection[Any]", ids: Sequence[int]) -> None:
    """Open the accounts that are missing, in order of their ids."""
    await driver.execute(_OPEN, ids, AccountKind.HOLDER)


class CardProjection:
    """Writes the projection. Accounts are locked as postings lock them, so a status changes between batches, never in one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.place = place_of(engine)
        self._engine = engine

    async def store(self, cards: Sequence[tuple[Card, int]], beats: Mapping[int, Beat]) -> list[str]:
        """Keep the newest state of each card; returns the identifiers of cards that were not known before.

        A state that is older than the stored one changes nothing. A card never changes its account: a state that names
        another one is left out.
        """
        async with driver_transaction(self._engine) as driver:
            new = await self._store(driver, cards) if cards else []
            if beats:
                await driver.execute(_BEAT, list(beats), [instant(beat.committed_up_to_ms) for beat in beats.values()])
                await driver.execute(_FORGET, max(beat.partitions for beat in beats.values()))
        return new

    async def _store(self, driver: "asyncpg.Connection[Any]", cards: Sequence[tuple[Card, int]]) -> list[str]:
        ids = sorted({account_id for _, account_id in cards})
        await open_holders(driver, ids)
        by_identifier = sorted({card.card_identifier: account_id for card, account_id in cards}.items())
        new = await driver.fetch(_POINT, [i for i, _ in by_identifier], [a for _, a in by_identifier])
        stored: dict[int, dict[str, Card]] = {}
        pointing: dict[int, set[str]] = {}
        for account_id, states, identifiers in await driver.fetch(_LOCK, ids):
            stored[account_id] = {card.card_identifier: card for card in _decode_cards(states)}
            pointing[account_id] = set(identifiers or ())
        changed = set()
        for card, account_id in cards:
            states = stored[account_id]
            known = states.get(card.card_identifier)
            if card.card_identifier in pointing[account_id] and (known is None or card.newer_than(known)):
                states[card.card_identifier] = card
                changed.add(account_id)
        if changed:
            ids = sorted(changed)
            await driver.execute(_STORE, ids, [_encode(stored[i].values()) for i in ids])
        return [row[0] for row in new]


def _encode(cards: Iterable[Card]) -> str:
    """What is empty is left out: every posting writes the account's row anew."""
    states = map(msgspec.to_builtins, cards)
    return _encode_json([{k: v for k, v in one.items() if v or k not in _OPTIONAL} for one in states]).decode()
