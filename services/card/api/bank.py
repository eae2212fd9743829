"""BankService: what a clerk has to look at because of the bank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import bank_pb2 as messages
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.bank_pb2_grpc import BankServiceServicer
from services.card.adapters import audit, bank_batches
from services.card.adapters.bank_batches import Work
from services.card.adapters.people import read_holders
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors
from services.card.domain.bank_cause import GUIDANCE, WAYS, BankCause, RowFault
from services.card.domain.names import Carrier, cannot_carry, prints_with
from services.card.domain.settings import CitySettings
from services.card.domain.staff import Right
from services.card.handlers.once import Once
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import page_size, request_id

_HOUR_MS: Final = 3600 * 1000
_LATE: Final = "银行尚未回盘，已超过约定时限；请与银行联系，申请继续等待。"


class Place(NamedTuple):
    """Behind a row; first come those that were not sent, by their applications."""

    batch: int
    row: int
    application: int = 0

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return min(self) >= 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many faults of a row were open."""

    faults: int


class BankService(BankServiceServicer):
    """Reads requests, asks the tables, writes answers."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, settings: CitySettings, actors: Actors) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._actors = actors
        self._once = Once(engine, sealing)

    async def ListBankWork(  # noqa: N802
        self, request: messages.ListBankWorkRequest, context: Any
    ) -> messages.ListBankWorkResponse:
        """What waits here."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        size, place = page_size(request.page_size, 50, 200), read_token(request.page_token, Place) or Place(0, 0)
        late_before = now_ms() - self._settings.bank.late_hours * _HOUR_MS
        async with driver_session(self._engine) as driver:
            unsent: list[Work] = []
            if not place.batch:
                unsent = await bank_batches.list_not_carried(driver, actor.outlet, after=place.application, limit=size)
            names = await self._sentences(driver, unsent)
            after, left = (place.batch, place.row), size - len(unsent)
            sent = await bank_batches.list_work(driver, actor.outlet, late_before, after=after, limit=left) if left else []
        found = [*unsent, *sent]
        last = found[-1] if len(found) == size else None
        following = Place(last.batch, last.row, 0 if last.batch else last.application) if last else None
        return messages.ListBankWorkResponse(
            work=[_work(one, names.get(one.application, "")) for one in found], next_page_token=write_token(following)
        )

    async def ClearBankFault(  # noqa: N802
        self, request: messages.ClearBankFaultRequest, context: Any
    ) -> messages.ClearBankFaultResponse:
        """Somebody has spoken with the bank."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked = request_id(request.request_id)

        async def act(driver: Any) -> Cleared:
            faults = await bank_batches.clear_faults(driver, request.batch, request.row, actor, now_ms())
            if faults:
                detail: dict[str, str | int] = {"batch": request.batch, "row": request.row, "faults": faults}
                await audit.record(driver, actor, "bank.clear", detail=detail)
            return Cleared(faults)

        content = request.SerializeToString(deterministic=True)
        cleared = await self._once(actor.terminal, asked, "ClearBankFault", content, Cleared, act)
        return messages.ClearBankFaultResponse(cleared=cleared.faults)

    async def _sentences(self, driver: Any, unsent: Sequence[Work]) -> dict[int, str]:
        """What the bank's file cannot carry, by application."""
        holders = await read_holders(driver, self._sealing, {one.holder for one in unsent})
        prints = prints_with(self._settings.printing.charset)
        return {
            one.application: found.sentence
            for one in unsent
            for found in cannot_carry(holders[one.holder].person().name, prints)
            if found.carrier is Carrier.BANK_FILE
        }


def _work(work: Work, sentence: str) -> messages.BankWork:
    return messages.BankWork(
        application_id=work.application,
        holder_id=work.holder,
        card_id=work.card or 0,
        batch=work.batch,
        row=work.row,
        cause=_cause(work, sentence),
        since_ms=work.since_ms,
    )


def _cause(work: Work, sentence: str) -> RefusalMessage:
    """The fault of a row speaks louder than what the bank said in it."""
    if not work.batch:
        return RefusalMessage(reason="NAME_NOT_CARRIED", message=sentence)
    cause = RowFault(work.fault) if work.fault else BankCause(work.cause) if work.cause else None
    if cause is None:
        return RefusalMessage(reason="LATE", message=_LATE)
    said = GUIDANCE[cause]
    return RefusalMessage(reason=cause.name, message=said.sentence + WAYS[said.way])
