"""Outcomes as tables for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED, VERDICT_UNSPECIFIED, Reason
from sdk.merchant.files import CITY_TIME
from sdk.merchant.told import Tally, Told

REASONS = {name.removeprefix("REASON_").lower().replace("_", "-"): number for name, number in Reason.items() if number}
"""What a person calls a reason → onecard.payments.v1.Reason"""


def summary(tallies: Sequence[Tally]) -> Table:
    """How many ended how, and what they came to."""
    table = Table(box=None, pad_edge=False)
    for column in ("merchant", "outcome"):
        table.add_column(column, no_wrap=True)
    for column in ("number", "fares, yuan", "paid by holders"):
        table.add_column(column, justify="right", no_wrap=True)
    for tally in tallies:
        fare, charged = yuan(tally.fare_fen), yuan(tally.charged_fen)
        table.add_row(tally.merchant_id, _outcome(tally.verdict, tally.reason), f"{tally.transactions:,}", fare, charged)
    return table


def listing(told: Sequence[Told]) -> Table:
    """Transaction by transaction."""
    table = Table(box=None, pad_edge=False, title=f"the latest {len(told)}", title_justify="left")
    for column in ("decided", "merchant", "terminal"):
        table.add_column(column, no_wrap=True)
    table.add_column("sequence", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for column in ("fare", "paid"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in told:
        decided = datetime.fromtimestamp(one.decide_ms / 1000, CITY_TIME).strftime("%m-%d %H:%M:%S")
        outcome = _outcome(one.verdict, one.reason)
        fare, charged = yuan(one.fare_fen), yuan(one.charged_fen)
        table.add_row(decided, one.merchant_id, one.terminal_id, str(one.terminal_sequence), outcome, fare, charged)
    return table


def _outcome(verdict: int, reason: int) -> str:
    if verdict == VERDICT_POSTED:
        return "[green]posted[/]"
    if verdict == VERDICT_UNSPECIFIED:
        return "[dim]no outcome yet[/]"
    name = next((name for name, number in REASONS.items() if number == reason), str(reason))
    return f"[yellow]{name}[/]"


def yuan(fen: int) -> str:
    """An amount in yuan, exact."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
