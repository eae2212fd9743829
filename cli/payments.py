"""Runs the payments service's own commands against the running city."""

import subprocess
import sys
from collections.abc import Mapping

import typer

from cli import paths
from cli.city.state import NoCityError, environment


def run_payments(arguments: list[str], env: Mapping[str, str]) -> int:
    """Run `python -m services.payments ARGUMENTS…`, its output on ours; answers its exit status."""
    command = [sys.executable, "-m", "services.payments", *arguments]
    return subprocess.run(command, env=dict(env), cwd=paths.ROOT, check=False).returncode


def payments_of_the_city(*arguments: str) -> None:
    """Run a command against the running city, or whatever the environment names, and end as it ended."""
    try:
        env = environment()
    except NoCityError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(run_payments(list(arguments), env))
