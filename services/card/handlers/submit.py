"""Take applications: one from a counter, or hundreds from an employer, the same way and in one transaction.

Load who is known, decide, seal and save. Two who bring the same person at once meet at the index of digests or of open
applications: one of them begins again and then finds the other's application.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters import audit
from services.card.adapters.applications import (
    NewApplication,
    add_applications,
    new_application_ids,
    read_open_applications,
)
from services.card.adapters.cards import read_cards_of
from services.card.adapters.money import NewFee, add_fees
from services.card.adapters.people import (
    Holder,
    NewHolder,
    add_holders,
    document_field,
    find_holders,
    find_namesakes,
    new_holder_ids,
    read_holders,
)
from services.card.adapters.photos import NewPhoto, add_photos, newest_photos
from services.card.adapters.sealing import SEALED_VERSION, Digest, HolderCipher, Sealing, encode_papers
from services.card.adapters.work_calendar import after_working_days
from services.card.domain.actor import Actor
from services.card.domain.application import Applicant, ApplicationState, Mode, Wanted, fee_fen, judge
from services.card.domain.document import Document
from services.card.domain.fee import FeeSource
from services.card.domain.person import Field, LookupField, Person
from services.card.domain.refusal import Refusal
from services.card.domain.settings import ApplicationRules, CitySettings
from services.common.clock import SHANGHAI, instant, milliseconds

_MINUTE_MS: Final = 60_000


class CheckedPhoto(NamedTuple):
    """A photo that is as demanded, or that a clerk let pass."""

    jpeg: bytes
    overrides: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """One application whose form makes sense by itself."""

    wanted: Wanted
    document: Document
    person: Person
    category: str = "ordinary"
    resident: bool = False
    valid_until: date | None = None
    photo: CheckedPhoto | None = field(default=None, repr=False)
    other_people: frozenset[int] = frozenset()
    """Holders whom the clerk compared with the applicant, and found to be other people."""
    batch: int | None = None
    batch_row: int | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a submission."""

    application: int | None
    """The one that was made, or the one that is open already."""
    holder: int | None
    refusal: Refusal | None = None
    possible_holders: tuple[int, ...] = ()
    approval: int = 0
    """The number under which a second person is asked; such an answer is not the last word."""


class _Known(NamedTuple):
    """What was found of the people of a batch."""

    holders: Sequence[frozenset[int]]
    """By submission: whom its numbers lead to; at most one if all is well."""
    stored: dict[int, Holder]
    applicants: dict[int, Applicant]
    namesakes: Sequence[frozenset[int]]
    photos: dict[int, int]
    """The number of the newest photo, by holder."""


@dataclass(slots=True)
class _Accepted:
    """A submission on its way into the tables."""

    index: int
    submission: Submission
    holder: int
    cipher: HolderCipher
    has_photo: bool


async def submit(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    submissions: Sequence[Submission],
    actor: Actor,
    now_ms: int,
) -> list[Decided]:
    """A verdict for each, in order, in the caller's transaction. UniqueViolationError: somebody was quicker; begin again."""
    today = instant(now_ms).astimezone(SHANGHAI).date()
    sought = [list(_found_by(sealing, s)) for s in submissions]
    known = await _look_up(driver, sealing, submissions, sought)
    decided = [_decide(settings, s, known, i, today) for i, s in enumerate(submissions)]
    _refuse_repeats(decided, sought)
    accepted = [i for i, d in enumerate(decided) if d.refusal is None]
    if accepted:
        await _save(driver, sealing, settings, submissions, sought, known, decided, accepted, actor, now_ms)
    return decided


def _found_by(sealing: Sealing, submission: Submission) -> Iterator[Digest]:
    """What a person is found by: the number that is theirs for life, and otherwise the document's."""
    document = submission.document
    if number := submission.person.social_security_number:
        yield from sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)
    if not document.citizen:
        yield from sealing.digests(LookupField.DOCUMENT, str(document.kind.value), document.number)


def _namesake_digests(sealing: Sealing, person: Person) -> list[Digest]:
    return sealing.digests(LookupField.NAME_AND_BIRTH_DATE, person.name, person.birth_date.isoformat())


async def _look_up(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, submissions: Sequence[Submission], sought: Sequence[list[Digest]]
) -> _Known:
    found = await find_holders(driver, [digest for digests in sought for digest in digests])
    holders = [frozenset(found[d.field, d.digest] for d in digests if (d.field, d.digest) in found) for digests in sought]
    ids = {holder for of_one in holders for holder in of_one}
    stored = await read_holders(driver, sealing, ids, lock=True)
    cards, open_applications = await read_cards_of(driver, stored), await read_open_applications(driver, stored)
    applicants = {
        id_: Applicant(holder.person(), tuple(cards.get(id_, ())), open_applications.get(id_)) for id_, holder in stored.items()
    }
    strangers = [i for i, of_one in enumerate(holders) if not of_one]
    asked = {i: _namesake_digests(sealing, submissions[i].person)[-1] for i in strangers}
    same_name = await find_namesakes(driver, [(d, submissions[i].document.citizen) for i, d in asked.items()])
    namesakes = [frozenset(same_name.get(asked[i].digest, ())) if i in asked else frozenset() for i in range(len(submissions))]
    return _Known(holders, stored, applicants, namesakes, await newest_photos(driver, stored))


def _decide(settings: CitySettings, submission: Submission, known: _Known, index: int, today: date) -> Decided:
    holders = known.holders[index]
    if len(holders) > 1:
        return Decided(None, None, Refusal.PERSON_DIFFERS)
    if not holders:
        if possible := known.namesakes[index] - submission.other_people:
            return Decided(None, None, Refusal.POSSIBLE_SAME_PERSON, tuple(sorted(possible)))
        return Decided(None, None, judge(settings, submission.wanted, Applicant(submission.person), today))
    (holder,) = holders
    applicant = known.applicants.get(holder)
    if applicant is None:  # deleted between the look-up and the lock
        return Decided(None, None, Refusal.PERSON_DIFFERS)
    if not _same_person(applicant.person, submission.person):
        return Decided(None, None, Refusal.PERSON_DIFFERS)
    refusal = judge(settings, submission.wanted, applicant, today)
    return Decided(applicant.open_application if refusal is Refusal.APPLICATION_OPEN else None, holder, refusal)


def _same_person(stored: Person, told: Person) -> bool:
    return (stored.name, stored.birth_date) == (told.name, told.birth_date)


def _refuse_repeats(decided: list[Decided], sought: Sequence[list[Digest]]) -> None:
    """Of one person only the first application counts."""
    seen: set[Digest] = set()
    for i, digests in enumerate(sought):
        if decided[i].refusal is not None:
            continue
        if seen & set(digests):
            decided[i] = Decided(None, None, Refusal.ROW_REPEATED)
        seen.update(digests)


async def _save(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    submissions: Sequence[Submission],
    sought: Sequence[list[Digest]],
    known: _Known,
    decided: list[Decided],
    accepted: Sequence[int],
    actor: Actor,
    now_ms: int,
) -> None:
    strangers = [i for i in accepted if decided[i].holder is None]
    ids = dict(zip(strangers, await new_holder_ids(driver, len(strangers)), strict=True)) if strangers else {}
    new_holders: list[NewHolder] = []
    papers: list[_Accepted] = []
    for i in accepted:
        submission = submissions[i]
        if i in ids:
            cipher, holder = _new_holder(sealing, ids[i], submission, sought[i])
            new_holders.append(holder)
            papers.append(_Accepted(i, submission, ids[i], cipher, has_photo=submission.photo is not None))
        else:
            (id_,) = known.holders[i]
            has_photo = submission.photo is not None or id_ in known.photos
            papers.append(_Accepted(i, submission, id_, known.stored[id_].cipher, has_photo))
    if new_holders:
        await add_holders(driver, new_holders, now_ms)
    numbers = await new_application_ids(driver, len(papers))
    new = [_application(settings, one, number, now_ms) for one, number in zip(papers, numbers, strict=True)]
    await add_applications(driver, new, actor, now_ms)
    await add_photos(driver, list(_photos(papers, known.photos)), now_ms)
    if fees := list(_fees(papers, new)):
        await add_fees(driver, fees, actor, now_ms)
    for one, number in zip(papers, numbers, strict=True):
        decided[one.index] = Decided(number, one.holder)
    await _record(driver, actor, new)


def _new_holder(
    sealing: Sealing, id_: int, submission: Submission, found_by: Sequence[Digest]
) -> tuple[HolderCipher, NewHolder]:
    cipher, key = sealing.new_key(id_)
    document = submission.document
    holder = NewHolder(
        id_,
        key,
        SEALED_VERSION,
        cipher.seal_person(submission.person),
        submission.category,
        submission.resident,
        document.citizen,
        document.kind,
        cipher.seal(document_field(1), document.number.encode()),
        submission.valid_until,
        found_by,
        _namesake_digests(sealing, submission.person),
    )
    return cipher, holder


def _application(settings: CitySettings, one: _Accepted, number: int, now_ms: int) -> NewApplication:
    wanted = one.submission.wanted
    sealed = one.cipher.seal(Field.PAPERS, encode_papers((number, wanted.papers))) if wanted.papers else None
    return NewApplication(
        number,
        one.holder,
        wanted.kind,
        wanted.mode,
        wanted.route,
        ApplicationState.APPLIED if one.has_photo else ApplicationState.AWAITING_PHOTO,
        wanted.outlet,
        one.submission.batch,
        one.submission.batch_row,
        sealed,
        fee_fen(settings.fee, wanted.kind),
        due_ms(settings.application, wanted.mode, now_ms),
    )


def due_ms(rules: ApplicationRules, mode: Mode, now_ms: int) -> int:
    """Until when a card is to be there: minutes at a window, the end of a working day from the maker."""
    if mode is not Mode.ORDINARY:
        return now_ms + rules.instant_minutes * _MINUTE_MS
    last = after_working_days(instant(now_ms).astimezone(SHANGHAI).date(), rules.working_days)
    return milliseconds(datetime.combine(last + timedelta(1), time(), SHANGHAI))


def _photos(papers: Sequence[_Accepted], newest: dict[int, int]) -> Iterator[NewPhoto]:
    for one in papers:
        if photo := one.submission.photo:
            number = newest.get(one.holder, 0) + 1
            yield NewPhoto(
                one.holder, number, one.cipher.seal(Field.PHOTO, photo.jpeg), list(photo.overrides), photo.reason
            )  # fmt: skip


def _fees(papers: Sequence[_Accepted], new: Sequence[NewApplication]) -> Iterator[NewFee]:
    for one, application in zip(papers, new, strict=True):
        source = one.submission.wanted.fee
        if application.fee_fen and source not in (None, FeeSource.WAIVED):
            yield NewFee(application.id, application.fee_fen, source)


async def _record(driver: "asyncpg.Connection[Any]", actor: Actor, new: Sequence[NewApplication]) -> None:
    """One row for one application; a batch's rows are named by its own table."""
    first = new[0]
    if len(new) == 1:
        await audit.record(driver, actor, "application.submit", holder=first.holder, application=first.id)
    else:
        detail = {"batch": first.batch or 0, "applications": len(new), "first": first.id, "last": new[-1].id}
        await audit.record(driver, actor, "application.submit_rows", detail=detail)
