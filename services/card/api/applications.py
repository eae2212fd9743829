"""ApplicationService: what windows, kiosks and employers ask."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceServicer
from services.card import metrics
from services.card.adapters.applications import list_applications, read_application, read_timeline
from services.card.adapters.batches import BatchRow, count_rows, find_batch, page_rows
from services.card.adapters.people import open_number, read_documents, read_holders
from services.card.adapters.photo import PhotoChecker
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors, not_your_right
from services.card.api.answers import carriers_of, hints_of, refusal_of, step_of, summary_of
from services.card.api.forms import NotAccepted, read_papers, read_person
from services.card.api.places import Place
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.application import (
    OPEN,
    ROUTES,
    ApplicationKind,
    ApplicationState,
    Mode,
    Route,
    Step,
    Wanted,
    fee_fen,
)
from services.card.domain.approval import Case
from services.card.domain.consent import ConsentKind
from services.card.domain.document import DocumentKind
from services.card.domain.fee import FeeSource
from services.card.domain.masking import masked_name, masked_number
from services.card.domain.names import cannot_carry, prints_with
from services.card.domain.particulars import on_form
from services.card.domain.photo import PhotoPoint, not_overridden
from services.card.domain.refusal import Refusal
from services.card.domain.settings import ApplicationRules, CitySettings
from services.card.domain.staff import Right, may
from services.card.handlers.approve import behind_second_person
from services.card.handlers.correct_identity import Correction
from services.card.handlers.handle_application import Handled, add_photo, handle_application
from services.card.handlers.once import Once
from services.card.handlers.resubmit import Resubmission, resubmit
from services.card.handlers.settle_money import SettleMoney
from services.card.handlers.submit import CheckedPhoto, Decided, Submission, submit
from services.card.handlers.submit_batch import Read, Row, SubmitBatch, Unreadable
from services.common.clock import day_of, now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, identifier, named, page_size, request_id
from services.common.points import AtPoint, pass_by

_LONGEST_REMARK: Final = 200


class ApplicationService(ApplicationServiceServicer):
    """Reads forms, asks the handlers, writes answers."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        actors: Actors,
        photos: PhotoChecker,
        money: SettleMoney,
        at: AtPoint = pass_by,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._photos = photos
        self._money = money
        self._once = Once(engine, sealing, at)
        self._batches = SubmitBatch(engine, sealing, settings, at)

    async def Submit(self, request: messages.SubmitRequest, context: Any) -> messages.SubmitResponse:  # noqa: N802
        """One person applies; a holder in a session for themselves."""
        return await self.apply(request, await self._actors.staff_or_holder(Right.SUBMIT_APPLICATION, context))

    async def apply(self, request: messages.SubmitRequest, actor: Actor) -> messages.SubmitResponse:
        """One application, of somebody who may bring it. Raises DomainError."""
        asked, now = request_id(request.request_id), now_ms()
        submission = await self.read(request, actor, now)
        if isinstance(submission, messages.Refusal):
            return messages.SubmitResponse(refusal=submission)
        content = request.SerializeToString(deterministic=True)

        async def act(driver: Any) -> Decided:
            async def try_it(approved: bool) -> Decided:
                wanted = replace(submission.wanted, waiver_approved=approved)
                one = replace(submission, wanted=wanted)
                (decided,) = await submit(driver, self._sealing, self._settings, [one], actor, now)
                return decided

            if submission.wanted.fee is not FeeSource.WAIVED:
                return await try_it(False)
            if not may(actor, Right.WAIVE_FEE):
                raise not_your_right()
            digests = self._sealing.request_digests("Submit", content)
            return await behind_second_person(driver, digests, self._waiver(submission), actor, now, try_it)

        decided = await self._once(actor.caller, asked, "Submit", content, Decided, act, final=lambda d: not d.approval)
        if decided.refusal is None and decided.application and submission.wanted.fee:
            await self._money.fee_of(decided.application)
        outcome, reason = ("REFUSED", decided.refusal.name) if decided.refusal else ("ACCEPTED", "")
        metrics.APPLICATIONS.labels(submission.wanted.route.name, outcome, reason).inc()
        return messages.SubmitResponse(
            application=await self._summary(decided.application),
            refusal=await self.refusal(decided.refusal, decided.possible_holders, actor, decided.approval)
            if decided.refusal
            else None,
            not_carried=[] if decided.refusal else self.not_carried(submission.person.name),
            hints=[] if decided.refusal else hints_of(submission.document),
        )

    async def AddPhoto(self, request: messages.AddPhotoRequest, context: Any) -> messages.AddPhotoResponse:  # noqa: N802
        """The photo that was missing."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now = request_id(request.request_id), now_ms()
        photo = await self._check(request.photo, request.photo_overrides)
        if photo is None:
            raise bad("photo", "a JPEG is wanted")
        if isinstance(photo, messages.Refusal):
            return messages.AddPhotoResponse(application=await self._summary(request.application_id), refusal=photo)

        async def act(driver: Any) -> Handled:
            return await add_photo(driver, self._sealing, request.application_id, photo, actor, now)

        handled = await self._handled(actor, asked, "AddPhoto", request, act)
        return messages.AddPhotoResponse(application=await self._summary(handled.application), refusal=_refused(handled))

    async def Withdraw(self, request: messages.WithdrawRequest, context: Any) -> messages.WithdrawResponse:  # noqa: N802
        """The applicant does not want it any more."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now = request_id(request.request_id), now_ms()

        async def act(driver: Any) -> Handled:
            return await handle_application(driver, self._sealing, request.application_id, Step.WITHDRAW, actor, now)

        handled = await self._handled(actor, asked, "Withdraw", request, act)
        return messages.WithdrawResponse(
            application=await self._summary(handled.application),
            refusal=_refused(handled),
            hand_out_fen=handled.hand_out_fen,
        )

    async def Refuse(self, request: messages.RefuseRequest, context: Any) -> messages.RefuseResponse:  # noqa: N802
        """Something is wrong with it."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now, remark = request_id(request.request_id), now_ms(), request.remark.strip()
        if not 0 < len(remark) <= _LONGEST_REMARK:
            raise bad("remark", f"what is wrong, in 1 to {_LONGEST_REMARK} characters")

        async def act(driver: Any) -> Handled:
            cause = Refusal.REFUSED_BY_CLERK
            return await handle_application(
                driver, self._sealing, request.application_id, Step.REFUSE, actor, now, cause=cause, remark=remark
            )  # fmt: skip

        handled = await self._handled(actor, asked, "Refuse", request, act)
        return messages.RefuseResponse(application=await self._summary(handled.application), refusal=_refused(handled))

    async def Resubmit(self, request: messages.ResubmitRequest, context: Any) -> messages.ResubmitResponse:  # noqa: N802
        """What was refused is handed in again."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now = request_id(request.request_id), now_ms()
        photo = await self._check(request.photo, request.photo_overrides)
        if isinstance(photo, messages.Refusal):
            return messages.ResubmitResponse(application=await self._summary(request.application_id), refusal=photo)
        again, hints = Resubmission(photo, request.class_2_account), list[str]()
        if request.HasField("person"):
            if not may(actor, Right.CORRECT_IDENTITY):
                raise not_your_right()
            form = read_person(self._settings.application, request.person, day_of(now))
            if isinstance(form, NotAccepted):
                said = _not_accepted(form)
                return messages.ResubmitResponse(application=await self._summary(request.application_id), refusal=said)
            person, document, until = form.person, form.document, form.valid_until
            correction = Correction(0, person.name, person.birth_date, document, until)
            again = replace(again, correction=correction, particulars=on_form(person, document, until))
            hints = hints_of(document)

        async def act(driver: Any) -> Handled:
            return await resubmit(driver, self._sealing, self._settings, request.application_id, again, actor, now)

        handled = await self._handled(actor, asked, "Resubmit", request, act)
        application = await self._summary(handled.application)
        if application is None or handled.refusal:
            return messages.ResubmitResponse(application=application, refusal=_refused(handled))
        not_carried = await self._not_carried_of(application.holder_id) if application.not_carried_by else ()
        return messages.ResubmitResponse(application=application, not_carried=not_carried, hints=hints)

    async def GetApplication(  # noqa: N802
        self, request: messages.GetApplicationRequest, context: Any
    ) -> messages.GetApplicationResponse:
        """One application with its timeline."""
        await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        async with driver_session(self._engine) as driver:
            application = await read_application(driver, request.application_id)
            if application is None:
                raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
            timeline = await read_timeline(driver, application.id)
        return messages.GetApplicationResponse(
            application=summary_of(application, now_ms()), timeline=[step_of(step) for step in timeline]
        )

    async def ListApplications(  # noqa: N802
        self, request: messages.ListApplicationsRequest, context: Any
    ) -> messages.ListApplicationsResponse:
        """Applications of an outlet, oldest first."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        size, now = page_size(request.page_size, 50, 200), now_ms()
        place = read_token(request.page_token, Place)
        async with driver_session(self._engine) as driver:
            found = await list_applications(
                driver,
                request.outlet or actor.outlet,
                [named("state", ApplicationState, request.state)] if request.state else OPEN,
                after=place.after if place else 0,
                limit=size,
                due_before_ms=now if request.overdue_only else None,
            )
        return messages.ListApplicationsResponse(
            applications=[summary_of(application, now) for application in found],
            next_page_token=write_token(Place(found[-1].id) if len(found) == size else None),
        )

    async def SubmitBatch(  # noqa: N802
        self, request_iterator: AsyncIterator[messages.SubmitBatchRequest], context: Any
    ) -> messages.SubmitBatchResponse:
        """An employer's batch: nothing is stored before all of it is there and agrees with its header."""
        await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        header, rows = await self._receive(request_iterator)
        # Once more: it took its time, and the shift may have ended meanwhile.
        actor, now = await self._actors.with_right(Right.SUBMIT_APPLICATION, context), now_ms()
        read = bulk_reader(self._settings.application, header, actor.outlet, now)
        decided = await self._batches(header.batch_id, header.SerializeToString(deterministic=True), rows, read, actor, now)
        refused = sum(bool(row.refusal) for row in decided.rows)
        return messages.SubmitBatchResponse(
            batch_number=decided.number,
            accepted=len(decided.rows) - refused,
            refused=refused,
            verdicts=map(_verdict, decided.rows),
        )

    async def GetBatch(self, request: messages.GetBatchRequest, context: Any) -> messages.GetBatchResponse:  # noqa: N802
        """How far a batch has come."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        size = page_size(request.page_size, 1000, 1000)
        async with driver_session(self._engine) as driver:
            batch = await find_batch(driver, actor.terminal, request.batch_id)
            if batch is None:
                raise DomainError(Code.NOT_FOUND, "UNKNOWN_BATCH", "没有这个批次")
            rows = await page_rows(driver, batch.id, request.after_row, size)
            decided = await count_rows(driver, batch.id)
        return messages.GetBatchResponse(
            batch_number=batch.id, rows=batch.rows, decided=decided, ended=batch.ended, verdicts=map(_verdict, rows)
        )

    async def _receive(self, parts: AsyncIterator[messages.SubmitBatchRequest]) -> tuple[messages.BatchHeader, Sequence[Row]]:
        header: messages.BatchHeader | None = None
        rows: list[Row] = []
        async for part in parts:
            if part.HasField("header"):
                if header is not None:
                    raise bad("header", "one is wanted, in the first part")
                header = part.header
                identifier("header.batch_id", header.batch_id, 64)
                most = self._settings.application.bulk_rows
                if not 0 < header.rows <= most:
                    raise bad("header.rows", f"1 to {most} are wanted")
            if header is None:
                raise bad("header", "it comes first")
            rows += [Row(row.row, row.SerializeToString(deterministic=True)) for row in part.rows]
            if len(rows) > header.rows:
                break
        if header is None:
            raise bad("header", "there was none")
        if [row.number for row in rows] != list(range(1, header.rows + 1)):
            message = f"整批退回：表头为 {header.rows} 行，收到 {len(rows)} 行，或行号不连续；未保存任何一行"
            raise DomainError(Code.INVALID_ARGUMENT, "BATCH_DIFFERS_FROM_HEADER", message)
        return header, rows

    async def read(self, request: messages.SubmitRequest, actor: Actor, now: int) -> Submission | messages.Refusal:
        """An application whose form and photo make sense by themselves, or what is wrong with them."""
        form = self._read(_by_oneself(request) if actor.kind is ActorKind.HOLDER else request, actor, now)
        if isinstance(form, NotAccepted):
            return _not_accepted(form)
        if actor.kind is ActorKind.HOLDER and request.photo_overrides:
            return refusal_of(Refusal.NOT_YOUR_RIGHT, field="photo_overrides")
        photo = await self._check(request.photo, request.photo_overrides)
        return photo if isinstance(photo, messages.Refusal) else replace(form, photo=photo)

    def _read(self, request: messages.SubmitRequest, actor: Actor, now: int) -> Submission | NotAccepted:
        kind, route = named("kind", ApplicationKind, request.kind), named("route", Route, request.route)
        if route not in ROUTES[actor.kind]:
            routes = ", ".join(sorted(one.name for one in ROUTES[actor.kind]))
            raise bad("route", f"who asks here brings an application by {routes}")
        today = day_of(now)
        papers = read_papers(request.representative, today) if request.HasField("representative") else None
        if isinstance(papers, NotAccepted):
            return papers
        wanted = Wanted(
            kind,
            _mode("mode", request.mode),
            route,
            identifier("outlet", request.outlet or actor.outlet, 32),
            papers,
            named("fee_source", FeeSource, request.fee_source) if request.fee_source else None,
            consents=frozenset(named("consents", ConsentKind, consent) for consent in request.consents),
        )
        form = _submission(self._settings.application, wanted, request, now)
        if isinstance(form, NotAccepted):
            return form
        if papers and (papers.document_kind, papers.document_number) == (form.document.kind, form.document.text):
            return NotAccepted(Refusal.REPRESENTATIVE_IS_APPLICANT, "representative.document")
        return replace(form, other_people=frozenset(request.other_people))

    async def _check(
        self, jpeg: bytes, overrides: Sequence[messages.PhotoOverride]
    ) -> "CheckedPhoto | messages.Refusal | None":
        if not jpeg:
            return None
        passed = {named("photo_overrides.point", PhotoPoint, o.point): o.reason.strip() for o in overrides}
        if not all(passed.values()):
            raise bad("photo_overrides", "each needs a reason")
        faults = await self._photos.check(jpeg)
        left = not_overridden(faults, frozenset(passed))
        if left:
            return refusal_of(Refusal.PHOTO_NOT_ACCEPTED, field="photo", faults=left)
        used = tuple(fault.point.value for fault in faults)
        return CheckedPhoto(jpeg, used, "; ".join(passed[fault.point] for fault in faults))

    def not_carried(self, name: str) -> list[str]:
        """Sentences for the clerk: which characters of a name something cannot carry."""
        return [found.sentence for found in cannot_carry(name, prints_with(self._settings.printing.charset))]

    async def _not_carried_of(self, holder: int) -> list[str]:
        async with driver_session(self._engine) as driver:
            found = await read_holders(driver, self._sealing, [holder])
        return self.not_carried(found[holder].person().name) if holder in found else []

    def _waiver(self, submission: Submission) -> Callable[[Decided], Case]:
        kind = submission.wanted.kind
        detail: dict[str, str | int] = {"kind": kind.name, "fee_fen": fee_fen(self._settings.fee, kind)}
        return lambda decided: Case(Right.WAIVE_FEE, detail, decided.holder)

    async def _handled(self, actor: Actor, asked: str, method: str, request: Any, act: Any) -> Handled:
        content = request.SerializeToString(deterministic=True)
        return await self._once(actor.terminal, asked, method, content, Handled, act)

    async def _summary(self, number: int | None) -> messages.ApplicationSummary | None:
        if number is None:
            return None
        async with driver_session(self._engine) as driver:
            application = await read_application(driver, number)
        return summary_of(application, now_ms()) if application else None

    async def refusal(
        self, reason: Refusal, possible_holders: Sequence[int], actor: Actor, approval: int = 0
    ) -> messages.Refusal:
        """A rule's no to an application. A clerk is shown, masked, who may be the applicant."""
        refusal = refusal_of(reason, approval=approval)
        if possible_holders and actor.kind is ActorKind.STAFF:
            async with driver_session(self._engine) as driver:
                holders = await read_holders(driver, self._sealing, possible_holders)
                documents = await read_documents(driver, possible_holders)
            for number, holder in holders.items():
                for document in documents.get(number, [])[:1]:
                    _, shown = open_number(holder.cipher, document.number, document.sealed)
                    refusal.possible_holders.add(
                        holder_id=number,
                        masked_name=masked_name(holder.person().name),
                        document_kind=DocumentKind(document.kind),
                        masked_document_number=masked_number(shown),
                    )
        return refusal


def bulk_reader(rules: ApplicationRules, header: messages.BatchHeader, outlet: str, now: int) -> Read:
    """Reads the rows of an employer's batch; `outlet`: where it was brought, if its header names none."""
    where = identifier("outlet", header.outlet or outlet, 32)
    wanted = Wanted(ApplicationKind.FIRST, _mode("header.mode", header.mode), Route.EMPLOYER, where)

    def read(row: Row) -> Submission | Unreadable:
        form = _submission(rules, wanted, messages.BatchRow.FromString(row.content), now)
        return Unreadable(form.refusal, f"{form.field}: {form}") if isinstance(form, NotAccepted) else form

    return read


def _submission(
    rules: ApplicationRules, wanted: Wanted, message: "messages.SubmitRequest | messages.BatchRow", now: int
) -> Submission | NotAccepted:
    form = read_person(rules, message.person, day_of(now))
    if isinstance(form, NotAccepted):
        return form
    resident = message.resident if message.HasField("resident") else None
    return Submission(wanted, form.document, form.person, message.category, resident, form.valid_until)


def _by_oneself(request: messages.SubmitRequest) -> messages.SubmitRequest:
    """What somebody may say at a kiosk: for themselves, without what takes a clerk's eyes or papers."""
    return messages.SubmitRequest(
        request_id=request.request_id,
        kind=request.kind,
        mode=request.mode,
        route=request.route,
        outlet=request.outlet,
        person=request.person,
        photo=request.photo,
        fee_source=request.fee_source,
        consents=request.consents,
    )


def _mode(field: str, mode: int) -> Mode:
    return named(field, Mode, mode) if mode else Mode.ORDINARY


def _not_accepted(form: NotAccepted) -> messages.Refusal:
    return refusal_of(form.refusal, field=form.field, message=form.message)


def _refused(handled: Handled) -> messages.Refusal | None:
    return refusal_of(handled.refusal) if handled.refusal else None


def _verdict(row: BatchRow) -> messages.BatchVerdict:
    field, _, message = row.detail.partition(": ")
    return messages.BatchVerdict(
        row=row.row,
        application_id=row.application or 0,
        refusal=refusal_of(Refusal(row.refusal), field=field, message=message) if row.refusal else None,
        not_carried_by=carriers_of(row.not_carried),
    )
