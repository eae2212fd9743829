"""The keeper gives blanks away, and orders, before the city's settings call it few."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from onecard.issuance.v1.blanks_pb2 import BLANK_STATE_ASSIGNED, BLANK_STATE_BOXED
from services.issuance.adapters.city_settings import read_city_settings
from simulation.chips.drawer import Drawer
from simulation.chips.factory import Factory
from simulation.chips.kind import read_kinds
from simulation.city import CITY_CODE
from simulation.storeroom import DEPOT, LOW, LOW_HERE, Storeroom

PLACES = ("onecard://window/WINDOW-1", "onecard://kit/KIT-1")
ROOT = Path(__file__).parents[3]
KIND = read_kinds()["ssc3"]


class Shelf:
    """Where each blank lies; it stands for issuance."""

    def __init__(self, drawer: Drawer) -> None:
        self.drawer = drawer
        self.seen: set[str] = set()
        self.place: dict[str, str] = {}

    def receive(self, delivery: bytes) -> Any:
        """Each box holds what was made last: the factory counts on."""
        made = [serial for serial in self.drawer.serials() if serial not in self.seen]
        assert all(serial.encode() in delivery for serial in made)
        self.seen |= set(made)
        self.place |= dict.fromkeys(made, DEPOT)
        return SimpleNamespace(faults=(), moved=SimpleNamespace(refusal=None))

    def count_stock(self) -> Sequence[Any]:
        state = {place: BLANK_STATE_BOXED if place == DEPOT else BLANK_STATE_ASSIGNED for place in (DEPOT, *PLACES)}
        counted = Counter(self.place.values())
        return [
            SimpleNamespace(product=KIND.code, place=place, state=state[place], count=count) for place, count in counted.items()
        ]

    def list_blanks(self, *, place: str, state: str) -> Iterator[Any]:
        assert state == "BOXED"
        return (SimpleNamespace(serial=serial) for serial, there in self.place.items() if there == place)

    def assign(self, first: str, last: str, place: str) -> Any:
        moved = [serial for serial, there in self.place.items() if there == DEPOT and first <= serial <= last]
        self.place |= dict.fromkeys(moved, place)
        return SimpleNamespace(refusal=None, count=len(moved))

    def use(self, place: str, count: int) -> None:
        for serial in [serial for serial, there in self.place.items() if there == place][:count]:
            del self.place[serial]

    def count(self, place: str) -> int:
        return sum(there == place for there in self.place.values())


def test_no_place_and_no_depot_has_fewer_than_the_city_wants(tmp_path: Path) -> None:
    shelf = Shelf(Drawer(tmp_path / "cards"))
    storeroom = Storeroom(Factory.keep(tmp_path / "factory.json", CITY_CODE), KIND, shelf.drawer)
    rules = read_city_settings(ROOT / "settings" / "jiangmen.toml").issuance
    for _ in range(12):
        storeroom.look_after(shelf, PLACES)  # type: ignore[arg-type]  # what it asks of issuance
        assert shelf.count(DEPOT) >= rules.lowest_depot
        for place in PLACES:
            assert shelf.count(place) >= LOW > rules.lowest_stock
            shelf.use(place, 9)
    assert rules.lowest_depot < LOW_HERE
