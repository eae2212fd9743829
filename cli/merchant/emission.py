"""One run of `onecard merchant emit`: take the file, wait for the outcomes, say what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.merchant.intake import Count, latest_event_ms, take_file
from cli.merchant.show import summary
from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.files import Line, Rejects, TransactionsFile
from sdk.merchant.kafka_security import KafkaSecurity
from sdk.merchant.spool import Answer, Source, Spool
from sdk.merchant.told import Tally

REJECTS_SHOWN = 10


class Platform(NamedTuple):
    """Where to emit, how long to gather, and where to hear what became of it."""

    bootstrap: str
    linger_ms: int
    access: Access
    security: KafkaSecurity


class Emission:
    """A file on its way from a spool."""

    def __init__(self, console: Console, file: TransactionsFile, spool: Spool, platform: Platform, patience: float) -> None:
        self._console = console
        self._file = file
        self._spool = spool
        self._platform = platform
        self._patience = patience
        self._answers: Counter[tuple[str, int, int]] = Counter()
        self._fares: Counter[tuple[str, int, int]] = Counter()
        self._charges: Counter[tuple[str, int, int]] = Counter()
        self._answered = 0

    def run(self, *, as_of_now: bool, wait: bool) -> bool:
        """True when every line was taken and, unless nobody waits, every outcome came back."""
        before = self._spool.source(self._file.digest)
        later_by_ms = self._shift() if as_of_now else 0
        bootstrap, linger_ms, access, security = self._platform
        client = MerchantClient(
            bootstrap, self._spool, access, linger_ms=linger_ms, on_answers=self._count_answers, security=security
        )
        with Rejects(self._file, go_on=before is not None) as rejects, client, self._progress() as progress:
            count = self._take(client, rejects, before, later_by_ms, progress)
            settled = self._settle(client, progress, wait=wait)
        self._say(count, before, rejects, wait=wait)
        return settled and not count.rejected

    def _shift(self) -> int:
        with TransactionsFile(self._file.path, merchant_id=self._file.merchant_id) as first:
            latest = latest_event_ms(iter(first))
        return 0 if latest is None else time.time_ns() // 1_000_000 - latest

    def _take(
        self, client: MerchantClient, rejects: Rejects, before: Source | None, later_by_ms: int, progress: Progress
    ) -> Count:
        reading = progress.add_task(f"reading {self._file.path.name}", total=self._file.size)

        def say_rejected(line: Line, reason: str) -> None:
            if rejects.count <= REJECTS_SHOWN:
                progress.console.print(f"line {line.number}: {reason}", style="yellow", highlight=False, markup=False)
            elif rejects.count == REJECTS_SHOWN + 1:
                progress.console.print(f"… more in {rejects.path}", style="yellow", highlight=False, markup=False)

        count = take_file(
            self._file,
            client,
            rejects,
            before=before,
            later_by_ms=later_by_ms,
            say_rejected=say_rejected,
            say_position=lambda position: progress.update(reading, completed=position),
        )
        progress.update(reading, completed=self._file.size)
        return count

    def _settle(self, client: MerchantClient, progress: Progress, *, wait: bool) -> bool:
        """Wait until everything is answered, or only emitted; False when patience ended before."""
        total = self._answered + client.pending_count
        task = progress.add_task("outcomes" if wait else "sending", total=total)
        last, moved = -1, time.monotonic()
        while client.pending_count if wait else not client.all_emitted:
            done = self._answered if wait else 0
            if done != last:
                last, moved = done, time.monotonic()
            if time.monotonic() - moved > self._patience:
                return False
            progress.update(task, completed=done)
            time.sleep(0.05)
        progress.update(task, completed=total)
        return True

    def _count_answers(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            outcome = answer.outcome
            key = (outcome.merchant_id, outcome.verdict, outcome.reason)
            self._answers[key] += 1
            self._fares[key] += outcome.fare_fen
            self._charges[key] += outcome.charged_fen
        self._answered += len(answers)

    def _say(self, count: Count, before: Source | None, rejects: Rejects, *, wait: bool) -> None:
        say = self._console.print
        if before is not None:
            say(f"{before.taken:,} transactions of this file were taken before and are not sent twice", highlight=False)
        say(f"{count.taken:,} taken" + (f", {count.known:,} known already" if count.known else ""), highlight=False)
        if count.rejected:
            say(f"{count.rejected:,} rejected: correct them in {rejects.path} and emit that file", highlight=False)
        if self._answers:
            tallies = [
                Tally(*key, number, self._fares[key], self._charges[key]) for key, number in sorted(self._answers.items())
            ]
            say(summary(tallies))
        if waiting := self._spool.pending_count:
            how = "the same command asks for them again" if wait else "`onecard merchant outcomes` asks for them"
            say(f"{waiting:,} without an outcome yet; {how}", highlight=False)

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self._console, transient=True)
