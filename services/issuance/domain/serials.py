"""Serials as a second person reads them: in ranges without a gap, up to a bound, and what lies beyond it is counted."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.issuance.domain.blank import Blank


@dataclass(frozen=True, slots=True)
class Range:
    """Serials that follow one another."""

    first: str
    last: str
    count: int

    def __str__(self) -> str:
        return self.first if self.count == 1 else f"{self.first}–{self.last} ({self.count})"


def ranges_of(serials: Iterable[str]) -> list[Range]:
    """In order; each serial stands in one of them, and nothing else does."""
    found: list[Range] = []
    for serial in sorted(serials, key=lambda one: (len(one), one)):
        if found and _after(found[-1].last) == serial:
            found[-1] = Range(found[-1].first, serial, found[-1].count + 1)
        else:
            found.append(Range(serial, serial, 1))
    return found


def detail_of(blanks: Iterable[Blank], most: int) -> dict[str, str]:
    """How many, which is the first and the last, and all of them in at most so many characters."""
    ranges = ranges_of(blank.serial for blank in blanks)
    count, told, length = sum(one.count for one in ranges), list[str](), 0
    for one in ranges:
        length += len(str(one)) + 2
        if length > most:
            beyond = sum(left.count for left in ranges[len(told) :])
            told.append(f"+{beyond}")
            break
        told.append(str(one))
    return {"count": str(count), "first": ranges[0].first, "last": ranges[-1].last, "serials": ", ".join(told)}


def _after(serial: str) -> str:
    """The one that follows; the letters stay."""
    digits = len(serial) - len(serial.rstrip("0123456789"))
    if not digits:
        return ""
    number = str(int(serial[-digits:]) + 1).zfill(digits)
    return serial[:-digits] + number if len(number) == digits else ""
