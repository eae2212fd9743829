"""A bank that opens accounts: it answers files of applications late, twice, in part and wrongly."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

from stdnum import luhn

from simulation.bank_files import ACCEPTED, NO_CAUSE, REFUSED, Answered, Applications, Asked, read_applications, write_return

log = logging.getLogger("onecard.simulation.bank")

ISSUER = "990000"
"""What the account numbers begin with; no bank has it."""
IDENTITY_NOT_CONFIRMED, OTHER_CAUSE = "101", "199"
CAUSES = (IDENTITY_NOT_CONFIRMED, "102", "103", "104", OTHER_CAUSE)


class Wrong(Enum):
    """What can be wrong with a return."""

    COUNT = 1
    TOTAL = 2
    NAME = 3
    NUMBER = 4
    ACCOUNT = 5
    UNKNOWN_ROW = 6


@dataclass(frozen=True, slots=True)
class Habits:
    """How often the bank does what, from 0 to 1; and how long it takes."""

    refuses: float = 0.03
    """Of the applications."""
    late: float = 0.1
    """Of the returns; a later one may overtake it."""
    twice: float = 0.1
    partial: float = 0.2
    """The rest comes in another return."""
    wrong: float = 0.1
    """The right return comes after the wrong one; a repeat has another verdict in one row."""
    miscounted: float = 0.0
    """A return with a wrong count comes before the right one."""
    delay_seconds: float = 5.0
    """From one return to the next."""
    late_seconds: float = 60.0
    """What comes on top for a late one."""


class Delivery(NamedTuple):
    """A return file, and how long after the applications it comes."""

    delay_seconds: float
    data: bytes


_Write = Callable[[int], bytes]
"""Makes a return by its number."""


class SimulatedBank:
    """The same seed, habits and applications give the same returns."""

    def __init__(self, seed: int, habits: Habits) -> None:
        self._seed = seed
        self._habits = habits

    def answer(self, applications: bytes) -> list[Delivery]:
        """What comes back, in order of time. Raises ValueError for a file that is not as agreed."""
        asked = read_applications(applications)
        chance = Random(f"{self._seed} {sha256(applications).hexdigest()}")  # noqa: S311  # a bank in a play, no secret
        deliveries = []
        for number, write in enumerate(self._returns(asked, chance), 1):
            late = self._habits.late_seconds if chance.random() < self._habits.late else 0
            deliveries.append(Delivery(number * self._habits.delay_seconds + late, write(number)))
        return sorted(deliveries, key=lambda delivery: delivery.delay_seconds)

    def _returns(self, asked: Applications, chance: Random) -> Iterator[_Write]:
        rows = [self._decide(row, chance) for row in asked.rows]
        cut = chance.randrange(1, len(rows)) if len(rows) > 1 and chance.random() < self._habits.partial else len(rows)
        for part in filter(None, (rows[:cut], rows[cut:])):
            right = partial(write_return, asked, rows=part)
            if self._habits.miscounted and chance.random() < self._habits.miscounted:
                yield partial(write_return, asked, rows=part, count_more=1)
            if chance.random() < self._habits.wrong:
                yield _wrong(asked, part, chance)
            yield right
            if chance.random() < self._habits.twice:
                changed = chance.random() < self._habits.wrong
                yield partial(write_return, asked, rows=_other_verdict(part, chance)) if changed else right

    def _decide(self, asked: Asked, chance: Random) -> Answered:
        if chance.random() < self._habits.refuses:
            return Answered(asked, REFUSED, "", chance.choice(CAUSES))
        return Answered(asked, ACCEPTED, asked.account or account_number(asked.application), NO_CAUSE)


def account_number(application: int) -> str:
    """The account that an application gets: nineteen digits, the last one by Luhn."""
    digits = f"{ISSUER}{application:012}"
    return digits + luhn.calc_check_digit(digits)


def _wrong(asked: Applications, rows: Sequence[Answered], chance: Random) -> _Write:
    """The return with one fault."""
    place = chance.randrange(len(rows))
    row, who = rows[place], rows[place].asked
    match chance.choice(list(Wrong)):
        case Wrong.COUNT:
            return partial(write_return, asked, rows=rows, count_more=1)
        case Wrong.TOTAL:
            return partial(write_return, asked, rows=rows, total_more=1)
        case Wrong.NAME:
            bad = replace(row, asked=replace(who, name="某某某" if who.name != "某某某" else "某某"))
        case Wrong.NUMBER:
            bad = replace(row, asked=replace(who, document_number=who.document_number[::-1] + "0"))
        case Wrong.ACCOUNT:
            bad = replace(row, verdict=ACCEPTED, account=ISSUER + "0" * 13, cause=NO_CAUSE)
        case Wrong.UNKNOWN_ROW:
            bad = replace(row, asked=replace(who, row=who.row + len(asked.rows)))
    return partial(write_return, asked, rows=_with(rows, place, bad))


def _other_verdict(rows: Sequence[Answered], chance: Random) -> list[Answered]:
    """The rows, one of them refused that was accepted, or the other way round."""
    place = chance.randrange(len(rows))
    row = rows[place]
    if row.verdict == ACCEPTED:
        return _with(rows, place, replace(row, verdict=REFUSED, account="", cause=OTHER_CAUSE))
    account = row.asked.account or account_number(row.asked.application)
    return _with(rows, place, replace(row, verdict=ACCEPTED, account=account, cause=NO_CAUSE))


def _with(rows: Sequence[Answered], place: int, row: Answered) -> list[Answered]:
    return [*rows[:place], row, *rows[place + 1 :]]


def serve(
    bank_of_now: Callable[[], SimulatedBank], inbox: Path, outbox: Path, stopping: threading.Event, poll_seconds: float = 0.5
) -> None:
    """Answer each `*.txt` of `inbox` with files in `outbox`, until `stopping` is set; the bank's habits may change meanwhile.

    A file appears under its name when it is whole. After a restart all that lies in `inbox` is answered again, as any repeat.
    """
    inbox.mkdir(parents=True, exist_ok=True)
    outbox.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    due: list[tuple[float, str, bytes]] = []
    while not stopping.is_set():
        for path in sorted(inbox.glob("*.txt")):
            if path.name not in seen:
                seen.add(path.name)
                for number, (delay_seconds, data) in enumerate(_answer_file(bank_of_now(), path), 1):
                    heapq.heappush(due, (time.monotonic() + delay_seconds, f"{path.stem}-return-{number}.txt", data))
        while due and due[0][0] <= time.monotonic():
            _, name, data = heapq.heappop(due)
            _put(outbox / name, data)
        stopping.wait(poll_seconds)


def _answer_file(bank: SimulatedBank, path: Path) -> list[Delivery]:
    try:
        return bank.answer(path.read_bytes())
    except ValueError as error:
        log.warning("%s is not answered: %s; send it again under another name", path.name, error)
        return []


def _put(path: Path, data: bytes) -> None:
    hidden = path.with_suffix(".part")
    hidden.write_bytes(data)
    hidden.replace(path)
