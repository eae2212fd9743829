"""The registry of merchants and terminals, kept in memory and read again when something is not found."""

import time
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain.tap import Scene, Terminal
from services.payments.domain.verdict import Cause

_STATE: Final = text(
    "select (select (count(*), max(id), count(retired_time), max(retired_time))::text from payments.terminal),"
    " (select (count(*), max(id), count(retired_time), max(retired_time))::text from payments.merchant),"
    " (select (count(*), max(create_time))::text from payments.terminal_mark)"
)
_READ: Final = text(
    "select t.id, m.merchant_id, t.terminal_id, m.scene, m.payable_account,"
    " coalesce(t.retired_time, m.retired_time) is not null, coalesce(k.sequence, 0)"
    " from payments.merchant m left join payments.terminal t on t.merchant = m.id"
    " left join payments.terminal_mark k on k.terminal = t.id"
)


class Registry:
    """Look-up without I/O on the hot path.

    A terminal that was registered a moment ago is found because a miss asks for a refresh, at most one a second.
    """

    REFRESH_SECONDS: Final = 10.0
    MISS_SECONDS: Final = 1.0

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._terminals: dict[tuple[str, str], Terminal] = {}
        self._merchants: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._missed = False
        self._state: tuple[str, ...] = ()

    async def refresh_if_due(self) -> None:
        """Look again every few seconds, or soon when something was missed; read the tables only when they have changed."""
        pause = self.MISS_SECONDS if self._missed else self.REFRESH_SECONDS
        if time.monotonic() - self._read_at >= pause:
            await self.refresh()

    async def refresh(self) -> None:
        """Look at once; read the tables only when they have changed."""
        async with self._engine.connect() as connection:
            state = tuple((await connection.execute(_STATE)).one())
            rows = (await connection.execute(_READ)).all() if state != self._state else None
        self._read_at = time.monotonic()
        self._missed = False
        if rows is None:
            return
        self._state = state
        self._terminals = {
            (merchant_id, terminal_id): Terminal(number, merchant_id, terminal_id, Scene(scene), payable, retired, mark)
            for number, merchant_id, terminal_id, scene, payable, retired, mark in rows
            if number is not None
        }
        self._merchants = frozenset(row.merchant_id for row in rows)

    def find(self, merchant_id: str, terminal_id: str) -> Terminal | Cause:
        """The terminal, or why there is none."""
        terminal = self._terminals.get((merchant_id, terminal_id))
        if terminal is None:
            self._missed = True
            return Cause.UNKNOWN_TERMINAL if merchant_id in self._merchants else Cause.UNKNOWN_MERCHANT
        return Cause.RETIRED_TERMINAL if terminal.retired else terminal
