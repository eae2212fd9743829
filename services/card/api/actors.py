"""Who acts: the person who is signed in at the terminal that calls, or the holder who has a session there."""

import time
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters.holder_sessions import HolderSession, find_session
from services.card.adapters.shifts import Shift, find_shift, token_digest
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.refusal import Refusal, sentence
from services.card.domain.staff import Right, may
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.peer import Peer

SHIFT_KEY: Final = "x-onecard-shift"
HOLDER_KEY: Final = "x-onecard-holder"
ISSUANCE: Final = "issuance"
"""The service that makes cards while their holders wait."""
_REMEMBERED_SECONDS: Final = 1.0
_MOST_REMEMBERED: Final = 10_000


class Actors:
    """Recognises shifts by their tokens. A shift is remembered for a second: what ended it is heard of within two."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[bytes, tuple[Shift, float]] = {}

    async def with_right(self, right: Right, context: Any) -> Actor:
        """Who makes this call. Raises DomainError for somebody who is not signed in, or does not hold the right."""
        actor = await self.actor(context)
        if not may(actor, right):
            raise not_your_right()
        return actor

    async def actor(self, context: Any) -> Actor:
        """Who makes this call, whatever they may do. Raises DomainError."""
        return (await self.at_terminal(_sent(SHIFT_KEY, context), current_peer()))[0]

    async def at_terminal(self, token: str, peer: Peer) -> tuple[Actor, int]:
        """Who holds a token at a terminal, and when the shift ends, UTC milliseconds. Raises DomainError."""
        if not token:
            raise DomainError(Code.UNAUTHENTICATED, "SIGN_IN_NEEDED", "请先在本终端登录")
        shift = await self._shift(token)
        if shift is None or shift.expire_time_ms <= now_ms():
            raise DomainError(Code.UNAUTHENTICATED, "SHIFT_ENDED", "登录已失效，请重新登录")
        _check_terminal(shift, peer)
        where = (shift.terminal, shift.outlet)
        actor = Actor(ActorKind.STAFF, shift.staff, shift.roles, shift.id, *where, abroad=peer.subject.abroad)
        return actor, shift.expire_time_ms

    async def staff_or_holder(self, right: Right, context: Any) -> Actor:
        """Somebody of the staff who holds the right; or a holder in a session, whom this call lets act for themselves alone."""
        return await (self.holder(context) if _sent(HOLDER_KEY, context) else self.with_right(right, context))

    async def holder(self, context: Any) -> Actor:
        """The holder whose session this is. It is looked up each time: what ends it is heard of at once. Raises DomainError."""
        async with driver_session(self._engine) as driver:
            session = await find_session(driver, _sent(HOLDER_KEY, context))
        if session is None or session.expire_time_ms <= now_ms():
            raise DomainError(Code.UNAUTHENTICATED, "SESSION_ENDED", "本次办理已结束，请重新验证身份")
        _check_terminal(session, current_peer())
        return Actor(
            ActorKind.HOLDER,
            session.holder,
            shift=session.id,
            terminal=session.terminal,
            outlet=session.outlet,
            reading=session.reading,
        )

    def forget(self, context: Any) -> None:
        """Who has signed out is not remembered here; other processes hear of it within two seconds."""
        self._known.pop(token_digest(_sent(SHIFT_KEY, context)), None)

    def service(self, name: str) -> Actor:
        """Another service of the platform, by its certificate. Raises DomainError for everybody else."""
        subject = current_peer().subject
        if subject.service != name:
            raise DomainError(Code.PERMISSION_DENIED, "SERVICE_NEEDED", f"only the service {name} may do that")
        return Actor(ActorKind.SERVICE, terminal=subject.uri, service=name)

    async def _shift(self, token: str) -> Shift | None:
        digest, now = token_digest(token), time.monotonic()
        known = self._known.get(digest)
        if known and now - known[1] < _REMEMBERED_SECONDS:
            return known[0]
        if known:  # who calls meanwhile does not look as well
            self._known[digest] = known[0], now
        try:
            async with driver_session(self._engine) as driver:
                shift = await find_shift(driver, token)
        finally:
            self._known.pop(digest, None)
        if shift:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[digest] = shift, now
        return shift


def not_your_right() -> DomainError:
    """Somebody is signed in, and may not do that."""
    return DomainError(Code.PERMISSION_DENIED, Refusal.NOT_YOUR_RIGHT.name, sentence(Refusal.NOT_YOUR_RIGHT))


def _sent(wanted: str, context: Any) -> str:
    return next((value for key, value in context.invocation_metadata() if key == wanted), "")


def _check_terminal(shift: Shift | HolderSession, peer: Peer) -> None:
    """A token is worth nothing at another terminal, nor with another certificate of the same one."""
    if (shift.terminal, shift.serial) != (peer.subject.uri, peer.serial):
        raise DomainError(Code.UNAUTHENTICATED, "WRONG_TERMINAL", "该登录属于另一台终端，请在本终端登录")
