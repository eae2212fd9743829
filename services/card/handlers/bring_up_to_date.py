"""Bring a holder up to date with what a form says: phone, address, nationality, category, and how long the document is good.

Who somebody is, by name, birth date and number, stays: `correct_identity` changes that, before a second person.
"""

from datetime import date
from functools import partial
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.cards import restate_cards
from services.card.adapters.people import (
    Holder,
    add_document,
    open_document,
    read_documents,
    seal_document,
    store_category,
    store_person,
)
from services.card.domain.actor import Actor
from services.card.domain.document import Document, takes_place_of
from services.card.domain.particulars import OF_PERSON, Particulars, brought_up_to_date
from services.common.clock import day_of


async def bring_up_to_date(
    driver: "asyncpg.Connection[Any]",
    holder: Holder,
    told: Particulars,
    actor: Actor,
    now_ms: int,
    *,
    gaps_alone: bool = False,
    by_guardian: bool = False,
) -> list[str]:
    """Store what is different of a locked holder, and answer which parts are. Their cards' events follow the category."""
    before = holder.person()
    after = brought_up_to_date(before, told, gaps_alone=gaps_alone)
    parts = [part for part in OF_PERSON if getattr(after, part) != getattr(before, part)]
    if parts:
        await store_person(driver, holder, after)
    category = told.category or holder.category
    resident = holder.resident if told.resident is None else told.resident
    if (category, resident) != (holder.category, holder.resident) and not gaps_alone:
        await store_category(driver, holder.id, category, resident, now_ms)
        await restate_cards(driver, holder.id, actor, now_ms)
        parts.append("category")
    if told.document and await _renew(driver, holder, told.document, told.valid_until, now_ms, gaps_alone=gaps_alone):
        parts.append("document")
    if parts:
        detail: dict[str, str | int] = {"parts": " ".join(parts), "by_guardian": int(by_guardian)}
        await audit.record(driver, actor, "holder.update", holder=holder.id, detail=detail)
    return parts


async def _renew(
    driver: "asyncpg.Connection[Any]",
    holder: Holder,
    shown: Document,
    valid_until: date | None,
    now_ms: int,
    *,
    gaps_alone: bool,
) -> bool:
    """The document as it was shown now, behind the one that it was renewed from. Whether there is anything new."""
    today = day_of(now_ms)
    stored = (await read_documents(driver, [holder.id])).get(holder.id, ())
    known = {one.number: (open_document(holder, one, today), one.valid_until) for one in stored}
    ends = [until for document, until in known.values() if document == shown and until and until >= today]
    valid_until = valid_until or next(iter(ends), None)  # what is over is not the document that was shown now
    if (shown, valid_until) in known.values() or (gaps_alone and (shown, None) not in known.values()):
        return False
    gone = [number for number, (document, _) in known.items() if takes_place_of(shown, document)]
    await add_document(driver, holder.id, gone, shown.kind, partial(seal_document, holder, shown), valid_until, now_ms)
    return True
