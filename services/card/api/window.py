"""WindowService: everything of a holder at one window, and several things settled in one visit."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import window_pb2 as messages
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.window_pb2_grpc import WindowServiceServicer
from onecard.payments.v1.payments_pb2 import TransferCode
from services.card.adapters.payments_desk import Money
from services.card.adapters.people import open_number
from services.card.adapters.sealing import Sealing
from services.card.adapters.spending_limits import told
from services.card.adapters.views import HolderRows
from services.card.adapters.visits import find_receipt
from services.card.adapters.work import Work, list_work
from services.card.api.actors import Actors, not_your_right
from services.card.api.answers import card_summary, consent_of, hints_of, refusal_of, step_of, summary_of
from services.card.api.applications import ApplicationService
from services.card.api.cards import CardService, actions_of
from services.card.api.forms import NotAccepted, content_of, field_of
from services.card.api.places import WorkPlace
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.card import SocialStatus
from services.card.domain.consent import ConsentKind
from services.card.domain.document import PROBLEMS, DocumentKind, DocumentProblem, parse_document
from services.card.domain.life_cycle import LifeRules, Verb
from services.card.domain.masking import masked_end, masked_name, masked_number
from services.card.domain.person import OF_AGE_YEARS, Field, age_on
from services.card.domain.settings import CitySettings
from services.card.domain.staff import Right, may
from services.card.domain.work import WorkKind
from services.card.handlers.complete_visit import Item, Line, Visit, Withdrawal, complete_visit
from services.card.handlers.once import Once
from services.card.handlers.submit import Submission
from services.card.handlers.view_holder import By, CardIdentifier, CardNumber, HolderNumber, Seen, ShownToken, ViewHolder
from services.common.clock import day_of, now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, identifier, named, page_size

_LONGEST_PURPOSE: Final = 64
_MOST_ITEMS: Final = 10
_DAY_MS: Final = 24 * 3600 * 1000
_VERBS: Final = {
    "collect": Verb.COLLECT,
    "enable": Verb.ENABLE,
    "activate": Verb.ACTIVATE,
    "report_temporary_loss": Verb.REPORT_TEMPORARY_LOSS,
    "report_formal_loss": Verb.REPORT_FORMAL_LOSS,
    "release": Verb.RELEASE,
    "unlock": Verb.UNLOCK,
    "extend": Verb.EXTEND,
    "reset_pin": Verb.RESET_PIN,
}


class WindowService(WindowServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        actors: Actors,
        view: ViewHolder,
        applications: ApplicationService,
        cards: CardService,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._view = view
        self._applications = applications
        self._cards = cards
        self._once = Once(engine, sealing)

    async def GetHolderView(  # noqa: N802
        self, request: messages.GetHolderViewRequest, context: Any
    ) -> messages.GetHolderViewResponse:
        """Everything of a holder."""
        actor = await self._actors.staff_or_holder(Right.READ_HOLDER, context)
        if request.unmasked and not may(actor, Right.READ_HOLDER_UNMASKED):
            raise not_your_right()
        purpose = request.purpose.strip()
        if len(purpose) > _LONGEST_PURPOSE or (request.unmasked and not purpose):
            raise bad("purpose", f"whole names and numbers need one, in 1 to {_LONGEST_PURPOSE} characters")
        seen = await self._view(
            _by(request, actor), actor, purpose, masked=not request.unmasked, with_money=not request.without_payments
        )
        view = _holder_view(self._settings.life, seen, actor, masked=not request.unmasked)
        return messages.GetHolderViewResponse(holder=view)

    async def CompleteVisit(  # noqa: N802
        self, request: messages.CompleteVisitRequest, context: Any
    ) -> messages.CompleteVisitResponse:
        """Several things at once."""
        actor = await self._actors.with_right(Right.CHANGE_CARD, context)
        visit_id, now = identifier("visit_id", request.visit_id, 64), now_ms()
        if not 0 < len(request.items) <= _MOST_ITEMS:
            raise bad("items", f"1 to {_MOST_ITEMS} are wanted")
        items: list[Item] = []
        lines: list[messages.VisitLine] = []
        for asked in request.items:
            item = await self._read(asked, actor, now)
            if isinstance(item, RefusalMessage):
                lines.append(messages.VisitLine(what=_what(asked), refusal=item))
            else:
                items.append(item)
        if lines:  # what is wrong with a form is put right first; nothing was stored
            return messages.CompleteVisitResponse(receipt=messages.VisitReceipt(visit_id=visit_id, lines=lines))

        async def act(driver: Any) -> Visit:
            return await complete_visit(
                driver, self._sealing, self._settings, visit_id, request.holder_id, items, actor, now
            )  # fmt: skip

        content = content_of(request)
        visit = await self._once(actor.terminal, visit_id, "CompleteVisit", content, Visit, act)
        receipt = _receipt(visit, reprint=False)
        for item, line, shown in zip(items, visit.lines, receipt.lines, strict=True):
            if isinstance(item, Submission):
                await self._tell(item, line, shown, actor)
        return messages.CompleteVisitResponse(receipt=receipt)

    async def GetVisit(self, request: messages.GetVisitRequest, context: Any) -> messages.GetVisitResponse:  # noqa: N802
        """A reprint."""
        actor = await self._actors.with_right(Right.CHANGE_CARD, context)
        if request.WhichOneof("reference") is None:
            raise bad("reference", "a number or an id is wanted")
        async with driver_session(self._engine) as driver:
            kept = await find_receipt(driver, actor, request.visit_number, request.visit_id)
        if kept is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_VISIT", "没有这笔业务回执")
        return messages.GetVisitResponse(receipt=_receipt(msgspec.msgpack.decode(kept, type=Visit), reprint=True))

    async def ListWork(self, request: messages.ListWorkRequest, context: Any) -> messages.ListWorkResponse:  # noqa: N802
        """What waits at an outlet."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        size, now, outlet = page_size(request.page_size, 50, 200), now_ms(), request.outlet or actor.outlet
        if request.kind not in messages.WorkKind.values():
            raise bad("kind", "there is none of that number")
        place = read_token(request.page_token, WorkPlace) or WorkPlace(request.kind or min(WorkKind), 0)
        before = {WorkKind.LYING: now - self._settings.application.lying_days * _DAY_MS}
        found: list[Work] = []
        async with driver_session(self._engine) as driver:
            for kind in [WorkKind(request.kind)] if request.kind else WorkKind:
                if kind >= place.kind and len(found) < size:
                    after = place.after if kind == place.kind else 0
                    found += await list_work(
                        driver, kind, outlet, before.get(kind, now), after=after, limit=size - len(found)
                    )  # fmt: skip
        following = WorkPlace(found[-1].kind, found[-1].id) if len(found) == size else None
        return messages.ListWorkResponse(items=map(_work_item, found), next_page_token=write_token(following))

    async def _tell(self, submission: Submission, line: Line, shown: messages.VisitLine, actor: Actor) -> None:
        """What a clerk hears of an application, as from Submit. It is of people, and stands on no receipt that is kept."""
        if line.refusal:
            shown.refusal.CopyFrom(await self._applications.refusal(line.refusal, line.possible_holders, actor))
        else:
            shown.not_carried.extend(self._applications.not_carried(submission.person.name))
            shown.hints.extend(hints_of(submission.document))

    async def _read(self, asked: messages.VisitItem, actor: Actor, now: int) -> Item | RefusalMessage:
        name = asked.WhichOneof("item")
        if name is None:
            raise bad("items", "each must name what is to be done")
        inner = getattr(asked, name)
        if inner.request_id:
            raise bad("items.request_id", "the visit's id stands for all")
        match name:
            case "submit":
                return await self._applications.read(inner, actor, now)
            case "withdraw":
                return Withdrawal(inner.application_id)
        change = await self._cards.read(_VERBS[name], inner, actor, now)
        if isinstance(change, NotAccepted):
            return refusal_of(change.refusal, field=change.field, message=change.message)
        return change


def _what(item: messages.VisitItem) -> str:
    return (item.WhichOneof("item") or "").upper()


def _by(request: messages.GetHolderViewRequest, actor: Actor) -> By:
    if actor.kind is ActorKind.HOLDER:
        if request.WhichOneof("by"):
            raise bad("by", "a holder sees themselves, and names nobody")
        return HolderNumber(actor.number)
    match request.WhichOneof("by"):
        case "document":
            kind = named("document.kind", DocumentKind, request.document.kind)
            shown, today = request.document, day_of(now_ms())
            document = parse_document(kind, shown.number, today, shown.issuing_country)
            if isinstance(document, DocumentProblem):
                raise bad(field_of(document), PROBLEMS[document])
            return document
        case "card_identifier":
            return CardIdentifier(identifier("card_identifier", request.card_identifier, 32))
        case "card_number":
            return CardNumber(identifier("card_number", request.card_number.upper(), 9))
        case "holder_id":
            return HolderNumber(request.holder_id)
        case "token":
            return ShownToken(identifier("token", request.token, 64))
    raise bad("by", "a document, a card or a holder is wanted")


def _whole(text: str) -> str:
    return text


def _holder_view(rules: LifeRules, seen: Seen, actor: Actor, *, masked: bool) -> messages.HolderView:
    rows, now = seen.rows, now_ms()
    holder, person = rows.holder, rows.holder.person()
    name, number, end = (masked_name, masked_number, masked_end) if masked else (_whole, _whole, _whole)
    view = messages.HolderView(
        holder_id=holder.id,
        masked=masked,
        name=name(person.name),
        social_security_number=number(person.social_security_number),
        phone=end(person.phone),
        birth_date=str(person.birth_date.year) if masked else person.birth_date.isoformat(),
        documents=_documents(rows, number),
        category=holder.category,
        resident=holder.resident,
        cards=_cards(rules, rows, actor, end),
        applications=[
            messages.HeldApplication(
                application=summary_of(application, now), timeline=map(step_of, rows.timelines.get(application.id, ()))
            )
            for application in rows.applications
        ],
        payments_away=seen.payments_away,
        consents=map(consent_of, rows.consents),
        spending_limits=told(rows.spending_limits) if age_on(person.birth_date, day_of(now)) < OF_AGE_YEARS else None,
    )
    if seen.money:
        where = any(consent.given and consent.kind is ConsentKind.LOCATION for consent in rows.consents)
        view.money.CopyFrom(_money(seen.money, where=where))
    return view


def _documents(rows: HolderRows, shown: Callable[[str], str]) -> list[messages.HeldDocument]:
    held = []
    for document in rows.documents:
        country, number = open_number(rows.holder.cipher, document.number, document.sealed)
        held.append(
            messages.HeldDocument(
                kind=document.kind,  # type: ignore[arg-type]  # numbers agree, a test holds it
                number=shown(number),
                valid_until=document.valid_until.isoformat() if document.valid_until else "",
                issuing_country=country,
            )
        )
    return held


def _cards(rules: LifeRules, rows: HolderRows, actor: Actor, shown: Callable[[str], str]) -> list[messages.HeldCard]:
    return [
        messages.HeldCard(
            card=card_summary(card),
            card_number=shown(rows.holder.cipher.open(Field.CARD_NUMBER, number).decode()) if number else "",
            actions=actions_of(rules, card, actor) if card.social is not SocialStatus.CANCELLED else (),
        )
        for number, card in rows.cards
    ]


def _money(money: Money, *, where: bool) -> messages.HolderMoney:
    return messages.HolderMoney(
        balance_fen=money.balance.balance.amount_fen,
        available_fen=money.balance.available.amount_fen,
        purses=[
            messages.BoundPurse(purpose=p.purpose, balance_fen=p.balance.amount_fen, void_after_ms=p.void_after_ms)
            for p in money.balance.purses
        ],
        last_payments=[
            messages.LastPayment(
                time_ms=entry.post_time_ms,
                what=TransferCode.Name(entry.code).removeprefix("TRANSFER_CODE_"),
                merchant_id=entry.identity.merchant_id if where else "",
                change_fen=entry.change.amount_fen,
            )
            for entry in money.entries.entries
        ],
    )


def _work_item(work: Work) -> messages.WorkItem:
    return messages.WorkItem(
        kind=work.kind.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        application_id=work.application,
        card_id=work.card,
        approval_id=work.id if work.kind is WorkKind.APPROVAL else 0,
        holder_id=work.holder,
        since_time_ms=work.since_ms,
        due_time_ms=work.due_ms,
    )


def _receipt(visit: Visit, *, reprint: bool) -> messages.VisitReceipt:
    return messages.VisitReceipt(
        visit_number=visit.number,
        visit_id=visit.visit_id,
        holder_id=visit.holder,
        outlet=visit.outlet,
        staff_id=visit.staff,
        time_ms=visit.time_ms,
        lines=_lines(visit.lines),
        reprint=reprint,
    )


def _lines(lines: Sequence[Line]) -> list[messages.VisitLine]:
    return [
        messages.VisitLine(
            what=line.what,
            card_id=line.card,
            application_id=line.application,
            fee_fen=line.fee_fen,
            hand_out_fen=line.hand_out_fen,
            refusal=refusal_of(line.refusal) if line.refusal else None,
        )
        for line in lines
    ]
