"""A file of taps, CSV with a header: a million rows are kept as a few numbers each, and every row that is wrong is named."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from sys import intern
from typing import Final, NamedTuple

import numpy as np

from cli.tariff.reading import (
    OF_A_RIDER,
    OF_A_TRIP,
    Person,
    WrongValueError,
    read_facts,
    read_person,
    read_time,
    terminal_of,
    whole,
)
from services.payments.domain.card import Card
from services.payments.domain.tap import Facts, Scene, Tap, Terminal

COLUMNS: Final = ("card", "time", *OF_A_RIDER, *OF_A_TRIP)
_NEEDED: Final = ("card", "time")
_OF_A_PLACE: Final = tuple(column for column in OF_A_TRIP if column != "price")
"""What many rows have in common, as they have the rider: kept once."""
_NO_PRICE: Final = -1
_ROWS_AT_ONCE: Final = 5000
Advance = Callable[[int], None]
"""Told how much more is done."""


class TapsFileError(Exception):
    """The file as a whole cannot be used."""


class WrongRow(NamedTuple):
    """A row that cannot be rated, and why."""

    line: int
    column: str
    message: str


class _Place(NamedTuple):
    """What rows have in common that come from the same place."""

    terminal: Terminal
    facts: Facts


@dataclass(slots=True)
class Taps:
    """The rows of a file, in columns."""

    cards: list[str] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    places: list[_Place] = field(default_factory=list)
    of_card: array[int] = field(default_factory=lambda: array("q"))
    of_person: array[int] = field(default_factory=lambda: array("q"))
    of_place: array[int] = field(default_factory=lambda: array("q"))
    times_ms: array[int] = field(default_factory=lambda: array("q"))
    prices_fen: array[int] = field(default_factory=lambda: array("q"))
    wrong: int = 0
    """Rows that cannot be rated."""

    def __len__(self) -> int:
        return len(self.of_card)

    def riders(self) -> Iterator[tuple[str, list[tuple[Tap, Card]]]]:
        """Card by card, each card's taps in the order of their times; at the same time in the order of the file."""
        if not self.of_card:
            return
        cards = np.frombuffer(self.of_card, dtype=np.int64)
        order = np.lexsort((np.frombuffer(self.times_ms, dtype=np.int64), cards))
        for card, rows in groupby(map(int, order), key=self.of_card.__getitem__):
            name = self.cards[card]
            yield name, [self._tap(row, name) for row in rows]

    def _tap(self, row: int, name: str) -> tuple[Tap, Card]:
        person, (terminal, facts) = self.people[self.of_person[row]], self.places[self.of_place[row]]
        named = self.prices_fen[row]
        price_fen = None if named == _NO_PRICE else named
        return Tap(terminal, row, b"", name, self.times_ms[row], price_fen, facts, person.form), person.card


def read_taps(path: Path, scene: Scene, say_wrong: Callable[[WrongRow], None], advance: Advance = lambda _: None) -> Taps:
    """Read a file; each row that cannot be rated is said, and counted in `wrong`. `advance` is told bytes.

    Raises TapsFileError.
    """
    reading = _Reading(scene)
    try:
        with path.open("rb") as file:
            header = file.readline()
            columns, done = _header(path, header), len(header)
            for number, line in enumerate(file, 2):
                done += len(line)
                if number % _ROWS_AT_ONCE == 0:
                    advance(done)
                    done = 0
                try:
                    if cells := _cells(line):
                        reading.take(number, columns, cells)
                except WrongValueError as error:
                    reading.taps.wrong += 1
                    say_wrong(WrongRow(number, error.key, str(error)))
            advance(done)
    except OSError as error:
        raise TapsFileError(f"{path}: {error.strerror}") from None
    return reading.taps


class _Reading:
    """Rows on their way into columns."""

    def __init__(self, scene: Scene) -> None:
        self.taps = Taps()
        self._scene = scene
        self._cards: dict[str, int] = {}
        self._born: list[tuple[str, int]] = []
        """Of each card: what its first row says, and where that stands."""
        self._people: dict[tuple[str, ...], int] = {}
        self._places: dict[tuple[str, ...], int] = {}
        self._terminals: dict[str, Terminal] = {}

    def take(self, number: int, columns: _Columns, cells: list[str]) -> None:
        """Add a row, or raise WrongValueError."""
        if len(cells) != columns.width:
            raise WrongValueError("the row", f"has {len(cells)} cells, and the header {columns.width}")
        cells.append("")  # what a column that is missing has
        time_ms = read_time(cells[columns.time])
        price = cells[columns.price]
        price_fen = whole("price", price) if price else _NO_PRICE
        rider = tuple([cells[at] for at in columns.rider])
        person = self._people.get(rider)
        if person is None:
            person = self._add_person(rider)
        where = tuple([cells[at] for at in columns.place])
        place = self._places.get(where)
        if place is None:
            place = self._add_place(where)
        name, born = cells[columns.card], cells[columns.born]
        if not name:
            raise WrongValueError("card", "is empty")
        card = self._cards.get(name)
        if card is None:
            card = self._cards[name] = len(self._born)
            self._born.append((born, number))
            self.taps.cards.append(name)
        first, line = self._born[card]
        if born != first:
            raise WrongValueError("born", f"is {born!r}, but {first!r} in line {line} of the same card")
        taps = self.taps
        taps.of_card.append(card)
        taps.of_person.append(person)
        taps.of_place.append(place)
        taps.times_ms.append(time_ms)
        taps.prices_fen.append(price_fen)

    def _add_person(self, words: tuple[str, ...]) -> int:
        self.taps.people.append(read_person(dict(zip(OF_A_RIDER, words, strict=True))))
        self._people[words] = len(self.taps.people) - 1
        return self._people[words]

    def _add_place(self, words: tuple[str, ...]) -> int:
        values = {key: intern(word) for key, word in zip(_OF_A_PLACE, words, strict=True)}
        facts, merchant = read_facts(values), values["merchant"]
        terminal = self._terminals.setdefault(merchant, terminal_of(merchant, self._scene))
        self.taps.places.append(_Place(terminal, facts))
        self._places[tuple(values.values())] = len(self.taps.places) - 1
        return len(self.taps.places) - 1


class _Columns(NamedTuple):
    """Where in a row each column stands; one that is missing stands behind the last one."""

    width: int
    card: int
    time: int
    born: int
    price: int
    rider: Sequence[int]
    place: Sequence[int]


def _header(path: Path, line: bytes) -> _Columns:
    try:
        names = [name.strip() for name in _cells(line.removeprefix(b"\xef\xbb\xbf"))]
    except WrongValueError as error:
        raise TapsFileError(f"{path}:1: {error.key}: {error}") from None
    if unknown := [name for name in names if name not in COLUMNS]:
        raise TapsFileError(f"{path}:1: {unknown[0]!r} is no column of taps; there are {', '.join(COLUMNS)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise TapsFileError(f"{path}:1: the column {twice[0]!r} stands there twice")
    if missing := [name for name in _NEEDED if name not in names]:
        raise TapsFileError(f"{path}:1: the column {missing[0]!r} is missing")
    at = {name: number for number, name in enumerate(names)}
    width = len(names)
    rider, place = ([at.get(name, width) for name in which] for which in (OF_A_RIDER, _OF_A_PLACE))
    return _Columns(width, at["card"], at["time"], at.get("born", width), at.get("price", width), rider, place)


def _cells(line: bytes) -> list[str]:
    """A row is a line: a quotation mark that is left open takes no other rows with it."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
        return next(csv.reader([text], strict=True), []) if '"' in text else text.split(",") if text else []
    except UnicodeDecodeError:
        raise WrongValueError("the row", "is not UTF-8") from None
    except csv.Error as error:
        raise WrongValueError("the row", str(error)) from None
