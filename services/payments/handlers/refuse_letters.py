"""The end of dead letters that are never posted: one person asks, another one approves."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.errors import Code, DomainError
from services.payments.adapters.letter_acts import add_act, end_letters, find_act, find_answer
from services.payments.adapters.letters import read_letters
from services.payments.domain.letter import Act, ActKind

log = structlog.get_logger()


class Approved(NamedTuple):
    """What an approval has ended."""

    act: Act
    ended_before: list[int]
    """Letters that had ended otherwise by then."""


class RefuseLetters:
    """Asks, approves, rejects; each is an act with its actor and reason."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ask(self, actor: str, request_id: str, numbers: Sequence[int], reason: str) -> Act:
        """Nothing ends yet. Raises DomainError for letters that do not lie open."""
        async with self._engine.begin() as connection:
            act = await add_act(connection, request_id, ActKind.ASK_REFUSAL, actor, sorted(set(numbers)), reason)
            if await find_answer(connection, act.number):
                return act  # asked again after it was answered
            found = await read_letters(connection, act.letters)
            open_ = {number for number, (letter, _) in found.items() if not letter.end_time_ms}
            if missing := [number for number in act.letters if number not in open_]:
                raise DomainError(Code.FAILED_PRECONDITION, "NOT_OPEN", f"these do not lie open: {_named(missing)}")
        log.info("dead_letter_refusal_asked", act=act.number, actor=actor, records=len(act.letters))
        return act

    async def approve(self, actor: str, request_id: str, asked: int) -> Approved:
        """What lies open of the letters has ended as refused. Raises DomainError, as for whoever has asked."""
        async with self._engine.begin() as connection:
            request = await self._asked(connection, asked)
            if request.actor == actor:
                raise DomainError(Code.PERMISSION_DENIED, "SECOND_PERSON_NEEDED", "somebody else than who asked approves it")
            act = await self._answer(connection, request_id, ActKind.APPROVE_REFUSAL, actor, request, request.reason)
            await end_letters(connection, act)
            found = await read_letters(connection, act.letters)
        others = [number for number, (letter, _) in found.items() if letter.refusal != act.number]
        log.info("dead_letters_refused", act=act.number, actor=actor, records=len(act.letters) - len(others))
        return Approved(act, others)

    async def reject(self, actor: str, request_id: str, asked: int, reason: str) -> Act:
        """The letters stay open. Raises DomainError."""
        async with self._engine.begin() as connection:
            request = await self._asked(connection, asked)
            act = await self._answer(connection, request_id, ActKind.REJECT_REFUSAL, actor, request, reason)
        log.info("dead_letter_refusal_rejected", act=act.number, actor=actor)
        return act

    async def _asked(self, connection: AsyncConnection, number: int) -> Act:
        request = await find_act(connection, number)
        if request is None or request.kind is not ActKind.ASK_REFUSAL:
            raise DomainError(Code.NOT_FOUND, "NOT_ASKED", "no refusal was asked for under this number")
        return request

    async def _answer(
        self, connection: AsyncConnection, request_id: str, kind: ActKind, actor: str, request: Act, reason: str
    ) -> Act:
        before = await find_answer(connection, request.number)
        if before is not None and (before.kind, before.actor) != (kind, actor):
            raise DomainError(Code.FAILED_PRECONDITION, "ALREADY_ANSWERED", f"{before.actor} has answered it")
        if before is not None:
            return before
        return await add_act(connection, request_id, kind, actor, request.letters, reason, request.number)


def _named(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
    return ", ".join(map(str, numbers[:20])) + more
