"""The commands of the issuance service: `python -m services.issuance --help`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.common.build import show_build
from services.common.clock import read_moment
from services.common.environment import ConfigError, required
from services.common.errors import BrokerAwayError
from services.common.kafka_security import KafkaSecurity
from services.common.keyvault.commands import vault_commands
from services.common.keyvault.software import SoftwareVault
from services.common.keyvault.vault import VaultError
from services.common.logs import set_up_logs
from services.common.migrate_command import Migrate, migrate_command
from services.common.schema import SchemaError
from services.common.settings import SettingsError
from services.common.tracing import set_up_tracing
from services.issuance.adapters.products import ProductsError
from services.issuance.config import Config
from services.issuance.keys import KEYS
from services.issuance.migrations import SCHEMA
from services.issuance.vault.commands import vault_app

app = typer.Typer(
    help="The issuance service: blanks, and cards made while their holders wait. Settings come from ONECARD_… variables "
    "(see config.py).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(vault_commands("issuance", KEYS), name="vault")
app.add_typer(vault_app())
out = Console()


def _migrate() -> Migrate:
    from services.issuance.handlers.migrate import migrate  # noqa: PLC0415 - Alembic takes its time to import

    return migrate


app.command("migrate")(migrate_command("issuance", _migrate))


@app.command()
def serve() -> None:
    """Work: answer windows and kits over gRPC, until SIGTERM. Several may share a port."""
    from services.common.grpc.listen import Listen  # noqa: PLC0415
    from services.issuance.serve import run_api  # noqa: PLC0415

    set_up_logs("issuance-api")
    set_up_tracing("issuance-api")
    show_build()
    run_api(Config.from_environment(), Listen.from_environment())


@app.command("check-blanks")
def check_blanks() -> None:
    """Is every blank where its last entry put it, without a gap, and every box whole? Exits with 1 where not."""
    from services.common.database import driver_session, make_engine  # noqa: PLC0415
    from services.issuance.adapters.entries import Stock, count_stock, unsound  # noqa: PLC0415

    async def look() -> tuple[list[str], list[Stock]]:
        url = required(os.environ, "ONECARD_DATABASE_URL", "the role of the issuance service")
        engine = make_engine(url, SCHEMA.session("issuance-operator"), sessions=1, patient=True)
        async with driver_session(engine) as driver:
            found = await unsound(driver), await count_stock(driver)
        await engine.dispose()
        return found

    wrong, stock = asyncio.run(look())
    for one in stock:
        out.print(f"{one.number:>8,}  {one.state.name.lower().replace('_', ' ')}  {one.product}  {one.place}", highlight=False)
    if wrong:
        sys.exit(f"not where the ledger put them: {', '.join(serial or 'a box is not whole' for serial in wrong)}")
    out.print("every blank is in exactly one place, where its last entry put it")


@app.command("go-back")
def go_back(
    to: Annotated[int, typer.Option(parser=read_moment, metavar="TIME", help="the moment, as 2026-11-28T12:00:00+08:00")],
) -> None:
    """In a database that was restored to an earlier moment: no blank that was used since, by `issuance.events`, is used again.

    White plastic is barred, what is at the depot is spoiled, the rest is named. The seals of the audit that were published
    since are given up. Run it before anybody is served, as the owner named by ONECARD_OWNER_DATABASE_URL.
    """
    from services.common.audit.go_back import go_back as give_up  # noqa: PLC0415
    from services.common.audit.published import read_published  # noqa: PLC0415
    from services.common.database import make_engine  # noqa: PLC0415
    from services.common.topic_reader import read_topic  # noqa: PLC0415
    from services.common.topics import ISSUANCE_EVENTS  # noqa: PLC0415
    from services.issuance.adapters.audit import BOOK  # noqa: PLC0415
    from services.issuance.handlers.reapply_blanks import Reapplied, reapply_blanks  # noqa: PLC0415

    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    kafka = required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    security, vault = KafkaSecurity.from_environment(os.environ), _vault()

    async def work() -> tuple[int, int, Reapplied]:
        engine = make_engine(owner, "issuance-operator", sessions=2, patient=True)
        try:
            kept, given_up = await give_up(engine, BOOK, vault, read_published(kafka, BOOK.service, security), to)
            return kept, given_up, await reapply_blanks(engine, read_topic(kafka, ISSUANCE_EVENTS, security), to)
        finally:
            await engine.dispose()

    kept, given_up, done = asyncio.run(work())
    out.print(f"seals {kept + 1} to {given_up} of the audit are given up" if given_up > kept else "no seal is given up")
    out.print(f"{done.barred:,} blanks are barred, {done.spoiled:,} at the depot are spoiled: they were used since")
    if done.looks:
        out.print(f"{len(done.looks):,} more were used since and are elsewhere by the database; count: {', '.join(done.looks)}")


@app.command("verify-audit")
def verify_audit(
    without_topic: Annotated[
        bool, typer.Option("--without-topic", help="the database alone: a tail that was cut off is not seen then")
    ] = False,
) -> None:
    """Verify the audit: every row, every seal, and what was published of the seals; exits with 1 when something is wrong.

    As that of the card service; no row is ever taken away here.
    """
    from services.common.audit.published import read_published  # noqa: PLC0415
    from services.common.audit.report import print_verified  # noqa: PLC0415
    from services.common.audit.verify import Verified  # noqa: PLC0415
    from services.common.audit.verify import verify_audit as verify  # noqa: PLC0415
    from services.common.database import make_engine  # noqa: PLC0415
    from services.issuance.adapters.audit import BOOK  # noqa: PLC0415

    kafka = "" if without_topic else required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    security = KafkaSecurity.from_environment(os.environ)
    vault = _vault()

    async def look() -> Verified:
        url = required(os.environ, "ONECARD_DATABASE_URL", "the role of the issuance service")
        engine = make_engine(url, SCHEMA.session("issuance-operator"), sessions=2, patient=True)
        try:
            published = read_published(kafka, BOOK.service, security) if kafka else ()
            return await verify(engine, BOOK, vault, published, 0, lambda *_: None)
        finally:
            await engine.dispose()

    if not print_verified(out, asyncio.run(look()), with_topic=bool(kafka)):
        raise typer.Exit(1)


def _vault() -> SoftwareVault:
    from services.common.keyvault.software import open_token  # noqa: PLC0415

    token = Path(required(os.environ, "ONECARD_VAULT", "the file of the service's token"))
    return open_token(token, required(os.environ, "ONECARD_VAULT_PIN", "the PIN of that token"))


def main() -> None:
    """Run a command; what a person can mend is said in one line."""
    try:
        app()
    except (BrokerAwayError, ConfigError, ProductsError, SchemaError, SettingsError, VaultError) as error:
        sys.exit(f"onecard issuance: {error}")


if __name__ == "__main__":
    main()
