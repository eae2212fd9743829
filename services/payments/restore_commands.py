"""The commands of a restored ledger: `go-back`, `wind-back`, `compare-outcomes`. `onecard restore` calls them."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table

from services.common.clock import SHANGHAI, instant, read_moment
from services.common.environment import ConfigError
from services.common.topics import OUTCOMES, SEALS
from services.payments.adapters.checkpoints import read_checkpoints, with_published
from services.payments.adapters.ledger import BatchKey
from services.payments.config import Config
from services.payments.handlers import compare_outcomes as comparison
from services.payments.handlers import go_back as going_back
from services.payments.operating import as_owner, out, with_engine

_SLACK_MS: Final = 60_000
"""Clocks of brokers and databases may differ by so much."""


def go_back(
    to: Annotated[int, typer.Option(parser=read_moment, metavar="TIME", help="The moment, as 2026-11-28T12:00:00+08:00.")],
    checkpoints: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, help="Checkpoints; otherwise the file of ONECARD_CHECKPOINTS."),
    ] = None,
) -> None:
    """In a ledger that was restored to an earlier moment: give up the seals that were published behind it, and their numbers.

    As the owner named by ONECARD_OWNER_DATABASE_URL, before anybody is served. `verify` names what was given up from then on.
    """
    config = Config.from_environment()
    file, key = checkpoints or config.checkpoints, BatchKey(config.batch_key, config.batch_key_version)
    if file is None or not file.exists():
        raise ConfigError("there is no file of checkpoints: name it with --from, for it alone knows which seals were published")
    from services.common.topic_reader import read_topic  # noqa: PLC0415 - half a second

    of_file, _ = read_checkpoints(file)
    known = with_published(of_file, read_topic(config.kafka, SEALS, config.kafka_security))
    given_up = as_owner(lambda engine: going_back.go_back(engine, key, (one for some in known.values() for one in some), to))
    if given_up.up_to_seal == given_up.after_seal:
        out.print(f"nothing was published behind seal {given_up.after_seal}: nothing is given up")
    else:
        out.print(
            f"seals {given_up.after_seal + 1} to {given_up.up_to_seal} are given up; the chain goes on behind their numbers"
        )


def wind_back(
    minutes: Annotated[int, typer.Option(min=1, help="How far behind the ledger's newest batch, at least.")] = 10,
    everything: Annotated[bool, typer.Option("--everything", help="To the oldest that the broker keeps.")] = False,
) -> None:
    """In a ledger that was restored: have the workers read again what it may lack. No worker may run.

    What it has is answered with its first verdict. Tansu, which keeps all in memory, is always read from its beginning.
    """
    from services.payments.adapters.group_offsets import await_nobody, group_offsets  # noqa: PLC0415
    from services.payments.handlers.wind_back import wind_back as wind  # noqa: PLC0415
    from services.payments.streams import GROUP  # noqa: PLC0415

    config = Config.from_environment()
    tansu = config.broker == "tansu"  # which does not say who is in a group
    if not tansu and not await_nobody(config.kafka, GROUP, config.kafka_security):
        raise ConfigError(f"workers are in the group {GROUP}: end them first, for they would commit over it")
    with group_offsets(config.kafka, GROUP, config.kafka_security) as offsets:
        wound = with_engine(lambda engine: wind(engine, offsets, minutes * 60_000, everything=everything or tansu))
    for one in wound:
        out.print(f"{one.place.topic} {one.place.partition}: from {one.committed} back to {one.goes_on_at}", highlight=False)
    out.print(f"{sum(one.committed - one.goes_on_at for one in wound):,} records are read again")


def compare(
    since: Annotated[int, typer.Option(parser=read_moment, metavar="TIME", help="The moment, as 2026-11-28T12:00:00+08:00.")],
    list_to: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A line of JSON for each answer that differs; 0600.")
    ] = None,
) -> None:
    """What was answered since a moment, by `payments.outcomes`, compared with the ledger; exits with 1 while something differs.

    For a ledger that went back to that moment and whose workers run again. It reads, and may be asked as often as one likes.
    """
    from services.common.topic_reader import read_between  # noqa: PLC0415

    config = Config.from_environment()
    appended = read_between(config.kafka, OUTCOMES, None, since - _SLACK_MS, 2**62, most=2**62, security=config.kafka_security)
    values = (record.value for record in appended)
    compared, differing = with_engine(lambda engine: comparison.compare_outcomes(engine, values))
    out.print(f"{compared:,} answers since {instant(since).astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S} were compared")
    if list_to:
        _list(list_to, differing)
    by_cause: dict[comparison.Difference, list[comparison.Differing]] = defaultdict(list)
    for one in differing:
        by_cause[one.how].append(one)
    table = Table("answers", "fen", "what differs, and what to do")
    for how, some in sorted(by_cause.items(), key=lambda pair: -len(pair[1])):
        table.add_row(f"{len(some):,}", f"{sum(one.fen for one in some):,}", how.value)
    if differing:
        out.print(table)
        raise typer.Exit(1)
    out.print("[green]the ledger says what was answered[/]")


def _list(file: Path, differing: list[comparison.Differing]) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as lines:
        for how, outcome, fen in differing:
            identity = outcome.identity
            line = {
                "difference": how.name,
                "merchant": identity.merchant_id,
                "terminal": identity.terminal_id,
                "sequence": identity.terminal_sequence or None,
                "request": identity.request_id or None,
                "payment": outcome.payment_id or None,
                "operation": outcome.operation or None,
                "told_fare_fen": outcome.fare.amount_fen,
                "told_charged_fen": outcome.charged.amount_fen,
                "told_at": instant(outcome.decide_time_ms).isoformat(),
                "difference_fen": fen,
            }
            lines.write(msgspec.json.encode(line) + b"\n")
    out.print(f"{len(differing):,} answers are listed in {file}")
