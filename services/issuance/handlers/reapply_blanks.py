"""What was published of blanks behind a moment that the stock went back to: what was used is not used a second time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from google.protobuf.message import DecodeError
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1.issuance_events_pb2 import IssuanceEvent
from onecard.issuance.v1.issuance_pb2 import ISSUE_OUTCOME_RELEASED
from services.common.once import transact
from services.issuance.adapters import audit
from services.issuance.adapters.blanks import BY_ITSELF, enter, find_blanks
from services.issuance.domain.blank import DEPOT, UNUSED, Blank, BlankState, Verb, decide

REASON: Final = "USED_BEFORE_RESTORE"
_AT_ONCE: Final = 500
_UNCLEAR: Final = frozenset({BlankState.RECEIVED, BlankState.PRINTED, BlankState.IN_TRANSFER})
"""Nothing is done about these by itself."""


@dataclass(slots=True)
class Reapplied:
    """What became of them."""

    barred: int = 0
    """White plastic by the database: the vault gives nothing for it any more."""
    spoiled: int = 0
    """By the database still at the depot."""
    looks: list[str] = field(default_factory=list)
    """Serials of those that the database has further on or on their way: count them where they are."""


async def reapply_blanks(engine: AsyncEngine, published: Iterable[bytes], to_ms: int) -> Reapplied:
    """As the owner, before anybody is served; it may be cut off and run again. `published`: the values of `issuance.events`."""
    done = Reapplied()
    used = _used_since(published, to_ms)
    for first in range(0, len(used), _AT_ONCE):
        serials = used[first : first + _AT_ONCE]

        async def act(driver: "asyncpg.Connection[Any]", serials: list[str] = serials) -> tuple[int, int, list[str]]:
            blanks = await find_blanks(driver, serials)
            white = [blank for blank in blanks if blank.state in UNUSED and not blank.barred]
            stored = [blank for blank in blanks if blank.place == DEPOT and _may(blank, Verb.SPOIL)]
            for verb, some in ((Verb.BAR, white), (Verb.SPOIL, stored)):
                moved = [(blank, state) for blank in some if isinstance(state := decide(blank, verb), BlankState)]
                await enter(driver, moved, verb, BY_ITSELF, reason=REASON)
            if white or stored:
                await audit.record(driver, None, "blanks.reapply", detail={"barred": len(white), "spoiled": len(stored)})
            left = {blank.serial for blank in blanks if blank.state in _UNCLEAR and not blank.barred and blank not in stored}
            unknown = set(serials) - {blank.serial for blank in blanks}
            return len(white), len(stored), sorted(left | unknown)

        barred, spoiled, looks = await transact(engine, act)
        done.barred, done.spoiled = done.barred + barred, done.spoiled + spoiled
        done.looks += looks
    return done


def _used_since(values: Iterable[bytes], to_ms: int) -> list[str]:
    """The serials of blanks that somebody took behind the moment, and did not give back as they were."""
    newest: dict[str, int] = {}
    for value in values:
        try:
            event = IssuanceEvent.FromString(value)
        except DecodeError:
            continue
        if event.blank_serial and event.event_time_ms > to_ms:
            newest[event.blank_serial] = event.outcome
    return sorted(serial for serial, outcome in newest.items() if outcome != ISSUE_OUTCOME_RELEASED)


def _may(blank: Blank, verb: Verb) -> bool:
    return isinstance(decide(blank, verb), BlankState)
