"""The vault as its own process, on a socket and a database of its own, and records that hold blanks."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import asyncpg

from cli import paths
from services.issuance.adapters.blanks import add_place, enter, find_blanks
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.blank import Blank, BlankState, Fence, Verb
from services.issuance.domain.effects import Past
from services.issuance.domain.record import Record, RecordState, Taken
from services.issuance.domain.stage import Stage
from tests.support.blanks import BY_CLERK, BY_KEEPER, CLERK, WINDOW
from tests.support.town import Database
from tests.support.waiting import until

PIN: Final = "pin of the roots"


class VaultProcess:
    """Killed and started again as a test likes."""

    def __init__(self, folder: Path, database: Database, **environment: str) -> None:
        self.folder = folder
        self.socket = folder / "vault.sock"
        self.log = folder / "vault.log"
        url = database.server.url_of("issuance-vault").rsplit("/", 1)[0] + "/" + database.owner_url.rsplit("/", 1)[1]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ONECARD_")},
            "ONECARD_VAULT": str(folder / "chips.token"),
            "ONECARD_VAULT_PIN": PIN,
            "ONECARD_VAULT_SO_PIN": "pin of who unlocks",
            "ONECARD_VAULT_SOCKET": str(self.socket),
            "ONECARD_VAULT_DATABASE_URL": url,
            **environment,
        }
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "services.issuance", *arguments],
            env={**self.environment, **environment},
            cwd=paths.ROOT,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
                [sys.executable, "-m", "services.issuance", "vault-serve"],
                env=self.environment,
                cwd=paths.ROOT,
                stdout=log,
                stderr=log,
            )
        seen = self.log.read_text().count("vault_serving")
        await until("the vault serves", lambda: self._ended() or self.log.read_text().count("vault_serving") > seen)
        assert not self._ended(), self.log.read_text()

    def _ended(self) -> bool:
        return self._child is None or self._child.poll() is not None

    @property
    def pid(self) -> int:
        assert self._child
        return self._child.pid

    def kill(self) -> None:
        assert self._child
        self._child.kill()
        self._child.wait()

    def end(self) -> int:
        """SIGTERM; answers the exit code."""
        if self._child is None:
            return 0
        self._child.terminate()
        return self._child.wait(60)


async def hold(driver: "asyncpg.Connection[Any]", identifier: str, serial: str, product: str, application: int) -> Taken:
    """A record of the clerk's that holds this blank, at the window."""
    await driver.execute(
        "insert into issuance.box (name, product, supplier, count, file_digest) values ($1, $2, 'TEST', 1, '')",
        f"BOX-{serial}",
        product,
    )
    await driver.execute(
        "insert into issuance.blank (serial, card_identifier, product, box) values ($1, $2, $3, $4)",
        serial,
        identifier,
        product,
        f"BOX-{serial}",
    )
    await move(driver, serial, Verb.RECEIVE, BlankState.RECEIVED)
    await move(driver, serial, Verb.BOX, BlankState.BOXED)
    await add_place(driver, WINDOW, "HALL")
    await move(driver, serial, Verb.ASSIGN, BlankState.ASSIGNED, to=WINDOW)
    number = await driver.fetchval(
        """insert into issuance.record (application, serial, staff, shift, terminal, outlet)
           values ($1, $2, $3, 30, $4, 'HALL') returning id""",
        application,
        serial,
        CLERK,
        WINDOW,
    )
    fence = Fence(number, 1)
    await move(driver, serial, Verb.RESERVE, BlankState.RESERVED, fence, application=application)
    await move(driver, serial, Verb.BEGIN, BlankState.PERSONALISING, fence)
    await driver.execute("update issuance.record set state = $2 where id = $1", number, RecordState.TOUCHED)
    record = Record(number, 1, RecordState.TOUCHED, application, serial, Stage(2))
    actor = Actor(CLERK, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**62)
    return Taken(record, await one(driver, serial), Past(), actor)


async def one(driver: "asyncpg.Connection[Any]", serial: str) -> Blank:
    (blank,) = await find_blanks(driver, [serial])
    return blank


async def move(
    driver: "asyncpg.Connection[Any]",
    serial: str,
    verb: Verb,
    state: BlankState,
    fence: Fence | None = None,
    *,
    to: str = "",
    application: int = 0,
) -> None:
    signed = BY_CLERK if fence else BY_KEEPER
    await enter(driver, [(await one(driver, serial), state)], verb, signed, fence, to=to, application=application)
