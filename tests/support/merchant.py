"""A merchant's program in a process of its own, which kills itself while it takes outcomes in.

`python -m tests.support.merchant BROKER API SPOOL POINT`
"""

import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Literal

from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.spool import Answer, Outcome, Spool
from sdk.merchant.transaction import BusRide
from tests.support.terminal_keys import sign

Point = Literal["heard", "written", "kept"]
"""Outcomes are in our hands; they are written and not committed; they are committed."""

MERCHANT = "BUS"
BUNDLES, RIDES = 40, 25
ARRIVAL = 3


class MortalSpool(Spool):
    """At a bundle of outcomes it ends its process at a point."""

    point: Point
    arrival = ARRIVAL
    _arrivals = 0

    def answer(self, outcomes: Iterable[Outcome], cursors: Mapping[str, bytes] | None = None) -> list[Answer]:
        heard = list(outcomes)
        self._arrivals += bool(heard)
        self._die_at("heard")
        answers = super().answer(heard, cursors)
        self._die_at("kept")
        return answers

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with super()._transaction() as db:
            yield db
            if db.in_transaction and sys._getframe(2).f_code.co_name == "answer":
                self._die_at("written")

    def _die_at(self, point: Point) -> None:
        if point == self.point and self._arrivals >= self.arrival:
            os.kill(os.getpid(), SIGKILL)


def main(bootstrap: str, api: str, path: str, point: Point) -> None:
    MortalSpool.point = point
    with MortalSpool(Path(path)) as spool, MerchantClient(bootstrap, spool, Access(api)) as client:
        for bundle in range(BUNDLES):
            client.submit([_ride(bundle * RIDES + number) for number in range(RIDES)], sign)
            time.sleep(0.02)
        client.wait_until_answered(30)


def _ride(number: int) -> BusRide:
    return BusRide(
        merchant_id=MERCHANT,
        terminal_id=f"V-{number % 7}",
        card_identifier=f"CARD{number}",
        event_time_ms=time.time_ns() // 1_000_000,
        line_id="L1",
        stop_id="S1",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]  # a test names the point
