"""The commands of the card service: `python -m services.card --help`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters.city_settings import CitySettingsError
from services.card.adapters.issuer import IssuerError
from services.card.adapters.sealing import Sealing
from services.card.config import Config
from services.card.keys import KEYS
from services.card.migrations import SCHEMA
from services.common.build import show_build
from services.common.clock import read_moment
from services.common.database import make_engine
from services.common.environment import ConfigError, required
from services.common.errors import BrokerAwayError, DomainError
from services.common.gone_back import PASSED_OVER
from services.common.kafka_security import KafkaSecurity
from services.common.keyvault.commands import vault_commands
from services.common.keyvault.software import SoftwareVault, open_token
from services.common.keyvault.vault import VaultError
from services.common.logs import set_up_logs
from services.common.migrate_command import Migrate, migrate_command
from services.common.schema import SchemaError
from services.common.tracing import set_up_tracing

T = TypeVar("T")

app = typer.Typer(
    help="The card service: applications, the life of a card, holders. Settings come from ONECARD_… variables (see config.py).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(vault_commands("card", KEYS), name="vault")
out = Console()


def _migrate() -> Migrate:
    from services.card.handlers.migrate import migrate  # noqa: PLC0415 - Alembic takes its time to import

    return migrate


app.command("migrate")(migrate_command("card", _migrate))


@app.command()
def serve() -> None:
    """Work: answer windows, kiosks and employers over gRPC, until SIGTERM. Several may share a port."""
    from services.card.serve import run_api  # noqa: PLC0415
    from services.common.grpc.listen import Listen  # noqa: PLC0415

    set_up_logs("card-api")
    set_up_tracing("card-api")
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
        "This is shown once. What to do next:\n"
        "1. At the window: onecard admin make-request WINDOW --office OFFICE --certificates FOLDER\n"
        "2. Here: python -m services.card enrol-first-terminal WINDOW@OFFICE.csr --out WINDOW@OFFICE.crt, back to that folder\n"
        f"3. At the window: onecard window sign-in {login} --first, which asks for another password\n"
        "4. onecard admin create-staff LOGIN --role security_administrator --outlet '': nobody changes their own account\n"
        "5. The same for an operator, an auditor, supervisors and clerks; then onecard admin request-terminal for the others",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def enrol_first_terminal(
    signing_request: Annotated[Path, typer.Argument(help="of `onecard admin make-request`", exists=True, dir_okay=False)],
    out_file: Annotated[Path, typer.Option("--out", help="where the certificate is written")],
    outlet: Annotated[str, typer.Option(help="where it stands")] = "",
) -> None:
    """Issue the certificate of the window at which the first administrator signs in; refused while any terminal has a good one.

    Needs ONECARD_ISSUER_CERTIFICATE and ONECARD_ISSUER_KEY. Every later terminal is approved by a second person.
    """
    from services.card.adapters.city_settings import read_city_settings  # noqa: PLC0415
    from services.card.adapters.issuer import Issuer, read_signing_request  # noqa: PLC0415
    from services.card.config import settings_file  # noqa: PLC0415
    from services.card.handlers.enrol_terminal import enrol_first  # noqa: PLC0415
    from services.card.handlers.once import transact  # noqa: PLC0415

    issuer = Issuer(
        Path(required(os.environ, "ONECARD_ISSUER_CERTIFICATE", "the certificate of the issuing authority")),
        Path(required(os.environ, "ONECARD_ISSUER_KEY", "its key")),
        os.environ.get("ONECARD_ISSUER_PASSWORD", ""),
    )
    rules = read_city_settings(settings_file(os.environ)).terminal
    request = read_signing_request(signing_request.read_text())

    async def enrol(engine: AsyncEngine) -> str:
        return await transact(engine, lambda driver: enrol_first(driver, issuer, rules, request, outlet))

    out_file.write_text(asyncio.run(_with_engine(None, enrol)))
    out.print(f"the certificate of {request.subject} is in {out_file}", highlight=False)


@app.command()
def create_demo_staff(
    out_file: Annotated[Path, typer.Option("--out", help="where everything that it takes to sign in is written, a line each")],
    outlet: Annotated[str, typer.Option(help="where they work")],
) -> None:
    """Make clerks, supervisors, a blank keeper and a hotline for a city that shows itself: with a development token alone.

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
    wanted = {f"clerk-{number}": Role.CLERK for number in range(1, 6)}
    wanted |= {"chief-1": Role.SUPERVISOR, "chief-2": Role.SUPERVISOR}
    wanted |= {"keeper-1": Role.BLANK_KEEPER, "hotline-1": Role.HOTLINE}
    made: list[ShownAccount] = []

    async def make(engine: AsyncEngine) -> None:
        made.extend(await Accounts(engine, vault, passwords).create_for_show(wanted, outlet))

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

    A process that knows no newer version is refused from then on; those that know both go on.
    """
    from services.card.handlers.rotate import retire_index as retire  # noqa: PLC0415

    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    gone = _with_progress(
        "taking rows away", owner, lambda engine, sealing, progress: retire(engine, sealing, version, progress)
    )
    out.print(f"{gone} rows of version {version} are gone; its key can be destroyed")


@app.command()
def after_restore(
    pass_over: Annotated[
        int, typer.Option(min=1, help="how many numbers of each kind are passed over: more than were drawn since the backup")
    ] = PASSED_OVER,
) -> None:
    """In a database that was restored: draw no number again, and announce every card anew, in another epoch.

    Run it before anybody is served, as the owner named by ONECARD_OWNER_DATABASE_URL; then reapply-deletions.
    """
    from services.card.handlers.after_restore import after_restore as restored  # noqa: PLC0415

    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    with _progress("announcing cards anew") as progress:
        work = partial(restored, passed_over=pass_over, progress=progress)
        done = asyncio.run(_with_engine(owner, work, patient=True))
    out.print(f"{done.cards:,} cards are announced anew, in epoch {done.epoch}; next: reapply-deletions")


@app.command()
def go_back(
    to: Annotated[int, typer.Option(parser=read_moment, metavar="TIME", help="the moment, as 2026-11-28T12:00:00+08:00")],
    list_to: Annotated[Path | None, typer.Option("--list", metavar="FILE", help="a line for each card to look at")] = None,
) -> None:
    """In a database that was restored to an earlier moment: do again what was published since, as far as it bars a card.

    Losses, locks and cancellations of `card.events` are done again; cards that were made since are cancelled everywhere; what
    else was published is named, for a person. The seals of the audit that were published since are given up.
    Run it before anybody is served, as the owner named by ONECARD_OWNER_DATABASE_URL; then after-restore.
    """
    from services.card.adapters.audit import BOOK  # noqa: PLC0415
    from services.card.adapters.city_settings import read_city_settings  # noqa: PLC0415
    from services.card.config import settings_file  # noqa: PLC0415
    from services.card.handlers.reapply_states import Cause, Reapplied, reapply_states  # noqa: PLC0415
    from services.common.announce import Announcer  # noqa: PLC0415
    from services.common.audit.go_back import go_back as give_up  # noqa: PLC0415
    from services.common.audit.published import read_published  # noqa: PLC0415
    from services.common.topic_reader import read_topic  # noqa: PLC0415
    from services.common.topics import CARD_EVENTS  # noqa: PLC0415

    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    kafka = required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    security = KafkaSecurity.from_environment(os.environ)
    rules, vault = read_city_settings(settings_file(os.environ)).life, _vault()
    reapplied: list[Reapplied] = []

    def named(cause: Cause, card: str) -> None:
        """What was done by a run that was cut off is named by that run alone, so the list only grows."""
        if list_to:
            with open(os.open(list_to, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as lines:
                lines.write(f"{cause.name} {card}\n")

    async def work(engine: AsyncEngine) -> None:
        kept, given_up = await give_up(engine, BOOK, vault, read_published(kafka, BOOK.service, security), to)
        out.print(f"seals {kept + 1} to {given_up} of the audit are given up" if given_up > kept else "no seal is given up")
        announcer = Announcer(kafka, security)
        await announcer.start()
        try:
            published = read_topic(kafka, CARD_EVENTS, security)
            reapplied.append(await reapply_states(engine, announcer, rules, published, to, named))
        finally:
            await announcer.stop()

    asyncio.run(_with_engine(owner, work, patient=True))
    (done,) = reapplied
    out.print(f"{done.barred:,} cards are lost, locked or cancelled again")
    for cause, cards in done.cards.items():
        out.print(f"{len(cards):,} cards were {cause.value}")
    if done.strangers:
        out.print(f"{done.strangers:,} cards of others were published before the moment: nothing is done about them")


@app.command()
def reapply_deletions() -> None:
    """Delete again, in a database that was restored, whoever was deleted since its backup: by the topic `card.deletions`.

    Run it before anybody is served; it may be cut off and run again.
    """
    from services.card.handlers.delete_holder import reapply_deletions as reapply  # noqa: PLC0415
    from services.common.topic_reader import read_topic  # noqa: PLC0415
    from services.common.topics import CARD_DELETIONS  # noqa: PLC0415

    kafka = required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    listed = list(read_topic(kafka, CARD_DELETIONS, KafkaSecurity.from_environment(os.environ)))
    sealing, back = Sealing(_vault()), list[int]()

    async def work(engine: AsyncEngine) -> None:
        back.append(await reapply(engine, sealing, listed))

    asyncio.run(_with_engine(None, work, patient=True))
    out.print(f"{len(listed)} deletions are listed; {back[0]} holders were back, and are deleted again")


@app.command()
def verify_audit(
    without_topic: Annotated[
        bool, typer.Option("--without-topic", help="the database alone: a tail that was cut off is not seen then")
    ] = False,
) -> None:
    """Verify the audit: every row, every seal, and what was published of the seals; exits with 1 when something is wrong.

    It shows rows that were altered, inserted or removed, seals that are missing, a tail that was cut off, and a chain that was
    made anew. Needs the key of the audit, and for the last two the topic `audit.seals`. A row may be gone whose seal is older
    than the city's audit_days.
    """
    from services.card.adapters.audit import BOOK  # noqa: PLC0415
    from services.card.adapters.city_settings import read_city_settings  # noqa: PLC0415
    from services.card.config import settings_file  # noqa: PLC0415
    from services.common.audit.published import read_published  # noqa: PLC0415
    from services.common.audit.report import print_verified  # noqa: PLC0415
    from services.common.audit.seals import over_before  # noqa: PLC0415
    from services.common.audit.verify import Verified  # noqa: PLC0415
    from services.common.audit.verify import verify_audit as verify  # noqa: PLC0415
    from services.common.clock import now_ms  # noqa: PLC0415

    over_before_ms = over_before(read_city_settings(settings_file(os.environ)).retention.audit_days, now_ms())
    kafka = "" if without_topic else required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    security = KafkaSecurity.from_environment(os.environ)
    vault = _vault()
    found: list[Verified] = []
    with _progress("seals") as progress:

        async def look(engine: AsyncEngine) -> None:
            published = read_published(kafka, BOOK.service, security) if kafka else ()
            found.append(await verify(engine, BOOK, vault, published, over_before_ms, progress))

        asyncio.run(_with_engine(None, look, patient=True))
    if not print_verified(out, found[0], with_topic=bool(kafka)):
        raise typer.Exit(1)


@app.command()
def hotlist(
    out_file: Annotated[Path | None, typer.Option("--out", help="a file for it; without one it is printed")] = None,
) -> None:
    """Write the newest hotlist: epoch, version, when it was published and how many cards it names, then a card a line."""
    from services.card.adapters.hotlist import Hotlist, newest_hotlist, read_standing  # noqa: PLC0415
    from services.common.clock import instant  # noqa: PLC0415
    from services.common.database import driver_session  # noqa: PLC0415

    found: list[tuple[Hotlist, list[str]]] = []

    async def look(engine: AsyncEngine) -> None:
        async with driver_session(engine) as driver, driver.transaction(isolation="repeatable_read", readonly=True):
            found.append((await newest_hotlist(driver), [identifier async for identifier in read_standing(driver)]))

    asyncio.run(_with_engine(None, look, patient=True))
    ((newest, cards),) = found
    header = f"{newest.epoch}|{newest.version}|{instant(newest.publish_ms).isoformat()}|{len(cards)}"
    text = "".join(f"{line}\n" for line in (header, *cards))
    if out_file:
        out_file.write_text(text, encoding="utf-8")
    else:
        typer.echo(text, nl=False)


@app.command()
def retire_audit() -> None:
    """Take away rows of the audit whose time is over, as the owner named by ONECARD_OWNER_DATABASE_URL.

    Their seals and digests stay. It may be cut off and run again.
    """
    from services.card.adapters.city_settings import read_city_settings  # noqa: PLC0415
    from services.card.config import settings_file  # noqa: PLC0415
    from services.card.handlers.retire_audit import retire_audit as retire  # noqa: PLC0415
    from services.common.audit.seals import over_before  # noqa: PLC0415
    from services.common.clock import now_ms  # noqa: PLC0415

    days = read_city_settings(settings_file(os.environ)).retention.audit_days
    owner = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
    with _progress("taking rows away") as progress:
        work = partial(retire, over_before_ms=over_before(days, now_ms()), progress=progress)
        gone = asyncio.run(_with_engine(owner, work, patient=True))
    said = f"{gone.rows:,} rows older than {days} days are gone, up to seal {gone.up_to_seal}"
    out.print(said if gone.seals else "nothing is that old")


def _with_progress(
    what: str, url: str | None, work: Callable[[AsyncEngine, Sealing, Callable[[int, int], None]], Awaitable[int]]
) -> int:
    """Do long work on the database with the vault open, and show how far it is."""
    sealing = Sealing(_vault())
    with _progress(what) as progress:
        return asyncio.run(_with_engine(url, lambda engine: work(engine, sealing, progress), patient=True))


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for long work, which tells how many are done, of how many."""
    with Progress(console=out, transient=True) as bar:
        yield partial(_advance, bar, bar.add_task(what, total=None))


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total or None)


def _vault() -> SoftwareVault:
    return open_token(
        Path(required(os.environ, "ONECARD_VAULT", "the file of the service's token")),
        required(os.environ, "ONECARD_VAULT_PIN", "the PIN of that token"),
    )


async def _with_engine(url: str | None, work: Callable[[AsyncEngine], Awaitable[T]], *, patient: bool = False) -> T:
    """`patient`: the work has statements over everybody, or over the whole audit."""
    database = url or required(os.environ, "ONECARD_DATABASE_URL", "the role of the card service")
    engine = make_engine(database, SCHEMA.session("card-operator"), sessions=2, patient=patient)
    try:
        return await work(engine)
    finally:
        await engine.dispose()


def main() -> None:
    """Run a command; what a person can mend is said in one line."""
    try:
        app()
    except (BrokerAwayError, ConfigError, CitySettingsError, IssuerError, VaultError, SchemaError, DomainError) as error:
        sys.exit(f"onecard card: {error}")


if __name__ == "__main__":
    main()
