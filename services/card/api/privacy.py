"""PrivacyService: consent, phone and address, search by name, export, deletion, correction."""

from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import privacy_pb2 as messages
from onecard.card.v1.privacy_pb2_grpc import PrivacyServiceServicer
from services.card.adapters.consents import read_consents
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.adapters.people import StoredDocument, open_number
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors
from services.card.api.answers import consent_of, refusal_of
from services.card.api.forms import (
    EARLIEST_BIRTH,
    NotAccepted,
    content_of,
    read_contact,
    read_date,
    read_document,
    read_papers,
)
from services.card.api.places import Place
from services.card.domain.application import Papers
from services.card.domain.approval import Case
from services.card.domain.consent import ConsentKind
from services.card.domain.masking import masked_name, masked_number
from services.card.domain.names import NameProblem, normalise_name
from services.card.domain.person import Person, Sex
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.domain.staff import Right
from services.card.handlers.approve import behind_second_person
from services.card.handlers.change_contact import NewContact, Reached, change_contact
from services.card.handlers.consent import Noted, Word, note_consent
from services.card.handlers.correct_identity import Corrected, Correction, case_of, correct_identity
from services.card.handlers.delete_holder import Deleted, delete_holder
from services.card.handlers.export_holder import export_holder
from services.card.handlers.once import Once
from services.card.handlers.search_holders import Found, search_holders
from services.common.clock import day_of, now_ms
from services.common.database import driver_session
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, named, page_size, request_id

LONGEST_PURPOSE: Final = 64
_MOST_FOUND: Final = 50


class PrivacyService(PrivacyServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        actors: Actors,
        payments: PaymentsDesk | None,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._payments = payments
        self._once = Once(engine, sealing)

    async def GiveConsent(self, request: messages.GiveConsentRequest, context: Any) -> messages.GiveConsentResponse:  # noqa: N802
        """Somebody agrees."""
        consents, refusal = await self._note("GiveConsent", request, context, given=True)
        return messages.GiveConsentResponse(consents=consents, refusal=refusal)

    async def WithdrawConsent(  # noqa: N802
        self, request: messages.WithdrawConsentRequest, context: Any
    ) -> messages.WithdrawConsentResponse:
        """Somebody agrees no more."""
        consents, refusal = await self._note("WithdrawConsent", request, context, given=False)
        return messages.WithdrawConsentResponse(consents=consents, refusal=refusal)

    async def SearchHolders(  # noqa: N802
        self, request: messages.SearchHoldersRequest, context: Any
    ) -> messages.SearchHoldersResponse:
        """By name and birth date."""
        actor = await self._actors.with_right(Right.READ_HOLDER, context)
        name = normalise_name(request.name)
        if isinstance(name, NameProblem):
            raise bad("name", "a whole name is wanted")
        person = Person(name, read_date("birth_date", request.birth_date), Sex.UNKNOWN)
        size, place = page_size(request.page_size, 20, _MOST_FOUND), read_token(request.page_token, Place)
        found = await search_holders(
            self._engine,
            self._sealing,
            self._settings.staff,
            person,
            actor,
            after=place.after if place else 0,
            limit=size,
        )
        following = Place(found[-1].holder.id) if len(found) == size else None
        return messages.SearchHoldersResponse(holders=map(_found, found), next_page_token=write_token(following))

    async def ExportHolder(self, request: messages.ExportHolderRequest, context: Any) -> messages.ExportHolderResponse:  # noqa: N802
        """Everything, for the holder."""
        actor = await self._actors.with_right(Right.EXPORT_HOLDER, context)
        purpose = request.purpose.strip()
        if not 0 < len(purpose) <= LONGEST_PURPOSE:
            raise bad("purpose", f"it is named in 1 to {LONGEST_PURPOSE} characters")
        document = await export_holder(
            self._engine, self._sealing, self._payments, request.holder_id, actor, purpose, now_ms()
        )  # fmt: skip
        return messages.ExportHolderResponse(document=document)

    async def DeleteHolder(self, request: messages.DeleteHolderRequest, context: Any) -> messages.DeleteHolderResponse:  # noqa: N802
        """For good."""
        actor = await self._actors.with_right(Right.DELETE_HOLDER, context)
        asked, now, content = request_id(request.request_id), now_ms(), content_of(request)

        async def act(driver: Any) -> Deleted:
            async def try_it(approved: bool) -> Deleted:
                return await delete_holder(
                    driver, self._sealing, self._payments, request.holder_id, actor, now, approved=approved
                )  # fmt: skip

            digests = self._sealing.request_digests("DeleteHolder", content)
            return await behind_second_person(
                driver, digests, lambda d: Case(Right.DELETE_HOLDER, {}, d.holder), actor, now, try_it
            )

        deleted = await self._once(
            actor.caller, asked, "DeleteHolder", content, Deleted, act, final=lambda d: not d.approval
        )  # fmt: skip
        return messages.DeleteHolderResponse(refusal=_refused(deleted))

    async def CorrectIdentity(  # noqa: N802
        self, request: messages.CorrectIdentityRequest, context: Any
    ) -> messages.CorrectIdentityResponse:
        """Name, birth date, document."""
        actor = await self._actors.with_right(Right.CORRECT_IDENTITY, context)
        asked, now, content = request_id(request.request_id), now_ms(), content_of(request)
        correction = _correction(request, now)
        if isinstance(correction, NotAccepted):
            return messages.CorrectIdentityResponse(refusal=_not_accepted(correction))

        async def act(driver: Any) -> Corrected:
            async def try_it(approved: bool) -> Corrected:
                return await correct_identity(driver, self._sealing, correction, actor, now, approved=approved)

            digests = self._sealing.request_digests("CorrectIdentity", content)
            return await behind_second_person(driver, digests, partial(case_of, correction), actor, now, try_it)

        corrected = await self._once(
            actor.caller, asked, "CorrectIdentity", content, Corrected, act, final=lambda c: not c.approval
        )
        return messages.CorrectIdentityResponse(refusal=_refused(corrected))

    async def ChangeContact(  # noqa: N802
        self, request: messages.ChangeContactRequest, context: Any
    ) -> messages.ChangeContactResponse:
        """Phone, address."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now = request_id(request.request_id), now_ms()
        guardian, told = _guardian(request, now), read_contact(request.phone, request.address)
        if isinstance(guardian, NotAccepted):
            return messages.ChangeContactResponse(refusal=_not_accepted(guardian))
        if isinstance(told, NotAccepted):
            return messages.ChangeContactResponse(refusal=_not_accepted(told))
        new = NewContact(request.holder_id, told, request.identity_verified, guardian)

        async def act(driver: Any) -> Reached:
            return await change_contact(driver, self._sealing, self._settings.application, new, actor, now)

        reached = await self._once(actor.caller, asked, "ChangeContact", content_of(request), Reached, act)
        return messages.ChangeContactResponse(refusal=refusal_of(reached.refusal) if reached.refusal else None)

    async def _note(
        self, method: str, request: Any, context: Any, *, given: bool
    ) -> tuple[list[applications.Consent], applications.Refusal | None]:
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now = request_id(request.request_id), now_ms()
        guardian = _guardian(request, now)
        if isinstance(guardian, NotAccepted):
            return [], _not_accepted(guardian)
        word = Word(request.holder_id, named("kind", ConsentKind, request.kind), given, guardian)

        async def act(driver: Any) -> Noted:
            return await note_consent(driver, self._sealing, self._settings.application, word, actor, now)

        noted = await self._once(actor.caller, asked, method, content_of(request), Noted, act)
        async with driver_session(self._engine) as driver:
            consents = await read_consents(driver, noted.holder)
        return list(map(consent_of, consents)), refusal_of(noted.refusal) if noted.refusal else None


def _refused(answer: Deleted | Corrected) -> applications.Refusal | None:
    return refusal_of(answer.refusal, approval=answer.approval) if answer.refusal else None


def _not_accepted(form: NotAccepted) -> applications.Refusal:
    return refusal_of(form.refusal, field=form.field, message=form.message)


def _correction(request: messages.CorrectIdentityRequest, now: int) -> Correction | NotAccepted:
    today = day_of(now)
    shown = read_document(request.document, today) if request.HasField("document") else (None, None)
    if isinstance(shown, NotAccepted):
        return shown
    name = normalise_name(request.name) if request.name else None
    if isinstance(name, NameProblem):
        return NotAccepted(Refusal.NAME_NOT_ACCEPTED, "name")
    birth_date = read_date("birth_date", request.birth_date) if request.birth_date else None
    if birth_date and not EARLIEST_BIRTH <= birth_date <= today:
        return NotAccepted(Refusal.PERSON_DIFFERS, "birth_date", "请录入有效的出生日期。")
    return Correction(request.holder_id, name, birth_date, *shown)


def _guardian(request: Any, now: int) -> Papers | NotAccepted | None:
    if not request.HasField("guardian"):
        return None
    return read_papers(request.guardian, day_of(now))


def _found(found: Found) -> messages.FoundHolder:
    holder = found.holder

    def masked(document: StoredDocument) -> messages.MaskedDocument:
        _, number = open_number(holder.cipher, document.number, document.sealed)
        return messages.MaskedDocument(
            kind=document.kind,  # type: ignore[arg-type]  # numbers agree, a test holds it
            masked_number=masked_number(number),
        )

    return messages.FoundHolder(
        holder_id=holder.id,
        masked_name=masked_name(holder.person().name),
        documents=map(masked, found.documents),
        has_live_card=found.has_live_card,
    )
