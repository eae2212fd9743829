"""ProductionService: what issuance asks while a card is made and its holder waits."""

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import production_pb2 as messages
from onecard.card.v1.production_pb2_grpc import ProductionServiceServicer
from services.card.adapters.applications import read_application
from services.card.adapters.card_data import read_by_application, read_by_identifier
from services.card.adapters.cards import read_card
from services.card.adapters.sealing import Sealing
from services.card.adapters.shifts import list_ended_early
from services.card.adapters.terminals import list_lost, list_revoked
from services.card.api.actors import ISSUANCE, Actors
from services.card.api.answers import card_summary, refusal_of
from services.card.api.card_data import acting_of, card_data_of, compared, identifier_of
from services.card.api.cards import read_presented
from services.card.api.forms import NotAccepted
from services.card.domain.application import ENDED, ApplicationState
from services.card.domain.card import Card
from services.card.domain.life_cycle import IN_PERSON, Verb
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, Changed
from services.card.handlers.complete_issue import complete_issue
from services.card.handlers.once import Once
from services.card.handlers.pins import Pins
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.reading import bad, request_id
from services.common.peer import Peer, Subject
from services.common.points import AtPoint, pass_by


class ProductionService(ProductionServiceServicer):
    """Reads requests, asks the handlers, writes answers; for issuance alone."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        actors: Actors,
        pins: Pins,
        at: AtPoint = pass_by,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._pins = pins
        self._once = Once(engine, sealing, at)

    async def WhoActs(self, request: messages.WhoActsRequest, context: Any) -> messages.WhoActsResponse:  # noqa: N802
        """Who is signed in at a terminal."""
        self._actors.service(ISSUANCE)
        try:
            subject = Subject.parse(request.terminal)
        except ValueError:
            raise bad("terminal", "the subject of a certificate is wanted, as onecard://merchant/M/terminal/T") from None
        actor, expire_ms = await self._actors.at_terminal(request.token, Peer(subject, request.serial.lower().lstrip("0")))
        return messages.WhoActsResponse(
            staff_id=actor.number,
            shift_id=actor.shift or 0,
            roles=sorted(actor.roles),
            outlet=actor.outlet,
            abroad=actor.abroad,
            expire_time_ms=expire_ms,
        )

    async def ListRevoked(  # noqa: N802
        self, request: messages.ListRevokedRequest, context: Any
    ) -> messages.ListRevokedResponse:
        """Whom nobody believes any more."""
        self._actors.service(ISSUANCE)
        async with driver_session(self._engine) as driver:
            serials, lost, ended = await list_revoked(driver), await list_lost(driver), await list_ended_early(driver)
        return messages.ListRevokedResponse(
            serials=serials,
            terminals=[messages.RevokedTerminal(terminal=subject, revoke_time_ms=at_ms) for subject, at_ms in lost],
            ended_shifts=ended,
        )

    async def ReadCardData(  # noqa: N802
        self, request: messages.ReadCardDataRequest, context: Any
    ) -> messages.ReadCardDataResponse:
        """What goes onto a card, or stands on one."""
        issuance, summary_only = self._actors.service(ISSUANCE), request.summary_only
        by_itself = summary_only and not request.HasField("acting")
        actor = issuance if by_itself else acting_of(request.acting)
        async with driver_session(self._engine) as driver:
            match request.WhichOneof("which"):
                case "application_id":
                    number = request.application_id
                    found = await read_by_application(driver, self._sealing, number, actor, summary_only=summary_only)
                    if found is None:
                        raise await _why_not(driver, number)
                case "card_identifier":
                    identifier = identifier_of(request.card_identifier)
                    found = await read_by_identifier(driver, self._sealing, identifier, actor, summary_only=summary_only)
                case _:
                    raise bad("which", "an application is wanted, or a card identifier")
        if found is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
        return messages.ReadCardDataResponse(data=card_data_of(found))

    async def CompleteIssue(  # noqa: N802
        self, request: messages.CompleteIssueRequest, context: Any
    ) -> messages.CompleteIssueResponse:
        """The holder has it."""
        issuance, actor = self._actors.service(ISSUANCE), acting_of(request.acting)
        asked, now, content = request_id(request.request_id), now_ms(), compared(request)
        caller, after = issuance.terminal, list[Card | None]()
        changed = None
        if request.new_pin:  # a PIN is costly to keep: not for a repeat
            changed = await self._once.heard(caller, asked, "CompleteIssue", content, Changed)
        if changed is None:
            change = await self._read(request, now)
            if isinstance(change, NotAccepted):
                said = refusal_of(change.refusal, field=change.field, message=change.message)
                return messages.CompleteIssueResponse(refusal=said)

            async def act(driver: "asyncpg.Connection[Any]") -> Changed:
                number = request.application_id
                done = await complete_issue(driver, self._sealing, self._settings, number, change, actor, now)
                after[:] = [await read_card(driver, done.card)]
                return done

            # What was refused can be put right, and then the very same request goes through: the holder has the card in hand.
            changed = await self._once(caller, asked, "CompleteIssue", content, Changed, act, final=lambda c: c.refusal is None)
        if not after:  # it was done when this was asked before
            async with driver_session(self._engine) as driver:
                after.append(await read_card(driver, changed.card))
        (card,) = after
        return messages.CompleteIssueResponse(
            card=card_summary(card) if card else None, refusal=refusal_of(changed.refusal) if changed.refusal else None
        )

    async def _read(self, request: messages.CompleteIssueRequest, now: int) -> Change | NotAccepted:
        shown = read_presented(request.presented, now)
        if isinstance(shown, NotAccepted):
            return shown
        change = Change(0, Verb.ENABLE, shown.party, shown.needs_met, papers=shown.papers)
        if not request.new_pin:
            return change
        if change.party not in IN_PERSON:
            return NotAccepted(Refusal.PIN_IN_PERSON, "new_pin")
        async with driver_session(self._engine) as driver:
            application = await read_application(driver, request.application_id)
        if application is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
        pin = await self._pins.store(application.card or 0, request.new_pin)
        if isinstance(pin, Refusal):
            return NotAccepted(pin, "new_pin")
        return Change(0, Verb.ENABLE, shown.party, shown.needs_met, papers=shown.papers, pin=pin)


async def _why_not(driver: "asyncpg.Connection[Any]", number: int) -> DomainError:
    """Why there is nothing to be told of an application."""
    application = await read_application(driver, number)
    if application is None:
        return DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    if application.state in ENDED or application.state is ApplicationState.REFUSED:
        return DomainError(Code.FAILED_PRECONDITION, "NOT_IN_PRODUCTION", "该申请已经办结或退回，不能再制卡。")
    return DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "该申请还没有开始制卡。")
