"""TerminalService: certificates of terminals."""

import re
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import terminals_pb2 as messages
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.terminals_pb2_grpc import TerminalServiceServicer
from services.card.adapters.issuer import Issuer, read_signing_request
from services.card.adapters.sealing import Sealing
from services.card.adapters.terminals import Terminal, list_terminals, read_terminal
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of
from services.card.api.places import Place
from services.card.domain.staff import Right
from services.card.domain.terminal import TerminalKind, TerminalRules
from services.card.handlers.enrol_terminal import (
    Enrolled,
    decide_terminal,
    renew_terminal,
    request_terminal,
    revoke_serial,
    revoke_subject,
)
from services.card.handlers.once import Once
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, page_size, request_id

_LONGEST_REASON: Final = 200
_LONGEST_OUTLET: Final = 32
_KINDS: Final = frozenset(kind.value for kind in TerminalKind)
_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")


class TerminalService(TerminalServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self, engine: AsyncEngine, sealing: Sealing, rules: TerminalRules, actors: Actors, issuer: Issuer | None
    ) -> None:
        """Without an issuer nothing is issued here: terminals take their certificates from elsewhere."""
        self._engine = engine
        self._rules = rules
        self._actors = actors
        self._authority = issuer
        self._once = Once(engine, sealing)

    async def RequestTerminal(  # noqa: N802
        self, request: messages.RequestTerminalRequest, context: Any
    ) -> messages.RequestTerminalResponse:
        """It waits for a second person."""
        actor = await self._actors.with_right(Right.ENROL_TERMINAL, context)
        if request.kind not in _KINDS:
            raise bad("kind", "it must be named")
        if len(request.outlet) > _LONGEST_OUTLET:
            raise bad("outlet", f"at most {_LONGEST_OUTLET} characters")
        asked, kind = read_signing_request(request.signing_request), TerminalKind(request.kind)

        async def act(driver: Any) -> Enrolled:
            return await request_terminal(driver, asked, kind, request.outlet, actor)

        terminal, refusal = await self._enrol(actor.terminal, "RequestTerminal", request, act)
        return messages.RequestTerminalResponse(terminal=terminal, refusal=refusal)

    async def DecideTerminal(  # noqa: N802
        self, request: messages.DecideTerminalRequest, context: Any
    ) -> messages.DecideTerminalResponse:
        """Yes or no."""
        actor, issuer = await self._actors.with_right(Right.APPROVE_TERMINAL, context), self._issuer
        if not request.approve:
            _check_reason(request.reason)

        async def act(driver: Any) -> Enrolled:
            number = request.terminal_id
            return await decide_terminal(driver, issuer, self._rules, number, actor, approve=request.approve)

        terminal, refusal = await self._enrol(actor.terminal, "DecideTerminal", request, act)
        return messages.DecideTerminalResponse(terminal=terminal, refusal=refusal)

    async def RenewTerminal(  # noqa: N802
        self, request: messages.RenewTerminalRequest, context: Any
    ) -> messages.RenewTerminalResponse:
        """For the terminal that calls."""
        peer, issuer = current_peer(), self._issuer
        asked = read_signing_request(request.signing_request)

        async def act(driver: Any) -> Enrolled:
            return await renew_terminal(driver, issuer, self._rules, asked, peer)

        terminal, refusal = await self._enrol(peer.subject.uri, "RenewTerminal", request, act)
        return messages.RenewTerminalResponse(terminal=terminal, refusal=refusal)

    async def RevokeTerminal(  # noqa: N802
        self, request: messages.RevokeTerminalRequest, context: Any
    ) -> messages.RevokeTerminalResponse:
        """Refused from now on."""
        actor = await self._actors.with_right(Right.REVOKE_TERMINAL, context)
        _check_reason(request.reason)
        serial = request.serial.lower().lstrip("0")
        if not request.subject and not _SERIAL.fullmatch(serial):
            raise bad("which", "a serial number in hexadecimal digits, or a subject")

        async def act(driver: Any) -> list[str]:
            if request.subject:
                return [*await revoke_subject(driver, request.subject, request.reason, actor, now_ms())]
            return [*await revoke_serial(driver, serial, request.reason, actor, now_ms())]

        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)
        serials = await self._once(actor.terminal, asked, "RevokeTerminal", content, list[str], act)
        return messages.RevokeTerminalResponse(serials=serials)

    async def ListTerminals(  # noqa: N802
        self, request: messages.ListTerminalsRequest, context: Any
    ) -> messages.ListTerminalsResponse:
        """With the ends of their certificates."""
        await self._actors.with_right(Right.ENROL_TERMINAL, context)
        size, place = page_size(request.page_size, 50, 200), read_token(request.page_token, Place)
        after = place.after if place else 0
        async with driver_session(self._engine) as driver:
            found = await list_terminals(driver, request.state, request.subject, after=after, limit=size)
        following = Place(found[-1].id) if len(found) == size else None
        return messages.ListTerminalsResponse(
            terminals=[_terminal_of(one) for one in found], next_page_token=write_token(following)
        )

    @property
    def _issuer(self) -> Issuer:
        if self._authority is None:
            raise DomainError(Code.FAILED_PRECONDITION, "NO_ISSUER", "本系统未配置签发机构，终端证书由外部签发")
        return self._authority

    async def _enrol(self, caller: str, method: str, request: Any, act: Any) -> tuple[messages.Terminal, RefusalMessage | None]:
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)
        enrolled = await self._once(caller, asked, method, content, Enrolled, act)
        async with driver_session(self._engine) as driver:
            found = await read_terminal(driver, enrolled.terminal)
        assert found is not None, "requests are never taken away"
        return _terminal_of(found), refusal_of(enrolled.refusal) if enrolled.refusal else None


def _check_reason(reason: str) -> None:
    if not 0 < len(reason.strip()) <= _LONGEST_REASON:
        raise bad("reason", f"1 to {_LONGEST_REASON} characters are wanted")


def _terminal_of(found: Terminal) -> messages.Terminal:
    return messages.Terminal(
        terminal_id=found.id,
        subject=found.subject,
        kind=found.kind,  # type: ignore[arg-type]  # numbers agree, a test holds it
        outlet=found.outlet,
        state=found.state,  # type: ignore[arg-type]
        certificate=found.certificate,
        serial=found.serial,
        expire_time_ms=found.expire_ms,
        requested_by_staff_id=found.requested_by,
        approved_by_staff_id=found.approved_by,
    )
