"""Compares the registry of cards with what payments knows of it: live cards, states, pointers, fees and the hotlist."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg
import msgspec

WAIT_SECONDS = 15.0
LOOK_SECONDS = 0.2
EXAMPLES = 3

REGISTRY = """
select c.card_identifier, c.holder, (select epoch from card.installation), c.version, c.social, c.kind,
    coalesce(s.card_identifier, '')
from card.card c left join card.card s on s.id = c.successor"""
PROJECTION = """
select c.card_identifier, c.account_id, a.cards::text from payments.card c join payments.account a on a.id = c.account_id
where c.card_identifier = any($1::text[])"""
FEES_ASTRAY = """
select count(*) from card.fee f join card.application a on a.id = f.application
where f.state = 1 or (f.state = 2 and (
    a.state = 7 or (a.state in (8, 10) and (f.source <> 1 or f.return_terminal is not null))))"""
"""At rest every fee belongs to a card, to an open application, or has been returned, or waits in cash to be handed out."""
HOTLIST_ASTRAY = """
select count(*) from card.card c
full join (select card from card.hotlist_entry where left_in is null) e on e.card = c.id
where (c.social in (2, 3, 4, 9)) is distinct from (e.card is not null)"""
"""Who is barred stands on the newest hotlist, and nobody else."""
LIVE = frozenset({1, 2, 3, 4})
"""Official codes: normal, formally lost, locked, lost for a time."""


class Registered(NamedTuple):
    """A card as its registry has it."""

    card_identifier: str
    holder: int
    epoch: int
    version: int
    social: int
    kind: int
    successor: str


class Period(msgspec.Struct):
    """A status as payments keeps it: the official code and one more."""

    status: int


class Projected(msgspec.Struct):
    """A card as payments keeps it."""

    card_identifier: str
    epoch: int
    version: int
    status_periods: list[Period]
    successor_card_identifier: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found."""

    cards: int
    live: int
    problems: Sequence[str]


def compare(owner_url: str) -> Compared:
    """Compare, again for some seconds while something is still on its way."""
    return asyncio.run(_compare(owner_url))


def differences(registry: Iterable[Registered], pointers: dict[str, int], projected: dict[str, Projected]) -> list[str]:
    """What payments has differently, a line each."""
    found = []
    for card in registry:
        known = projected.get(card.card_identifier)
        if known is None:
            found.append(f"{card.card_identifier} is not known to payments")
        elif pointers[card.card_identifier] != card.holder:
            found.append(f"{card.card_identifier} points to another account")
        elif (known.epoch, known.version) != (card.epoch, card.version):
            found.append(f"{card.card_identifier} is at version {known.version} in payments, at {card.version} in its registry")
        elif known.status_periods[-1].status != card.social + 1 or known.successor_card_identifier != card.successor:
            found.append(f"{card.card_identifier} has another status or successor in payments")
    return found


def doubles(registry: Iterable[Registered]) -> list[str]:
    """Who has more than one live card of a kind."""
    live = Counter((card.holder, card.kind) for card in registry if card.social in LIVE)
    return [f"holder {holder} has {count} live cards" for (holder, _), count in live.items() if count > 1]


async def _compare(owner_url: str) -> Compared:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(owner_url.replace("+asyncpg", ""))
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            registry = [Registered(*row) for row in await connection.fetch(REGISTRY)]
            rows = await connection.fetch(PROJECTION, [card.card_identifier for card in registry])
            pointers = {identifier: account for identifier, account, _ in rows}
            projected = {
                card.card_identifier: card for _, _, cards in rows for card in msgspec.json.decode(cards, type=list[Projected])
            }
            found = differences(registry, pointers, projected)
            if astray := await connection.fetchval(FEES_ASTRAY):
                found.append(f"{astray} fees have no card, no open application and no refund")
            if astray := await connection.fetchval(HOTLIST_ASTRAY):
                found.append(f"{astray} cards stand on the hotlist and are not barred, or are barred and do not")
            if not found or time.monotonic() > deadline:
                live = sum(card.social in LIVE for card in registry)
                return Compared(len(registry), live, [*doubles(registry), *found])
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
