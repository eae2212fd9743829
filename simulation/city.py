"""The simulated city's places: bus lines, canteens, shops and gates, with the terminals in them. The same every time."""

from __future__ import annotations

from dataclasses import dataclass

from sdk.merchant.transaction import Scene

BUSES_A_LINE = 8
STOPS_A_LINE = 16
TERMINALS_AN_OUTLET = 2
TERMINALS_A_GATE = 2

HANDHELD = "HANDHELD-1"
"""A terminal of every merchant that stays free for transactions from files."""
SPARE = "SPARE-1"
"""A terminal of every merchant that the vandal uses."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where cards are tapped: a bus line, an outlet, a gate."""

    merchant_id: str
    scene: Scene
    name: str
    terminals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid for the taps at its places."""

    merchant_id: str
    scene: Scene
    places: tuple[Place, ...]

    @property
    def terminals(self) -> list[str]:
        """All of them, the handheld and the spare one included."""
        return [terminal for place in self.places for terminal in place.terminals] + [HANDHELD, SPARE]


def _places(merchant_id: str, scene: Scene, names: list[str], terminals: int, letter: str) -> Merchant:
    return Merchant(
        merchant_id,
        scene,
        tuple(
            Place(merchant_id, scene, name, tuple(f"{name}-{letter}{number:02d}" for number in range(1, terminals + 1)))
            for name in names
        ),
    )


def _lines(first: int, last: int) -> list[str]:
    return [f"LINE-{number:02d}" for number in range(first, last + 1)]


BUS_COMPANIES = (
    _places("BUS-HARBOUR", Scene.BUS, _lines(1, 14), BUSES_A_LINE, "B"),
    _places("BUS-HILLS", Scene.BUS, _lines(21, 30), BUSES_A_LINE, "B"),
)
CAMPUSES = (
    _places("CAMPUS-LAKE", Scene.CAMPUS, ["CANTEEN-1", "CANTEEN-2", "SHOP"], TERMINALS_AN_OUTLET, "T"),
    _places("CAMPUS-NORTH", Scene.CAMPUS, ["CANTEEN-1", "CANTEEN-2", "CANTEEN-3", "SHOP"], TERMINALS_AN_OUTLET, "T"),
    _places("CAMPUS-TECH", Scene.CAMPUS, ["CANTEEN-1", "SHOP"], TERMINALS_AN_OUTLET, "T"),
)
SITES = (
    _places("SITE-ISLAND", Scene.SCENIC, ["GATE-EAST", "GATE-WEST"], TERMINALS_A_GATE, "G"),
    _places("SITE-SPRINGS", Scene.SCENIC, ["GATE-MAIN"], TERMINALS_A_GATE, "G"),
    _places("SITE-TOWERS", Scene.SCENIC, ["GATE-EAST", "GATE-SOUTH", "GATE-WEST"], TERMINALS_A_GATE, "G"),
)
GARDEN = _places("SITE-GARDEN", Scene.SCENIC, ["GATE-NORTH", "GATE-SOUTH"], TERMINALS_A_GATE, "G")
"""Takes so many visitors a slot, and most of them reserve."""
CITY_CODE = "440700"
CITY_HALL = "CITY-HALL"
WINDOWS = ("WINDOW-1", "WINDOW-2")
KITS = ("KIT-1", "KIT-2")
"""Carried about, for issuance on site."""
KIOSK = "KIOSK-1"
MERCHANTS = (*BUS_COMPANIES, *CAMPUSES, *SITES, GARDEN)
LINES = tuple(place for company in BUS_COMPANIES for place in company.places)
GATES = tuple(place for site in SITES for place in site.places)


def stop_id(number: int) -> str:
    """A stop of a line, by its number from 0."""
    return f"STOP-{number + 1:02d}"
