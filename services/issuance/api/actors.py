"""Who acts: the person who is signed in at the terminal that calls, as the card service says."""

import time
from collections.abc import Set
from typing import Any, Final

from services.common.clock import now_ms
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.issuance.adapters.card_service import Away, CardDesk, Declined
from services.issuance.domain.actor import Actor
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.domain.rights import Right, may

SHIFT_KEY: Final = "x-onecard-shift"
_REMEMBERED_SECONDS: Final = 1.0
_MOST_REMEMBERED: Final = 10_000


class Actors:
    """Recognises shifts by their tokens. A shift is remembered for a second: what ended it is heard of within two.

    A stream lasts longer than that: at each of its messages the shift is held against those of which we heard that they ended.
    """

    def __init__(self, card: CardDesk) -> None:
        self._card = card
        self._known: dict[tuple[str, str, str], tuple[Actor, float]] = {}
        self._ended: Set[int] = frozenset()

    def hear_ended(self, shifts: Set[int]) -> None:
        """All that ended before their time."""
        self._ended = shifts

    def check(self, actor: Actor) -> None:
        """Whether somebody who was signed in still is, as far as we have heard. Raises DomainError."""
        if actor.expire_ms <= now_ms() or actor.shift in self._ended:
            raise DomainError(Code.UNAUTHENTICATED, "SHIFT_ENDED", "登录已失效，请重新登录")

    async def with_right(self, right: Right, context: Any) -> Actor:
        """Who makes this call. Raises DomainError for somebody who is not signed in, or does not hold the right."""
        actor = await self.actor(context)
        if not may(actor, right):
            raise DomainError(Code.PERMISSION_DENIED, Refusal.NOT_YOUR_RIGHT.name, sentence(Refusal.NOT_YOUR_RIGHT))
        return actor

    async def actor(self, context: Any) -> Actor:
        """Who makes this call, whatever they may do. Raises DomainError."""
        token = next((value for key, value in context.invocation_metadata() if key == SHIFT_KEY), "")
        if not token:
            raise DomainError(Code.UNAUTHENTICATED, "SIGN_IN_NEEDED", "请先在本终端登录")
        peer = current_peer()
        # A token is worth nothing at another terminal, nor with another certificate of the same one.
        actor = await self._recognise(token, peer.subject.uri, peer.serial)
        self.check(actor)
        return actor

    async def _recognise(self, token: str, terminal: str, serial: str) -> Actor:
        key, now = (token, terminal, serial), time.monotonic()
        known = self._known.get(key)
        if known and now - known[1] < _REMEMBERED_SECONDS:
            return known[0]
        try:
            found = await self._card.who_acts(token, terminal, serial)
        except Away:
            raise DomainError(Code.UNAVAILABLE, "CARD_SERVICE_AWAY", "社保卡系统暂时没有应答，请稍后再试") from None
        if isinstance(found, Declined):
            self._known.pop(key, None)
            raise DomainError(Code.UNAUTHENTICATED, found.reason, found.message)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = found, now
        return found
