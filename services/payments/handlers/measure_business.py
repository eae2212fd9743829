"""Figures for those who run the city: what today brought, what merchants are owed, what is held."""

from collections.abc import Callable
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import day_of, midnight_ms, now_ms
from services.common.database import driver_of
from services.payments import metrics
from services.payments.adapters import days
from services.payments.domain.tap import Scene

_CHANNELS = {scene: scene.name.lower() for scene in (Scene.BUS, Scene.CAMPUS, Scene.SCENIC)}


def _today() -> date:
    return day_of(now_ms())


class MeasureBusiness:
    """Run by the elected process alone. It reads sums, never the journal."""

    def __init__(self, today: Callable[[], date] = _today) -> None:
        self._today = today
        self._tidied: date | None = None

    async def __call__(self, connection: AsyncConnection) -> None:
        """Show the figures of this moment."""
        driver, today = await driver_of(connection), self._today()
        await days.open_day(driver, today)
        figures = await days.figures_of(driver, today)
        for scene, channel in _CHANNELS.items():
            found = figures.get(scene, days.Figures())
            metrics.TODAY_TAPS.labels(channel, "posted").set(found.posted)
            metrics.TODAY_TAPS.labels(channel, "refused").set(found.refused)
            metrics.TODAY_FARES.labels(channel, "holders").set(found.charged_fen)
            metrics.TODAY_FARES.labels(channel, "funds").set(found.funds_fen)
        for fund, fen in (await days.paid_by_funds(driver, today)).items():
            metrics.TODAY_FUND_PAID.labels(fund).set(fen)
        owed = await days.owed_to_merchants(driver)
        metrics.UNSETTLED.set({one.merchant_id: one.fen for one in owed})
        oldest = min((one.since for one in owed if one.since), default=None)
        metrics.OLDEST_UNSETTLED.set(midnight_ms(oldest) / 1000 if oldest else 0)
        if self._tidied != today:
            await days.forget_settled(driver, owed, today)
            self._tidied = today


async def measure_holds(connection: AsyncConnection) -> None:
    """Show what is held at this moment."""
    holds = await days.live_holds(await driver_of(connection))
    metrics.HOLDS.labels("payment").set(holds.payments)
    metrics.HOLDS.labels("reservation").set(holds.reservations)
    metrics.HELD.set(holds.fen)
    metrics.HOLDS_OVERDUE.set(holds.overdue)
