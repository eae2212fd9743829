"""Open holders' accounts with an opening top-up, from a file; what is open already stays as it is."""

import csv
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import instant, now_ms
from services.common.database import driver_transaction
from services.payments.adapters.cards import open_holders
from services.payments.adapters.ledger import NEXT_BATCH, BatchKey
from services.payments.adapters.rows import batch_digest, copy_rows, transfer_rows, verdict_rows
from services.payments.domain.account import FIRST_HOLDER_ACCOUNT
from services.payments.domain.posting import Decided
from services.payments.domain.tap import Scene, Tap, Terminal
from services.payments.domain.transfer import Code, Leg
from services.payments.domain.verdict import Reason, Verdict
from services.payments.handlers.register_merchants import ensure_merchant, ensure_terminals

_AT_ONCE: Final = 4000
_DESK: Final = ("CITY-DESK", "OPENING")

_LOCK: Final = "select id from payments.account where id = any($1::bigint[]) order by id for no key update"
_OPENED: Final = "select sequence from payments.verdict where terminal = $1 and sequence = any($2::bigint[])"
_WRITE: Final = """
with changed as (
    update payments.account a set credits_posted_fen = a.credits_posted_fen + n.fen, version = a.version + 1
    from unnest($1::bigint[], $2::bigint[]) as n(id, fen) where a.id = n.id
), accrued as (
    insert into payments.accrual (account_id, debits_fen, credits_fen) values ($3, $4, 0)
)
insert into payments.batch (number, now, verdicts, transfers, digest, key_version) values ($5, $6, $7, $7, $8, $9)"""


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
    """Returns how many accounts got their opening top-up now: each gets it once, by the identity (desk, account)."""
    async with engine.begin() as connection:
        merchant = await ensure_merchant(connection, _DESK[0], Scene.OFFICE)
        await ensure_terminals(connection, merchant, [_DESK[1]])
        number = await connection.scalar(
            text("select id from payments.terminal where merchant = :m and terminal_id = :t"),
            {"m": merchant, "t": _DESK[1]},
        )
        bank = await connection.scalar(text("select id from payments.account where name = 'bank_settlement'"))
    assert isinstance(number, int)
    assert isinstance(bank, int)
    desk = Terminal(number, *_DESK, Scene.OFFICE, bank, retired=False)
    opened = 0
    ordered = sorted(openings)
    for at in range(0, len(ordered), _AT_ONCE):
        some = ordered[at : at + _AT_ONCE]
        async with driver_transaction(engine) as driver:
            opened += await _open(driver, key, desk, some)
        progress(len(some))
    return opened


async def _open(driver: "asyncpg.Connection[Any]", key: BatchKey, desk: Terminal, openings: Sequence[Opening]) -> int:
    ids = [opening.account_id for opening in openings]
    await open_holders(driver, ids)
    await driver.execute(_LOCK, ids)
    known = {row[0] for row in await driver.fetch(_OPENED, desk.number, ids)}
    new = [opening for opening in openings if opening.account_id not in known]
    if not new:
        return 0
    batch = await driver.fetchval(NEXT_BATCH)
    now = now_ms()
    decided, legs = [], []
    for row, (account_id, fen) in enumerate(new):
        digest = sha256(f"opening {account_id} {fen}".encode()).digest()
        tap = Tap(desk, account_id, digest, "", now, fen)
        decided.append(Decided(tap, account_id, Verdict(digest, Reason.NONE, 0, 0, batch, row, now)))
        legs.append(Leg(tap, row, 0, Code.TOP_UP, desk.payable_account, account_id, fen, account_id))
    verdicts, transfers = verdict_rows(decided), transfer_rows(legs, batch, now)
    await copy_rows(driver, verdicts, transfers)
    await driver.execute(
        _WRITE,
        [opening.account_id for opening in new],
        [opening.opening_fen for opening in new],
        desk.payable_account,
        sum(opening.opening_fen for opening in new),
        batch,
        instant(now),
        len(new),
        batch_digest(key.key, batch, now, verdicts, transfers),
        key.version,
    )
    return len(new)
