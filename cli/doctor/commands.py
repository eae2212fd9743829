"""`onecard doctor`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from cli import paths
from cli.city.state import ASKED, read_state
from cli.counter import console
from cli.doctor.finding import Finding, Health, exit_status
from cli.doctor.installation import every_instance, of_city, of_environment
from cli.doctor.looking import look_at

_COLOUR = {Health.WELL: "green", Health.SICK: "red", Health.UNSEEN: "yellow"}
_RUNBOOKS = paths.ROOT / "docs" / "runbooks"


def doctor(
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL", envvar="ONECARD_PROCESSES", help="a process of another installation, as often as needed"
        ),
    ] = None,
    only_wrong: Annotated[bool, typer.Option("--wrong", help="only what is wrong, or could not be looked at")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Look at a running installation and say in plain words what is wrong, and what to do. It changes nothing.

    It looks at the city that runs here; where ONECARD_DATABASE_URL is set, at the installation that the variables name.
    The exit status is 0 when all is well, 1 when something is wrong, 2 when something could not be looked at.

    Example: onecard doctor --wrong
    """
    state = None if ASKED in os.environ else read_state()
    if state is not None:
        installation = of_city(state, paths.CITY, os.environ)
    else:
        named = every_instance(dict(_pair(one) for one in metrics or ()))
        installation = of_environment(os.environ, named)
        if not (named or installation.database_url or installation.kafka or installation.apis):
            typer.echo(f"no city runs here: start one with `onecard city run`, or set {ASKED} and its companions", err=True)
            raise typer.Exit(2)
    begun = time.monotonic()
    found = look_at(installation)
    if as_json:
        told = [{**asdict(finding), "health": finding.health.name} for finding in found]
        typer.echo(json.dumps({"findings": told, "exit_status": exit_status(found)}, ensure_ascii=False, indent=2))
    else:
        _print(found, time.monotonic() - begun, only_wrong=only_wrong)
    raise typer.Exit(exit_status(found))


def _pair(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not (equals and url.startswith(("http://", "https://"))):
        raise typer.BadParameter(f"{text!r} is no process: NAME=http://HOST:PORT/metrics is wanted")
    return name, url


def _print(found: Sequence[Finding], seconds: float, *, only_wrong: bool) -> None:
    for one in found:
        if only_wrong and one.health is Health.WELL:
            continue
        sign = f"[{_COLOUR[one.health]}]{one.health.value}[/]"
        console.print(f"{sign} {escape(one.thing)}: {escape(one.said)}", soft_wrap=True)
        if one.todo:
            console.print(f"    → {escape(one.todo)}", soft_wrap=True)
        if one.runbook and (_RUNBOOKS / f"{one.runbook}.md").exists():
            console.print(f"    → docs/runbooks/{one.runbook}.md")
    wrong = sum(one.health is Health.SICK for one in found)
    blind = sum(one.health is Health.UNSEEN for one in found)
    console.print(f"{len(found)} things in {seconds:.1f} s: {wrong} wrong, {blind} could not be looked at")
