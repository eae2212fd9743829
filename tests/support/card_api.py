"""Real card-service processes that share a port, with a broker and a payments API: each process has several lives.

`python -m tests.support.card_api` is the product's API process. Each point in its arguments ends one of its lives; the last one
goes on. What a life needs is loaded once: a life is a fork of what has loaded it, and differs from a process in nothing else.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGKILL
from typing import Any, Final

import asyncpg
import grpc
import psutil

from cli import paths
from cli.city.cards import compare
from cli.servers.broker import Broker
from cli.servers.child import Child
from onecard.card.v1.card_events_pb2 import CardEvent, CardState
from services.card.adapters.sealing import Sealing
from services.card.config import Config
from services.card.handlers import rotate
from services.card.handlers.settle_money import cash_of
from services.card.serve import run_api
from services.common.database import make_engine
from services.common.grpc.listen import Listen
from services.common.keyvault.software import open_token
from services.common.logs import set_up_logs
from services.common.points import pass_by
from services.common.topics import CARD_EVENTS
from services.payments.handlers.callers import grant
from services.payments.handlers.check_books import check_books
from services.payments.handlers.open_accounts import Opening, open_accounts
from tests.support.api import ApiProcess, Front
from tests.support.cardholders import CLERK, Registry, make_vault
from tests.support.hall import Hall, Window
from tests.support.road import read_topics
from tests.support.town import KEY, Database
from tests.support.waiting import until
from tests.support.worker import Stop, Worker, settings

UNKNOWN: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}
"""Whoever hears this asks again, under the same request id."""
ANSWERED_WITHIN_SECONDS: Final = 180


class CardProcess(ApiProcess):
    """One slot on the port; SIGKILL ends a life of it, and the next one begins."""

    module = "tests.support.card_api"

    def begin(self, stops: Sequence[Stop]) -> None:
        self._stops = stops
        self._environment = {**self._environment, "LIVES": ";".join(map(str, stops))}
        self.start()

    @property
    def spent(self) -> bool:
        """Whether only the last life is left."""
        assert self.child.alive, f"{self.name} ended\n{self.child.last_lines()}"
        return self.log.count("a life ended") >= len(self._stops)

    @property
    def awaited(self) -> str:
        """The point at which the life of now is to end."""
        ended = self.log.count("a life ended")
        return str(self._stops[ended]) if ended < len(self._stops) else ""

    @property
    def life(self) -> psutil.Process | None:
        """The process of now; None: what it needs is still being loaded."""
        return next(iter(self.process.children()), None)

    async def froze(self, within: float = 60) -> None:
        """Wait until the life of now has stopped itself with SIGSTOP."""
        await until(
            f"{self.name} freezes", lambda: (life := self.life) is not None and life.status() == psutil.STATUS_STOPPED, within
        )

    def thaw(self) -> None:
        life = self.life
        assert life is not None
        life.send_signal(SIGCONT)


class CardFront:
    """The card service before its neighbours: what a test kills, and what it asks afterwards."""

    def __init__(self, database: Database, broker: Broker, payments: Front, owner: "asyncpg.Connection[Any]") -> None:
        self.database = database
        self.broker = broker
        self.payments = payments
        self.follower = Worker("worker", payments.folder, settings(database.application_url, broker))
        self.owner = owner
        self.folder = payments.folder
        self.engine = make_engine(database.card_url, "tests", sessions=16)
        self.registry = Registry(self.engine, make_vault(self.folder))
        self.processes: list[CardProcess] = []
        self._started = count(1)
        self.given_fen: Counter[int] = Counter()
        self._front = Front(database, self.folder / "card")
        self._hall = Hall(int(self._front.address.rsplit(":")[-1]), payments.authority, owner, None)  # type: ignore[arg-type]
        self._token = ""

    async def sign_in(self) -> None:
        """The clerk at the one window."""
        self._token = await self._hall.sign_in()

    def _environment(self) -> dict[str, str]:
        ours = self.payments.authority.issue("onecard://service/card", hosts=["localhost", "127.0.0.1"])
        return {
            "ONECARD_DATABASE_URL": self.database.card_url,
            "ONECARD_KAFKA": self.broker.bootstrap,
            "ONECARD_VAULT": str(self.registry.vault.file),
            "ONECARD_VAULT_PIN": "pin of a test",
            "ONECARD_PAYMENTS": self.payments.address,
            "ONECARD_GRPC_LISTEN": self._front.address,
            "ONECARD_TLS_CERTIFICATE": str(ours.certificate),
            "ONECARD_TLS_KEY": str(ours.key),
            "ONECARD_TLS_AUTHORITY": str(self.payments.authority.certificate),
        }

    def start(self, *stops: Stop) -> CardProcess:
        """Begin another process, with a life for each stop and one more."""
        process = CardProcess(f"card-{next(self._started)}", self.folder, self._environment())
        self.processes.append(process)
        process.begin(stops)
        return process

    def fill_index(self, *, killed: bool) -> Child:
        """`fill-index` in a process of its own, which perhaps ends itself when it has brought the first hundreds in."""
        environment = {**self._environment(), "FILL": "killed" if killed else "whole"}
        child = Child("fill", self.folder, [sys.executable, "-m", CardProcess.module], env=environment, cwd=paths.ROOT)
        child.start()
        return child

    def renew(self) -> None:
        """Open the vault again, as every process does that is started after its keys were changed."""
        self.registry = Registry(self.engine, open_token(self.registry.vault.file, "pin of a test"))

    def end_processes(self) -> None:
        for process in self.processes:
            process.end()

    async def spent(self, within: float = 400) -> None:
        """Wait until one process is in its last life; any other that comes there before it ends, so as not to be elected."""
        running = list(self.processes)

        def all_but_one_have_ended() -> bool:
            for process in [process for process in running if process.spent]:
                if len(running) == 1:
                    return True
                process.end()
                running.remove(process)
            return False

        try:
            await until("all lives but the last have ended", all_but_one_have_ended, within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {[p.awaited for p in running]}") from None

    @asynccontextmanager
    async def connection(self, subject: str = CLERK.terminal) -> AsyncIterator[Window]:
        """A terminal with a connection of its own, to whichever process the port leads to."""
        window = Window(self._hall.port, self.payments.authority, subject, self._token if subject == CLERK.terminal else "")
        try:
            yield window
        finally:
            await window.channel.close()

    async def ask(self, method: str, request: Any, subject: str = CLERK.terminal) -> Any:
        """The answer, asked for again on another connection whenever it is not known what became of the request."""
        end = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while time.monotonic() < end:
            async with self.connection(subject) as window:
                try:
                    return await window.ask(method, request)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in UNKNOWN:
                        raise
            await asyncio.sleep(0.05)
        raise AssertionError(f"{method} was never answered")

    async def give(self, holder: int, fen: int) -> None:
        """Money in a purse."""
        engine = make_engine(self.database.application_url, "tests", sessions=1)
        await open_accounts(engine, KEY, [Opening(holder, fen)], lambda _: None)
        await engine.dispose()
        self.given_fen[holder] += fen

    async def depose(self) -> None:
        """End every session of the card processes, as a database does that is restarted: who was elected is so no more."""
        await self.owner.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and application_name ~ '^card-(api|housekeeping) '"""
        )

    async def versions(self, card: int) -> list[int]:
        """Of a card, in the order in which they stand in the topic."""
        identifier = await self.owner.fetchval("select card_identifier from card.card where id = $1", card)
        return [state.version for state in await asyncio.to_thread(self.events) if state.card_identifier == identifier]

    async def at_rest(self, within: float = 90) -> None:
        """Wait until nothing is on its way any more: to payments, or to the broker."""

        async def nothing() -> bool:
            waiting = await self.owner.fetchval(
                """select (select count(*) from card.event_outbox where sent_time is null)
                       + (select count(*) from card.fee f join card.application a on a.id = f.application
                          where f.state = 1 or (f.state = 2 and a.state in (7, 8, 10)))
                       + (select count(*) from card.remainder where not done)
                       + (select count(*) from card.hand_out where not posted)"""
            )
            return bool(waiting == 0)

        await until("nothing is on its way", nothing, within)

    async def balance(self, account: str | int) -> int:
        """Credits minus debits in the ledger; 0 for an account that was never opened."""
        by = "name" if isinstance(account, str) else "id"
        found: int = await self.owner.fetchval(
            f"""select coalesce(sum(fen), 0)::bigint from (
                    select credits_posted_fen - debits_posted_fen as fen from payments.account where {by} = $1
                    union all
                    select c.credits_fen - c.debits_fen from payments.accrual c
                    join payments.account a on a.id = c.account_id where a.{by} = $1) as each_one""",
            account,
        )
        return found

    async def exactly(self) -> None:
        """Ledger, registry, topic and projection agree; each fee has a card, an open application or a refund."""
        await self._money_agrees()
        await self._nobody_is_doubled()
        await self._events_agree()
        compared = await asyncio.to_thread(compare, self.database.owner_url)
        assert compared.problems == []
        engine = make_engine(self.database.application_url, "tests", sessions=1)
        books = await check_books(engine)
        await engine.dispose()
        assert books.balance, books.problem

    async def _money_agrees(self) -> None:
        states = await self.owner.fetch(
            """select f.state, f.source, a.state, a.holder, f.amount_fen, f.terminal
               from card.fee f join card.application a on a.id = f.application"""
        )
        held = earned = cash = 0
        purses = Counter(self.given_fen)
        for state, source, application, holder, fen, _ in states:
            # 7: there is a card; 8 and 10: there will be none; otherwise it is open.
            assert state == {7: 5, 8: 4, 10: 4}.get(application, 2), (state, application)
            if state == 4:
                continue
            held += fen if state == 2 else 0
            earned += fen if state == 5 else 0
            cash += fen if source == 1 else 0
            purses[holder] -= fen if source == 3 else 0
        left = 0
        for holder, paid, handed in await self.owner.fetch("select holder, paid_fen, handed_fen from card.remainder"):
            purses[holder] -= paid
            left += paid - handed
            cash -= handed
        assert (await self.balance("card-fees-held"), await self.balance("card-fees")) == (held, earned)
        assert await self.balance("card-remainders-held") == left
        assert await self.balance(cash_of(CLERK.terminal)) == -cash
        for holder, fen in purses.items():
            assert await self.balance(holder) == fen

    async def _nobody_is_doubled(self) -> None:
        doubled = await self.owner.fetch(
            """select holder from card.card where social in (1, 2, 3, 4) group by holder, kind having count(*) > 1
               union all
               select holder from card.card where social = 0 group by holder, kind having count(*) > 1
               union all
               select holder from card.application where state between 1 and 6 group by holder having count(*) > 1"""
        )
        assert doubled == []

    async def _events_agree(self) -> None:
        """Of each card the topic has its last state last, and never an older one behind a newer one that nobody mended."""
        registry = {row[0]: row[1:] for row in await self.owner.fetch("select card_identifier, version, social from card.card")}
        newest: dict[str, CardState] = {}
        for state in await asyncio.to_thread(self.events):
            newest[state.card_identifier] = state
        assert {card: (s.version, s.status_periods[-1].status - 1) for card, s in newest.items()} == {
            card: tuple(row) for card, row in registry.items()
        }

    def events(self) -> list[CardState]:
        """All that is in card.events but the heartbeats, in order for each card."""
        events = (CardEvent.FromString(value) for _, _, value in read_topics(self.broker.bootstrap, [CARD_EVENTS]))
        return [event.state for event in events if event.HasField("state")]


@asynccontextmanager
async def open_card_front(database: Database, broker: Broker, folder: Path) -> AsyncIterator[CardFront]:
    """Payments serves and follows card.events; a test starts the card processes that it needs."""
    grants = make_engine(database.owner_url, "tests", sessions=1)
    await grant(grants, "card", "back_office")
    await grants.dispose()
    payments = Front(database, folder)
    payments.start()
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    front = CardFront(database, broker, payments, owner)
    front.follower.start()
    try:
        await front.sign_in()
        await payments.serve()
        yield front
    finally:
        front.end_processes()
        front.follower.end()
        payments.end()
        await front.engine.dispose()
        await owner.close()


def main() -> None:
    if how := os.environ.get("FILL"):
        fill(killed=how == "killed")
        return
    lead_lives()


def fill(*, killed: bool) -> None:
    config = Config.from_environment()
    engine = make_engine(config.database_url, "fill", sessions=2)

    def progress(*_: int) -> None:
        if killed:
            os.kill(os.getpid(), SIGKILL)

    asyncio.run(rotate.fill_index(engine, Sealing(open_token(config.vault, config.vault_pin)), progress))


def lead_lives() -> None:
    lead(live)


def lead(live: Callable[[Stop | None], None]) -> None:
    """One life after the other; a life that ends in another way than it was told to ends them all."""
    stops = [Stop.parse(text) for text in os.environ["LIVES"].split(";") if text]
    for stop in stops:
        if (life := os.fork()) == 0:
            live(stop)
        _, status = os.waitpid(life, 0)
        if os.waitstatus_to_exitcode(status) != -SIGKILL:
            sys.exit(f"a life that was to end at {stop} ended with {os.waitstatus_to_exitcode(status)}")
        print(f"a life ended at {stop}", flush=True)  # noqa: T201 - it goes into the log
    if (life := os.fork()) == 0:
        live(None)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(life, 0)[1]))


def live(stop: Stop | None) -> None:
    set_up_logs("card-api")
    run_api(Config.from_environment(), Listen.from_environment(), stop.at() if stop else pass_by)
    os._exit(0)


if __name__ == "__main__":
    main()
