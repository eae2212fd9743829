"""Open holders' accounts with an opening top-up, from a file; what is open already stays as it is."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_transaction
from services.payments.adapters.cards import open_holders
from services.payments.adapters.ledger import BatchKey, Ledger
from services.payments.adapters.requests import top_up
from services.payments.domain.account import FIRST_HOLDER_ACCOUNT
from services.payments.domain.book import NO_RULES
from services.payments.domain.operation import Answered
from services.payments.domain.tap import Scene
from services.payments.handlers.operate import Operate
from services.payments.handlers.register_merchants import ensure_merchant, ensure_terminal

_AT_ONCE: Final = 4000
_DESK: Final = ("CITY-DESK", "OPENING")


class Opening(NamedTuple):
    """An account and what is on it at first."""

    account_id: int
    opening_fen: int


class OpeningsFileError(Exception):
    """A line of the file cannot be used; the message names it."""


def read_openings_file(path: Path) -> list[Opening]:
    """CSV with the header account_id,opening_fen. Raises OpeningsFileError."""
    openings = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != ["account_id", "opening_fen"]:
            raise OpeningsFileError(f"{path}, line 1: the header must be account_id,opening_fen")
        for number, row in enumerate(rows, 2):
            try:
                opening = Opening(int(row["account_id"]), int(row["opening_fen"]))
            except (TypeError, ValueError):
                raise OpeningsFileError(f"{path}, line {number}: two whole numbers are wanted") from None
            if opening.account_id < FIRST_HOLDER_ACCOUNT or opening.opening_fen < 1:
                raise OpeningsFileError(f"{path}, line {number}: account_id from {FIRST_HOLDER_ACCOUNT}, opening_fen from 1")
            openings.append(opening)
    return openings


async def open_accounts(
    engine: AsyncEngine, key: BatchKey, openings: Sequence[Opening], progress: Callable[[int], None]
) -> int:
    """Returns how many accounts got their opening top-up now: each gets it once, by the identity (desk, its number)."""
    async with engine.begin() as connection:
        await ensure_merchant(connection, _DESK[0], Scene.OFFICE)
        desk = await ensure_terminal(connection, *_DESK)
        bank = await connection.scalar(text("select id from payments.account where name = 'bank_settlement'"))
    assert isinstance(bank, int)
    operate = Operate(Ledger(engine, NO_RULES, key))
    opened = 0
    ordered = sorted(openings)
    for at in range(0, len(ordered), _AT_ONCE):
        some = ordered[at : at + _AT_ONCE]
        async with driver_transaction(engine) as driver:
            await open_holders(driver, [opening.account_id for opening in some])
        answered = await operate(
            [top_up(desk, f"opening:{account_id}", account_id, bank, fen) for account_id, fen in some]
        )  # fmt: skip
        opened += sum(isinstance(one, Answered) and one.ruling is not None and not one.repeated for one in answered)
        progress(len(some))
    return opened
