"""The picture of a run: who does how much, what it costs whom, how long it waits, and what was aimed at."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import contenders
from bench.figures import FAMILIES, Figures
from bench.online import State
from bench.online_figures import OnlineFigures, p50_ms, p99_ms, per_second
from bench.plan import CALLS_IN_FLIGHT
from bench.targets import targets

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
        picture = Figure(figsize=(11, 6.8), layout="constrained")
        above, below = picture.subfigures(2, 1, squeeze=False)[:, 0]
        speed, cost, wait = above.subplots(1, 3)
        calls, answer, reached = below.subplots(1, 3)
        _draw_speed(speed, figures)
        _draw_cost(cost, figures)
        _draw_wait(wait, figures)
        if figures.online:
            _draw_calls(calls, figures.online)
            _draw_answer(answer, figures.online)
        else:
            calls.set_axis_off()
            answer.set_axis_off()
        _draw_reached(reached, figures)
        machine = figures.measured.machine
        picture.suptitle(f"{machine.broker_name}, PostgreSQL {machine.postgresql} and all processes on {machine.cores} cores")
        picture.savefig(file, dpi=110)


def _draw_speed(axes: Axes, figures: Figures) -> None:
    names = [_LABELS[contender.name] for contender in contenders.ALL]
    thousands = [figures.speed(contender) / 1000 for contender in contenders.ALL]
    bars = axes.bar(names, thousands, color=[_COLOURS["worker"], _COLOURS["worker"], _COLOURS["broker"], _COLOURS["broker"]])
    axes.bar_label(bars, fmt="%.1f", color=_INK)
    axes.set_title("backlog: thousand taps a second")
    axes.tick_params(axis="x", labelsize=7)


def _draw_cost(axes: Axes, figures: Figures) -> None:
    names = [_LABELS[contender.name] for contender in contenders.ALL]
    below = [0.0] * len(names)
    for family in FAMILIES:
        costs = [figures.cpu_us(contender, family) for contender in contenders.ALL]
        axes.bar(names, costs, bottom=below, label=family, color=_COLOURS[family])
        below = [low + cost for low, cost in zip(below, costs, strict=True)]
    axes.set_title("CPU microseconds a tap")
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(frameon=False)


def _draw_wait(axes: Axes, figures: Figures) -> None:
    waits = figures.measured.waits
    names = [f"{wait.rate:,}/s" for wait in waits]
    _draw_waits(axes, names, [wait.p50_ms for wait in waits], [wait.p99_ms for wait in waits])
    axes.set_title("tap to outcome, milliseconds")


def _draw_answer(axes: Axes, online: OnlineFigures) -> None:
    names = [str(in_flight) for in_flight in CALLS_IN_FLIGHT]
    half, most = ([online.of(State.AUTHORISE, in_flight, wait) for in_flight in CALLS_IN_FLIGHT] for wait in (p50_ms, p99_ms))
    _draw_waits(axes, names, half, most)
    axes.set_ylim(min(half) / 2, max(most) * 2)
    axes.set_yscale("log")
    axes.set_xlabel("payments in flight")
    axes.set_title("gRPC: payment to answer, milliseconds")


def _draw_waits(axes: Axes, names: Sequence[str], p50_ms: Sequence[float], p99_ms: Sequence[float]) -> None:
    places = range(len(names))
    for name, values, colour in (("p99", p99_ms, _COLOURS["worker"]), ("p50", p50_ms, _COLOURS["postgresql"])):
        axes.plot(places, values, marker="o", label=name, color=colour)
        for place, value in zip(places, values, strict=True):
            told = f"{value:.0f}" if value >= 10 else f"{value:.1f}"
            axes.annotate(told, (place, value), xytext=(0, 5), textcoords="offset points", ha="center", color=_INK)
    axes.set_xticks(places, names)
    axes.set_ylim(bottom=0, top=max(p99_ms) * 1.15)
    axes.legend(frameon=False)


def _draw_calls(axes: Axes, online: OnlineFigures) -> None:
    width = 0.8 / len(State)
    for number, state in enumerate(State):
        places = [place + width * (number - 1) for place in range(len(CALLS_IN_FLIGHT))]
        thousands = [online.of(state, in_flight, per_second) / 1000 for in_flight in CALLS_IN_FLIGHT]
        bars = axes.bar(places, thousands, width, label=state.value, color=list(_COLOURS.values())[number])
        axes.bar_label(bars, fmt="%.1f", color=_INK, fontsize=7)
    axes.set_xticks(range(len(CALLS_IN_FLIGHT)), list(map(str, CALLS_IN_FLIGHT)))
    axes.set_xlabel("calls in flight")
    axes.set_title("gRPC: thousand calls a second")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.4)  # room for the legend


def _draw_reached(axes: Axes, figures: Figures) -> None:
    measured = [target for target in targets(figures) if target.figure is not None]
    names = [fill(target.name, 30) for target in measured]
    colours = [_COLOURS["worker" if target.met else "broker"] for target in measured]
    bars = axes.barh(names, [target.reached for target in measured], color=colours)
    axes.bar_label(bars, [f"{target.found} ({target.wanted})" for target in measured], color=_INK, fontsize=7, padding=3)
    axes.axvline(1, color=_INK, linewidth=1)
    axes.set_xlim(right=max(1.0, *(target.reached for target in measured)) * 1.6)
    axes.set_xticks([0, 1], ["", "target"])
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    axes.set_title("what was aimed at")
