"""The picture of a run: who empties the backlog how fast, what a tap costs whom, and how long it waits."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import contenders
from bench.figures import FAMILIES, Figures

_COLOURS: Final = {"worker": "#2f6db3", "postgresql": "#7a5aa6", "broker": "#b9c3cf"}
_INK: Final = "#333333"
_LABELS: Final = {
    "worker": "one worker",
    "two workers": "two workers",
    "plain aiokafka consumer": "plain\naiokafka",
    "per-record Faust": "per-record\nFaust",
}


def draw(figures: Figures, file: Path) -> None:
    """Write it as PNG."""
    mpl.use("Agg")
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _INK}):
        picture = Figure(figsize=(11, 3.6), layout="constrained")
        speed, cost, wait = picture.subplots(1, 3)
        _draw_speed(speed, figures)
        _draw_cost(cost, figures)
        _draw_wait(wait, figures)
        machine = figures.measured.machine
        picture.suptitle(f"{machine.broker_name}, PostgreSQL {machine.postgresql} and all processes on {machine.cores} cores")
        picture.savefig(file, dpi=110)


def _draw_speed(axes: Axes, figures: Figures) -> None:
    names = [_LABELS[contender.name] for contender in contenders.ALL]
    thousands = [figures.speed(contender) / 1000 for contender in contenders.ALL]
    bars = axes.bar(names, thousands, color=[_COLOURS["worker"], _COLOURS["worker"], _COLOURS["broker"], _COLOURS["broker"]])
    axes.bar_label(bars, fmt="%.1f", color=_INK)
    axes.set_title("backlog: thousand taps a second")
    axes.tick_params(axis="x", labelsize=8)


def _draw_cost(axes: Axes, figures: Figures) -> None:
    names = [_LABELS[contender.name] for contender in contenders.ALL]
    below = [0.0] * len(names)
    for family in FAMILIES:
        costs = [figures.cpu_us(contender, family) for contender in contenders.ALL]
        axes.bar(names, costs, bottom=below, label=family, color=_COLOURS[family])
        below = [low + cost for low, cost in zip(below, costs, strict=True)]
    axes.set_title("CPU microseconds a tap")
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(frameon=False)


def _draw_wait(axes: Axes, figures: Figures) -> None:
    waits = figures.measured.waits
    places = range(len(waits))
    for name, values, colour in (
        ("p99", [wait.p99_ms for wait in waits], _COLOURS["worker"]),
        ("p50", [wait.p50_ms for wait in waits], _COLOURS["postgresql"]),
    ):
        axes.plot(places, values, marker="o", label=name, color=colour)
        for place, value in zip(places, values, strict=True):
            axes.annotate(f"{value:.0f}", (place, value), xytext=(0, 5), textcoords="offset points", ha="center", color=_INK)
    axes.set_xticks(places, [f"{wait.rate:,}/s" for wait in waits])
    axes.set_ylim(bottom=0, top=max(wait.p99_ms for wait in waits) * 1.15)
    axes.set_title("tap to outcome, milliseconds")
    axes.legend(frameon=False)
