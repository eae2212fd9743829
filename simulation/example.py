"""An example of what a merchant's system writes: a day of transactions in CSV."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from sdk.merchant.files import CITY_TIME
from sdk.merchant.transaction import BusRide, CampusPurchase, ScenicEntry, Tap
from simulation.city import HANDHELD
from simulation.habits import Life

CARDS = 1000
"""Only the first cards of the city, so that a small city knows them, too."""
BEGIN = datetime(2026, 3, 2, 6, 30, tzinfo=CITY_TIME)
HOURS = 14
COLUMNS = (
    "scene",
    "merchant_id",
    "terminal_id",
    "card_identifier",
    "event_time",
    "price_fen",
    "line_id",
    "stop_id",
    "outlet_id",
    "gate_id",
)


def write_example(path: Path, taps: int) -> None:
    """Write so many transactions of the city's handheld terminals, spread over a day; the same ones every time."""
    chance = Random(1)  # noqa: S311  # a city, not a secret
    life = Life(CARDS, chance)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        rows.writeheader()
        for number in range(taps):
            at = (BEGIN + timedelta(hours=HOURS) * (number / taps)).replace(microsecond=0)
            rows.writerow(_cells(life.next_tap(round(at.timestamp() * 1000)), at))


def _cells(tap: Tap, at: datetime) -> dict[str, str | int]:
    common: dict[str, str | int] = {
        "scene": tap.scene.value,
        "merchant_id": tap.merchant_id,
        "terminal_id": HANDHELD,
        "card_identifier": tap.card_identifier,
        "event_time": at.isoformat(),
    }
    match tap:
        case BusRide():
            return {**common, "line_id": tap.line_id, "stop_id": tap.stop_id}
        case CampusPurchase():
            return {**common, "outlet_id": tap.outlet_id, "price_fen": tap.price_fen}
        case ScenicEntry():
            return {**common, "gate_id": tap.gate_id}
    raise AssertionError("nobody in the city does anything else yet")
