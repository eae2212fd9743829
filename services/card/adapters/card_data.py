"""What goes onto a card, in one statement, which writes the reading down before it is answered."""

from typing import Any, Final

import asyncpg

from services.card.adapters.cards import CARD_COLUMNS, card_of
from services.card.adapters.people import HOLDER_COLUMNS, holder_of
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.card_data import CardData
from services.card.domain.person import Field

# 4 to 6: services.card.domain.card_data.BEING_MADE; 4: it is still in production.
_BY_APPLICATION: Final = """
select c.id as card, c.holder, a.id as application, a.state = 4 as with_photo
from card.application a join card.card c on c.id = a.card where a.id = $5 and a.state between 4 and 6"""
_BY_IDENTIFIER: Final = """
select c.id as card, c.holder, coalesce(a.id, 0) as application, false as with_photo
from card.card c left join card.application a on a.id = c.application and a.card = c.id and a.state between 4 and 6
where c.card_identifier = $5"""
_READ: Final = f"""
with found as materialized (%s),
noted as (
    insert into card.audit (actor, shift, terminal, act, holder, card, application, detail)
    select $1, $2, $3, $4, holder, card, nullif(application, 0), '{{"through": "issuance"}}' from found)
select f.application,
    array(select row({CARD_COLUMNS}) from card.card c where c.id = f.card),
    array(select row({HOLDER_COLUMNS}) from card.holder where id = f.holder and deletion_time is null and not $6),
    (select sealed_number from card.card where id = f.card and not $6),
    (select sealed from card.photo where holder = f.holder and f.with_photo and not $6 order by number desc limit 1)
from found f"""  # noqa: S608 - our own lists of columns


async def read_by_application(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, number: int, actor: Actor, *, summary_only: bool = False
) -> CardData | None:
    """Of the card that is being made for an application; None: none is, or the holder was deleted."""
    return await _read(driver, sealing, _READ % _BY_APPLICATION, number, actor, summary_only)


async def read_by_identifier(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, card_identifier: str, actor: Actor, *, summary_only: bool = False
) -> CardData | None:
    """Of any card, by what is read from its chip, without the photo; None as above."""
    return await _read(driver, sealing, _READ % _BY_IDENTIFIER, card_identifier, actor, summary_only)


async def _read(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, statement: str, by: int | str, actor: Actor, summary_only: bool
) -> CardData | None:
    act = "card.read_summary" if summary_only else "card.read_data"
    row = await driver.fetchrow(statement, actor.name, actor.shift, actor.terminal, act, by, summary_only)
    if row is None:
        return None
    application, (card,), holders, sealed_number, sealed_photo = row
    if summary_only:
        return CardData(card_of(card), application)
    if not holders:
        return None
    holder = holder_of(sealing, holders[0])
    number = holder.cipher.open(Field.CARD_NUMBER, sealed_number).decode() if sealed_number else ""
    photo = holder.cipher.open(Field.PHOTO, sealed_photo) if sealed_photo else b""
    return CardData(card_of(card), application, holder.person(), number, photo)
