"""From a file into the spool: in batches, each line taken or kept with its reason, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from sdk.merchant.client import MerchantClient
from sdk.merchant.files import Line, Rejects, TransactionsFile
from sdk.merchant.keys import NoKeyError
from sdk.merchant.spool import Kept, Source
from sdk.merchant.transaction import Tap

LINES_AT_ONCE = 1000


@dataclass(slots=True)
class Count:
    """What became of a file's lines in this run."""

    taken: int = 0
    known: int = 0
    """The same transaction, with the same sequence number, was taken before."""
    rejected: int = 0


def take_file(
    file: TransactionsFile,
    client: MerchantClient,
    rejects: Rejects,
    *,
    before: Source | None,
    later_by_ms: int,
    say_rejected: Callable[[Line, str], None],
    say_position: Callable[[int], None],
) -> Count:
    """Take what an earlier run of the same file has not; `before` says how far that came.

    `later_by_ms` is added to every event time. A line of a terminal that the platform gives no keys is rejected. Raises
    NoKeyError when nobody can be asked for them.
    """
    count = Count()
    source = before or Source(file.digest, file.path.name, 0, 0, 0)
    lines = (line for line in file if line.number > source.last_line)

    def reject(line: Line, reason: str) -> None:
        rejects.add(line, reason)
        say_rejected(line, reason)
        count.rejected += 1

    while batch := list(islice(lines, LINES_AT_ONCE)):
        good: list[tuple[Line, Tap]] = []
        keyless = _keyless(client, (line.tap for line in batch if line.tap is not None))
        for line in batch:
            if line.tap is None:
                reject(line, line.reason)
            elif reason := keyless.get((line.tap.merchant_id, line.tap.terminal_id)):
                reject(line, reason)
            else:
                good.append((line, replace(line.tap, event_time_ms=line.tap.event_time_ms + later_by_ms)))
        source = source._replace(
            last_line=batch[-1].number,
            taken=source.taken + len(good),
            rejected=source.rejected + len(batch) - len(good),
        )
        kept = client.submit([tap for _, tap in good], client.keys.sign, source=source)
        for (line, tap), what in zip(good, kept, strict=True):
            match what:
                case Kept.NEW:
                    count.taken += 1
                case Kept.REPEATED:
                    count.known += 1
                case Kept.REUSED:
                    reject(line, f"terminal_sequence {tap.terminal_sequence} was used before by another transaction")
        say_position(file.position)
    return count


def _keyless(client: MerchantClient, taps: Iterable[Tap]) -> dict[tuple[str, str], str]:
    """Why terminals have nothing to sign with, for good."""
    missing = client.keys.fetch((tap.merchant_id, tap.terminal_id) for tap in taps)
    for (_, terminal_id), (reason, final) in missing.items():
        if not final:
            raise NoKeyError(f"nobody gave {terminal_id} a key to sign with: {reason}")
    return {place: f"{place[1]} has no key to sign with: {why.reason}" for place, why in missing.items()}


def latest_event_ms(lines: Iterator[Line]) -> int | None:
    """The latest event time in a file; None when no line is a tap."""
    return max((line.tap.event_time_ms for line in lines if line.tap is not None), default=None)
