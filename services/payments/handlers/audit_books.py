"""The continuous check: add up the transfers of sealed batches, account by account, and compare the accounts with the sums.

Each round is one snapshot and a bounded amount of work, so the auditor lags under load and catches up afterwards. Three things
go on side by side: sums that follow the seals, a walk over all accounts, and the same sums once more from the first seal on,
which show what was changed in the journal after it had been added up.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.database import driver_of
from services.payments import metrics
from services.payments.adapters import audits
from services.payments.adapters.audits import Difference, Part

log = structlog.get_logger()

_MOST_SEALS: Final = 50
_MOST_BATCHES: Final = 5_000
_EVERY_SEAL: Final = 2**63 - 1


class Stretch(NamedTuple):
    """Seals that follow each other, as many as are enough for a round."""

    seal: int
    last_batch: int
    parts: Sequence[Part]
    more: bool
    """Whether there are further ones."""


class AuditBooks:
    """Run by the elected process alone; it is content with a small share of the time."""

    def __init__(self, *, most_transfers: int = 20_000, most_accounts: int = 2_000, rest_seconds: float = 60) -> None:
        self._most_transfers = most_transfers
        self._most_accounts = most_accounts
        self._rest_seconds = rest_seconds
        self._rest_until = float("-inf")
        self._walked_to = 0
        self._different: dict[int, Difference] = {}

    @property
    def different(self) -> Mapping[int, Difference]:
        """The accounts that differ, as far as is known."""
        return self._different

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round. Whether accounts were compared: with too much to be added up they are not."""
        driver = await driver_of(connection)
        async with driver.transaction(isolation="repeatable_read"):
            await driver.execute("set local transaction_timeout = '60s'")
            stretch = await self._next(driver, await audits.audited_seal(driver), _EVERY_SEAL)
            touched = await audits.add(driver, stretch.seal, stretch.parts)
            beyond = None if stretch.more else await audits.beyond(driver, stretch.seal, stretch.last_batch, _MOST_BATCHES)
            if beyond is None or _transfers(beyond) > self._most_transfers:
                found = None
            else:
                changed = await self._again(driver, stretch.seal)
                asked = {*touched, *changed, *self._different, *await self._walk(driver)}
                found = await audits.differences(driver, sorted(asked), beyond)
        metrics.AUDITED_BATCH.set(stretch.last_batch)
        if found is not None:
            self._tell(asked, found)
        return found is not None

    async def _next(self, driver: "asyncpg.Connection[Any]", seal: int, upto: int) -> Stretch:
        seals = await audits.seals_between(driver, seal, upto, _MOST_SEALS)
        parts: list[Part] = []
        taken = 0
        for batches in await audits.parts_of(driver, seals):
            if taken and _transfers(parts) >= self._most_transfers:
                break
            parts += batches
            taken += 1
        if not taken:
            return Stretch(seal, await audits.last_batch(driver, seal), (), more=False)
        more = taken < len(seals) or len(seals) == _MOST_SEALS
        return Stretch(seals[taken - 1].number, seals[taken - 1].last, parts, more)

    async def _again(self, driver: "asyncpg.Connection[Any]", seal: int) -> Collection[int]:
        """Go on with the sums from the first seal on; when they have come as far as the others, they take their place."""
        if time.monotonic() < self._rest_until:
            return ()
        stretch = await self._next(driver, await audits.again_seal(driver), seal)
        await audits.add_again(driver, stretch.seal, stretch.parts)
        if stretch.seal < seal:
            return ()
        self._rest_until = time.monotonic() + self._rest_seconds
        return await audits.replace_sums(driver)

    async def _walk(self, driver: "asyncpg.Connection[Any]") -> Collection[int]:
        """The next accounts of all; at the end from the first one on."""
        accounts = await audits.accounts_after(driver, self._walked_to, self._most_accounts)
        self._walked_to = accounts[-1] if len(accounts) == self._most_accounts else 0
        return accounts

    def _tell(self, asked: Collection[int], found: Mapping[int, Difference]) -> None:
        for account_id, difference in found.items():
            if self._different.get(account_id) != difference:
                log.error("account_differs", account=account_id, **difference._asdict())
        for account_id in asked:
            self._different.pop(account_id, None)
        self._different.update(found)
        metrics.DIFFERENT_ACCOUNTS.set(len(self._different))
        metrics.AUDITED.set_to_current_time()


def _transfers(parts: Sequence[Part]) -> int:
    return sum(part.transfers for part in parts)
