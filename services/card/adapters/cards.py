"""Cards in PostgreSQL: locked, moved with their history and their event, and read for publication."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.holder_sessions import end_sessions_of_card
from services.card.adapters.notifications import NewNotification, note
from services.card.domain.actor import Actor
from services.card.domain.application import UNDERWAY
from services.card.domain.card import Card, CardKind, ElectronicLevel, FinancialStatus, Production, SocialStatus
from services.card.domain.electronic import ElectronicUse, use_of
from services.card.domain.holder_session import bars
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.occasion import of_verb
from services.common.clock import instant, milliseconds

CARD_COLUMNS: Final = """
    c.id, c.holder, c.card_identifier, c.kind, c.social, c.financial, c.production, c.version, c.bank_account is not null,
    c.valid_until, c.loss_until, c.successor, c.predecessor, c.issue_date,
    exists (select from card.card p where p.id = c.predecessor and p.social in (1, 3)),
    (select a.state from card.application a where a.holder = c.holder and a.state between 1 and 6),
    c.electronic, c.electronic_locked, c.electronic_outlives_loss"""
_SELECT: Final = f"select {CARD_COLUMNS} from card.card c"  # noqa: S608 - our own list of columns
_BY_ID: Final = _SELECT + " where c.id = $1"
_BY_HOLDERS: Final = _SELECT + " where c.holder = any($1::bigint[]) order by c.id"
_LOCK: Final = _BY_ID + " for no key update of c"
_HOLDER_OF: Final = "select holder from card.card where id = $1"
_LOCK_HOLDER: Final = "select from card.holder where id = $1 for no key update"
_BY_IDENTIFIER: Final = "select id from card.card where card_identifier = $1"
_NUMBERS: Final = "select id, sealed_number from card.card where holder = $1 and sealed_number is not null order by id"
_DRAW: Final = """
select nextval('card.card_id'), nextval('card.card_serial'), nextval('card.card_number_serial') from generate_series(1, $1)"""
_ADD: Final = """
insert into card.card (id, holder, card_identifier, sealed_number, kind, social, financial, production, application,
    predecessor, issue_date, valid_until, version)
values ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, 1)"""
_STORE: Final = """
update card.card set social = $2, financial = $3, production = $4, version = $5, valid_until = $6, loss_until = $7,
    successor = $8, electronic = $9, electronic_locked = $10, electronic_outlives_loss = $11
where id = $1 and version = $5::bigint - 1"""
# A card's history runs forward, also where a clock goes back or somebody read it before waiting for the lock.
_LAST: Final = "select max(at) from card.transition where card = any($1::bigint[])"
_TRANSITION: Final = """
insert into card.transition (card, version, verb, party, social, financial, production, at, actor, outlet, reason, papers,
    electronic_use)
values ($1, $2, $3, $4, $5, $6, $7,
    greatest($8, (select t.at from card.transition t where t.card = $1 and t.version = $2::bigint - 1)),
    $9, $10, $11, $12, $13)"""
_ANNOUNCE: Final = "insert into card.event_outbox (card, version) values ($1, $2)"

_RESTATE: Final = """
with moved as (
    update card.card set version = version + 1 where holder = $1 returning id, version, social, financial, production),
noted as (
    insert into card.transition
        (card, version, verb, party, social, financial, production, at, actor, outlet, electronic_use)
    select m.id, m.version, $2, $3, m.social, m.financial, m.production, greatest($4, t.at), $5, $6, t.electronic_use
    from moved m join card.transition t on t.card = m.id and t.version = m.version - 1)
insert into card.event_outbox (card, version) select id, version from moved order by id"""

RESTATED: Final = 100
"""Stands for the verb when nothing was done to a card, but what is known of its holder has changed."""
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


async def find_card(driver: "asyncpg.Connection[Any]", card_identifier: str) -> int | None:
    """Which card it is, by what is read from its chip."""
    number: int | None = await driver.fetchval(_BY_IDENTIFIER, card_identifier)
    return number


async def read_sealed_numbers(driver: "asyncpg.Connection[Any]", holder: int) -> dict[int, bytes]:
    """The printed numbers of a holder's cards, by card."""
    return dict(await driver.fetch(_NUMBERS, holder))


async def lock_card(driver: "asyncpg.Connection[Any]", number: int) -> Card | None:
    """A card, with its holder locked before it: whatever concerns one person is done one after the other."""
    holder = await driver.fetchval(_HOLDER_OF, number)
    if holder is None:
        return None
    await driver.execute(_LOCK_HOLDER, holder)
    return card_of(await driver.fetchrow(_LOCK, number))


async def not_before(driver: "asyncpg.Connection[Any]", cards: Iterable[int], now_ms: int) -> int:
    """Now, or when something last happened to one of several locked cards: what they do together is one moment."""
    return max(now_ms, milliseconds(await driver.fetchval(_LAST, list(cards))))


async def application_of(driver: "asyncpg.Connection[Any]", number: int) -> int:
    """The application that a card was made for."""
    application: int = await driver.fetchval("select application from card.card where id = $1", number)
    return application


async def add_card(driver: "asyncpg.Connection[Any]", new: NewCard, actor: Actor, now_ms: int) -> None:
    """Begin the life of a card: sealed, in production, with its first transition and its event."""
    await driver.execute(_ADD, *new)
    transition = (new.id, 1, MADE, Party.SYSTEM, SocialStatus.SEALED, new.financial, new.production)
    await driver.execute(_TRANSITION, *transition, instant(now_ms), actor.name, actor.outlet, 0, None, ElectronicUse.NOTHING)
    await driver.execute(_ANNOUNCE, new.id, 1)


async def restate_cards(driver: "asyncpg.Connection[Any]", holder: int, actor: Actor, now_ms: int) -> None:
    """All cards of a locked holder are announced anew, one version later."""
    await driver.execute(_RESTATE, holder, RESTATED, Party.SYSTEM, instant(now_ms), actor.name, actor.outlet)


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
    """Write a locked card after a verb, the row of its history, its event, and what its holder is told.

    A card that lets nobody in any more ends the sessions that it opened.
    """
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
        card.electronic,
        card.electronic_locked,
        card.electronic_outlives_loss,
    )
    assert stored == "UPDATE 1", "the card is locked, and one version older"
    transition = (card.id, card.version, verb, party, card.social, card.financial, card.production)
    await driver.execute(_TRANSITION, *transition, instant(now_ms), actor.name, actor.outlet, reason, papers, use_of(card))
    await driver.execute(_ANNOUNCE, card.id, card.version)
    if kind := of_verb(verb, party, card.social):
        await note(driver, NewNotification(card.holder, kind, card.id, card.version), now_ms)
    if bars(card):
        await end_sessions_of_card(driver, card.id, now_ms)


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
        applied,
        electronic,
        electronic_locked,
        electronic_outlives_loss,
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
        underway=UNDERWAY[applied] if applied else None,
        issue_date=issue_date,
        electronic=ElectronicLevel(electronic),
        electronic_locked=electronic_locked,
        electronic_outlives_loss=electronic_outlives_loss,
    )
