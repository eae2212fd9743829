"""Cards in PostgreSQL: locked, moved with their history and their event, and read for publication."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.actor import Actor
from services.card.domain.card import Card, CardKind, FinancialStatus, Production, SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.common.clock import instant, milliseconds

CARD_COLUMNS: Final = """
    c.id, c.holder, c.card_identifier, c.kind, c.social, c.financial, c.production, c.version, c.bank_account is not null,
    c.valid_until, c.loss_until, c.successor, c.predecessor, c.issue_date,
    exists (select from card.card p where p.id = c.predecessor and p.social in (1, 3)),
    exists (select from card.card s where s.holder = c.holder and s.kind = c.kind and s.social = 0 and s.id <> c.id)"""
_SELECT: Final = f"select {CARD_COLUMNS} from card.card c"  # noqa: S608 - our own list of columns
_BY_ID: Final = _SELECT + " where c.id = $1"
_BY_HOLDERS: Final = _SELECT + " where c.holder = any($1::bigint[]) order by c.id"
_LOCK: Final = _BY_ID + " for no key update of c"
_HOLDER_OF: Final = "select holder from card.card where id = $1"
_LOCK_HOLDER: Final = "select from card.holder where id = $1 for no key update"
_DRAW: Final = """
select nextval('card.card_id'), nextval('card.card_serial'), nextval('card.card_number_serial') from generate_series(1, $1)"""
_ADD: Final = """
insert into card.card (id, holder, card_identifier, sealed_number, kind, social, financial, production, application,
    predecessor, issue_date, valid_until, version)
values ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, 1)"""
_STORE: Final = """
update card.card set social = $2, financial = $3, production = $4, version = $5, valid_until = $6, loss_until = $7,
    successor = $8, wrong_pins = case when $2::smallint = 3 then wrong_pins else 0 end
where id = $1 and version = $5::bigint - 1"""
_TRANSITION: Final = """
insert into card.transition (card, version, verb, party, social, financial, production, at, actor, outlet, reason, papers)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"""
_ANNOUNCE: Final = "insert into card.event_outbox (card, version) values ($1, $2)"

MADE: Final = 0
"""Stands for the verb in a card's first transition."""


class DrawnNumbers(NamedTuple):
    """Numbers that no other card has or will have."""

    card: int
    serial: int
    """In the card identifier, four bytes."""
    number_serial: int
    """In the printed card number, eight digits."""


class NewCard(NamedTuple):
    """A card whose making begins."""

    id: int
    holder: int
    card_identifier: str
    sealed_number: bytes
    kind: CardKind
    financial: FinancialStatus
    production: Production
    application: int
    predecessor: int | None
    issue_date: date
    valid_until: date


async def draw_numbers(driver: "asyncpg.Connection[Any]", count: int) -> list[DrawnNumbers]:
    """Numbers for new cards; one that is drawn in vain is lost."""
    return [DrawnNumbers(*row) for row in await driver.fetch(_DRAW, count)]


async def read_cards_of(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> dict[int, list[Card]]:
    """All cards that holders ever had, oldest first."""
    found: dict[int, list[Card]] = {}
    for card in map(card_of, await driver.fetch(_BY_HOLDERS, sorted(set(holders)))):
        found.setdefault(card.holder, []).append(card)
    return found


async def read_card(driver: "asyncpg.Connection[Any]", number: int) -> Card | None:
    """A card as it is now."""
    row = await driver.fetchrow(_BY_ID, number)
    return card_of(row) if row else None


async def lock_card(driver: "asyncpg.Connection[Any]", number: int) -> Card | None:
    """A card, with its holder locked before it: whatever concerns one person is done one after the other."""
    holder = await driver.fetchval(_HOLDER_OF, number)
    if holder is None:
        return None
    await driver.execute(_LOCK_HOLDER, holder)
    return card_of(await driver.fetchrow(_LOCK, number))


async def application_of(driver: "asyncpg.Connection[Any]", number: int) -> int:
    """The application that a card was made for."""
    application: int = await driver.fetchval("select application from card.card where id = $1", number)
    return application


async def add_card(driver: "asyncpg.Connection[Any]", new: NewCard, actor: Actor, now_ms: int) -> None:
    """Begin the life of a card: sealed, in production, with its first transition and its event."""
    await driver.execute(_ADD, *new)
    transition = (new.id, 1, MADE, Party.SYSTEM, SocialStatus.SEALED, new.financial, new.production)
    await driver.execute(_TRANSITION, *transition, instant(now_ms), actor.name, actor.outlet, 0, None)
    await driver.execute(_ANNOUNCE, new.id, 1)


async def store_card(
    driver: "asyncpg.Connection[Any]",
    card: Card,
    verb: Verb,
    party: Party,
    actor: Actor,
    now_ms: int,
    *,
    reason: int = 0,
    papers: bytes | None = None,
) -> None:
    """Write a locked card after a verb, the row of its history, and its event."""
    stored = await driver.execute(
        _STORE,
        card.id,
        card.social,
        card.financial,
        card.production,
        card.version,
        card.valid_until,
        instant(card.loss_until_ms) if card.loss_until_ms else None,
        card.successor,
    )
    assert stored == "UPDATE 1", "the card is locked, and one version older"
    transition = (card.id, card.version, verb, party, card.social, card.financial, card.production)
    await driver.execute(_TRANSITION, *transition, instant(now_ms), actor.name, actor.outlet, reason, papers)
    await driver.execute(_ANNOUNCE, card.id, card.version)


def card_of(row: Any) -> Card:
    """A row of CARD_COLUMNS."""
    (
        id_,
        holder,
        identifier,
        kind,
        social,
        financial,
        production,
        version,
        has_account,
        valid_until,
        loss_until,
        successor,
        predecessor,
        issue_date,
        predecessor_in_hand,
        successor_in_production,
    ) = row
    return Card(
        id=id_,
        holder=holder,
        card_identifier=identifier,
        kind=CardKind(kind),
        social=SocialStatus(social),
        financial=FinancialStatus(financial),
        production=Production(production),
        version=version,
        has_bank_account=has_account,
        valid_until=valid_until,
        loss_until_ms=milliseconds(loss_until) if loss_until else 0,
        successor=successor,
        predecessor=predecessor,
        predecessor_in_hand=predecessor_in_hand,
        successor_in_production=successor_in_production,
        issue_date=issue_date,
    )
