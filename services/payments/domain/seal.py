"""Seals: the chain over committed batches, in the order of their numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""Batch numbers from the first to the last, both included."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One link of the chain. It covers the numbers from `first` to `last` without the holes, and the late ones."""

    number: int
    first: int
    last: int
    holes: tuple[Span, ...]
    """Numbers that were not to be seen then: rolled back, or still at work."""
    late: tuple[int, ...]
    """Holes of earlier seals that have been committed since, in order."""
    batches: int
    head: bytes
    key_version: int
    create_time_ms: int


def holes_between(first: int, last: int, present: Iterable[int]) -> Iterator[Span]:
    """The numbers from first to last that are missing among those present, which come in order."""
    expected = first
    for number in present:
        if number > expected:
            yield expected, number - 1
        expected = number + 1
    if expected <= last:
        yield expected, last


def is_hole(holes: Sequence[Span], number: int) -> bool:
    """Whether the number lies in one of them."""
    return any(first <= number <= last for first, last in holes)
