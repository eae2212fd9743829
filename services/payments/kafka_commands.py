"""The commands of Kafka's administrator: `python -m services.payments kafka --help`."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Final

import typer
from kafka.admin import KafkaAdminClient
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.environment import required
from services.common.kafka_security import KafkaSecurity
from services.common.topic_rights import MERCHANTS, SERVICES, SIMULATION, Rights, users_of
from services.payments.adapters import kafka_rights
from services.payments.adapters.topics import connect_admin
from services.payments.domain.tap import Scene
from services.payments.operating import out, with_engine

app = typer.Typer(
    no_args_is_help=True,
    help="Who may come to Kafka, and what each may do there. ONECARD_KAFKA… must be those of Kafka's administrator.",
)
_REGISTERED: Final = text("select merchant_id, scene from payments.merchant where retired_time is null and scene <> :office")
_User = Annotated[str, typer.Argument(metavar="USER", help="such as payments-streams, or merchant.M for the merchant M")]


@app.command()
def rights(
    simulation: Annotated[bool, typer.Option("--simulation", help="also those of a city on one machine")] = False,
    show: Annotated[bool, typer.Option("--show", help="print the table, and ask nobody")] = False,
) -> None:
    """Let Kafka's access control lists say what the table of rights says, for the services and every registered merchant.

    After `register`, run it again. What is too much is taken away; whoever was refused stays refused.
    """
    if show:
        out.print(_table())
        return
    users = users_of(with_engine(_registered), simulation=simulation)
    admin = _administrator()
    try:
        changed = kafka_rights.apply_rights(admin, users, of_merchants=True)
    finally:
        admin.close()
    out.print(f"{len(users)} users have their rights; given: {changed.given}, taken: {changed.taken}")


@app.command()
def user(
    name: _User,
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="where its password is written; it must not exist")],
) -> None:
    """Draw a password for a user, who comes with it from now on; one that the user had counts no longer."""
    password = secrets.token_urlsafe(32)
    # Written first: a password that nobody has would lock out who uses the one before.
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as kept:
        kept.write(password)
    admin = _administrator()
    try:
        kafka_rights.set_passwords(admin, {name: password})
    finally:
        admin.close()
    out.print(f"{name} comes with the password in {file}")


@app.command()
def refuse(name: _User, forget: Annotated[bool, typer.Option("--forget", help="and remove its password")] = False) -> None:
    """Refuse a user from now on, on connections that stand too; `admit` takes it back."""
    admin = _administrator()
    try:
        kafka_rights.refuse(admin, name)
        if forget:
            kafka_rights.remove_password(admin, name)
    finally:
        admin.close()
    out.print(f"{name} is refused from now on")


@app.command()
def admit(name: _User) -> None:
    """Take back what `refuse` did; a password that was removed is not back."""
    admin = _administrator()
    try:
        refused = kafka_rights.admit(admin, name)
    finally:
        admin.close()
    out.print(f"{name} {'may again what the table says' if refused else 'was not refused'}")


def _administrator() -> KafkaAdminClient:
    bootstrap = required(os.environ, "ONECARD_KAFKA", "host:port of a Kafka broker")
    return connect_admin(bootstrap, KafkaSecurity.from_environment(os.environ))


async def _registered(engine: AsyncEngine) -> dict[str, str]:
    """The scene of each merchant."""
    async with engine.connect() as connection:
        rows = await connection.execute(_REGISTERED, {"office": Scene.OFFICE})
        return {merchant_id: Scene(scene).name.lower() for merchant_id, scene in rows}


def _table() -> Table:
    merchants = {f"each merchant, {scene}": rights for scene, rights in MERCHANTS.items()}
    table = Table("user", "may", "what", title="who may do what on Kafka")
    for name, one in {**SERVICES, **merchants, **SIMULATION}.items():
        for operation, names in _words(one).items():
            table.add_row(name, operation, "\n".join(names))
            name = ""  # noqa: PLW2901 - said once
    return table


def _words(one: Rights) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for right in one:
        word = "join the group" if right.resource == "group" and right.operation == "read" else right.operation
        what = f"every {right.resource}" if right.name == "*" else right.name
        found.setdefault(word, []).append(what)
    return found
