"""Real API processes that share a port, and callers with certificates of their own.

`python -m tests.support.api` is the product's API process; `STOP_AT` in its environment names a point of the posting, at which
arrival there it stops, and the signal that it sends itself. No card registry runs: a heart beats in its place.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.request import urlopen

import asyncpg
import grpc
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.authority import Authority, Issued
from cli.city.metrics import address
from cli.servers.ports import HOST, free_port
from cli.servers.postgres import Postgres
from onecard.card.v1.card_events_pb2 import CardState
from services.common.database import DatabaseError, make_engine
from services.common.grpc.listen import Listen
from services.common.logs import set_up_logs
from services.payments.adapters.cards import Beat
from services.payments.adapters.ledger import pass_by
from services.payments.config import Config
from services.payments.domain.tap import Scene
from services.payments.handlers.callers import grant
from services.payments.handlers.register_merchants import ensure_merchant, ensure_service, ensure_terminal
from services.payments.serve import run_api
from tests.support.client import Client
from tests.support.databases import drop_database, make_database
from tests.support.edge import SERVICE
from tests.support.terminal_keys import vault_settings
from tests.support.town import CAMPUS, FIRST_ACCOUNT, KEY, Database, Town, build_town, now_ms
from tests.support.waiting import until
from tests.support.worker import STOP_AT, Stop, Worker

T = TypeVar("T")

HALL: Final = "HALL"
"""A merchant of the city's own desks; its terminals are windows."""
WINDOWS: Final = 2
BACK_OFFICE, TREASURY, VISITOR = "settlement", "treasury", "visitor"
"""Services: one may post, one may also overdraw, one is registered and may nothing."""
NOBODY: Final = f"{HOST}:1"
SERVING: Final = '"event": "serving"'
CARD: Final = re.compile(r"C\d{15}")
"""A card's identifier, as this town has them."""
ON_A_CONNECTION_OF_ITS_OWN: Final = [("grpc.use_local_subchannel_pool", 1)]


def terminal_subject(merchant_id: str, terminal_id: str) -> str:
    return f"onecard://merchant/{merchant_id}/terminal/{terminal_id}"


def till_subject(number: int = 0, merchant_id: str = CAMPUS) -> str:
    return terminal_subject(merchant_id, f"{merchant_id}-T{number}")


def service_subject(name: str) -> str:
    return f"onecard://service/{name}"


class ApiProcess(Worker):
    """One API process; it ends with the test process whatever happens."""

    module = "tests.support.api"
    _lives = 0

    def start(self, stop: Stop | None = None) -> None:
        super().start(stop)
        self._lives += 1

    async def serves(self, within: float = 90) -> None:
        """Wait until it takes calls."""
        await until(f"{self.name} serves", self._serves, within)

    def _serves(self) -> bool:
        assert self.child.alive, f"{self.name} ended\n{self.child.last_lines()}"
        return self.log.count(SERVING) >= self._lives

    @property
    def metrics_address(self) -> str:
        return address(self._metrics_port)

    def answered(self, method: str) -> float:
        """How many calls of a method it has ended, however they ended."""
        with urlopen(self.metrics_address, timeout=5) as page:
            families = text_string_to_metric_families(page.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "grpc_server_handled_total" and sample.labels["grpc_method"] == method
        )


class Front:
    """Processes before one ledger that share a port, and the authority that signs their callers' certificates."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.authority = Authority(folder / "authority")
        self.processes: list[ApiProcess] = []
        self.folder = folder
        self._port = free_port()

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port}"

    def start(self, stop: Stop | None = None, /, **settings: str) -> ApiProcess:
        """Begin another process; `settings` beside the ordinary ones."""
        process = ApiProcess(f"api-{len(self.processes) + 1}", self.folder, {**self.settings(), **settings})
        self.processes.append(process)
        process.start(stop)
        return process

    def settings(self) -> dict[str, str]:
        """The environment of a process."""
        ours = self.authority.issue(SERVICE, hosts=["localhost", HOST])
        return {
            "ONECARD_DATABASE_URL": self.database.application_url,
            "ONECARD_KAFKA": NOBODY,
            "ONECARD_BATCH_KEY": KEY.key.hex(),
            **vault_settings(),
            "ONECARD_GRPC_LISTEN": self.address,
            "ONECARD_TLS_CERTIFICATE": str(ours.certificate),
            "ONECARD_TLS_KEY": str(ours.key),
            "ONECARD_TLS_AUTHORITY": str(self.authority.certificate),
        }

    async def serve(self) -> None:
        """Wait until all of them take calls."""
        for process in self.processes:
            await process.serves()

    @property
    def log(self) -> str:
        """What all of them have logged."""
        return "".join(process.log for process in self.processes)

    def credentials(self, issued: Issued) -> grpc.ChannelCredentials:
        trusted = self.authority.certificate.read_bytes()
        return grpc.ssl_channel_credentials(trusted, issued.key.read_bytes(), issued.certificate.read_bytes())

    def end(self) -> None:
        for process in self.processes:
            process.end()


async def give_rights(database: Database) -> None:
    """Register services and give them their rights, as the database's owner does."""
    owner = make_engine(database.owner_url, "tests", sessions=1)
    for service, right in ((BACK_OFFICE, "back_office"), (TREASURY, "back_office"), (TREASURY, "overdraft")):
        await grant(owner, service, right)
    async with owner.begin() as connection:
        await ensure_service(connection, VISITOR)
    await owner.dispose()


@contextmanager
def empty_ledger(server: Postgres, folder: Path) -> Iterator[Front]:
    """Two processes before an empty database, with the services as callers. For tests that have no event loop."""
    database = _run_aside(make_database(server))
    _run_aside(give_rights(database))
    front = Front(database, folder)
    try:
        for _ in range(2):
            front.start()
        _run_aside(front.serve())
        yield front
    finally:
        front.end()
        _run_aside(drop_database(database))


def _run_aside(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: the main thread keeps the event loop that the other tests share."""
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(asyncio.run, work).result()


class Api(Front):
    """The processes with a town behind them and callers before them."""

    def __init__(self, database: Database, folder: Path, engine: AsyncEngine, town: Town) -> None:
        super().__init__(database, folder)
        self.engine = engine
        self.town = town
        self._cards = count()
        self._heart: asyncio.Task[None] | None = None
        self._channels: list[grpc.aio.Channel] = []

    def new_card(self) -> int:
        """A card that no other test pays with, with the opening of every card of this town on it."""
        number = next(self._cards)
        assert number in self.town.opened_fen, "open more cards"
        return number

    async def project(self, *states: CardState) -> None:
        """What the worker that follows the card registry would write."""
        await self.town.project(*states)

    def client(self, subject: str, issued: Issued | None = None) -> Client:
        """A caller with a certificate of our authority, or with another one."""
        issued = issued or self.authority.issue(subject)
        channel = grpc.aio.secure_channel(self.address, self.credentials(issued), ON_A_CONNECTION_OF_ITS_OWN)
        self._channels.append(channel)
        return Client(channel, issued)

    def till(self, number: int = 0, merchant_id: str = CAMPUS) -> Client:
        return self.client(till_subject(number, merchant_id))

    def window(self, number: int = 0) -> Client:
        return self.client(terminal_subject(HALL, f"W{number}"))

    def service(self, name: str = BACK_OFFICE) -> Client:
        return self.client(service_subject(name))

    async def beat(self, at_ms: int = 0) -> None:
        """One heartbeat of the card registry, as it is projected."""
        await self.town.projection.store([], {0: Beat(at_ms or now_ms(), 1)})

    def begin_to_beat(self) -> None:
        self._heart = asyncio.create_task(self._keep_beating())

    async def stop_beating(self) -> None:
        if self._heart:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)

    async def _keep_beating(self) -> None:
        while True:
            with suppress(*DatabaseError):  # a test took the database away; it beats again when it is back
                await self.beat()
            await asyncio.sleep(1)

    @asynccontextmanager
    async def lock_held(self, *cards: int) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """Nothing is posted for these cards meanwhile; what it gives tells whether a posting waits for that to end.

        Their postings give up after 5 s and begin again.
        """
        owner = await asyncpg.connect(self.database.owner_url.replace("+asyncpg", ""))
        try:
            async with owner.transaction():
                ids = [FIRST_ACCOUNT + card for card in cards]
                await owner.fetch("select id from payments.account where id = any($1::bigint[]) for update", ids)
                holder = await owner.fetchval("select pg_backend_pid()")

                async def waited_for() -> bool:
                    waiting = "select exists (select from pg_stat_activity where :holder = any(pg_blocking_pids(pid)))"
                    return bool((await self.rows(waiting, holder=holder))[0][0])

                yield waited_for
        finally:
            await owner.close()

    async def rows(self, statement: str, **given: object) -> list[Any]:
        """Ask the database itself."""
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(statement), given))

    def logs_name_nobody(self) -> None:
        """No card is in the logs of the processes, and no fault of ours."""
        assert CARD.findall(self.log) == []
        assert [line for line in self.log.splitlines() if "call_failed" in line or "Traceback" in line] == []

    async def close(self) -> None:
        await self.stop_beating()
        await asyncio.gather(*(channel.close() for channel in self._channels))
        self.end()


@asynccontextmanager
async def open_api(
    database: Database, folder: Path, *, cards: int, opening_fen: int = 10_000, processes: int = 2, **settings: str
) -> AsyncIterator[Api]:
    """A town behind API processes that serve, with the city's windows and services as callers."""
    engine = make_engine(database.application_url, "tests", sessions=10)
    town = await build_town(engine, cards, opening_fen)
    async with engine.begin() as connection:
        await ensure_merchant(connection, HALL, Scene.OFFICE)
        for number in range(WINDOWS):
            await ensure_terminal(connection, HALL, f"W{number}")
    await give_rights(database)
    api = Api(database, folder, engine, town)
    await api.beat()
    api.begin_to_beat()
    try:
        for _ in range(processes):
            api.start(**settings)
        await api.serve()
        yield api
    finally:
        await api.close()
        await engine.dispose()


def main() -> None:
    set_up_logs("payments-api")
    stop = os.environ.get(STOP_AT)
    run_api(Config.from_environment(), Listen.from_environment(), Stop.parse(stop).at() if stop else pass_by)


if __name__ == "__main__":
    main()
