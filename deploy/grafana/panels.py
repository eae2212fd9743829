"""The few kinds of panels that the dashboards are made of, and how they are laid out: shelves of panels, one below the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="onecard-prometheus")
"""The one that `provisioning/datasources` makes."""
TAG: Final = "onecard"
COLUMNS: Final = 24
HEADING_HEIGHT: Final = 1

YUAN: Final = "currency:¥"
SECONDS: Final = "s"
BYTES: Final = "bytes"
SHARE: Final = "percentunit"
NUMBER: Final = "locale"
"""Whole, with separators between thousands."""

GOOD, WATCH, BAD, PLAIN = "green", "orange", "red", "blue"
Steps = Sequence[tuple[float, str]]
"""(from which value on, colour); below the first one all is well."""
NO_STEPS: Final[Steps] = ()


def per_second(what: str) -> str:
    """The unit of so many of something a second."""
    return f"suffix: {what}/s"


@dataclass(frozen=True, slots=True)
class Query:
    """What Prometheus is asked, and how each series that comes is named."""

    expr: str
    legend: str


Panel = stat.Panel | timeseries.Panel | bargauge.Panel


@dataclass(frozen=True, slots=True)
class Shelf:
    """Panels side by side, under a heading."""

    heading: str
    height: int
    panels: Sequence[Panel]
    widths: Sequence[int] = ()
    """Columns of each; none: equal ones."""


def figure(
    title: str, description: str, unit: str, query: Query, *, steps: Steps = NO_STEPS, decimals: int | None = None
) -> Panel:
    """One number of this moment, its colour, and how it came there."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(steps))
        .color_mode(options.BigValueColorMode.BACKGROUND if steps else options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target("A", query))
    )
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = NO_STEPS,
    stacked: bool = False,
    least: float | None = 0,
) -> Panel:
    """How something went over time; `steps` are drawn as lines, `stacked` series add up."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(steps))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                options.GraphThresholdsStyleMode.DASHED if steps else options.GraphThresholdsStyleMode.OFF
            )
        )
        .line_width(1 if stacked else 2)
        .fill_opacity(60 if stacked else 5)
        .stacking(common.StackingConfig().mode(options.StackingMode.NORMAL if stacked else options.StackingMode.NONE))
        .show_points(options.VisibilityMode.NEVER)
        .span_nulls(60_000)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if least is not None:
        panel = panel.min(least)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(letter, query))
    return panel


def bars(title: str, description: str, unit: str, *queries: Query, steps: Steps = NO_STEPS) -> Panel:
    """Things beside each other as they are at this moment, a bar each."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .thresholds(_thresholds(steps, "semi-dark-blue"))
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.GRADIENT)
        .show_unfilled(True)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(letter, query))
    return panel


def variable(name: str, label: str, description: str, label_values: str) -> builders.QueryVariable:
    """Something to choose several of; `label_values` as in `metric, label`."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(description)
        .query(f"label_values({label_values})")
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def dashboard(
    uid: str,
    title: str,
    description: str,
    shelves: Iterable[Shelf],
    *,
    variables: Iterable[builders.QueryVariable] = (),
    since: str = "now-1h",
) -> models.Dashboard:
    """A page of shelves that leads to all the others."""
    page = (
        builders.Dashboard(title)
        .uid(f"onecard-{uid}")
        .description(description)
        .tags([TAG])
        .timezone("Asia/Shanghai")
        .time(since, "now")
        .refresh("10s")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("The other dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG]).keep_time(True)
        )
    )
    for one in variables:
        page = page.with_variable(one)
    number = top = 0
    for shelf in shelves:
        number += 1
        heading = builders.Row(shelf.heading).id(number).grid_pos(models.GridPos(h=HEADING_HEIGHT, w=COLUMNS, x=0, y=top))
        page = page.with_row(heading)
        top += HEADING_HEIGHT
        left = 0
        for panel, width in zip(shelf.panels, shelf.widths or _equal(len(shelf.panels)), strict=True):
            number += 1
            page = page.with_panel(panel.id(number).grid_pos(models.GridPos(h=shelf.height, w=width, x=left, y=top)))
            left += width
        top += shelf.height
    return page.build()


def _equal(panels: int) -> list[int]:
    """Widths that fill a shelf."""
    return [COLUMNS // panels] * (panels - 1) + [COLUMNS - COLUMNS // panels * (panels - 1)]


def _target(letter: str, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expr).legend_format(query.legend).range()


def _thresholds(steps: Steps, usual: str = GOOD) -> builders.ThresholdsConfig:
    found = [models.Threshold(value=None, color=usual if steps else PLAIN)]
    found += [models.Threshold(value=value, color=colour) for value, colour in steps]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)
