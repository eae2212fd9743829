"""Epochs of terminals' keys: added and retired by the database's owner alone."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import instant
from services.payments.adapters.epochs import read_epochs
from services.payments.domain.epoch import Epoch, current, live

_LOCK: Final = text("lock table payments.terminal_epoch in share row exclusive mode")
_ADD: Final = text(
    "insert into payments.terminal_epoch (epoch, root_version, valid_from) values (:epoch, :root_version, :valid_from)"
)
_RETIRE: Final = text("update payments.terminal_epoch set retired_time = now() where epoch = :epoch")


class EpochError(Exception):
    """It was not done; the message says why."""


async def list_epochs(engine: AsyncEngine) -> list[Epoch]:
    """All of them, the oldest first."""
    async with engine.connect() as connection:
        return await read_epochs(connection)


async def add_epoch(engine: AsyncEngine, root_version: int, valid_from_ms: int) -> Epoch:
    """The next one: terminals fetch its keys before its time. Raises EpochError when another one begins as late."""
    async with engine.begin() as connection:
        await connection.execute(_LOCK)
        known = await read_epochs(connection)
        if waiting := [epoch for epoch in live(known) if epoch.valid_from_ms >= valid_from_ms]:
            raise EpochError(f"epoch {waiting[-1].number} begins later: the next one begins after it")
        number = max((epoch.number for epoch in known), default=0) + 1
        added = Epoch(number, root_version, valid_from_ms)
        row = {"epoch": number, "root_version": root_version, "valid_from": instant(valid_from_ms)}
        await connection.execute(_ADD, row)
    return added


async def retire_epoch(engine: AsyncEngine, number: int, now_ms: int) -> bool:
    """What was signed with it has no verdict from now on; False when it was retired already.

    Raises EpochError for one that does not exist, and for the one without which terminals had nothing to sign with.
    """
    async with engine.begin() as connection:
        await connection.execute(_LOCK)
        known = await read_epochs(connection)
        found = next((epoch for epoch in known if epoch.number == number), None)
        if found is None:
            raise EpochError(f"there is no epoch {number}")
        if found.retired:
            return False
        if current((epoch for epoch in known if epoch.number != number), now_ms) is None:
            raise EpochError(f"terminals have no other epoch than {number} to sign with now: add one first")
        await connection.execute(_RETIRE, {"epoch": number})
    return True
