"""Reads transactions from CSV or JSON Lines; docs/merchant-input.md describes the format."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple, Self
from zoneinfo import ZoneInfo

import msgspec

from sdk.merchant.transaction import (
    BusRide,
    CampusEntry,
    CampusLoan,
    CampusPurchase,
    CardForm,
    RideSide,
    Scene,
    ScenicEntry,
    Tap,
)

CITY_TIME = ZoneInfo("Asia/Shanghai")
REJECTS_SUFFIX = ".rejects"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One transaction as a merchant writes it down."""

    scene: Scene
    terminal_id: str
    card_identifier: str
    event_time: datetime
    merchant_id: str | None = None
    terminal_sequence: int | None = None
    price_fen: int | None = None
    line_id: str | None = None
    stop_id: str | None = None
    shown_fen: int | None = None
    outlet_id: str | None = None
    gate_id: str | None = None
    card_form: CardForm | None = None
    vehicle_id: str | None = None
    side: RideSide | None = None
    riders: int | None = None
    door_id: str | None = None
    item_id: str | None = None
    returned: bool | None = None
    ticket: str | None = None
    reject_line: int | None = None
    reject_reason: str | None = None


class Kind(NamedTuple):
    """A kind of tap, and the fields of its own."""

    make: Callable[..., Tap]
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


RIDE = Kind(BusRide, ("line_id", "stop_id"), ("shown_fen", "vehicle_id", "side", "riders"))
PURCHASE = Kind(CampusPurchase, ("outlet_id", "price_fen"))
DOOR = Kind(CampusEntry, ("door_id",))
LOAN = Kind(CampusLoan, ("outlet_id", "item_id"), ("returned",))
GATE = Kind(ScenicEntry, ("gate_id",), ("ticket",))
OWN_FIELDS = frozenset(field for kind in (RIDE, PURCHASE, DOOR, LOAN, GATE) for field in (*kind.needed, *kind.optional))
COLUMNS = frozenset(Row.__struct_fields__)
NEEDED_COLUMNS = frozenset({"scene", "terminal_id", "card_identifier", "event_time"})


class Line(NamedTuple):
    """One line of a file: a tap, or why it is none."""

    number: int
    content: list[str] | str
    """As it stands in the file: the cells of a CSV row, the text of a JSON line."""
    tap: Tap | None
    reason: str = ""


class UnreadableFileError(Exception):
    """The file as a whole cannot be read; the message says why."""


class TransactionsFile:
    """A file of transactions, read line by line, so its size does not matter. Iterate it once."""

    def __init__(self, path: Path, *, merchant_id: str | None = None) -> None:
        """With `merchant_id`, rows may leave the merchant out, and must not name another. Raises UnreadableFileError."""
        self.path = path
        self.merchant_id = merchant_id
        try:
            with path.open("rb") as file:
                self.digest = hashlib.file_digest(file, "sha256").digest()
            self.size = path.stat().st_size
            self._bytes: IO[bytes] = path.open("rb")
        except OSError as error:
            raise UnreadableFileError(f"{path}: {error.strerror}") from None
        self.is_json = _is_json(path)
        try:
            self.header = [] if self.is_json else self._read_header()
        except UnreadableFileError:
            self._bytes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()

    @property
    def position(self) -> int:
        """How many of its bytes were read."""
        return self._bytes.tell()

    def __iter__(self) -> Iterator[Line]:
        """The lines that hold something, each a tap or a reason."""
        return self._json_lines() if self.is_json else self._csv_lines()

    def _read_header(self) -> list[str]:
        first = self._bytes.readline().decode("utf-8-sig", "surrogateescape")
        header = [name.strip() for name in next(csv.reader([first]), [])]
        if missing := NEEDED_COLUMNS - set(header):
            raise UnreadableFileError(f"{self.path}: the header lacks {', '.join(sorted(missing))}")
        if unknown := [name for name in header if name not in COLUMNS]:
            raise UnreadableFileError(f"{self.path}: the header names unknown columns: {', '.join(map(repr, unknown))}")
        if len(set(header)) < len(header):
            raise UnreadableFileError(f"{self.path}: the header names a column twice")
        return header

    def _csv_lines(self) -> Iterator[Line]:
        rows = csv.reader(line.decode("utf-8", "surrogateescape") for line in self._bytes)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(rows.line_num + 1, [], None, str(error))
                continue
            if any(cells):
                yield self._line(rows.line_num + 1, cells)

    def _json_lines(self) -> Iterator[Line]:
        for number, line in enumerate(self._bytes, 1):
            if content := line.decode("utf-8", "surrogateescape").strip():
                yield self._line(number, content)

    def _line(self, number: int, content: list[str] | str) -> Line:
        try:
            row = _row_of_json(content) if isinstance(content, str) else self._row_of_cells(content)
            return Line(number, content, tap_of(row, self.merchant_id))
        except (msgspec.MsgspecError, ValueError) as error:
            return Line(number, content, None, _words(error))

    def _row_of_cells(self, cells: list[str]) -> Row:
        if len(cells) > len(self.header):
            raise ValueError(f"{len(cells)} cells where the header has {len(self.header)}")
        given = {name: cell.strip() for name, cell in zip(self.header, cells, strict=False) if cell.strip()}
        return msgspec.convert(given, Row, strict=False)


def tap_of(row: Row, merchant_id: str | None = None) -> Tap:
    """The tap that a row describes. Raises ValueError, naming the field."""
    if merchant_id and row.merchant_id not in (None, merchant_id):
        raise ValueError(f"merchant_id is {row.merchant_id!r}, not {merchant_id!r}")
    merchant_id = row.merchant_id or merchant_id
    if merchant_id is None:
        raise ValueError("merchant_id is missing")
    kind = _kind_of(row)
    own = {field: given for field in sorted(OWN_FIELDS) if (given := getattr(row, field)) is not None}
    for field in own:
        if field not in kind.needed and field not in kind.optional:
            raise ValueError(f"{field} does not belong to scene {row.scene.value}{_beside(row)}")
    for field in kind.needed:
        if field not in own:
            raise ValueError(f"{field} is missing")
    # A time without an offset is the city's.
    at = row.event_time if row.event_time.tzinfo else row.event_time.replace(tzinfo=CITY_TIME)
    common = {
        "merchant_id": merchant_id,
        "terminal_id": row.terminal_id,
        "card_identifier": row.card_identifier,
        "event_time_ms": round(at.timestamp() * 1000),
        "terminal_sequence": row.terminal_sequence,
        "card_form": row.card_form,
    }
    return kind.make(**common, **own)


def _kind_of(row: Row) -> Kind:
    """On a campus, what is named says whether it is a purchase, a door or a loan."""
    match row.scene:
        case Scene.BUS:
            return RIDE
        case Scene.SCENIC:
            return GATE
        case Scene.CAMPUS if row.door_id is not None:
            return DOOR
        case Scene.CAMPUS:
            return PURCHASE if row.item_id is None else LOAN


def _beside(row: Row) -> str:
    """What else in the row makes a field one too many."""
    if row.scene is not Scene.CAMPUS:
        return ""
    return " beside door_id" if row.door_id is not None else " beside item_id" if row.item_id is not None else ""


class Rejects:
    """Lines that were not taken, with number and reason, in the format that they came in.

    Corrected there, the file can be emitted itself.
    """

    def __init__(self, file: TransactionsFile, *, go_on: bool) -> None:
        """Nothing is written before the first line; `go_on` adds to what an earlier run of the same file left."""
        self.path = file.path.with_name(file.path.name + REJECTS_SUFFIX)
        self.count = 0
        self._header = None if file.is_json else [name for name in file.header if not name.startswith("reject_")]
        self._kept = [position for position, name in enumerate(file.header) if not name.startswith("reject_")]
        self._file: IO[str] | None = None
        if not go_on:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: Line, reason: str) -> None:
        """Keep one; it is in the file when this returns."""
        self.count += 1
        is_new = not self.path.exists()
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        if self._header is None:
            self._file.write(_json_reject(line, reason) + "\n")
        else:
            rows = csv.writer(self._file, lineterminator="\n")
            if is_new:
                rows.writerow(["reject_line", "reject_reason", *self._header])
            cells = [line.content[position] if position < len(line.content) else "" for position in self._kept]
            rows.writerow([line.number, reason, *cells])
        self._file.flush()


def _words(error: Exception) -> str:
    """The field first: `price_fen: Expected int, got str`."""
    what, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {what.replace('`', '')}" if where else what.replace("`", "")


def _row_of_json(content: str) -> Row:
    return msgspec.json.decode(content.encode("utf-8", "surrogateescape"), type=Row)


def _json_reject(line: Line, reason: str) -> str:
    try:
        fields = json.loads(str(line.content))
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"unreadable": line.content}
    return json.dumps({**fields, "reject_line": line.number, "reject_reason": reason}, ensure_ascii=True)


def _is_json(path: Path) -> bool:
    name = path.name.removesuffix(REJECTS_SUFFIX)
    return Path(name).suffix.lower() in {".jsonl", ".ndjson", ".json"}
