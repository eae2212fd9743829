"""How figures look: a live picture for a terminal, a line for everything else."""

from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.city.figures import Figures

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """A small picture of a series, its highest value a full bar."""
    top = max(values, default=0.0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] for value in values)


def seconds(value: float | None) -> str:
    """A duration as a person reads it."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def fen(value: int | None) -> str:
    """An amount in yuan."""
    return "–" if value is None else f"¥{value / 100:,.2f}"


def counts(by_reason: Mapping[str, int]) -> str:
    """`12 (INSUFFICIENT_FUNDS 10, HOTLISTED 2)`."""
    total = sum(by_reason.values())
    parts = ", ".join(f"{reason} {count:,}" for reason, count in by_reason.items())
    return f"{total:,} ({parts})" if parts else f"{total:,}"


def messages(figures: Figures) -> str:
    """`12 sent, 1 waiting`."""
    return f"{figures.messages_sent:,} sent, {figures.messages_waiting:,} waiting"


def line(figures: Figures) -> str:
    """One reading in one line."""
    return " · ".join(
        [
            f"{figures.taps_per_second:,.0f} taps/s",
            f"posted {figures.posted:,}",
            f"refused {counts(figures.refused)}",
            f"repeated {figures.repeated:,}",
            f"dead letters {counts(figures.dead_letters)}",
            f"p50 {seconds(figures.p50_seconds)}",
            f"p99 {seconds(figures.p99_seconds)}",
            f"lag {seconds(figures.lag_seconds)}",
            f"windows {counts(figures.windows)}",
            f"messages {messages(figures)}",
            f"imbalance {fen(figures.imbalance_fen)}",
            f"projection {seconds(figures.projection_age_seconds)}",
        ]
    )


def picture(figures: Figures, title: str, addresses: Mapping[str, str], happenings: Sequence[str]) -> RenderableType:
    """One reading as the whole screen of a living city."""
    flow = Table.grid(padding=(0, 2))
    flow.add_column(justify="right", style="dim", no_wrap=True)
    flow.add_column(no_wrap=True)
    flow.add_row("taps a second", Text(f"{figures.taps_per_second:,.0f}", style="bold cyan"))
    flow.add_row("posted", Text(f"{figures.posted:,}", style="green"))
    flow.add_row("repeated", f"{figures.repeated:,}")
    flow.add_row("tap to ledger", f"p50 {seconds(figures.p50_seconds)}   p99 {seconds(figures.p99_seconds)}")
    flow.add_row("lag", seconds(figures.lag_seconds))
    flow.add_row("ledger's imbalance", _imbalance(figures.imbalance_fen))
    flow.add_row("card projection", f"{seconds(figures.projection_age_seconds)} old")
    flow.add_row("short messages", messages(figures))
    refused = _reasons("refused", figures.refused, "yellow")
    dead = _reasons("dead letters", figures.dead_letters, "magenta")
    windows = _reasons("at the windows", figures.windows, "green")
    turned_away = [_reasons("turned away", figures.window_refusals, "yellow")] if figures.window_refusals else []
    columns = Columns([flow, refused, dead, windows, *turned_away], padding=(0, 6))
    metrics = Table.grid(padding=(0, 2))
    for process, where in addresses.items():
        metrics.add_row(Text(process, style="dim"), where)
    parts: list[RenderableType] = [columns, Text(sparkline(figures.history), style="cyan"), Text(), metrics]
    if happenings:
        parts += [Text(), *(Text(happening, style="yellow") for happening in happenings)]
    return Panel(Group(*parts), title=title, title_align="left", subtitle="Ctrl-C ends the city", border_style="cyan")


def _imbalance(value: int | None) -> Text:
    return Text(fen(value), style="dim" if value is None else "green" if value == 0 else "bold white on red")


def _reasons(what: str, by_reason: Mapping[str, int], style: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(what, Text(f"{sum(by_reason.values()):,}", style=style))
    for reason, count in by_reason.items():
        table.add_row(f"  {reason.lower().replace('_', ' ')}", f"{count:,}")
    return table
