"""CardService: the life of a card, for windows and for issuance."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1.applications_pb2 import ApplicationSummary
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.cards_pb2_grpc import CardServiceServicer
from services.card.adapters.applications import Application, read_application
from services.card.adapters.card_data import read_by_application
from services.card.adapters.cards import read_card
from services.card.adapters.sealing import Sealing
from services.card.api.actors import ISSUANCE, Actors
from services.card.api.answers import card_summary, refusal_of, summary_of
from services.card.api.card_data import acting_of, card_data_of, compared, identifier_of
from services.card.api.forms import NotAccepted, content_of, read_papers
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.application import Papers, Step
from services.card.domain.approval import Case
from services.card.domain.bank_return import is_account
from services.card.domain.card import Card
from services.card.domain.card_data import CardData
from services.card.domain.holder_session import SHOWN
from services.card.domain.life_cycle import (
    IN_PERSON,
    REPRESENTATIVES,
    TABLE,
    LifeRules,
    Need,
    Party,
    Verb,
    allowed,
    may_take,
    needs_of,
)
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.domain.settings import CitySettings
from services.card.domain.staff import Right, may
from services.card.handlers.approve import behind_second_person
from services.card.handlers.bank import Bank
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.electronic import ElectronicCards
from services.card.handlers.hand_out import HandedOut, hand_out
from services.card.handlers.handle_application import Handled
from services.card.handlers.once import Once
from services.card.handlers.pins import Pins
from services.card.handlers.produce import Outcome, begin_production, end_production
from services.card.handlers.settle_money import SettleMoney
from services.common.clock import day_of, now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.reading import bad, named, request_id
from services.common.grpc.to_its_end import to_its_end
from services.common.points import AtPoint, pass_by

_PARTIES: Final = frozenset(range(1, 6))
_REASONS: Final = frozenset(messages.CancelReason.values()) - {messages.CANCEL_REASON_UNSPECIFIED}
_RIGHTS: Final = {
    Verb.REPORT_TEMPORARY_LOSS: Right.REPORT_TEMPORARY_LOSS,
    Verb.REISSUE: Right.SUBMIT_APPLICATION,
    Verb.REPLACE: Right.SUBMIT_APPLICATION,
    Verb.CANCEL: Right.CANCEL_CARD,
    Verb.RESET_PIN: Right.RESET_PIN,
    Verb.RESET_PASSWORD: Right.RESET_PIN,
}
"""Whatever is not named here takes the right to change cards."""
_SET_PIN: Final = frozenset({Verb.COLLECT, Verb.ENABLE, Verb.RESET_PIN})
"""The holder keys a PIN in."""
_SET_PASSWORD: Final = frozenset({Verb.SIGN_UP, Verb.RESET_PASSWORD})
"""The holder keys the electronic card's password in."""


class CardService(CardServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        actors: Actors,
        money: SettleMoney,
        bank: Bank,
        pins: Pins,
        electronic: ElectronicCards,
        at: AtPoint = pass_by,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._money = money
        self._bank = bank
        self._pins = pins
        self._electronic = electronic
        self._once = Once(engine, sealing, at)

    async def Collect(self, request: messages.CollectRequest, context: Any) -> messages.CollectResponse:  # noqa: N802
        """Hand it over."""
        card, refusal = await self.change(Verb.COLLECT, request, context)
        return messages.CollectResponse(card=card, refusal=refusal)

    async def Enable(self, request: messages.EnableRequest, context: Any) -> messages.EnableResponse:  # noqa: N802
        """The switch, where it succeeds another card."""
        card, refusal = await self.change(Verb.ENABLE, request, context)
        return messages.EnableResponse(card=card, refusal=refusal)

    async def Activate(self, request: messages.ActivateRequest, context: Any) -> messages.ActivateResponse:  # noqa: N802
        """The bank's side."""
        card, refusal = await self.change(Verb.ACTIVATE, request, context)
        return messages.ActivateResponse(card=card, refusal=refusal)

    async def ReportTemporaryLoss(  # noqa: N802
        self, request: messages.ReportTemporaryLossRequest, context: Any
    ) -> messages.ReportTemporaryLossResponse:
        """It is missing."""
        card, refusal = await self.change(Verb.REPORT_TEMPORARY_LOSS, request, context)
        return messages.ReportTemporaryLossResponse(card=card, refusal=refusal)

    async def ReportFormalLoss(  # noqa: N802
        self, request: messages.ReportFormalLossRequest, context: Any
    ) -> messages.ReportFormalLossResponse:
        """It is lost for good."""
        card, refusal = await self.change(Verb.REPORT_FORMAL_LOSS, request, context)
        return messages.ReportFormalLossResponse(card=card, refusal=refusal)

    async def Release(self, request: messages.ReleaseRequest, context: Any) -> messages.ReleaseResponse:  # noqa: N802
        """It was found."""
        card, refusal = await self.change(Verb.RELEASE, request, context)
        return messages.ReleaseResponse(card=card, refusal=refusal)

    async def Unlock(self, request: messages.UnlockRequest, context: Any) -> messages.UnlockResponse:  # noqa: N802
        """The holder stands here."""
        card, refusal = await self.change(Verb.UNLOCK, request, context)
        return messages.UnlockResponse(card=card, refusal=refusal)

    async def AskBankAgain(  # noqa: N802
        self, request: messages.AskBankAgainRequest, context: Any
    ) -> messages.AskBankAgainResponse:
        """An account, in the next batch."""
        card, refusal = await self.change(Verb.ASK_BANK_AGAIN, request, context)
        return messages.AskBankAgainResponse(card=card, refusal=refusal)

    @to_its_end
    async def VerifyPin(self, request: messages.VerifyPinRequest, context: Any) -> messages.VerifyPinResponse:  # noqa: N802
        """A try."""
        actor = await self._actors.with_right(Right.CHANGE_CARD, context)
        refusal = await self._pins.verify(request.card_id, request.pin, actor, now_ms())
        return messages.VerifyPinResponse(refusal=refusal_of(refusal) if refusal else None)

    @to_its_end
    async def ChangePin(self, request: messages.ChangePinRequest, context: Any) -> messages.ChangePinResponse:  # noqa: N802
        """The holder knows the present one."""
        actor = await self._actors.staff_or_holder(Right.CHANGE_CARD, context)
        asked, now, content = request_id(request.request_id), now_ms(), content_of(request)
        card = await self._card(request.card_id, actor)
        changed = await self._once.heard(actor.caller, asked, "ChangePin", content, Changed)
        if changed is None:
            stored = await self._pins.store(card.id, request.new_pin)
            if isinstance(stored, Refusal):
                return messages.ChangePinResponse(card=card_summary(card), refusal=refusal_of(stored, field="new_pin"))
            judged = await self._pins.judge(card.id, request.pin)

            async def act(driver: Any) -> Changed:
                return await self._pins.change(driver, judged, stored, actor, now)

            changed = await self._once(
                actor.caller, asked, "ChangePin", content, Changed, act, final=lambda c: c.refusal is None
            )
        refusal = refusal_of(changed.refusal) if changed.refusal else None
        return messages.ChangePinResponse(card=card_summary(await self._card(card.id, actor)), refusal=refusal)

    async def ResetPin(self, request: messages.ResetPinRequest, context: Any) -> messages.ResetPinResponse:  # noqa: N802
        """The holder stands here, and has forgotten it."""
        card, refusal = await self.change(Verb.RESET_PIN, request, context)
        return messages.ResetPinResponse(card=card, refusal=refusal)

    async def Extend(self, request: messages.ExtendRequest, context: Any) -> messages.ExtendResponse:  # noqa: N802
        """A temporary card lives on."""
        card, refusal = await self.change(Verb.EXTEND, request, context)
        return messages.ExtendResponse(card=card, refusal=refusal)

    async def Cancel(self, request: messages.CancelRequest, context: Any) -> messages.CancelResponse:  # noqa: N802
        """It ends, once a second person has agreed."""
        card, refusal = await self.change(Verb.CANCEL, request, context)
        if refusal:
            return messages.CancelResponse(card=card, refusal=refusal)
        left = await self._money.remainder_of(card.card_id)
        actor = await self._actors.with_right(Right.CANCEL_CARD, context)
        handed = await self._hand_out(card.holder_id, request, f"{actor.caller} CANCEL", actor)
        to_bank = left is not None and left.pay_to is PayTo.BANK
        return messages.CancelResponse(
            card=card,
            remainder_fen=left.paid_fen if left and to_bank else handed.remainder_fen,
            remainder_to_come=left is not None and not left.done,
            fees_fen=handed.fees_fen,
        )

    async def HandOut(self, request: messages.HandOutRequest, context: Any) -> messages.HandOutResponse:  # noqa: N802
        """What waits in cash."""
        actor = await self._actors.with_right(Right.CHANGE_CARD, context)
        shown = read_presented(request.presented, now_ms())
        if isinstance(shown, NotAccepted):
            said = refusal_of(shown.refusal, field=shown.field, message=shown.message)
            return messages.HandOutResponse(refusal=said)
        if refusal := may_take(shown.party, shown.needs_met):
            return messages.HandOutResponse(refusal=refusal_of(refusal))
        handed = await self._hand_out(request.holder_id, request, actor.caller, actor)
        return messages.HandOutResponse(
            refusal=refusal_of(handed.refusal) if handed.refusal else None,
            fees_fen=handed.fees_fen,
            remainder_fen=handed.remainder_fen,
        )

    async def ListAllowedActions(  # noqa: N802
        self, request: messages.ListAllowedActionsRequest, context: Any
    ) -> messages.ListAllowedActionsResponse:
        """What may be done now, and for the rest why not."""
        actor = await self._actors.staff_or_holder(Right.READ_HOLDER, context)
        card = await self._card(request.card_id, actor)
        return messages.ListAllowedActionsResponse(
            card=card_summary(card), actions=actions_of(self._settings.life, card, actor)
        )

    async def BeginProduction(  # noqa: N802
        self, request: messages.BeginProductionRequest, context: Any
    ) -> messages.BeginProductionResponse:
        """Issuance has a blank for it."""
        service, now = self._actors.service(ISSUANCE), now_ms()
        blank = identifier_of(request.card_identifier) if request.card_identifier else ""
        reader = acting_of(request.acting) if request.with_card_data else None
        number, read = request.application_id, list[CardData]()

        async def act(driver: Any) -> Handled:
            step = Step.START_INSTANT
            handled = await begin_production(driver, self._sealing, self._settings, number, step, service, now, blank)
            read.clear()
            if reader and handled.refusal is None:
                read.extend(filter(None, [await read_by_application(driver, self._sealing, number, reader)]))
            return handled

        application, refusal = await self._produce(service, "BeginProduction", request, act)
        if reader and not refusal and not read:  # it was begun when this was asked before
            async with driver_session(self._engine) as driver:
                read.extend(filter(None, [await read_by_application(driver, self._sealing, number, reader)]))
        return messages.BeginProductionResponse(
            application=application, refusal=refusal, card_data=card_data_of(read[0]) if read else None
        )

    async def EndProduction(  # noqa: N802
        self, request: messages.EndProductionRequest, context: Any
    ) -> messages.EndProductionResponse:
        """Issuance has made it, or could not."""
        actor, now = self._actors.service(ISSUANCE), now_ms()
        if request.bank_account and not (request.made and is_account(request.bank_account)):
            raise bad("bank_account", "16 to 19 digits, the last one by Luhn, of a card that was made")
        identifier = identifier_of(request.card_identifier) if request.card_identifier else ""
        outcome = Outcome(request.made, request.bank_account, identifier)
        ask = request.made and not request.bank_account
        answer = await self._bank.ask_online(request.application_id) if ask else None

        async def act(driver: Any) -> Handled:
            number = request.application_id
            handled = await end_production(driver, self._sealing, self._settings, number, outcome, actor, now)
            if answer and handled.refusal is None:
                await self._bank.keep_online(driver, number, answer, actor, now)
            return handled

        application, refusal = await self._produce(actor, "EndProduction", request, act)
        return messages.EndProductionResponse(application=application, refusal=refusal)

    async def change(self, verb: Verb, request: Any, context: Any) -> tuple[messages.CardSummary, RefusalMessage | None]:
        """Do what a request of a verb asks for, once."""
        actor = await self._actors.staff_or_holder(_RIGHTS.get(verb, Right.CHANGE_CARD), context)
        asked, now = request_id(request.request_id), now_ms()
        change = await self.read(verb, request, actor, now)
        if isinstance(change, NotAccepted):
            said = refusal_of(change.refusal, field=change.field, message=change.message)
            return card_summary(await self._card(request.card_id, actor)), said

        content = content_of(request)

        async def act(driver: Any) -> Changed:
            async def try_it(approved: bool) -> Changed:
                met = change.needs_met | {Need.SECOND_PERSON} if approved else change.needs_met
                return await change_card(driver, self._sealing, self._settings, replace(change, needs_met=met), actor, now)

            if Need.SECOND_PERSON not in TABLE[verb].needs and not change.without_document:
                return await try_it(False)
            digests = self._sealing.request_digests(verb.name, content)
            return await behind_second_person(driver, digests, partial(_case, change), actor, now, try_it)

        changed = await self._once(actor.caller, asked, verb.name, content, Changed, act, final=lambda c: not c.approval)
        card = await self._card(changed.card, actor)
        refusal = refusal_of(changed.refusal, approval=changed.approval) if changed.refusal else None
        return card_summary(card), refusal

    async def read(self, verb: Verb, request: Any, actor: Actor, now: int) -> Change | NotAccepted:
        """What a request of a verb asks for. A holder in a session has shown what the session stands for, and nothing else."""
        if actor.kind is ActorKind.HOLDER:
            change: Change | NotAccepted = Change(request.card_id, verb, Party.HOLDER_REMOTE, SHOWN)
        else:
            change = read_change(verb, request, now)
        if verb is Verb.REPORT_TEMPORARY_LOSS and isinstance(change, Change):
            return replace(change, electronic_outlives_loss=request.electronic_outlives_loss)
        if verb in _SET_PASSWORD and isinstance(change, Change):
            password = await self._electronic.store(change.card, request.password)
            if isinstance(password, Refusal):
                return NotAccepted(password, "password")
            return replace(change, electronic_password=password)
        new_pin = request.new_pin if verb in _SET_PIN else ""
        if isinstance(change, NotAccepted) or (not new_pin and verb is not Verb.RESET_PIN):
            return change
        if change.party not in IN_PERSON and verb is not Verb.RESET_PIN:
            return NotAccepted(Refusal.PIN_IN_PERSON, "new_pin")
        pin = await self._pins.store(change.card, new_pin)
        return NotAccepted(pin, "new_pin") if isinstance(pin, Refusal) else replace(change, pin=pin)

    async def _hand_out(self, holder: int, request: Any, caller: str, actor: Actor) -> HandedOut:
        """Once for a request; what comes later is handed out on another one."""
        asked, content = request_id(request.request_id), content_of(request)

        async def act(driver: Any) -> HandedOut:
            return await hand_out(driver, self._sealing, holder, Party(request.presented.party), actor)

        return await self._once(caller, asked, "HandOut", content, HandedOut, act)

    async def _produce(
        self, actor: Actor, method: str, request: Any, act: Any
    ) -> tuple[ApplicationSummary | None, RefusalMessage | None]:
        asked, content = request_id(request.request_id), compared(request)
        after = list[Application | None]()

        async def act_and_look(driver: Any) -> Handled:
            handled: Handled = await act(driver)
            after[:] = [await read_application(driver, handled.application)]
            return handled

        handled = await self._once(actor.terminal, asked, method, content, Handled, act_and_look)
        if not after:  # it was done when this was asked before
            async with driver_session(self._engine) as driver:
                after.append(await read_application(driver, handled.application))
        summary = summary_of(after[0], now_ms()) if after[0] else None
        return summary, refusal_of(handled.refusal) if handled.refusal else None

    async def _card(self, number: int, actor: Actor) -> Card:
        async with driver_session(self._engine) as driver:
            card = await read_card(driver, number)
        if card is None or not actor.may_touch(card.holder):
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
        return card


def actions_of(rules: LifeRules, card: Card, actor: Actor) -> tuple[messages.AllowedAction, ...]:
    """Every verb that a person may ask for: whoever is at a window, or the holder in a session, who is known by it."""
    # Whose card it is decides nothing, nor who asks beyond their rights: what stands alike is worked out once.
    alike = replace(card, id=0, holder=0, card_identifier="", version=0, successor=None, predecessor=None)
    return _actions(rules, alike, Actor(actor.kind, roles=actor.roles, abroad=actor.abroad))


@lru_cache(4096)
def _actions(rules: LifeRules, card: Card, actor: Actor) -> tuple[messages.AllowedAction, ...]:
    alone = actor.kind is ActorKind.HOLDER
    party, met = (Party.HOLDER_REMOTE, SHOWN) if alone else (Party.HOLDER_IN_PERSON, frozenset[Need]())
    listed = [
        (verb, refusal if alone or may(actor, _RIGHTS.get(verb, Right.CHANGE_CARD)) else Refusal.NOT_YOUR_RIGHT)
        for verb, refusal in allowed(rules, card, party if alone else None)
    ]
    return tuple(
        messages.AllowedAction(
            verb=verb.name,
            allowed=refusal is None,
            refusal=refusal_of(refusal) if refusal else None,
            needs=sorted(need.name for need in needs_of(card, verb, party) - met),
        )
        for verb, refusal in listed
    )


class Presented(NamedTuple):
    """On whose word something is done, and what was shown for it."""

    party: Party
    needs_met: frozenset[Need]
    papers: Papers | None


def read_presented(presented: messages.Presented, now: int) -> Presented | NotAccepted:
    """What was shown or given at the window."""
    if presented.party not in _PARTIES:
        raise bad("presented.party", "on whose word it is done must be named")
    party = Party(presented.party)
    acting = party in REPRESENTATIVES and presented.HasField("representative")
    today, heir = day_of(now), party is Party.HEIR
    papers = read_papers(presented.representative, today, heir=heir) if acting else None
    if isinstance(papers, NotAccepted):
        return papers
    met = {
        Need.IDENTITY_VERIFIED: presented.identity_verified,
        Need.OLD_CARD_RETURNED: presented.old_card_returned,
        Need.PAPERS: papers is not None,
    }
    return Presented(party, frozenset(need for need, shown in met.items() if shown), papers)


def read_change(verb: Verb, request: Any, now: int) -> Change | NotAccepted:
    """What a request of a verb asks for."""
    if isinstance(request, messages.CancelRequest) and request.reason not in _REASONS:
        raise bad("reason", "it must be named")
    pay_to = named("remainder_to", PayTo, request.remainder_to) if isinstance(request, messages.CancelRequest) else None
    shown = read_presented(request.presented, now)
    if isinstance(shown, NotAccepted):
        return shown
    party, needs_met, papers = shown
    if pay_to:
        needs_met |= {Need.BALANCE_SETTLED}  # it is named where what is left goes
        return Change(request.card_id, verb, party, needs_met, request.reason, pay_to, papers)
    without_document = isinstance(request, messages.ResetPinRequest) and request.without_document
    return Change(request.card_id, verb, party, needs_met, papers=papers, without_document=without_document)


def _case(change: Change, changed: Changed) -> Case:
    """For the second person: what is to be done, to which card, and why."""
    detail: dict[str, str | int] = {"party": change.party.name}
    if change.without_document:
        detail["shown"] = "NO_DOCUMENT"
    if change.reason:
        detail["reason"] = messages.CancelReason.Name(change.reason).removeprefix("CANCEL_REASON_")
    return Case(_RIGHTS[change.verb], detail, changed.holder, changed.card)
