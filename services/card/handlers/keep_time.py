"""What happens because a time has come: losses and cards that end, cards that are due for renewal,
applications that lapse. Run by the elected process.

Each act is one transaction that decides again under the lock: it happens once, also when two processes believe that they are
elected, and a process that dies leaves nothing half done.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import product
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.card import metrics
from services.card.adapters.due import (
    count_overdue,
    ending_cards,
    ending_losses,
    note_renewals,
    refused_before,
)
from services.card.adapters.electronic import forget_spent_tokens
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import TIMER
from services.card.domain.application import ApplicationKind, Mode, Step
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.handle_application import handle_application
from services.card.handlers.once import transact
from services.common.clock import day_of, now_ms
from services.common.database import driver_of

MOST: Final = 200
"""Of one kind in one round; what is behind comes in the next."""
_DAY_MS: Final = 24 * 3600 * 1000


class KeepTime:
    """A duty; `now` is the clock, for tests that do not want to wait a week."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, settings: CitySettings, now: Callable[[], int] = now_ms) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._now = now

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        driver = await driver_of(connection)
        now = self._now()
        today = day_of(now)
        await forget_spent_tokens(driver, now - _DAY_MS)
        losses = await ending_losses(driver, now, MOST)
        await self._change(losses, Verb.EXPIRE_TEMPORARY_LOSS, now)
        cards = await ending_cards(driver, today, MOST)
        await self._change(cards, Verb.EXPIRE_CARD, now)
        lapsing = await refused_before(driver, now - self._settings.application.resubmit_days * _DAY_MS, MOST)
        await self._lapse(lapsing, now)
        renewals = await note_renewals(driver, today + timedelta(self._settings.card.renewal_days), now, MOST)
        overdue = await count_overdue(driver, now)
        for kind, mode in product(ApplicationKind, Mode):
            metrics.APPLICATIONS_OVERDUE.labels(kind.name, mode.name).set(overdue.get((kind, mode), 0))
        return max(len(losses), len(cards), len(lapsing), renewals) < MOST

    async def _change(self, cards: Sequence[int], verb: Verb, now: int) -> None:
        for card in cards:
            change = Change(card, verb, Party.TIMER)

            async def act(driver: "asyncpg.Connection[Any]", change: Change = change) -> None:
                await change_card(driver, self._sealing, self._settings, change, TIMER, now)

            await transact(self._engine, act)

    async def _lapse(self, applications: Sequence[int], now: int) -> None:
        for application in applications:

            async def act(driver: "asyncpg.Connection[Any]", number: int = application) -> None:
                await handle_application(driver, self._sealing, number, Step.LAPSE, TIMER, now)

            await transact(self._engine, act)
