"""The keeper of blanks: orders boxes from the factory, takes them in, and gives windows and kits as many as they need."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from onecard.issuance.v1.blanks_pb2 import BLANK_STATE_ASSIGNED, BLANK_STATE_BOXED
from sdk.window.blanks import Blanks
from simulation.chips.drawer import Drawer, Plastic
from simulation.chips.factory import Factory, delivery_file
from simulation.chips.kind import Kind

log = logging.getLogger("onecard.simulation.storeroom")

DEPOT = "DEPOT"
SUPPLIER = "FACTORY-1"
A_BOX = 200
A_RANGE = 25
FAULTY = 40
"""One in so many leaves the factory with a chip that lets nobody in."""
LOW = 12
"""Blanks at a place: then it gets another range. The city's settings want ten there."""
LOW_HERE = 225
"""Blanks in the depot: then a box is ordered. The city's settings want two hundred there, and a range goes at once."""


@dataclass(frozen=True, slots=True)
class Storeroom:
    """Who gives out blanks. `serials` name their order: a range is what lies side by side."""

    factory: Factory
    kind: Kind
    drawer: Drawer

    def look_after(self, blanks: Blanks, places: Sequence[str]) -> None:
        """One round, by a keeper who is signed in."""
        stock = {(one.place, one.state): one.count for one in blanks.count_stock() if one.product == self.kind.code}
        for place in places:
            if stock.get((place, BLANK_STATE_ASSIGNED), 0) < LOW:
                self._assign(blanks, place)
                stock[DEPOT, BLANK_STATE_BOXED] = stock.get((DEPOT, BLANK_STATE_BOXED), 0) - A_RANGE
        if stock.get((DEPOT, BLANK_STATE_BOXED), 0) < LOW_HERE:
            self._order(blanks)

    def _assign(self, blanks: Blanks, place: str) -> None:
        boxed = self._boxed(blanks)
        if not boxed:
            self._order(blanks)
            boxed = self._boxed(blanks)
        first, last = boxed[0], boxed[min(A_RANGE, len(boxed)) - 1]
        answer = blanks.assign(first, last, place)
        if answer.refusal:
            log.warning("%s to %s for %s: %s", first, last, place, answer.refusal.reason)
            return
        for serial in boxed[: answer.count]:
            plastic = self.drawer.take(serial)
            plastic.place = place
            self.drawer.put(plastic)

    @staticmethod
    def _boxed(blanks: Blanks) -> list[str]:
        found = (blank.serial for blank in blanks.list_blanks(place=DEPOT, state="BOXED"))
        return sorted(found)

    def _order(self, blanks: Blanks) -> None:
        """The factory makes a box; its cards lie here before anybody may use them."""
        made = sum(1 for _ in self.drawer.serials())
        box = f"BOX-{made // A_BOX + 1:04}"
        ordered = list(self.factory.make(self.kind, made + 1, A_BOX))
        for blank in ordered[FAULTY // 4 :: FAULTY]:
            blank.chip.tries = dict.fromkeys(blank.chip.tries, 0)
        for blank in ordered:
            self.drawer.put(Plastic(blank.serial, blank.chip, DEPOT))
        delivered = blanks.receive(delivery_file(box, self.kind.code, SUPPLIER, ordered))
        if delivered.faults or delivered.moved.refusal:
            raise RuntimeError(f"{box} was not taken in: {delivered.moved.refusal}, {len(delivered.faults)} faults")
        log.info("%s: %s blanks", box, A_BOX)
