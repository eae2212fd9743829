"""Exchange files with the bank through a folder: returns that lie in `in/` are taken, applications go out to `out/`.

What was taken is moved to `taken/`, what was refused whole to `refused/`: files hold names and numbers of people, so an
installation empties both by its own rules.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters import bank_batches
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.bank_cause import GUIDANCE, WAYS, ReturnFault
from services.card.handlers.bank import Bank
from services.common.clock import now_ms
from services.common.database import DatabaseError, driver_of
from services.common.logs import fault_of

log = structlog.get_logger()

BANK: Final = Actor(ActorKind.SERVICE, service="bank")
"""Stands in the audit and on timelines for what the bank's files bring."""


class ExchangeBankFiles:
    """A duty of the elected worker."""

    def __init__(self, bank: Bank, folder: Path, send_every_seconds: float) -> None:
        self._bank = bank
        self._folder = folder
        self._send_every_seconds = send_every_seconds
        self._sent_at = float("-inf")

    async def __call__(self, connection: AsyncConnection) -> None:
        """One round: what came in, then what is to go out."""
        for path in await asyncio.to_thread(_waiting, self._folder / "in"):
            await self._take(path)
        if time.monotonic() - self._sent_at >= self._send_every_seconds:
            sent = await self._bank.send(self._folder / "out", BANK, now_ms())
            self._sent_at = time.monotonic()
            if sent.rows or sent.not_carried:
                log.info("bank_files_sent", files=len(sent.files), rows=sent.rows, not_carried=len(sent.not_carried))
        rows, age_seconds = await bank_batches.count_waiting(await driver_of(connection))
        metrics.BANK_WAITING.set(rows)
        metrics.BANK_WAITING_AGE.set(age_seconds)

    async def _take(self, path: Path) -> None:
        try:
            taken = await self._bank.take(await asyncio.to_thread(path.read_bytes), BANK, now_ms())
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - other files go on; somebody has to look at this one
            log.error("bank_return_failed", file=path.name, **fault_of(error))  # noqa: TRY400 - without its text
            await asyncio.to_thread(_put_away, path, "refused")
            return
        if isinstance(taken, ReturnFault):
            said = GUIDANCE[taken]
            log.error("bank_return_refused", file=path.name, fault=taken.name, next=said.sentence + WAYS[said.way])
        else:
            log.info("bank_return_taken", file=path.name, opened=taken.opened, refused=taken.refused, faults=len(taken.faults))
        await asyncio.to_thread(_put_away, path, "refused" if isinstance(taken, ReturnFault) else "taken")


def _waiting(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


def _put_away(path: Path, where: str) -> None:
    """Beside a file of the same name, which the bank may send again."""
    folder = path.parents[1] / where
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.replace(folder / f"{path.stem}-{time.time_ns()}{path.suffix}")
