"""What a person names: tariff files, and riders and trips as words `key=value`."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final, TypeVar

from services.common.clock import SHANGHAI, milliseconds
from services.payments.adapters.tariff_file import TariffError, read_tariff
from services.payments.domain.card import Card, CategoryPeriod
from services.payments.domain.tap import CardForm, Facts, Scene, Side, Tap, Terminal
from services.payments.domain.tariff import Tariff

T = TypeVar("T")
FUNDS: Final = {"concession_fund": 1, "hotlist_losses": 2}
"""The ledger's funds, as its first migration names them; here the numbers only tell them apart."""
FUND_NAMES: Final = {number: name for name, number in FUNDS.items()}
OF_A_RIDER: Final = ("born", "category", "resident", "form")
OF_A_TRIP: Final = (
    "line", "stop", "side", "vehicle", "riders", "price", "merchant", "outlet", "gate", "ticket", "item", "returned",
)  # fmt: skip
_SIDES: Final = {"": Side.SINGLE, "single": Side.SINGLE, "entry": Side.ENTRY, "exit": Side.EXIT}
_YES: Final = {"": False, "no": False, "yes": True}
_FORMS: Final = {
    "": CardForm.UNSPECIFIED,
    "second-generation": CardForm.SECOND_GENERATION,
    "third-generation": CardForm.THIRD_GENERATION,
    "electronic": CardForm.ELECTRONIC,
}


class WrongValueError(ValueError):
    """A value that cannot be taken; `key` names it, the message says what is allowed."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class TariffFile:
    """A tariff, and what its file says for the reader."""

    path: Path
    city: str
    source: str
    tariff: Tariff


def read_file(path: Path) -> TariffFile:
    """Read one file as a worker does. Raises TariffError."""
    tariff = read_tariff(path, FUNDS)
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    return TariffFile(path, said["city"], said["source"], tariff)


def cities_in(folder: Path) -> Iterator[Path]:
    """The folders of one city each: those that hold files themselves. Raises TariffError where there is none."""
    if any(folder.glob("*.toml")):
        yield folder
        return
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and any(path.rglob("*.toml"))]
    if not below:
        raise TariffError(f"{folder}: no tariff file (*.toml) in it")
    for path in below:
        yield from cities_in(path)


@dataclass(frozen=True, slots=True)
class Person:
    """Who holds a card, and what is held to the terminal unless a trip says otherwise."""

    card: Card
    form: CardForm


def read_person(values: Mapping[str, str], card_identifier: str = "C") -> Person:
    """A rider from `born`, `category`, `resident` and `form`; what is missing is not known, and gives no concession."""
    born = values.get("born", "")
    category = CategoryPeriod(values.get("category") or "ordinary", _one_of(values, "resident", _YES), valid_from_ms=0)
    card = Card(card_identifier, _day("born", born) if born else None, (), (category,), 1, 1)
    return Person(card, _one_of(values, "form", _FORMS))


def read_facts(values: Mapping[str, str]) -> Facts:
    """What a terminal tells of a trip. Raises WrongValueError."""
    riders = whole("riders", values.get("riders") or "1")
    if riders < 1:
        raise WrongValueError("riders", "at least 1 rides on a card")
    texts = {key: values.get(key, "") for key in ("line", "stop", "vehicle", "outlet", "gate", "ticket", "item")}
    side, returned = _one_of(values, "side", _SIDES), _one_of(values, "returned", _YES)
    return Facts(**texts, side=side, riders=riders, returned=returned)


def read_rider_option(text: str) -> Person:
    """`born=1961-06-01 category=student resident=no form=electronic`. Raises WrongValueError."""
    words = _words(text)
    if bare := [word for word in words if "=" not in word]:
        raise WrongValueError(bare[0], f"a rider is told in words key=value; the keys are {', '.join(OF_A_RIDER)}")
    return read_person(_pairs(words, OF_A_RIDER, "rider"))


def read_trip_option(text: str, sequence: int, scene: Scene, person: Person) -> Tap:
    """`2026-06-01 08:00 line=12 vehicle=V`: the time, then what the terminal tells. Raises WrongValueError."""
    words = _words(text)
    first = next((at for at, word in enumerate(words) if "=" in word or word in OF_A_TRIP), len(words))
    time_ms = read_time(" ".join(words[:first]))
    bare = [word for word in words[first:] if "=" not in word and word != "returned"]
    if bare:
        raise WrongValueError(bare[0], f"a trip is told in words key=value; the keys are {', '.join(OF_A_TRIP)}")
    pairs = ["returned=yes" if word == "returned" else word for word in words[first:]]
    values = _pairs(pairs, OF_A_TRIP, "trip")
    price_fen = whole("price", values["price"]) if values.get("price") else None
    terminal = terminal_of(values.get("merchant", ""), scene)
    return Tap(terminal, sequence, b"", person.card.card_identifier, time_ms, price_fen, read_facts(values), person.form)


def terminal_of(merchant: str, scene: Scene) -> Terminal:
    """A terminal of a merchant in the tariff's scene."""
    return Terminal(1, merchant, "T", scene, 0, retired=False)


def read_time(text: str) -> int:
    """A time in Asia/Shanghai, unless it names its own offset, as UTC milliseconds. Raises WrongValueError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongValueError("time", f"{text!r} is no time like 2026-06-01 08:00, with seconds or without") from None
    if len(text) < len("2026-06-01 08:00"):
        raise WrongValueError("time", f"{text!r} has no time of day; write it like 2026-06-01 08:00")
    return milliseconds(at if at.tzinfo else at.replace(tzinfo=SHANGHAI))


def whole(key: str, text: str) -> int:
    """A whole number of 0 or more; prices are in fen. Raises WrongValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        unit = "a whole number of fen" if key == "price" else "a whole number"
        raise WrongValueError(key, f"{text!r} is not {unit}")
    return int(text)


def _day(key: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongValueError(key, f"{text!r} is no date like 1961-06-01") from None


def _one_of(values: Mapping[str, str], key: str, allowed: Mapping[str, T]) -> T:
    text = values.get(key, "")
    if text not in allowed:
        raise WrongValueError(key, f"{text!r} is none of {', '.join(filter(None, allowed))}")
    return allowed[text]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise WrongValueError("quotes", f"a quotation mark is not closed in {text!r}") from None


def _pairs(words: Iterable[str], allowed: tuple[str, ...], whose: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in allowed:
            raise WrongValueError(key, f"is nothing that a {whose} has; the keys are {', '.join(allowed)}")
        if key in pairs:
            raise WrongValueError(key, "is given twice")
        pairs[key] = value
    return pairs
