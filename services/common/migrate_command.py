"""`migrate` of every service: what a release needs before it starts, and on request what it leaves for later."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.common.environment import required
from services.common.logs import set_up_logs

if TYPE_CHECKING:
    from services.common.migrations import Migrated, Step

Migrate = Callable[[str, "Step"], Coroutine[Any, Any, "Migrated"]]

_LATER = {
    "backfill": "when every process is of this release: migrate --backfill",
    "contract": "when nobody will go back to an older release: migrate --contract",
}


def migrate_command(name: str, find: Callable[[], Migrate]) -> Callable[..., None]:
    """`find` imports it: Alembic takes half a second."""

    def migrate(
        backfill: Annotated[bool, typer.Option("--backfill", help="Also fill what was added, in batches.")] = False,
        contract: Annotated[bool, typer.Option("--contract", help="All of it, also what takes away.")] = False,
    ) -> None:
        """Bring the schema as far as this release needs it, as the owner named by ONECARD_OWNER_DATABASE_URL.

        The older release goes on meanwhile. May be run again at any time, and goes on where it was. With --contract, only after
        the last process of an older release has ended.
        """
        from services.common.migrations import MigrationError  # noqa: PLC0415

        set_up_logs(f"{name}-migrate")
        url = required(os.environ, "ONECARD_OWNER_DATABASE_URL", "the database's owner")
        upto: Step = "contract" if contract else "backfill" if backfill else "expand"
        try:
            migrated = asyncio.run(find()(url, upto))
        except MigrationError as error:
            sys.exit(f"onecard {name}: {error}")
        typer.echo(f"the {name} schema is at {migrated.at}")
        if migrated.next:
            typer.echo(f"{migrated.next} ({migrated.step}) waits: {_LATER[migrated.step]}")

    return migrate
