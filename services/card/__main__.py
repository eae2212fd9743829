"""The commands of the card service: `python -m services.card --help`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters.city_settings import CitySettingsError
from services.card.adapters.sealing import Sealing
from services.card.config import Config, ConfigError, required
from services.card.keys import KEYS
from services.common.build import show_build
from services.common.database import make_engine
from services.common.errors import DomainError
from services.common.keyvault.commands import vault_commands
from services.common.keyvault.software import SoftwareVault, open_token
from services.common.keyvault.vault import VaultError
from services.common.logs import set_up_logs

T = TypeVar("T")
_SHOWN = 50

app = typer.Typer(
    help="The card service: applications, the life of a card, holders. Settings come from ONECARD_… variables (see config.py).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(vault_commands("card", KEYS), name="vault")
out = Console()


@app.command()
def migrate() -> None:
    """Bring the schema up to date, as the owner named by ONECARD_OWNER_DATABASE_URL."""
    from services.card.handlers.migrate import migrate as run_migrations  # noqa: PLC0415 - Alembic takes its time to import

    asyncio.run(run_migrations(required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")))
    out.print("the card schema is up to date")


@app.command()
def serve() -> None:
    """Work: answer windows, kiosks and employers over gRPC, until SIGTERM. Several may share a port."""
    from services.card.serve import run_api  # noqa: PLC0415
    from services.common.grpc.listen import Listen  # noqa: PLC0415

    set_up_logs("card-api")
    show_build()
    run_api(Config.from_environment(), Listen.from_environment())


@app.command()
def create_administrator(login: Annotated[str, typer.Argument(help="a staff number, nobody's name")]) -> None:
    """Make the first security administrator of an installation, who makes everybody else; refused when there is anybody."""
    from argon2 import PasswordHasher  # noqa: PLC0415

    from services.card.adapters.passwords import Passwords  # noqa: PLC0415
    from services.card.handlers.sign_in import Accounts, NewAccount  # noqa: PLC0415

    vault = _vault()
    passwords = Passwords(vault, PasswordHasher())
    made: list[NewAccount] = []

    async def make(engine: AsyncEngine) -> None:
        made.append(await Accounts(engine, vault, passwords).create_first(login))

    asyncio.run(_with_engine(None, make))
    passwords.close()
    out.print(
        f"login: {login}\npassword: {made[0].password}\nauthenticator: {made[0].totp_uri}", highlight=False, soft_wrap=True
    )
    out.print(
        "This is shown once. Sign in at a terminal, which asks for another password; then make the accounts of the others."
    )


@app.command()
def create_demo_staff(
    out_file: Annotated[Path, typer.Option("--out", help="where everything that it takes to sign in is written, a line each")],
    outlet: Annotated[str, typer.Option(help="where they work")],
) -> None:
    """Make a clerk for each window, a supervisor and a hotline, for a city that shows itself: with a development token alone.

    Whoever exists already is left alone. The service refuses a development token off loopback, and with it these accounts.
    """
    import msgspec  # noqa: PLC0415
    from argon2 import PasswordHasher  # noqa: PLC0415

    from services.card.adapters.passwords import Passwords  # noqa: PLC0415
    from services.card.domain.actor import Role  # noqa: PLC0415
    from services.card.handlers.sign_in import Accounts, ShownAccount  # noqa: PLC0415

    vault = _vault()
    if not vault.development:
        raise VaultError("accounts for show need a development token: `vault create --development`")
    passwords = Passwords(vault, PasswordHasher())
    wanted = {"clerk-1": Role.CLERK, "clerk-2": Role.CLERK, "clerk-3": Role.CLERK, "chief-1": Role.SUPERVISOR}
    made: list[ShownAccount] = []

    async def make(engine: AsyncEngine) -> None:
        made.extend(await Accounts(engine, vault, passwords).create_for_show({**wanted, "hotline-1": Role.HOTLINE}, outlet))

    asyncio.run(_with_engine(None, make))
    passwords.close()
    if made:
        with open(os.open(out_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.writelines(msgspec.json.encode(account) + b"\n" for account in made)
    out.print(f"{len(made)} accounts were made")


@app.command()
def rewrap_keys() -> None:
    """Wrap every holder's key with the current version of the vault's; then the older version can be destroyed."""
    from services.card.handlers.rotate import rewrap_keys as rewrap  # noqa: PLC0415

    done = _with_progress("wrapping keys anew", None, rewrap)
    out.print(f"{done} keys were wrapped anew; none is left under an older version")


@app.command()
def fill_index() -> None:
    """Bring everybody into the newest index, once every process knows its key; may be cut off and run again."""
    from services.card.handlers.rotate import fill_index as fill  # noqa: PLC0415

    done = _with_progress("filling the index", None, fill)
    out.print(f"{done} holders were brought into the newest index")


@app.command()
def retire_index(version: Annotated[int, typer.Argument(help="the version that is no longer needed")]) -> None:
    """Take an older index away, as the owner named by ONECARD_OWNER_DATABASE_URL.

    A process that knows no newer version is refused from then on.
    """
    from services.card.handlers.rotate import retire_index as retire  # noqa: PLC0415

    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    gone = _with_progress(
        "taking rows away", owner, lambda engine, sealing, progress: retire(engine, sealing, version, progress)
    )
    out.print(f"{gone} rows of version {version} are gone; its key can be destroyed")


@app.command()
def verify_audit(
    without_topic: Annotated[
        bool, typer.Option("--without-topic", help="the database alone: a tail that was cut off is not seen then")
    ] = False,
) -> None:
    """Verify the audit: every row, every seal, and what was published of the seals; exits with 1 when something is wrong.

    It shows rows that were altered, inserted or removed, seals that are missing, a tail that was cut off, and a chain that was
    made anew. Needs the key of the audit, and for the last two the topic `audit.seals`.
    """
    from services.card.adapters.published_seals import read_published  # noqa: PLC0415
    from services.card.handlers.verify_audit import Verified  # noqa: PLC0415
    from services.card.handlers.verify_audit import verify_audit as verify  # noqa: PLC0415

    published = [] if without_topic else read_published(required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker"))
    vault = _vault()
    found: list[Verified] = []
    with Progress(console=out, transient=True) as bar:
        progress = partial(_advance, bar, bar.add_task("seals", total=None))

        async def look(engine: AsyncEngine) -> None:
            found.append(await verify(engine, vault, published, progress))

        asyncio.run(_with_engine(None, look))
    verified = found[0]
    out.print(f"{verified.seals:,} seals over {verified.rows:,} rows; {verified.published:,} seals compared with the topic")
    if verified.retired:
        out.print(f"{verified.retired:,} rows were taken away after their time: their digests are proved, they are not")
    if without_topic:
        out.print("the topic was not looked at: a tail that was cut off, or a chain made anew with the key, is not seen")
    for finding in verified.findings[:_SHOWN]:
        out.print(f"✗ {finding.kind.value}: {finding.number}", style="red")
    if verified.findings:
        out.print(f"{len(verified.findings):,} findings", style="red")
        raise typer.Exit(1)
    out.print("the audit is whole", style="green")


@app.command()
def retire_audit() -> None:
    """Take away rows of the audit whose time is over, as the owner of the database; their seals and digests stay."""
    from services.card.adapters.audit_seals import retire  # noqa: PLC0415
    from services.card.adapters.city_settings import read_city_settings  # noqa: PLC0415
    from services.card.config import settings_file  # noqa: PLC0415
    from services.common.database import driver_session  # noqa: PLC0415

    days = read_city_settings(settings_file(os.environ)).retention.audit_days
    gone: list[tuple[int, int]] = []

    async def work(engine: AsyncEngine) -> None:
        async with driver_session(engine) as driver:
            gone.append(await retire(driver, days))

    asyncio.run(_with_engine(required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner"), work))
    seal, rows = gone[0]
    out.print(f"{rows:,} rows older than {days} days are gone, up to seal {seal}" if seal else "nothing is that old")


def _with_progress(
    what: str, url: str | None, work: Callable[[AsyncEngine, Sealing, Callable[[int, int], None]], Awaitable[int]]
) -> int:
    """Do long work on the database with the vault open, and show how far it is."""
    sealing = Sealing(_vault())
    with Progress(console=out, transient=True) as bar:
        task = bar.add_task(what, total=None)
        progress = partial(_advance, bar, task)
        return asyncio.run(_with_engine(url, lambda engine: work(engine, sealing, progress)))


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total or None)


def _vault() -> SoftwareVault:
    return open_token(
        Path(required(os.environ, "ONECARD_VAULT", "the file of the service's token")),
        required(os.environ, "ONECARD_VAULT_PIN", "the PIN of that token"),
    )


async def _with_engine(url: str | None, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    database = url or required(os.environ, "ONECARD_DATABASE_URL", "the role of the card service")
    engine = make_engine(database, "card-operator", sessions=2)
    try:
        return await work(engine)
    finally:
        await engine.dispose()


def main() -> None:
    """Run a command; what a person can mend is said in one line."""
    try:
        app()
    except (ConfigError, CitySettingsError, VaultError, DomainError) as error:
        sys.exit(f"onecard card: {error}")


if __name__ == "__main__":
    main()
