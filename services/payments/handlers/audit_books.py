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
from services.payments.adapters.audits import Difference, Mark, Part

log = structlog.get_logger()

_MOST_SEALS: Final = 20
_MOST_BATCHES: Final = 5_000
_EVERY_SEAL: Final = 2**63 - 1


class Stretch(NamedTuple):
    """Batches that follow each other in the seals, as many as are enough for a round."""

    to: Mark
    last_batch: int
    """Of the last seal that is complete."""
    parts: Sequence[Part]
    begun: frozenset[int]
    """Batches of the next seal that are in the sums."""
    more: bool
    """Whether there is more to be added."""


class AuditBooks:
    """Run by the elected process alone; it is content with a small share of the time."""

    def __init__(self, *, most_transfers: int = 10_000, most_accounts: int = 2_000, rest_seconds: float = 60) -> None:
        self._most_transfers = most_transfers
        self._most_beyond = 3 * most_transfers
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
        """One round. Whether accounts were compared: with far too much to be added up they are not."""
        driver = await driver_of(connection)
        async with driver.transaction(isolation="repeatable_read"):
            await driver.execute("set local transaction_timeout = '60s'; set local plan_cache_mode = force_custom_plan")
            stretch = await self._next(driver, await audits.mark(driver), _EVERY_SEAL)
            touched = await audits.add(driver, stretch.to, stretch.parts)
            changed = () if stretch.more else await self._again(driver, stretch.to.seal)
            beyond = await self._beyond(driver, stretch)
            if beyond is None:
                found = None
            else:
                asked = {*touched, *changed, *self._different, *await self._walk(driver)}
                found = await audits.differences(driver, sorted(asked), beyond)
        metrics.AUDITED_BATCH.set(stretch.last_batch)
        if found is not None:
            self._tell(asked, found)
        return found is not None

    async def _next(self, driver: "asyncpg.Connection[Any]", mark: Mark, upto: int) -> Stretch:
        seals = await audits.seals_between(driver, mark.seal, upto, _MOST_SEALS)
        seal, last, skip = mark.seal, await audits.last_batch(driver, mark.seal), mark.batches
        parts: list[Part] = []
        transfers = 0
        for following, batches in zip(seals, await audits.parts_of(driver, seals), strict=True):
            for taken, part in enumerate(batches[skip:], skip):
                if transfers >= self._most_transfers:
                    begun = frozenset(part.batch for part in batches[:taken])
                    return Stretch(Mark(seal, taken), last, parts, begun, more=True)
                parts.append(part)
                transfers += part.transfers
            seal, last, skip = following.number, following.last, 0
        return Stretch(Mark(seal, 0), last, parts, frozenset(), more=len(seals) == _MOST_SEALS)

    async def _beyond(self, driver: "asyncpg.Connection[Any]", stretch: Stretch) -> list[Part] | None:
        """What is committed and not in the sums; None when it is too much to be looked at."""
        found = await audits.beyond(driver, stretch.to.seal, stretch.last_batch, _MOST_BATCHES)
        if found is None:
            return None
        beyond = [part for part in found if part.batch not in stretch.begun]
        return beyond if sum(part.transfers for part in beyond) <= self._most_beyond else None

    async def _again(self, driver: "asyncpg.Connection[Any]", seal: int) -> Collection[int]:
        """Go on with the sums from the first seal on; when they have come as far as the others, they take their place."""
        if time.monotonic() < self._rest_until:
            return ()
        stretch = await self._next(driver, await audits.mark_again(driver), seal)
        await audits.add_again(driver, stretch.to, stretch.parts)
        if stretch.to != Mark(seal, 0):
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
