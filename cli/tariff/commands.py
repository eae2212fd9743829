"""The commands of `onecard tariff`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from cli.tariff.explaining import explain_trips
from cli.tariff.reading import TariffFile, WrongValueError, cities_in, read_file, read_rider_option, read_trip_option
from cli.tariff.words import price_words, rules_words, validity
from services.payments.adapters.tariff_file import TariffError
from services.payments.adapters.tariffs import refuse_two_at_once

app = typer.Typer(no_args_is_help=True, help="Tariff files: check them, and try what they cost, before a worker reads them.")
T = TypeVar("T")

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
