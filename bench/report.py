"""Tells what a run found: on the screen, in docs/performance.md with its picture, and as one flat object for programs."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figures import Figures
from bench.page import page
from bench.picture import draw
from bench.tables import machine, tables


def show_report(figures: Figures, console: Console) -> None:
    """The tables, on the screen."""
    plan = figures.measured.plan
    console.print(f"\n{machine(figures)}; states in {plan.pairs} alternating pair{'s' * (plan.pairs > 1)}", highlight=False)
    for title, rows in tables(figures).items():
        table = Table(title=title, title_justify="left", title_style="bold")
        for number, name in enumerate(rows[0]):
            table.add_column(name, justify="right" if number else "left")
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)
    first, last = figures.measured.memory[0], figures.measured.memory[-1]
    console.print(
        f"one worker held {first.rss_mb:.0f} MB after its first {first.taps:,} taps, {last.rss_mb:.0f} MB after {last.taps:,}, "
        f"{figures.worker_rss_mb:.0f} MB at most",
        highlight=False,
    )


def write_report(figures: Figures, root: Path) -> list[Path]:
    """Write into the repository at `root`; returns the files."""
    docs, build = root / "docs", root / "build"
    build.mkdir(exist_ok=True)
    picture, text, flat = docs / "performance.png", docs / "performance.md", build / "bench.json"
    draw(figures, picture)
    text.write_text(page(figures), encoding="utf-8")
    flat.write_bytes(msgspec.json.format(msgspec.json.encode(figures.flat())) + b"\n")
    return [text, picture, flat]
