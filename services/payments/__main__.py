"""The commands of payments: `python -m services.payments --help`.

Alembic, Faust and the Kafka clients take half a second to import: only the command that needs one does.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.build import show_build
from services.common.clock import SHANGHAI, instant
from services.common.environment import ConfigError
from services.common.errors import BrokerAwayError
from services.common.keyvault.commands import vault_commands
from services.common.keyvault.vault import VaultError
from services.common.logs import set_up_logs
from services.common.migrate_command import Migrate, migrate_command
from services.common.schema import SchemaError
from services.common.tracing import set_up_tracing
from services.payments import epoch_commands, kafka_commands, restore_commands, trace_command, verify_command
from services.payments.adapters.epochs import EpochKeys, open_terminal_vault
from services.payments.adapters.ledger import BatchKey, Ledger
from services.payments.adapters.live_file import LiveFileError
from services.payments.adapters.progress import list_gaps
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.tariff_file import TariffError
from services.payments.adapters.tariffs import read_rules
from services.payments.config import Config, acceptance_horizon_days
from services.payments.domain.gap import Gap
from services.payments.domain.verdict import Cause
from services.payments.handlers import callers as rights
from services.payments.handlers import check_books as books
from services.payments.handlers import check_fares as fares
from services.payments.handlers import detach_partitions as archive
from services.payments.handlers import fold_marks as history
from services.payments.handlers import keep_up as daily
from services.payments.handlers import open_accounts as openings
from services.payments.handlers import register_merchants as registration
from services.payments.handlers.epochs import EpochError
from services.payments.handlers.post_taps import PostTaps
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.handlers.statement import statement as statement_of
from services.payments.keys import KEYS
from services.payments.operating import as_owner, out, with_engine

app = typer.Typer(
    help="Payments: the ledger and the stream workers. Settings come from ONECARD_… variables (see config.py).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(epoch_commands.app, name="epochs")
app.add_typer(kafka_commands.app, name="kafka")
app.command("verify")(verify_command.verify)
app.command("trace")(trace_command.trace)
app.command("go-back")(restore_commands.go_back)
app.command("wind-back")(restore_commands.wind_back)
app.command("compare-outcomes")(restore_commands.compare)
app.add_typer(vault_commands("payments", KEYS, epoch_commands.needed_by_epochs), name="vault")
_CAN_BE_MENDED = (
    BrokerAwayError,
    ConfigError,
    LiveFileError,
    TariffError,
    VaultError,
    SchemaError,
    EpochError,
    registration.RegistryFileError,
    openings.OpeningsFileError,
)


def _migrate() -> Migrate:
    from services.payments.handlers.migrate import migrate  # noqa: PLC0415

    return migrate


app.command("migrate")(migrate_command("payments", _migrate))


@app.command()
def create_topics(
    partitions: Annotated[int, typer.Option(help="Partitions of each topic; 0: the broker's default.")] = 0,
) -> None:
    """Create the topics that are missing."""
    from services.payments.adapters import topics  # noqa: PLC0415

    config = Config.from_environment()
    new = topics.create_topics(
        config.kafka, config.broker, partitions or topics.PARTITIONS[config.broker], config.kafka_security
    )
    out.print(f"new topics: {', '.join(new) or 'none, all exist'}")


@app.command()
def register(file: Annotated[Path, typer.Argument(exists=True, help="JSON lines of merchants and their terminals.")]) -> None:
    """Register merchants and terminals."""
    lines = registration.read_registry_file(file)
    new = with_engine(lambda engine: registration.register_merchants(engine, lines))
    out.print(f"{len(lines)} merchants; new terminals: {new}")


@app.command()
def open_accounts(file: Annotated[Path, typer.Argument(exists=True, help="CSV with account_id,opening_fen.")]) -> None:
    """Open holders' accounts, each with its opening top-up."""
    config = Config.from_environment()
    rows = openings.read_openings_file(file)
    key = BatchKey(config.batch_key, config.batch_key_version)
    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("opening accounts", total=len(rows))
        new = with_engine(
            lambda engine: openings.open_accounts(engine, key, rows, lambda n: progress.advance(task, n))
        )  # fmt: skip
    out.print(f"{len(rows)} accounts; newly opened: {new}")


@app.command()
def streams() -> None:
    """Work: take taps from Kafka and post them, until SIGTERM."""
    from services.payments.streams import run_worker  # noqa: PLC0415

    set_up_logs("payments-streams")
    set_up_tracing("payments-streams")
    show_build()
    run_worker(Config.from_environment())


@app.command()
def live() -> None:
    """Work: count taps in live windows and raise alerts, until SIGTERM. One process, on Apache Kafka alone."""
    from services.payments.live import run_live  # noqa: PLC0415

    set_up_logs("payments-live")
    show_build()
    run_live(Config.from_environment())


@app.command()
def serve() -> None:
    """Work: answer windows, tills, gates and the back office over gRPC, until SIGTERM. Several may share a port."""
    from services.common.grpc.listen import Listen  # noqa: PLC0415
    from services.payments.serve import run_api  # noqa: PLC0415

    set_up_logs("payments-api")
    set_up_tracing("payments-api")
    show_build()
    run_api(Config.from_environment(), Listen.from_environment())


@app.command()
def check() -> None:
    """Check the books against themselves; ends with 1 when they do not balance."""
    found = with_engine(books.check_books)
    for imbalance in found.imbalances:
        out.print(f"imbalance {imbalance.currency}: posted {imbalance.posted_fen} fen, pending {imbalance.pending_fen} fen")
    out.print(
        f"{found.accounts} accounts, {found.batches} batches, {found.verdicts} verdicts, {found.operations} operations,"
        f" {found.transfers} transfers"
    )
    if not found.balance:
        out.print(f"[bold red]the books do not balance[/]: {found.problem or 'debits and credits differ'}")
        raise typer.Exit(1)
    out.print("[green]the books balance[/]")


@app.command()
def check_fares() -> None:
    """Rate every holder's rides again in the order of their times; ends with 1 where something else is posted."""
    config = Config.from_environment()

    async def run(engine: AsyncEngine) -> fares.Fares:
        rules = await read_rules(engine, config)
        with Progress(console=out, transient=True) as progress:
            task = progress.add_task("rating again", total=None)
            return await fares.check_fares(
                engine, rules, lambda done, total: progress.update(task, completed=done, total=total)
            )

    found = with_engine(run)
    out.print(f"{found.holders} holders, {found.rides} rides, {found.adjusted} of them adjusted after they were posted")
    if found.problem:
        out.print(f"[bold red]a fare is not what its rides make it[/]: {found.problem}")
        raise typer.Exit(1)
    out.print("[green]every fare is what the rides make it in the order of their times[/]")


@app.command()
def statement(card_identifier: Annotated[str, typer.Argument(help="卡识别码")]) -> None:
    """One card's entries, oldest first."""
    entries = with_engine(lambda engine: statement_of(engine, card_identifier))
    if entries is None:
        out.print("no card has this identifier")
        raise typer.Exit(1)
    table = Table(
        "time", "what", "where", "purse", "yuan", "balance", title="statement", caption="in brackets: paid by the city"
    )
    for entry in entries:
        change = f"{entry.change_fen / 100:+.2f}" if entry.change_fen else f"({entry.amount_fen / 100:.2f})"
        table.add_row(
            f"{instant(entry.event_time_ms).astimezone(SHANGHAI):%Y-%m-%d %H:%M}",
            entry.code.name.lower().replace("_", " "),
            f"{entry.merchant_id} {entry.terminal_id} {entry.sequence or entry.request_id}",
            entry.purpose,
            change,
            f"{entry.balance_fen / 100:.2f}",
        )
    out.print(table)


_Service = Annotated[str, typer.Argument(help="the name in its certificate: onecard://service/NAME")]
_Right = Annotated[Literal["back_office", "overdraft", "operator"], typer.Argument()]


@app.command()
def grant(service: _Service, right: _Right) -> None:
    """Give a service a right, as the owner named by ONECARD_OWNER_DATABASE_URL."""
    new = as_owner(lambda engine: rights.grant(engine, service, right))
    out.print(f"{service} {'now holds' if new else 'held already'}: {right}")


@app.command()
def take(service: _Service, right: _Right) -> None:
    """Take a right from a service, as the owner; every process hears of it within seconds."""
    held = as_owner(lambda engine: rights.take(engine, service, right))
    out.print(f"{service} {'no longer holds' if held else 'did not hold'}: {right}")


@app.command()
def revoke(
    serial: Annotated[str, typer.Argument(help="of the certificate, in hexadecimal digits: `onecard authority show FILE`")],
    reason: Annotated[str, typer.Option(help="why, for those who look later; no names")] = "",
) -> None:
    """Refuse a certificate from now on, as the owner; every process refuses it within seconds and ends its streams."""
    new = as_owner(lambda engine: rights.revoke(engine, serial, reason))
    out.print(f"the certificate {serial} {'is refused from now on' if new else 'was refused already'}")


@app.command()
def replay(cause: Annotated[Cause, typer.Argument(parser=lambda name: Cause[name], help="such as UNKNOWN_TERMINAL")]) -> None:
    """Decide dead letters of one cause again, once it is mended (a terminal was registered, a tariff added)."""
    set_up_logs("payments-replay")
    config = Config.from_environment()
    vault = open_terminal_vault(config, on_loopback=config.broker_on_loopback)

    async def run(engine: AsyncEngine) -> tuple[int, int]:
        registry, keys = Registry(engine), EpochKeys(engine, vault)
        await keys.begin()
        verifier = Verifier(keys)
        ledger = Ledger(engine, await read_rules(engine, config), BatchKey(config.batch_key, config.batch_key_version))
        return await ReplayDeadLetters(engine, PostTaps(ledger, registry, verifier), registry, verifier).of_cause(cause)

    replayed, decided = with_engine(run)
    out.print(
        f"{replayed} dead letters were replayed, {decided} of them have a verdict; the stream workers tell their merchants"
    )


@app.command()
def gaps(
    most: Annotated[int, typer.Option(min=1, help="How many terminals to list, those with the most gaps first.")] = 50,
) -> None:
    """List terminals of whose numbers some have no verdict: never sent, on their way, or among the dead letters.

    A terminal counts without a gap. What comes late fills its place; what lies below a terminal's mark (`fold-marks`) is not
    looked for any more. It is counted by the elected worker, some seconds behind.
    """

    async def read(engine: AsyncEngine) -> list[Gap]:
        async with engine.connect() as connection:
            return await list_gaps(connection, most)

    found = with_engine(read)
    table = Table("merchant", "terminal", "missing", "highest", title="gaps in the numbers of terminals")
    for gap in found:
        table.add_row(gap.merchant_id, gap.terminal_id, f"{gap.missing:,}", f"{gap.highest:,}")
    out.print(table if found else "no terminal has a gap")


@app.command()
def keep_up() -> None:
    """Once a day, as the owner: make the next months' partitions, fold old verdicts, take old months out of the journal.

    It does what `fold-marks` and `detach-partitions --yes` do, may be cut off and run again, and disturbs nobody who posts.
    """
    days = acceptance_horizon_days(os.environ)
    with _folding() as progress:
        kept = as_owner(lambda engine: daily.keep_up(engine, days, progress))
    out.print(f"months of transfers made ahead: {kept.months_made}")
    _print_folded(kept.folded)
    for month, transfers in kept.detached:
        out.print(f"{month.period}: detached, with {transfers} transfers")
    for month in kept.waiting:
        out.print(f"{month.period}: stays, for batch {month.unsealed_batch} is not sealed")


@app.command()
def fold_marks() -> None:
    """Fold verdicts that are older than the acceptance horizon and 30 days into marks of their terminals, as the owner.

    What is behind a mark is deleted by a later run, an hour after the mark was set at the earliest.
    """
    days = acceptance_horizon_days(os.environ)
    with _folding() as progress:
        _print_folded(as_owner(lambda engine: history.fold_marks(engine, days, progress)))


@contextmanager
def _folding() -> Iterator[Callable[[int, int], None]]:
    with Progress(console=out, transient=True) as bar:
        task = bar.add_task("folding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_folded(folded: history.Folded) -> None:
    out.print(f"marks set at what is older than {folded.before:%Y-%m-%d}: {folded.marks} terminals")
    out.print(f"verdicts deleted behind marks of earlier runs: {folded.verdicts}")


@app.command()
def detach_partitions(
    yes: Annotated[bool, typer.Option("--yes", help="Detach them; otherwise they are listed.")] = False,
) -> None:
    """List, or take out of the journal, months of transfers that are older than the acceptance horizon and 30 days."""
    days = acceptance_horizon_days(os.environ)
    partitions = as_owner(lambda engine: archive.old_partitions(engine, days))
    for month in partitions:
        if month.unsealed_batch is not None:
            out.print(f"{month.period}: stays, for batch {month.unsealed_batch} is not sealed")
        elif yes:
            gone = as_owner(partial(archive.detach_partition, name=month.name, horizon_days=days))
            out.print(f"{month.period}: detached, with {gone} transfers")
        else:
            out.print(f"{month.period}: may be detached (--yes)")
    if not partitions:
        out.print("no month is old enough")


def main() -> None:
    """Run a command; what a person can mend is said in one line."""
    try:
        app()
    except _CAN_BE_MENDED as error:
        sys.exit(f"onecard payments: {error}")


if __name__ == "__main__":
    main()
