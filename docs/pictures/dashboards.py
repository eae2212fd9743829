"""Draws `dashboard-*.png` beside itself from what the last `make run` has stored: `python -m docs.pictures.dashboards [data]`.

The layout, titles, queries, units and colours are those of the committed dashboards; the drawing is Matplotlib's, for Grafana's
server is not asked.
"""

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cli import paths
from deploy.grafana.answers import Series
from deploy.grafana.pages import Page, Panel, read_pages
from deploy.grafana.prometheus import Window, prometheus_on

HERE: Final = Path(__file__).parent
COLUMN, ROW, GAP, HEAD = 0.66, 0.34, 0.07, 0.62
"""Inches: a column, a row, between panels, and above them."""
SHANGHAI: Final = timezone(timedelta(hours=8))
PAPER, CARD, INK, FAINT, EDGE = "#f1f2f4", "#ffffff", "#24292e", "#70777f", "#dcdfe3"
NAMED: Final = {
    "green": "#3f9e63", "orange": "#e8912d", "red": "#d2423d", "blue": "#3b73c8", "semi-dark-blue": "#3b73c8",
}  # fmt: skip
SERIES: Final = (
    "#3b73c8", "#e8912d", "#3f9e63", "#c0509b", "#7d61bd", "#2aa3a8", "#d2423d", "#9a8a32", "#5e6b78",
    "#8fb8f0", "#f2c48d", "#9bd0ac",
)  # fmt: skip
MOST_NAMED: Final = 8
"""Series of which the legend has room."""
Named = Sequence[tuple[str, Series]]


def worded(value: float, unit: str, decimals: int | None = None) -> str:
    """A number as its panel shows it."""
    if math.isnan(value):
        return "–"
    if unit == "s":
        return _seconds(value)
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f} %"
    if unit == "bytes":
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    text = f"{value:,.{decimals}f}" if decimals is not None else _short(value)
    if unit.startswith("currency:"):
        return unit.removeprefix("currency:") + (f"{value:,.2f}" if decimals is None and abs(value) < 1000 else text)
    return text + unit.removeprefix("suffix:") if unit.startswith("suffix:") else text


def _short(value: float) -> str:
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"


def _seconds(value: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.1f} {name}"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def draw(page: Page, answers: Sequence[tuple[Panel, Named]], window: Window) -> Figure:
    """The whole page."""
    bottom = max(panel.place.y + panel.place.h for panel in page.panels)
    width, height = 24 * COLUMN + 2 * GAP, bottom * ROW + HEAD + GAP
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    figure.text(0.012, 1 - 0.24 / height, page.title, fontsize=15, fontweight="bold", color=INK, va="center")
    day = f"{datetime.fromtimestamp(window.end, UTC).astimezone(SHANGHAI):%Y-%m-%d %H:%M}, a simulated city"
    figure.text(0.988, 1 - 0.24 / height, day, fontsize=9, color=FAINT, va="center", ha="right")
    figure.text(0.012, 1 - 0.5 / height, page.description, fontsize=9, color=FAINT, va="center")
    for panel, series in answers:
        place = panel.place
        left, low = GAP + place.x * COLUMN, height - HEAD - (place.y + place.h) * ROW
        if panel.is_row:
            figure.text((left + 0.05) / width, (low + 0.12) / height, panel.title, fontsize=11, fontweight="bold", color=INK)
            continue
        box = (left + GAP / 2, low + GAP / 2, place.w * COLUMN - GAP, place.h * ROW - GAP)
        card = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        card.set(xlim=(0, box[2]), ylim=(0, box[3]))
        card.axis("off")
        _draw_panel(figure, card, panel, series, box, (width, height))
    return figure


def _draw_panel(
    figure: Figure, card: Axes, panel: Panel, series: Named, box: tuple[float, float, float, float], size: tuple[float, float]
) -> None:
    wide, high = box[2], box[3]
    filled = panel.kind == "stat" and len(panel.steps) > 1 and bool(series)
    value = _last(series[0][1]) if series else math.nan
    colour = _colour(panel, value)
    outline = FancyBboxPatch((0.01, 0.01), wide - 0.02, high - 0.02, boxstyle="round,pad=0,rounding_size=0.05")
    outline.set(facecolor=colour if filled else CARD, edgecolor=EDGE, linewidth=0.8)
    card.add_patch(outline)
    ink = "white" if filled else INK
    title = card.text(0.1, high - 0.17, panel.title, fontsize=9.2, fontweight="bold", color=ink, va="center")
    _fit(title, wide - 0.2)

    def inner(left: float, low: float, right: float, top: float) -> Axes:
        """Axes inside of the panel, in inches from its edges."""
        return figure.add_axes(
            (
                (box[0] + left) / size[0], (box[1] + low) / size[1],
                (wide - left - right) / size[0], (high - low - top) / size[1],
            )
        )  # fmt: skip

    if not series:
        card.text(wide / 2, high / 2 - 0.1, "nothing", fontsize=11, color=FAINT, ha="center", va="center")
    elif panel.kind == "stat":
        spark = inner(0.02, 0.02, 0.02, high * 0.66)
        _draw_spark(spark, series[0][1], ink if filled else colour)
        number = card.text(
            wide / 2,
            high * 0.54,
            worded(value, panel.unit, panel.decimals),
            fontsize=23,
            fontweight="bold",
            ha="center",
            va="center",
        )
        number.set_color(ink if filled else colour)
        _fit(number, wide - 0.2, shrink=True)
    elif panel.kind == "bargauge":
        _draw_bars(card, panel, series, wide, high)
    else:
        names = min(len(series), MOST_NAMED)
        columns = 1 if wide < 4.5 else 2 if wide < 7 else 3
        legend = 0.165 * math.ceil(names / columns) + 0.06
        axes = inner(0.62, legend + 0.3, 0.15, 0.36)
        _draw_lines(axes, panel, series)
        _draw_legend(card, panel, series, columns, wide, legend)


def _last(series: Series) -> float:
    numbers = [value for _, value in series.points if not math.isnan(value)]
    return numbers[-1] if numbers else math.nan


def _colour(panel: Panel, value: float) -> str:
    reached = [colour for since, colour in panel.steps if since is None or value >= since]
    return NAMED[reached[-1]] if reached else NAMED["blue"]


def _fit(text: mpl.text.Text, inches: float, *, shrink: bool = False) -> None:
    """Make a text no wider than that: smaller, or shorter."""
    figure = text.figure
    assert figure is not None

    def width() -> float:
        return float(text.get_window_extent().width / figure.dpi)

    while width() > inches and len(text.get_text()) > 3:
        if shrink:
            text.set_fontsize(text.get_fontsize() * 0.93)
        else:
            text.set_text(text.get_text().rstrip("…")[:-1].rstrip() + "…")


def _times(series: Series) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC).astimezone(SHANGHAI) for at, _ in series.points]


def _draw_spark(axes: Axes, series: Series, colour: str) -> None:
    axes.axis("off")
    values = [value for _, value in series.points]
    axes.fill_between(_times(series), values, color=colour, alpha=0.22, linewidth=0)
    axes.plot(_times(series), values, color=colour, alpha=0.75, linewidth=1)
    top = max((value for value in values if not math.isnan(value)), default=1) or 1
    axes.set_ylim(min(0, *values) if values else 0, top * 1.15)
    axes.margins(x=0)


def _draw_lines(axes: Axes, panel: Panel, series: Named) -> None:
    axes.set_facecolor(CARD)
    if panel.stacked:
        times = sorted({at for _, one in series for at, _ in one.points})
        known = [{at: value for at, value in one.points if not math.isnan(value)} for _, one in series]
        heights = [[one.get(at, 0.0) for at in times] for one in known]
        moments = [datetime.fromtimestamp(at, UTC).astimezone(SHANGHAI) for at in times]
        axes.stackplot(moments, heights, colors=[_of(at) for at in range(len(series))], alpha=0.72, linewidth=0)
    else:
        for at, (_, one) in enumerate(series):
            axes.plot(_times(one), [value for _, value in one.points], color=_of(at), linewidth=1.5)
    values = [value for _, one in series for _, value in one.points if not math.isnan(value)]
    if min(values) >= 0:
        axes.set_ylim(0, axes.get_ylim()[1] if max(values) > 0 else 1)
    for since, colour in panel.steps[1:]:
        if since is not None and since <= axes.get_ylim()[1]:
            axes.axhline(since, color=NAMED[colour], linewidth=1, linestyle="--")
    axes.margins(x=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: worded(value, panel.unit if panel.unit in _WORDED else "")))
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=5, tz=SHANGHAI))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S", tz=SHANGHAI))
    axes.tick_params(labelsize=7.5, colors=FAINT, length=0, pad=3)
    axes.grid(visible=True, color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


_WORDED: Final = {"s", "percentunit", "bytes", "currency:¥"}


def _of(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _draw_legend(card: Axes, panel: Panel, series: Named, columns: int, wide: float, high: float) -> None:
    shown = series[:MOST_NAMED]
    rows, room = math.ceil(len(shown) / columns), (wide - 0.3) / columns
    for at, (name, one) in enumerate(shown):
        left, low = 0.15 + at // rows * room, high - 0.1 - 0.165 * (at % rows)
        card.add_patch(Rectangle((left, low - 0.02), 0.13, 0.045, color=_of(at), linewidth=0))
        figure = worded(_last(one), panel.unit)
        more = f"   and {len(series) - MOST_NAMED} more" if at == MOST_NAMED - 1 and len(series) > MOST_NAMED else ""
        text = card.text(left + 0.19, low, f"{name}   {figure}{more}", fontsize=7.4, color=INK, va="center")
        _fit(text, room - 0.25)


def _draw_bars(card: Axes, panel: Panel, series: Named, wide: float, high: float) -> None:
    rows = [(name, _last(one)) for name, one in series]
    most = max((value for _, value in rows if not math.isnan(value)), default=0) or 1
    room = high - 0.42
    shown = rows[: max(1, int(room / 0.2))]
    step = min(0.42, room / len(shown))
    left, right = min(wide * 0.46, 2.6), 0.95
    for at, (name, value) in enumerate(shown):
        middle = high - 0.36 - step * (at + 0.5)
        text = card.text(left - 0.08, middle, name, fontsize=7.8, color=INK, ha="right", va="center")
        _fit(text, left - 0.15)
        card.add_patch(Rectangle((left, middle - step * 0.32), wide - left - right, step * 0.64, color=PAPER, linewidth=0))
        length = (wide - left - right) * max(0.0, 0 if math.isnan(value) else value) / most
        card.add_patch(Rectangle((left, middle - step * 0.32), length, step * 0.64, color=_colour(panel, value), linewidth=0))
        card.text(wide - right + 0.08, middle, worded(value, panel.unit), fontsize=7.8, color=INK, va="center")
    if len(rows) > len(shown):
        card.text(
            wide - 0.12, high - 0.17, f"and {len(rows) - len(shown)} more", fontsize=7.4, color=FAINT, ha="right", va="center"
        )


def main(arguments: list[str]) -> None:
    """Draw every page."""
    data = Path(arguments[0]) if arguments else paths.CITY / "prometheus" / "data"
    with prometheus_on(data) as prometheus:
        window = prometheus.window("sum(rate(onecard_simulation_emitted_total[10s])) > 0")  # until the riders go home
        for page in read_pages():
            answers = [
                (
                    panel,
                    [
                        (one.name(target.legend), one)
                        for target, series in prometheus.answer(page, panel, window)
                        for one in sorted(series, key=lambda each: -_last(each) if panel.kind == "bargauge" else 0)
                        if not one.empty
                    ],
                )
                for panel in page.panels
            ]
            draw(page, answers, window).savefig(HERE / f"dashboard-{page.name}.png", dpi=92)


if __name__ == "__main__":
    main(sys.argv[1:])
