"""Runs a service's own commands against the running city."""

import subprocess
import sys
from collections.abc import Callable, Mapping

import typer

from cli import paths
from cli.city.state import NoCityError, card_environment, environment


def run_payments(arguments: list[str], env: Mapping[str, str]) -> int:
    """Run `python -m services.payments ARGUMENTS…`, its output on ours; answers its exit status."""
    return _run("services.payments", arguments, env)


def run_card(arguments: list[str], env: Mapping[str, str]) -> int:
    """Run `python -m services.card ARGUMENTS…`, its output on ours; answers its exit status."""
    return _run("services.card", arguments, env)


def run_issuance(arguments: list[str], env: Mapping[str, str]) -> int:
    """Run `python -m services.issuance ARGUMENTS…`, its output on ours; answers its exit status."""
    return _run("services.issuance", arguments, env)


def payments_of_the_city(*arguments: str) -> None:
    """Run a command against the running city, or whatever the environment names, and end as it ended."""
    raise typer.Exit(run_payments(list(arguments), _of_the_city(environment)))


def card_of_the_city(*arguments: str) -> None:
    """Run a command of the card service against the running city, or whatever the environment names; end as it ended."""
    raise typer.Exit(run_card(list(arguments), _of_the_city(card_environment)))


def _of_the_city(find: Callable[[], dict[str, str]]) -> dict[str, str]:
    try:
        return find()
    except NoCityError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None


def _run(module: str, arguments: list[str], env: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=dict(env), cwd=paths.ROOT, check=False).returncode
