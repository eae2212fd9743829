"""The commands of `onecard tariff`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cli.tariff.comparing import Comparison, compare, report
from cli.tariff.explaining import explain_trips
from cli.tariff.plotting import NoPlotError, plot_changes, refuse_plot
from cli.tariff.reading import TariffFile, WrongValueError, cities_in, read_file, read_rider_option, read_trip_option
from cli.tariff.taps import Taps, TapsFileError, WrongRow, read_taps
from cli.tariff.words import many, price_words, quota_words, rules_words, validity
from services.payments.adapters.tariff_file import TariffError
from services.payments.adapters.tariffs import refuse_two_at_once
from services.payments.domain.tap import Scene

app = typer.Typer(no_args_is_help=True, help="Tariff files: check them, and try what they cost, before a worker reads them.")
T = TypeVar("T")
_MOST_SAID = 50
"""Rows that are named one by one."""

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="a tariff file")]


@app.callback()
def tariff() -> None:
    """Tariff files: check them, and try what they cost, before a worker reads them."""


@app.command()
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="tariff files, or folders of them")]) -> None:
    """Say in plain words what tariff files mean, or what is wrong with them; the exit status is 1 when something is.

    A folder of one city is read as a worker reads it: two tariffs that begin on the same day for the same taps are wrong.

    Example: onecard tariff check tariffs/jiangmen
    """
    wrong = False
    for path in files:
        try:
            cities = list(cities_in(path)) if path.is_dir() else []
        except TariffError as error:
            typer.echo(error, err=True)
            wrong = True
            continue
        for city in cities or [path]:
            wrong |= not _check_together(sorted(city.rglob("*.toml")) if city.is_dir() else [city])
    raise typer.Exit(1 if wrong else 0)


@app.command()
def explain(
    file: FileArgument,
    trip: Annotated[list[str], typer.Option("--trip", metavar="TRIP", help="a time, then what the terminal tells; several")],
    rider: Annotated[str, typer.Option(metavar="RIDER", help="who rides; what is missing is not known")] = "",
) -> None:
    """Show step by step how the fares of one rider's trips come about, and what is remembered after each.

    A RIDER is `born=1961-06-01 category=student resident=yes form=electronic`. A TRIP begins with its time; then come `line`,
    `stop`, `side` (entry or exit), `vehicle`, `riders`, `price` (fen), `merchant`, `outlet`, `gate`, `ticket`, `item` and
    `returned`. Values with spaces stand in quotation marks.

    Example: onecard tariff explain tariffs/ningbo/bus-and-rail.toml --rider born=1990-01-01 --trip "2026-06-01 08:00 line=12"
    """
    read = _read(file)
    person = _option("--rider", partial(read_rider_option, rider))
    scene = read.tariff.scene
    taps = [_option("--trip", partial(read_trip_option, text, at, scene, person)) for at, text in enumerate(trip)]
    Console(highlight=False).print(explain_trips(read, person, taps))


@app.command(name="compare")
def compare_files(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="the tariff file to compare with")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="the tariff file that might follow it")],
    taps: Annotated[Path, typer.Option(metavar="FILE", help="the taps: CSV with a header")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="draw the riders' changes: .pdf, .png or .svg")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave out rows that are wrong, and count them")] = False,
) -> None:
    """Rate the same taps under two tariffs, and show who would pay how much more or less.

    The question is "what if": from when to when the tariffs are in force is not looked at. Of the columns `card` and `time` are
    needed; `born`, `category`, `resident`, `form` and what `onecard tariff explain` takes for a trip may be there. The exit
    status is 1 when rows are wrong, unless they are left out.

    Example: onecard tariff compare tariffs/jiangmen/bus.toml tariffs/hangzhou/bus.toml --taps tariffs/example-taps.csv
    """
    before, after = _read(old), _read(new)
    if before.tariff.scene is not after.tariff.scene:
        scenes = [file.tariff.scene.name.lower() for file in (before, after)]
        raise typer.BadParameter(f"{old} is for {scenes[0]} and {new} for {scenes[1]}; compare two of one scene")
    try:
        if plot:
            refuse_plot(plot)
        with _progress() as progress:
            read = _read_taps(taps, before.tariff.scene, progress)
            _refuse_wrong_rows(read, skip_bad)
            found = _compare(before, after, read, progress)
    except (TapsFileError, NoPlotError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    _show(found, before, after, read.wrong)
    if plot:
        _plot(found, plot)


def _check_together(paths: list[Path]) -> bool:
    """Say what each file means or what is wrong with it, then whether they go together."""
    good: list[TariffFile] = []
    for path in paths:
        try:
            good.append(read_file(path))
        except TariffError as error:
            typer.echo(error, err=True)
        else:
            typer.echo("\n".join(_summary(good[-1])))
    try:
        refuse_two_at_once({file.path: file.tariff for file in good})
    except TariffError as error:
        typer.echo(error, err=True)
        return False
    return len(good) == len(paths)


def _summary(file: TariffFile) -> Iterator[str]:
    tariff = file.tariff
    yield f"{file.path}: good"
    whose = f", only for {', '.join(sorted(tariff.merchants))}" if tariff.merchants else ""
    yield f"  {file.city}, {tariff.scene.name.lower()}{whose}, {validity(tariff)}; amounts in yuan"
    yield f"  source: {file.source}"
    yield f"  price: {price_words(tariff.price)}"
    for name, line in tariff.lines.items():
        mode = f" ({line.mode})" if line.mode else ""
        yield f"  line {name}{mode}: {price_words(line.price) if line.price else 'the same price'}"
    if tariff.most_riders > 1:
        yield f"  up to {tariff.most_riders} ride on one card; companions pay the full price"
    if tariff.quota is not None:
        yield f"  at most {quota_words(tariff.quota)}"
    for number, (name, words) in enumerate(rules_words(tariff), 1):
        yield f"  {number}. {name}: {words}"
    yield "" if tariff.rules else "  no rules: everybody pays the price\n"


def _read(path: Path) -> TariffFile:
    try:
        return read_file(path)
    except TariffError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None


def _option(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except WrongValueError as error:
        raise typer.BadParameter(f"{error.key}: {error}", param_hint=name) from None


def _read_taps(path: Path, scene: Scene, progress: Progress) -> Taps:
    said = 0

    def say(row: WrongRow) -> None:
        nonlocal said
        said += 1
        if said <= _MOST_SAID:
            progress.console.print(f"{path}:{row.line}: {row.column}: {row.message}", markup=False, soft_wrap=True)
        if said == _MOST_SAID + 1:
            progress.console.print("and so on: the others are counted, not named", markup=False)

    if not path.is_file():
        raise TapsFileError(f"{path}: there is no such file")
    task = progress.add_task("reading", total=path.stat().st_size)
    return read_taps(path, scene, say, lambda done: progress.advance(task, done))


def _refuse_wrong_rows(taps: Taps, skip_bad: bool) -> None:
    if taps.wrong and not skip_bad:
        raise TapsFileError(f"{many(taps.wrong, 'wrong row')}: nothing is compared; --skip-bad leaves such rows out")


def _compare(old: TariffFile, new: TariffFile, taps: Taps, progress: Progress) -> Comparison:
    task = progress.add_task("rating", total=len(taps))
    return compare(old.tariff, new.tariff, taps, lambda done: progress.advance(task, done))


def _show(found: Comparison, old: TariffFile, new: TariffFile, wrong: int) -> None:
    console = Console(highlight=False)
    console.print(f"old: {old.path} ({old.city})\nnew: {new.path} ({new.city})", markup=False, soft_wrap=True)
    if wrong:
        console.print(f"{many(wrong, 'wrong row')} left out", markup=False)
    console.print(report(found))


def _plot(found: Comparison, file: Path) -> None:
    try:
        plot_changes([rider.change_fen for rider in found.riders], file)
    except OSError as error:
        typer.echo(f"{file}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"\ndrawn: {file}")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
