"""Take applications: one from a counter, or hundreds from an employer, the same way and in one transaction.

Load who is known, decide, seal and save. Two who bring the same stranger at once meet at the lock of name and birth date, and
two who bring a known person at the holder's: one of them comes after the other, or begins again at the index of digests, and
finds the other's application.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date
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
from services.card.adapters.consents import NewConsent, add_consents, given_consents
from services.card.adapters.money import NewFee, add_fees
from services.card.adapters.people import (
    Holder,
    NewHolder,
    add_holders,
    document_digests,
    document_field,
    find_holders,
    find_namesakes,
    lock_namesakes,
    new_holder_ids,
    read_holders,
)
from services.card.adapters.photos import NewPhoto, add_photos, newest_photos
from services.card.adapters.sealing import SEALED_VERSION, Digest, HolderCipher, Sealing, encode_papers
from services.card.adapters.work_calendar import due_ms
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.application import Applicant, ApplicationState, Route, Wanted, fee_fen, judge
from services.card.domain.document import Document
from services.card.domain.fee import FeeSource
from services.card.domain.names import cannot_carry, carriers, prints_with
from services.card.domain.particulars import Particulars, on_form
from services.card.domain.person import Field, LookupField, Person
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.bring_up_to_date import bring_up_to_date
from services.common.clock import day_of

_ORDINARY: Final = "ordinary"


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
    category: str = ""
    """Empty: as it is; "ordinary" of somebody new."""
    resident: bool | None = None
    """None: as it is; not, of somebody new."""
    valid_until: date | None = None
    photo: CheckedPhoto | None = field(default=None, repr=False)
    other_people: frozenset[int] = frozenset()
    """Holders whom the clerk compared with the applicant, and found to be other people."""
    batch: int | None = None
    batch_row: int | None = None

    def particulars(self) -> Particulars:
        """What the form says of somebody who is known already."""
        told = on_form(self.person, self.document, self.valid_until)
        return replace(told, category=self.category, resident=self.resident)


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
    not_carried: int = 0
    """Carriers that cannot carry the applicant's name, as bits."""


class _Known(NamedTuple):
    """What was found of the people of a batch."""

    holders: Sequence[frozenset[int]]
    """By submission: whom its numbers lead to; at most one if all is well."""
    stored: dict[int, Holder]
    applicants: dict[int, Applicant]
    namesakes: Mapping[int, frozenset[int]]
    """By submission, of those whom no number leads to anybody: who may be the same person."""
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
    today = day_of(now_ms)
    sought = [list(_found_by(sealing, s)) for s in submissions]
    known = await _look_up(driver, sealing, submissions, sought)
    decided = [
        _decide(settings, s, known, i, today)
        if _is_own(actor, known.holders[i], sought[i])
        else Decided(None, None, Refusal.KIOSK_FOR_ONESELF)
        for i, s in enumerate(submissions)
    ]
    _refuse_repeats(submissions, decided, sought)
    accepted = [i for i, d in enumerate(decided) if d.refusal is None]
    if accepted:
        await _save(driver, sealing, settings, submissions, sought, known, decided, accepted, actor, now_ms)
    return decided


def _found_by(sealing: Sealing, submission: Submission) -> Iterator[Digest]:
    """What a person is found by: the number that is theirs for life, and otherwise the document's."""
    document = submission.document
    if not document.citizen and (number := submission.person.social_security_number):
        yield from sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)
    yield from document_digests(sealing, document)


def namesake_digests(sealing: Sealing, person: Person) -> list[Digest]:
    """What people of one name and birth date are found by."""
    return sealing.digests(LookupField.NAME_AND_BIRTH_DATE, person.name, person.birth_date.isoformat())


async def _look_up(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, submissions: Sequence[Submission], sought: Sequence[list[Digest]]
) -> _Known:
    found = await find_holders(driver, [digest for digests in sought for digest in digests])
    namesakes: dict[int, frozenset[int]] = {}
    if strangers := [i for i, digests in enumerate(sought) if not any((d.field, d.digest) in found for d in digests)]:
        namesakes = await _meet_namesakes(driver, sealing, submissions, strangers)
        # Who was waited for has committed: a stranger's namesake may be the stranger, under the same number.
        if doubtful := [digest for i, of_one in namesakes.items() if of_one for digest in sought[i]]:
            found |= await find_holders(driver, doubtful)
    holders = [frozenset(found[d.field, d.digest] for d in digests if (d.field, d.digest) in found) for digests in sought]
    ids = {holder for of_one in holders for holder in of_one}
    stored = await read_holders(driver, sealing, ids, lock=True)
    cards, open_applications = await read_cards_of(driver, stored), await read_open_applications(driver, stored)
    consents = await given_consents(driver, stored) if stored else {}
    applicants = {
        id_: Applicant(holder.person(), tuple(cards.get(id_, ())), open_applications.get(id_), consents.get(id_, frozenset()))
        for id_, holder in stored.items()
    }
    return _Known(holders, stored, applicants, namesakes, await newest_photos(driver, stored))


async def _meet_namesakes(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, submissions: Sequence[Submission], strangers: Sequence[int]
) -> dict[int, frozenset[int]]:
    """Who may be the same person as each stranger, also under the older index. Who brings a namesake at once comes after us."""
    named = {i: namesake_digests(sealing, submissions[i].person) for i in strangers}
    await lock_namesakes(driver, [digest for digests in named.values() for digest in digests])
    asked = [(digest, submissions[i].document.citizen) for i, digests in named.items() for digest in digests]
    found = await find_namesakes(driver, asked)
    return {i: frozenset(id_ for d in digests for id_ in found.get(d.digest, ())) for i, digests in named.items()}


def _decide(settings: CitySettings, submission: Submission, known: _Known, index: int, today: date) -> Decided:
    holders = known.holders[index]
    if len(holders) > 1:
        return Decided(None, None, Refusal.PERSON_DIFFERS)
    if not holders:
        if possible := known.namesakes.get(index, frozenset()) - submission.other_people:
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


def _is_own(actor: Actor, holders: frozenset[int], sought: Sequence[Digest]) -> bool:
    """A holder applies for themselves alone; a newcomer for whoever's document was read."""
    if actor.reading:
        return actor.reading in {digest.digest for digest in sought}
    return actor.kind is not ActorKind.HOLDER or holders == {actor.number}


def _same_person(stored: Person, told: Person) -> bool:
    return (stored.name, stored.birth_date) == (told.name, told.birth_date)


def _refuse_repeats(submissions: Sequence[Submission], decided: list[Decided], sought: Sequence[list[Digest]]) -> None:
    """Of one person only the first application counts; whether a namesake of the first is another person, a clerk says."""
    seen: set[Digest] = set()
    citizens: dict[tuple[str, date], bool] = {}
    """By name and birth date of those who are to be added: whether a citizen's number tells all of them apart."""
    for i, digests in enumerate(sought):
        if decided[i].refusal is not None:
            continue
        person, citizen = submissions[i].person, submissions[i].document.citizen
        if seen & set(digests):
            decided[i] = Decided(None, None, Refusal.ROW_REPEATED)
        elif decided[i].holder is None:
            told_apart = citizen and citizens.get((person.name, person.birth_date), True)
            if not told_apart and (person.name, person.birth_date) in citizens:
                decided[i] = Decided(None, None, Refusal.POSSIBLE_SAME_PERSON)
                continue
            citizens[person.name, person.birth_date] = told_apart
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
    for one in papers:
        if stored := known.stored.get(one.holder):
            # What people said themselves is not for an employer to overwrite.
            by_employer = one.submission.wanted.route is Route.EMPLOYER
            told = one.submission.particulars()
            await bring_up_to_date(driver, stored, told, actor, now_ms, gaps_alone=by_employer)
    numbers = await new_application_ids(driver, len(papers))
    new = [_application(settings, one, number, now_ms) for one, number in zip(papers, numbers, strict=True)]
    await add_applications(driver, new, actor, now_ms)
    await add_photos(driver, list(_photos(papers, known.photos)), now_ms)
    if fees := list(_fees(papers, new)):
        await add_fees(driver, fees, actor, now_ms)
    if consents := list(_consents(papers)):
        await add_consents(driver, consents, actor, now_ms)
    for one, application in zip(papers, new, strict=True):
        decided[one.index] = Decided(application.id, one.holder, not_carried=application.not_carried)
    others = {other for i in strangers for other in known.namesakes[i] & submissions[i].other_people}
    await _record(driver, actor, new, others)


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
        submission.category or _ORDINARY,
        bool(submission.resident),
        document.citizen,
        document.kind,
        cipher.seal(document_field(1), document.text.encode()),
        submission.valid_until,
        found_by,
        namesake_digests(sealing, submission.person),
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
        carriers(cannot_carry(one.submission.person.name, prints_with(settings.printing.charset))),
        due_ms(settings.application, wanted.mode, now_ms),
    )


def _photos(papers: Sequence[_Accepted], newest: dict[int, int]) -> Iterator[NewPhoto]:
    for one in papers:
        if photo := one.submission.photo:
            number = newest.get(one.holder, 0) + 1
            yield NewPhoto(
                one.holder, number, one.cipher.seal(Field.PHOTO, photo.jpeg), list(photo.overrides), photo.reason
            )  # fmt: skip


def _consents(papers: Sequence[_Accepted]) -> Iterator[NewConsent]:
    """What was consented to on the forms."""
    for one in papers:
        wanted = one.submission.wanted
        guardian = wanted.papers if wanted.route is Route.GUARDIAN else None
        for kind in sorted(wanted.consents):
            sealed = one.cipher.seal(Field.PAPERS, encode_papers((0, guardian))) if guardian else None
            yield NewConsent(one.holder, kind, True, sealed)


def _fees(papers: Sequence[_Accepted], new: Sequence[NewApplication]) -> Iterator[NewFee]:
    for one, application in zip(papers, new, strict=True):
        source = one.submission.wanted.fee
        if application.fee_fen and source not in (None, FeeSource.WAIVED):
            yield NewFee(application.id, application.fee_fen, source)


async def _record(
    driver: "asyncpg.Connection[Any]", actor: Actor, new: Sequence[NewApplication], others: Set[int]
) -> None:  # fmt: skip
    """One row for one application; a batch's rows are named by its own table.

    `others`: namesakes who are other people, on the actor's word.
    """
    first = new[0]
    word: dict[str, str | int] = {"other_people": " ".join(map(str, sorted(others)))} if others else {}
    if len(new) == 1:
        await audit.record(driver, actor, "application.submit", holder=first.holder, application=first.id, detail=word)
    else:
        detail = {"batch": first.batch or 0, "applications": len(new), "first": first.id, "last": new[-1].id} | word
        await audit.record(driver, actor, "application.submit_rows", detail=detail)
