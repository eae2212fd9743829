"""The commands of `onecard tariff`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.tariff.reading import TariffFile, cities_in, read_file
from cli.tariff.words import price_words, rules_words, validity
from services.payments.adapters.tariff_file import TariffError
from services.payments.adapters.tariffs import refuse_two_at_once

app = typer.Typer(no_args_is_help=True, help="Tariff files: check them, and try what they cost, before a worker reads them.")


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
