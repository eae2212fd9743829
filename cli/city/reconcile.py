"""Reconciles sets, not counters: what terminals emitted, what the ledger decided, what lies aside as a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cli.city.sets import Adjusted, Decided, Problem, Sets
from onecard.payments.v1.dead_letters_pb2 import Cause
from onecard.payments.v1.outcomes_pb2 import Reason
from services.payments.adapters.requests import adjustment_of
from services.payments.domain.tap import Scene

AT_ONCE = 10_000
WIDTH = 140
AGREED = "✓ the sets agree, and every outcome is its verdict"

TERMINALS = "select t.id, m.merchant_id, t.terminal_id from payments.terminal t join payments.merchant m on m.id = t.merchant"
VERDICTS = """
select v.terminal, v.sequence, v.body_digest, v.outcome, v.reason, v.fare_fen, v.charged_fen, v.batch, v.row
from payments.verdict v join payments.terminal t on t.id = v.terminal join payments.merchant m on m.id = t.merchant
where m.scene <> $1"""
ADJUSTMENTS = "select body, batch, row from payments.operation where kind = 10"
DEAD_LETTERS = "select record, cause from payments.dead_letter where topic like 'transactions.%' and resolved_time is null"


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared and what does not agree."""

    emitted: int
    posted: int
    refused: Mapping[str, int]
    aside: Mapping[str, int]
    answered: int
    problems: Sequence[Problem]

    @property
    def agrees(self) -> bool:
        """Whether everything that was emitted is accounted for."""
        return not self.problems

    def render(self) -> Group:
        """For a rich console."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(justify="right")
        table.add_column()
        table.add_row(f"{self.emitted:,}", "emitted by the terminals")
        table.add_row(f"{self.posted:,}", "posted")
        for reason, count in self.refused.items():
            table.add_row(f"{count:,}", f"refused: {reason}")
        for cause, count in self.aside.items():
            table.add_row(f"{count:,}", f"put aside: {cause}")
        table.add_row(f"{self.answered:,}", "outcomes came back")
        lines = [Text(AGREED, style="green")] if self.agrees else []
        for problem in self.problems:
            lines.append(Text(f"✗ {problem.rule}: {problem.count:,}", style="red"))
            lines += [Text(f"    {example}") for example in problem.examples]
        return Group(table, *lines)

    def plain(self) -> str:
        """The same without colours."""
        console = Console(width=WIDTH, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self.render())
        return capture.get()


def reconcile(spools: Path, application_url: str) -> Report:
    """Compare every spool of a folder with the ledger; nothing may be on its way any more."""
    with Sets() as sets:
        for path in sorted(spools.glob("*.spool")):
            sets.add_spool(path)
        for path in sorted(spools.glob("*.raw")):
            sets.add_noise(path)
        asyncio.run(_add_ledger(sets, application_url))
        return report_of(sets)


def report_of(sets: Sets) -> Report:
    """What the sets say."""
    aside = sets.count_by("cause", "(select cause from aside union all select cause from noise_aside)")
    refused = sets.count_by("reason", "decided where reason <> 0")
    return Report(
        emitted=sets.count("emitted") + sets.count("noise"),
        posted=sets.count("decided where reason = 0"),
        refused={_words(Reason.Name(reason), "REASON_"): count for reason, count in refused.items()},
        aside={_words(Cause.Name(cause), "CAUSE_"): count for cause, count in aside.items()},
        answered=sets.count("emitted where verdict is not null"),
        problems=sets.problems(),
    )


async def _add_ledger(sets: Sets, url: str) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        # One snapshot for verdicts and dead letters: a replay between the two would look like a loss.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            terminals = {number: sets.terminal(*name) for number, *name in await connection.fetch(TERMINALS)}
            async for rows in _batches(connection, VERDICTS, Scene.OFFICE.value):
                sets.add_decided(Decided(terminals[terminal], *rest) for terminal, *rest in rows)
            async for rows in _batches(connection, ADJUSTMENTS):
                sets.add_adjusted(_adjusted(terminals, *row) for row in rows)
            async for rows in _batches(connection, DEAD_LETTERS):
                for record, cause in rows:
                    sets.add_aside(record, cause)
    finally:
        await connection.close()


def _adjusted(terminals: Mapping[int, int], body: bytes, batch: int, row: int) -> Adjusted:
    facts = adjustment_of(body)
    return Adjusted(
        terminals[facts.terminal], facts.sequence, facts.revision, facts.fare_fen, facts.charged_fen, batch, row
    )  # fmt: skip


async def _batches(connection: asyncpg.Connection[Any], query: str, *arguments: object) -> AsyncIterator[list[asyncpg.Record]]:
    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(AT_ONCE):
        yield rows


def _words(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")
