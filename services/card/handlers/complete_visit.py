"""Settle several things of one holder in one visit: decided in order, in one transaction, kept under one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from services.card.adapters import audit, visits
from services.card.adapters.applications import read_application
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import Step, fee_fen
from services.card.domain.fee import FeeSource
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.handle_application import handle_application
from services.card.handlers.submit import Submission, submit
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An application that is taken back."""

    application: int


Item: TypeAlias = Change | Submission | Withdrawal


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one thing. Nothing in it is personal."""

    what: str
    holder: int
    card: int = 0
    application: int = 0
    fee_fen: int = 0
    refusal: Refusal | None = None
    possible_holders: tuple[int, ...] = ()
    """Who may be the applicant."""
    hand_out_fen: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of a visit."""

    number: int
    visit_id: str
    holder: int
    outlet: str
    staff: int
    time_ms: int
    lines: tuple[Line, ...]


async def complete_visit(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    visit_id: str,
    holder: int,
    items: Sequence[Item],
    actor: Actor,
    now_ms: int,
) -> Visit:
    """The receipt. `holder` 0: whoever the first thing concerns. Raises DomainError, with nothing done, for somebody else's."""
    lines: list[Line] = []
    for item in items:
        line = await _settle(driver, sealing, settings, item, actor, now_ms)
        holder = holder or line.holder
        if line.holder not in (holder, 0):
            raise DomainError(Code.FAILED_PRECONDITION, "OTHER_HOLDER", "所办业务不属于同一持卡人，请分别办理")
        lines.append(line)
    visit = Visit(
        await visits.next_number(driver), visit_id, holder, actor.outlet, actor.number, now_ms, tuple(lines)
    )  # fmt: skip
    await visits.add_visit(driver, visit.number, visit_id, holder, actor, visit, now_ms)
    await audit.record(
        driver, actor, "visit.complete", holder=holder or None, detail={"visit": visit.number, "lines": len(lines)}
    )
    return visit


async def _settle(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, settings: CitySettings, item: Item, actor: Actor, now_ms: int
) -> Line:
    match item:
        case Change():
            changed = await change_card(driver, sealing, settings, item, actor, now_ms)
            return Line(item.verb.name, changed.holder, changed.card, refusal=changed.refusal)
        case Withdrawal():
            handled = await handle_application(driver, sealing, item.application, Step.WITHDRAW, actor, now_ms)
            application = await read_application(driver, item.application)
            assert application is not None, "it was handled"
            return Line(
                "WITHDRAW",
                application.holder,
                application=application.id,
                refusal=handled.refusal,
                hand_out_fen=handled.hand_out_fen,
            )
    (decided,) = await submit(driver, sealing, settings, [item], actor, now_ms)
    accepted, wanted = decided.refusal is None, item.wanted
    fee = fee_fen(settings.fee, wanted.kind) if accepted and wanted.fee is not FeeSource.WAIVED else 0
    number = decided.application or 0
    return Line("SUBMIT", decided.holder or 0, 0, number, fee, decided.refusal, decided.possible_holders)
