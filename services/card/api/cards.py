"""CardService: the life of a card, for windows and for issuance."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1.applications_pb2 import ApplicationSummary
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.cards_pb2_grpc import CardServiceServicer
from services.card.adapters.applications import read_application
from services.card.adapters.cards import read_card
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of, summary_of
from services.card.api.forms import NotAccepted, read_papers
from services.card.domain.actor import Actor
from services.card.domain.application import Step
from services.card.domain.approval import Case
from services.card.domain.card import Card, CardKind
from services.card.domain.life_cycle import REPRESENTATIVES, TABLE, Need, Party, Verb, allowed, needs_of
from services.card.domain.remainder import PayTo
from services.card.domain.settings import CitySettings
from services.card.domain.staff import Right
from services.card.handlers.approve import behind_second_person
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.handle_application import Handled
from services.card.handlers.once import Once
from services.card.handlers.produce import begin_production, end_production
from services.card.handlers.settle_money import SettleMoney
from services.common.clock import SHANGHAI, instant, now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.reading import bad, request_id

ISSUANCE: Final = "issuance"
_PARTIES: Final = frozenset(range(1, 6))
_RIGHTS: Final = {Verb.REPORT_TEMPORARY_LOSS: Right.REPORT_TEMPORARY_LOSS, Verb.CANCEL: Right.CANCEL_CARD}
"""Whatever is not named here takes the right to change cards."""


class CardService(CardServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self, engine: AsyncEngine, sealing: Sealing, settings: CitySettings, actors: Actors, money: SettleMoney
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._money = money
        self._once = Once(engine, sealing)

    async def Collect(self, request: messages.CollectRequest, context: Any) -> messages.CollectResponse:  # noqa: N802
        """Hand it over."""
        card, refusal = await self._change(Verb.COLLECT, request, context)
        return messages.CollectResponse(card=card, refusal=refusal)

    async def Enable(self, request: messages.EnableRequest, context: Any) -> messages.EnableResponse:  # noqa: N802
        """The switch, where it succeeds another card."""
        card, refusal = await self._change(Verb.ENABLE, request, context)
        return messages.EnableResponse(card=card, refusal=refusal)

    async def Activate(self, request: messages.ActivateRequest, context: Any) -> messages.ActivateResponse:  # noqa: N802
        """The bank's side."""
        card, refusal = await self._change(Verb.ACTIVATE, request, context)
        return messages.ActivateResponse(card=card, refusal=refusal)

    async def ReportTemporaryLoss(  # noqa: N802
        self, request: messages.ReportTemporaryLossRequest, context: Any
    ) -> messages.ReportTemporaryLossResponse:
        """It is missing."""
        card, refusal = await self._change(Verb.REPORT_TEMPORARY_LOSS, request, context)
        return messages.ReportTemporaryLossResponse(card=card, refusal=refusal)

    async def ReportFormalLoss(  # noqa: N802
        self, request: messages.ReportFormalLossRequest, context: Any
    ) -> messages.ReportFormalLossResponse:
        """It is lost for good."""
        card, refusal = await self._change(Verb.REPORT_FORMAL_LOSS, request, context)
        return messages.ReportFormalLossResponse(card=card, refusal=refusal)

    async def Release(self, request: messages.ReleaseRequest, context: Any) -> messages.ReleaseResponse:  # noqa: N802
        """It was found."""
        card, refusal = await self._change(Verb.RELEASE, request, context)
        return messages.ReleaseResponse(card=card, refusal=refusal)

    async def Unlock(self, request: messages.UnlockRequest, context: Any) -> messages.UnlockResponse:  # noqa: N802
        """The holder stands here."""
        card, refusal = await self._change(Verb.UNLOCK, request, context)
        return messages.UnlockResponse(card=card, refusal=refusal)

    async def Extend(self, request: messages.ExtendRequest, context: Any) -> messages.ExtendResponse:  # noqa: N802
        """A temporary card lives on."""
        card, refusal = await self._change(Verb.EXTEND, request, context)
        return messages.ExtendResponse(card=card, refusal=refusal)

    async def Cancel(self, request: messages.CancelRequest, context: Any) -> messages.CancelResponse:  # noqa: N802
        """It ends, once a second person has agreed."""
        if not request.reason or not request.remainder_to:
            raise bad("remainder_to" if request.reason else "reason", "it must be named")
        card, refusal = await self._change(Verb.CANCEL, request, context)
        if refusal:
            return messages.CancelResponse(card=card, refusal=refusal)
        left = await self._money.remainder_of(card.card_id)
        to_come = left is not None and not left.done
        return messages.CancelResponse(card=card, remainder_fen=left.paid_fen if left else 0, remainder_to_come=to_come)

    async def ListAllowedActions(  # noqa: N802
        self, request: messages.ListAllowedActionsRequest, context: Any
    ) -> messages.ListAllowedActionsResponse:
        """What may be done now, and for the rest why not."""
        await self._actors.with_right(Right.READ_HOLDER, context)
        card = await self._card(request.card_id)
        return messages.ListAllowedActionsResponse(card=card_summary(card), actions=actions_of(card))

    async def BeginProduction(  # noqa: N802
        self, request: messages.BeginProductionRequest, context: Any
    ) -> messages.BeginProductionResponse:
        """Issuance has a blank for it."""
        actor, now = self._actors.service(ISSUANCE), now_ms()

        async def act(driver: Any) -> Handled:
            step = Step.START_INSTANT
            return await begin_production(
                driver, self._sealing, self._settings, request.application_id, step, actor, now
            )  # fmt: skip

        application, refusal = await self._produce(actor, "BeginProduction", request, act)
        return messages.BeginProductionResponse(application=application, refusal=refusal)

    async def EndProduction(  # noqa: N802
        self, request: messages.EndProductionRequest, context: Any
    ) -> messages.EndProductionResponse:
        """Issuance has made it, or could not."""
        actor, now = self._actors.service(ISSUANCE), now_ms()

        async def act(driver: Any) -> Handled:
            return await end_production(driver, self._settings, request.application_id, actor, now, made=request.made)

        application, refusal = await self._produce(actor, "EndProduction", request, act)
        return messages.EndProductionResponse(application=application, refusal=refusal)

    async def _change(self, verb: Verb, request: Any, context: Any) -> tuple[messages.CardSummary, RefusalMessage | None]:
        actor = await self._actors.with_right(_RIGHTS.get(verb, Right.CHANGE_CARD), context)
        asked, now = request_id(request.request_id), now_ms()
        change = read_change(verb, request, now)
        if isinstance(change, NotAccepted):
            said = refusal_of(change.refusal, field=change.field, message=change.message)
            return card_summary(await self._card(request.card_id)), said

        content = request.SerializeToString(deterministic=True)

        async def act(driver: Any) -> Changed:
            async def try_it(approved: bool) -> Changed:
                met = change.needs_met | {Need.SECOND_PERSON} if approved else change.needs_met
                return await change_card(driver, self._sealing, self._settings, replace(change, needs_met=met), actor, now)

            if Need.SECOND_PERSON not in TABLE[verb].needs:
                return await try_it(False)
            digests = self._sealing.request_digests(verb.name, content)
            return await behind_second_person(driver, digests, partial(_case, change), actor, now, try_it)

        changed = await self._once(actor.terminal, asked, verb.name, content, Changed, act, final=lambda c: not c.approval)
        card = await self._card(changed.card)
        refusal = refusal_of(changed.refusal, approval=changed.approval) if changed.refusal else None
        return card_summary(card), refusal

    async def _produce(
        self, actor: Actor, method: str, request: Any, act: Any
    ) -> tuple[ApplicationSummary | None, RefusalMessage | None]:
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)
        handled = await self._once(actor.terminal, asked, method, content, Handled, act)
        async with driver_session(self._engine) as driver:
            application = await read_application(driver, handled.application)
        summary = summary_of(application, now_ms()) if application else None
        return summary, refusal_of(handled.refusal) if handled.refusal else None

    async def _card(self, number: int) -> Card:
        async with driver_session(self._engine) as driver:
            card = await read_card(driver, number)
        if card is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
        return card


def card_summary(card: Card) -> messages.CardSummary:
    """A card as it is now."""
    return messages.CardSummary(
        card_id=card.id,
        holder_id=card.holder,
        card_identifier=card.card_identifier,
        social=messages.SocialStatus.Name(card.social + 1),
        financial=card.financial,  # type: ignore[arg-type]  # numbers agree, a test holds it
        production=card.production,
        temporary_card=card.kind is CardKind.TEMPORARY,
        valid_until=card.valid_until.isoformat() if card.valid_until else "",
        loss_until_ms=card.loss_until_ms,
        successor_card_id=card.successor or 0,
        version=card.version,
    )


def actions_of(card: Card) -> list[messages.AllowedAction]:
    """Every verb that a person may ask for."""
    return [
        messages.AllowedAction(
            verb=verb.name,
            allowed=refusal is None,
            refusal=refusal_of(refusal) if refusal else None,
            needs=sorted(need.name for need in needs_of(card, verb, Party.HOLDER_IN_PERSON)),
        )
        for verb, refusal in allowed(card)
    ]


def read_change(verb: Verb, request: Any, now: int) -> Change | NotAccepted:
    """What a request of a verb asks for."""
    presented = request.presented
    if presented.party not in _PARTIES:
        raise bad("presented.party", "on whose word it is done must be named")
    party, needs = Party(presented.party), set[Need]()
    if presented.identity_verified:
        needs.add(Need.IDENTITY_VERIFIED)
    if isinstance(request, messages.CancelRequest):
        needs.add(Need.BALANCE_SETTLED)  # it is named where what is left goes
    if presented.old_card_returned:
        needs.add(Need.OLD_CARD_RETURNED)
    acting = party in REPRESENTATIVES and presented.HasField("representative")
    papers = read_papers(presented.representative, instant(now).astimezone(SHANGHAI).date()) if acting else None
    if isinstance(papers, NotAccepted):
        return papers
    if papers:
        needs.add(Need.PAPERS)
    if isinstance(request, messages.CancelRequest):
        return Change(
            request.card_id, verb, party, frozenset(needs), request.reason, PayTo(request.remainder_to), papers
        )  # fmt: skip
    return Change(request.card_id, verb, party, frozenset(needs), papers=papers)


def _case(change: Change, changed: Changed) -> Case:
    """For the second person: what is to be done, to which card, and why."""
    detail: dict[str, str | int] = {"party": change.party.name}
    if change.reason:
        detail["reason"] = messages.CancelReason.Name(change.reason).removeprefix("CANCEL_REASON_")
    return Case(_RIGHTS[change.verb], detail, changed.holder, changed.card)
