"""Move blanks by hand: all that were named, or none, and those that do not fit are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import asyncpg

from services.common.errors import Code, DomainError
from services.issuance.adapters import audit
from services.issuance.adapters.blanks import Signed, enter, find_blanks, find_range, forget_account, who_spoiled
from services.issuance.adapters.records import end_streams, lock_records
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import UNFINISHED, Blank, BlankState, Verb, decide
from services.issuance.domain.record import WITHOUT_CHIP
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.serials import detail_of
from services.issuance.handlers.countersign import second_person

MOST: Final = 5_000
"""In one request: a box."""
_NAMED: Final = 20
"""Of those that do not fit."""
_MOST_TOLD: Final = 4_000
"""Characters of serials for a second person: a box in ranges, or some hundred that have nothing in common."""


class Act(StrEnum):
    """What is asked for; the names stand in the audit and with countersignatures."""

    ASSIGN = "ASSIGN_BLANKS"
    TRANSFER = "TRANSFER_BLANKS"
    ARRIVE = "CONFIRM_TRANSFER"
    SPOIL = "SPOIL_BLANK"
    RETURN = "RETURN_BLANKS"
    DESTROY = "DESTROY_BLANKS"
    MISS = "REPORT_MISSING"
    FIND = "REPORT_FOUND"


_VERBS: Final = {
    Act.ASSIGN: Verb.ASSIGN,
    Act.TRANSFER: Verb.TRANSFER,
    Act.ARRIVE: Verb.ARRIVE,
    Act.SPOIL: Verb.SPOIL,
    Act.DESTROY: Verb.DESTROY,
    Act.MISS: Verb.MISS,
    Act.FIND: Verb.FIND,
}
_BY_TWO: Final = frozenset({Act.SPOIL, Act.DESTROY, Act.MISS, Act.FIND})
_IN_THE_HAND: Final = frozenset({BlankState.ASSIGNED, BlankState.BOXED, BlankState.RETURNED_UNUSED})
"""What a person may give away: of the others a card is being made."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with which blanks."""

    act: Act
    serials: tuple[str, ...] = ()
    span: tuple[str, str] = ("", "")
    """From the first to the last, both included, when no serials are named."""
    at: frozenset[str] = frozenset()
    """Where they must be, or go in transfer; empty: anywhere."""
    to: str = ""
    reason: str = ""
    incident: str = ""

    def verb(self, blank: Blank) -> Verb:
        """What happens to one of them."""
        if self.act is Act.RETURN:
            return Verb.RETURN_UNUSED if blank.state is BlankState.ASSIGNED else Verb.RETURN
        return _VERBS[self.act]

    def detail(self, blanks: Sequence[Blank]) -> dict[str, str]:
        """For a second person, and the audit: of the blanks that there are, whatever range was named."""
        said = {"to": self.to, "reason": self.reason, "incident": self.incident, **detail_of(blanks, _MOST_TOLD)}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Moved:
    """How many, or why none."""

    count: int = 0
    refusal: Refusal | None = None
    serials: tuple[str, ...] = ()
    """Of those that do not fit."""
    countersignature: int = 0


def signed_by(actor: Actor, second: int = 0) -> Signed:
    """Who answers for a move."""
    return Signed(actor.staff, actor.shift, actor.terminal, second)


async def move_blanks(
    driver: "asyncpg.Connection[Any]", order: Order, actor: Actor, digests: list[bytes], now_ms: int
) -> Moved:
    """Carry it out, or say why not; what needs two signatures waits for the second one."""
    if order.serials:
        blanks = await find_blanks(driver, order.serials)
        if missing := set(order.serials) - {blank.serial for blank in blanks}:
            return Moved(0, Refusal.UNKNOWN_BLANK, tuple(sorted(missing)[:_NAMED]))
    else:
        blanks = await find_range(driver, *order.span, MOST + 1)
        if len(blanks) > MOST:
            raise DomainError(Code.INVALID_ARGUMENT, "RANGE_TOO_LARGE", f"一次最多办理 {MOST} 张，请分段办理")
    if not blanks:
        return Moved(0, Refusal.UNKNOWN_BLANK, (order.span[0],))
    decided = [(blank, _decide(order, blank)) for blank in blanks]
    if refusals := [(blank, state) for blank, state in decided if isinstance(state, Refusal)]:
        why = refusals[0][1]
        return Moved(0, why, tuple(blank.serial for blank, state in refusals if state is why)[:_NAMED])
    held = _held(blanks) if order.act in (Act.SPOIL, Act.MISS) else {}
    if order.act is Act.SPOIL and (taken := await _being_taken(driver, held)):
        return Moved(0, Refusal.CARD_BEING_TAKEN, taken)
    told, second = order.detail(blanks), 0
    if order.act in _BY_TWO or (order.act is Act.RETURN and await _spoiled_by_themselves(driver, blanks, actor)):
        word = await second_person(driver, digests, order.act, told, actor, now_ms)
        if word.refusal:
            return Moved(0, word.refusal, countersignature=word.number)
        second = word.second
    if held:
        await end_streams(driver, sorted(held))
    await _carry_out(driver, order, decided, signed_by(actor, second))
    detail: dict[str, str | int] = {**told, "count": len(blanks)}
    await audit.record(driver, actor, f"blanks.{order.act.lower()}", detail=detail | ({"second": second} if second else {}))
    return Moved(len(blanks))


def _decide(order: Order, blank: Blank) -> BlankState | Refusal:
    decided = decide(blank, order.verb(blank))
    if isinstance(decided, Refusal):
        return decided
    if order.act is Act.TRANSFER and blank.state not in _IN_THE_HAND:
        return Refusal.BLANK_PRINTED if blank.state is BlankState.PRINTED else Refusal.BLANK_IN_USE
    where = blank.destination if order.act is Act.ARRIVE else blank.place
    return Refusal.BLANK_ELSEWHERE if order.at and where not in order.at else decided


def _held(blanks: Sequence[Blank]) -> dict[int, str]:
    """By which records."""
    return {blank.record: blank.serial for blank in blanks if blank.state in UNFINISHED | {BlankState.PRINTED}}


async def _being_taken(driver: "asyncpg.Connection[Any]", held: Mapping[int, str]) -> tuple[str, ...]:
    """Whose holder takes it at this moment. Of the others `Settle` ends the record, whether or not a chip answers."""
    states = await lock_records(driver, sorted(held)) if held else {}
    return tuple(held[number] for number, state in states.items() if state not in WITHOUT_CHIP)


async def _spoiled_by_themselves(driver: "asyncpg.Connection[Any]", blanks: Sequence[Blank], actor: Actor) -> bool:
    """Whether somebody else still has to sign that one of these is spoiled: who takes it back is the second person, too."""
    spoiled = [blank.serial for blank in blanks if blank.state is BlankState.SPOILED]
    return any(not second and first in (0, actor.staff) for first, second in await who_spoiled(driver, spoiled))


async def _carry_out(
    driver: "asyncpg.Connection[Any]", order: Order, decided: Sequence[tuple[Blank, Any]], signed: Signed
) -> None:  # fmt: skip
    by_verb: dict[Verb, list[tuple[Blank, BlankState]]] = {}
    for blank, state in decided:
        by_verb.setdefault(order.verb(blank), []).append((blank, state))
    for verb, moved in by_verb.items():
        await enter(driver, moved, verb, signed, to=order.to, reason=order.reason, incident=order.incident)
    if order.act is Act.DESTROY:
        await forget_account(driver, [blank.serial for blank, _ in decided])
