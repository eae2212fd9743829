"""`trace`: one payment's way, on one screen or for programs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import SHANGHAI, instant
from services.payments.config import Config
from services.payments.domain.trail import Step, Trail, name_of
from services.payments.handlers.trace_payment import SeveralError, look_into_logs, look_on_the_road, trace_payment
from services.payments.operating import out, with_engine

_COLOURS = {"terminal": "cyan", "broker": "blue", "ledger": "green", "seal": "magenta"}


def trace(
    name: Annotated[list[str], typer.Argument(help="PAYMENT · BATCH/ROW · MERCHANT TERMINAL SEQUENCE · [MERCHANT] REQUEST")],
    logs: Annotated[
        list[Path] | None, typer.Option("--logs", exists=True, help="Files or folders of JSON lines, of any process.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """One payment's way through all processes. It reads, and cannot write; nobody's name or whole number is shown."""
    try:
        called = name_of(tuple(name))
    except ValueError as error:
        _end(str(error), 2)

    async def find(engine: AsyncEngine) -> Trail | None:
        return await trace_payment(engine, called)

    try:
        trail = with_engine(find)
    except SeveralError as error:
        _end(str(error), 2)
    if trail is None:
        _end("the ledger knows no payment of this name, and no dead letter", 1)
    config = Config.from_environment()
    look_on_the_road(trail, config.kafka, config.kafka_security)
    look_into_logs(trail, logs or [])
    if as_json:
        print(json.dumps(_told(trail), ensure_ascii=False, indent=2))  # noqa: T201 - programs read it, so nothing is folded
    else:
        _show(trail)


def _end(why: str, status: int) -> NoReturn:
    out.print(why)
    raise typer.Exit(status)


def _told(trail: Trail) -> dict[str, Any]:
    identity = {name: value for name, value in trail.identity._asdict().items() if value}
    payment = {"payment": trail.payment.hex()} if trail.payment else {}
    steps = [
        {"time": _utc(step.time_ms), "where": step.where, "what": step.what, "facts": dict(step.facts)}
        for step in trail.in_order()
    ]
    return {**identity, **payment, "now": trail.now, "steps": steps, "unseen": trail.unseen}


def _utc(time_ms: int) -> str:
    return instant(time_ms).isoformat(timespec="milliseconds")


def _show(trail: Trail) -> None:
    steps = trail.in_order()
    merchant, terminal, sequence, request = trail.identity
    out.print(Text.assemble(("payment ", "bold"), f"{merchant} {terminal} {sequence or request}"))
    if trail.payment:
        out.print(f"id {trail.payment.hex()}")
    table = Table("time", "", "where", "what", "", box=None, pad_edge=False, header_style="dim")
    for before, step in zip([None, *steps], steps, strict=False):
        table.add_row(
            f"{instant(step.time_ms).astimezone(SHANGHAI):%m-%d %H:%M:%S.%f}"[:-3],
            Text(_since(before, step), style="dim"),
            Text(step.where, style=_COLOURS.get(step.where, "yellow")),
            step.what,
            Text(_facts(step.facts), overflow="fold"),
        )
    out.print(table)
    if trail.now:
        out.print(f"now: {_facts(trail.now)}")
    for what in trail.unseen:
        out.print(Text(f"not seen: {what}", style="dim"))


def _since(before: Step | None, step: Step) -> str:
    """How long after what stands above it."""
    if before is None:
        return ""
    ms = step.time_ms - before.time_ms
    if ms < 10_000:
        return f"+{ms} ms"
    return f"+{ms / 1000:,.0f} s" if ms < 3_600_000 else f"+{ms / 3_600_000:,.1f} h"


def _facts(facts: Mapping[str, Any]) -> str:
    return " · ".join(_fact(name, fact) for name, fact in facts.items())


def _fact(name: str, fact: Any) -> str:
    match fact:
        case True:
            return name.replace("_", " ")
        case dict():
            fact = ", ".join(f"{of} {value}" for of, value in fact.items())
        case list():
            fact = ", ".join(map(str, fact))
        case int() if name.endswith("_fen"):
            return f"{name.removesuffix('_fen')} ¥{fact / 100:.2f}"
    return f"{name.replace('_', ' ')} {fact}"
