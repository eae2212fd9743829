"""Correct who somebody is: a name, a birth date, a document's number, and with it the social security number.

Whatever finds the person changes in the same transaction. Who they were stays, sealed: older papers bear the older name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.bank_batches import is_at_bank
from services.card.adapters.cards import restate_cards
from services.card.adapters.people import (
    Holder,
    add_document,
    add_former,
    find_holders,
    lock_holder,
    open_document,
    read_documents,
    seal_document,
    store_identity,
)
from services.card.adapters.sealing import Digest, Sealing, encode_papers
from services.card.domain.actor import Actor
from services.card.domain.approval import Case
from services.card.domain.document import Document, takes_place_of
from services.card.domain.person import Field, LookupField, Person, Sex
from services.card.domain.refusal import Refusal
from services.card.domain.staff import Right
from services.card.handlers.submit import namesake_digests
from services.common.clock import day_of


@dataclass(frozen=True, slots=True)
class Correction:
    """What is right, and was wrong; None: it stays."""

    holder: int
    name: str | None = None
    birth_date: date | None = None
    document: Document | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """What became of it. Nothing in it is personal."""

    holder: int
    refusal: Refusal | None = None
    approval: int = 0
    """The number under which a second person is asked; such an answer is not the last word."""


@dataclass(frozen=True, slots=True)
class Former:
    """Who somebody was; sealed."""

    number: int
    name: str
    birth_date: date
    social_security_number: str


async def correct_identity(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    correction: Correction,
    actor: Actor,
    now_ms: int,
    *,
    approved: bool,
) -> Corrected:
    """Put an identity right, or why not. Raises DomainError when there is no such holder."""
    holder = await lock_holder(driver, sealing, correction.holder)
    today = day_of(now_ms)
    known = {d.number: open_document(holder, d, today) for d in (await read_documents(driver, [holder.id])).get(holder.id, ())}
    new = correction.document if correction.document not in known.values() else None
    gone = [number for number, document in known.items() if new and takes_place_of(new, document)]
    before = holder.person()
    after = _after(before, correction, [known[number].social_security_number for number in gone])
    if after == before and new is None:
        return Corrected(holder.id, Refusal.NOTHING_TO_CORRECT)
    shown = [document for number, document in known.items() if number not in gone] + ([new] if new else [])
    if any(document.birth_date not in (None, after.birth_date) for document in shown):
        return Corrected(holder.id, Refusal.PERSON_DIFFERS)
    found_by = list(_found_by(sealing, after, shown))
    if set((await find_holders(driver, found_by)).values()) - {holder.id}:
        return Corrected(holder.id, Refusal.NUMBER_TAKEN)
    if await is_at_bank(driver, holder.id):  # its answer names the person as the file did
        return Corrected(holder.id, Refusal.APPLICATION_AT_BANK)
    if not approved:
        return Corrected(holder.id, Refusal.SECOND_PERSON_NEEDED)
    await add_former(driver, holder.id, partial(_seal_former, holder, before), actor, now_ms)
    if new:
        await add_document(
            driver, holder.id, gone, new.kind, partial(seal_document, holder, new), correction.valid_until, now_ms
        )
    citizen = any(document.citizen for document in shown)
    await store_identity(driver, sealing, holder, after, found_by, namesake_digests(sealing, after), citizen=citizen)
    if after.birth_date != before.birth_date:
        await restate_cards(driver, holder.id, actor, now_ms)
    await audit.record(driver, actor, "holder.correct", holder=holder.id, detail=what_changes(correction))
    return Corrected(holder.id)


def case_of(correction: Correction, corrected: Corrected) -> Case:
    """For the second person, who looks at the same papers: what is to be corrected, and nothing personal."""
    return Case(Right.CORRECT_IDENTITY, what_changes(correction), corrected.holder)


def what_changes(correction: Correction) -> dict[str, str | int]:
    """Which parts of an identity; never their values."""
    parts = {"name": correction.name, "birth_date": correction.birth_date, "document": correction.document}
    return {"parts": " ".join(part for part, value in parts.items() if value is not None)}


def _after(before: Person, correction: Correction, gone: Sequence[str]) -> Person:
    document = correction.document
    after = replace(before, name=correction.name or before.name, birth_date=correction.birth_date or before.birth_date)
    if document is None:
        return after
    if document.birth_date and correction.birth_date is None:
        after = replace(after, birth_date=document.birth_date)
    if document.sex is not Sex.UNKNOWN:
        after = replace(after, sex=document.sex)
    if document.citizen or before.social_security_number in gone:
        after = replace(after, social_security_number=document.social_security_number)
    return after


def _found_by(sealing: Sealing, person: Person, shown: Sequence[Document]) -> Iterator[Digest]:
    if number := person.social_security_number:
        yield from sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)
    for document in shown:
        if not document.citizen:
            yield from sealing.digests(LookupField.DOCUMENT, str(document.kind.value), document.text)


def _seal_former(holder: Holder, before: Person, number: int) -> bytes:
    former = Former(number, before.name, before.birth_date, before.social_security_number)
    return holder.cipher.seal(Field.FORMER_IDENTITY, encode_papers(former))
