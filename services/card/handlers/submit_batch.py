"""Take an employer's batch: hundreds of rows a transaction, each with a verdict that it keeps, however often it is sent."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card import metrics
from services.card.adapters.batches import BatchRow, add_rows, begin_batch, end_batch, read_rows
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.once import transact
from services.card.handlers.submit import Submission, submit
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by

ROWS_A_TRANSACTION: Final = 500
TRANSACTIONS_AT_ONCE: Final = 3
"""Of all batches of a process: one is worked out while others wait for the database, and sessions are left for windows."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was brought: the bytes tell it from another one under the same number."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row whose form makes no sense by itself."""

    refusal: Refusal
    detail: str


Read = Callable[[Row], Submission | Unreadable]
"""Makes a submission of a row."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch with its verdicts, in order."""

    number: int
    rows: Sequence[BatchRow]


class SubmitBatch:
    """Batches by (caller, name)."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, settings: CitySettings, at: AtPoint = pass_by) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._at = at
        self._turn = asyncio.Semaphore(TRANSACTIONS_AT_ONCE)

    async def __call__(self, name: str, header: bytes, rows: Sequence[Row], read: Read, actor: Actor, now_ms: int) -> Decided:
        """A verdict for each row. Raises DomainError when under this name another batch, or another row, was brought before."""
        digests = self._sealing.request_digests("batch", header)
        batch = await transact(self._engine, lambda driver: begin_batch(driver, actor.terminal, name, len(rows), digests[-1]))
        if batch.digest not in digests:
            raise DomainError(Code.ALREADY_EXISTS, "BATCH_ID_USED", "该批次编号已用于另一批次，请换一个编号")
        await self._at("batch begun")
        verdicts: list[BatchRow] = []
        for chunk in _chunks(rows):
            decide = partial(self._decide, batch.id, chunk, read, actor, now_ms)
            async with self._turn:
                verdicts += await transact(self._engine, decide)
            await self._at("batch rows committed")
        await transact(self._engine, lambda driver: end_batch(driver, batch.id))
        await self._at("batch ended")
        return Decided(batch.id, verdicts)

    async def _decide(
        self, batch: int, rows: Sequence[Row], read: Read, actor: Actor, now_ms: int, driver: "asyncpg.Connection[Any]"
    ) -> list[BatchRow]:
        known = await read_rows(driver, batch, rows[0].number, rows[-1].number)
        digests = {row.number: self._sealing.request_digests("batch row", row.content) for row in rows}
        for number, row in known.items():
            if row.digest not in digests[number]:
                raise DomainError(Code.ALREADY_EXISTS, "BATCH_ROW_DIFFERS", f"第 {number} 行与此前提交的内容不一致")
        new = {row.number: read(row) for row in rows if row.number not in known}
        readable = {number: replace(s, batch=batch, batch_row=number) for number, s in new.items() if isinstance(s, Submission)}
        decided = dict(
            zip(
                readable,
                await submit(driver, self._sealing, self._settings, [*readable.values()], actor, now_ms),
                strict=True,
            )
        )
        verdicts = []
        for number, form in new.items():
            if isinstance(form, Unreadable):
                verdicts.append(BatchRow(number, digests[number][-1], None, form.refusal, form.detail))
            else:
                one = decided[number]
                verdicts.append(BatchRow(number, digests[number][-1], one.application, one.refusal or 0, "", one.not_carried))
        await add_rows(driver, batch, verdicts)
        await self._at("batch rows written")
        for verdict in verdicts:
            outcome, reason = ("REFUSED", Refusal(verdict.refusal).name) if verdict.refusal else ("ACCEPTED", "")
            metrics.APPLICATIONS.labels("EMPLOYER", outcome, reason).inc()
        return sorted([*known.values(), *verdicts])


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), ROWS_A_TRANSACTION):
        yield rows[first : first + ROWS_A_TRANSACTION]
