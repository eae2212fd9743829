"""PostgreSQL's server is lost with its disk, under load: nothing that was answered is lost, and nothing is posted twice.

Or it goes back to a moment before a mistake: whatever was answered since is in the ledger, or named.

Backups, receipt of the log and restore are the operator's own commands; `onecard restore finish` has the services' parts.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from cli.backup.folder import find_backup
from cli.backup.receive import have_commits_wait, prepare, receiver
from cli.backup.take import take
from cli.backup.tools import BackupError
from cli.restore.finish import NOT_SO, finish, wait_for_end_of_log
from cli.restore.place import place
from cli.servers.broker import Broker
from cli.servers.postgres import Postgres
from cli.servers.quarters import UNPRIVILEGED
from cli.servers.valkey import Valkey
from cli.services import run_payments
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED
from services.payments.adapters.checkpoints import read_checkpoints
from services.payments.handlers.check_books import check_books
from services.payments.handlers.migrate import migrate
from tests.support.api import Api, open_api
from tests.support.memory import quick_folder
from tests.support.outcome_api import OutcomeApi
from tests.support.road import Road, any_tap
from tests.support.rush import Rush
from tests.support.terminals import Terminals
from tests.support.town import Database
from tests.support.waiting import until
from tests.support.worker import settings

pytestmark = pytest.mark.timeout(400)

CARDS = 200
RUSH_CARDS = 60
STREAMING = "select count(*) from pg_stat_replication where application_name = 'onecard_backup' and state = 'streaming'"
a_tap = partial(any_tap, CARDS)


@dataclass(slots=True)
class Installation:
    """Terminals, a broker, workers, an API, and a database server of its own that is backed up elsewhere."""

    server: Postgres
    road: Road
    api: Api
    backups: Path
    services: dict[str, str]
    say: Callable[[str], None]

    async def runs(self) -> None:
        """Workers and an API process, from now on."""
        self.say("two workers and an API process begin; terminals tap, tills pay")
        for _ in range(2):
            self.road.worker()
        process = self.api.start()
        await process.serves()

    def rush(self, first_card: int) -> Rush:
        return Rush(self.api, list(range(first_card, first_card + RUSH_CARDS)))

    @contextmanager
    def received(self) -> Iterator[None]:
        """While this is entered the log is received in a second place."""
        command, env = receiver(self.backups, self.server.url_of("backup"))
        process = subprocess.Popen(command, env=env)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    async def streams(self) -> bool:
        return await asyncio.to_thread(self.server.scalar, STREAMING) == "1"

    async def is_backed_up(self) -> None:
        """Under load; from then on commits wait for the second place."""
        await self.road.posted(batches=10)
        await asyncio.to_thread(take, self.backups, self.server.url_of("backup"), {})
        self.say("a backup is taken; from now on a commit waits until its log lies in the second place, too")
        have_commits_wait(self.server.owner_url)

    def lose_the_server(self) -> None:
        self.say("the database server is killed, and its disk is gone; terminals and tills go on")
        self.server.kill()
        shutil.rmtree(self.server.data)

    async def end_everybody(self) -> None:
        """As the runbook says: nobody may post while the restore goes on."""
        for process in (*self.road.workers, *self.api.processes):
            await asyncio.to_thread(process.child.stop)
        await self.road.engine.dispose()
        await self.api.engine.dispose()

    async def restore(self, folder: Path, until: datetime | None = None) -> None:
        """On another disk, behind the same address; to the end of the log, or up to a moment. Nothing then is not so."""
        passwords = folder / "postgres" / "passwords.json"
        passwords.parent.mkdir(parents=True)
        shutil.copy(self.server.folder / "postgres" / "passwords.json", passwords)
        again = Postgres(folder, self.server.port)
        owner = UNPRIVILEGED if os.geteuid() == 0 else ""
        backup = find_backup(self.backups, before=until)
        lay = partial(place, self.backups, backup, again.data, folder / "files", again.owner_url, owner, until)
        assert await asyncio.to_thread(lay) >= 1
        await asyncio.to_thread(again.start)
        self.server = again
        wait_for_end_of_log(again.owner_url)
        settings = {"payments": {**os.environ, **self.services, "ONECARD_OWNER_DATABASE_URL": again.owner_url}}
        ours = partial(finish, again.owner_url, settings, frozenset(settings), self.say)
        looks = await asyncio.to_thread(ours)
        for look in looks:
            self.say(f"look at: {look.cause}: {look.what_to_do}")
        assert [look for look in looks if look.cause.startswith(NOT_SO)] == []


@pytest.fixture
async def installation(
    broker: Broker,
    valkey_server: Valkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    progress: Callable[[str], None],
) -> AsyncIterator[Installation]:
    monkeypatch.setenv("ONECARD_CHECKPOINTS", str(tmp_path / "checkpoints.jsonl"))
    with quick_folder() as folder, OutcomeApi(tmp_path, broker) as outcomes:
        server = Postgres(folder / "first")
        server.start()
        urls = (server.application_url, server.owner_url, server.url_of("card"), server.url_of("issuance"))
        await migrate(server.owner_url)
        prepare(server.owner_url)
        services = settings(server.application_url, broker) | {"ONECARD_REDIS": valkey_server.address}
        async with open_api(Database(server, *urls), tmp_path, cards=CARDS + 3 * RUSH_CARDS, processes=0) as api:
            outcomes.wait()
            with Terminals(tmp_path, broker.bootstrap, outcomes.access) as terminals:
                road = Road(broker, api.database, api.engine, tmp_path, api.town, terminals)
                made = Installation(server, road, api, folder / "backups", services, progress)
                try:
                    yield made
                finally:
                    road.end()
                    api.end()
                    made.server.remove()
                    server.remove()


async def test_with_the_server_and_its_disk_nothing_that_was_answered_is_lost(installation: Installation) -> None:
    road, folder = installation.road, installation.backups
    before, after = installation.rush(CARDS), installation.rush(CARDS + RUSH_CARDS)
    await installation.runs()
    with road.terminals.tapping(a_tap, per_second=100):
        with installation.received():
            await until("the log is received", installation.streams)
            async with before.on():
                await installation.is_backed_up()
                batches = await road.count("batch")
                await _goes_on(before)
                await until("taps are posted", partial(_more, road, batches + 20))
                with pytest.raises(BackupError, match="a database answers"):
                    place(folder, find_backup(folder), folder / "data", folder / "files", installation.server.owner_url)
                installation.lose_the_server()
        await installation.end_everybody()
        await installation.restore(folder.parent / "second")
        await installation.runs()
        async with after.on():
            await _goes_on(after)
    await road.terminals.answered()
    await road.acknowledged()
    report = await road.exactly()
    await before.exactly()
    await after.exactly()
    assert await asyncio.to_thread(run_payments, ["verify"], {**os.environ, **installation.services}) == 0
    installation.say(f"{report.plain()}\n{before.answered + after.answered:,} answers to payments, each kept")
    with pytest.raises(BackupError, match="its restore is finished"):
        wait_for_end_of_log(installation.server.owner_url)


async def test_back_to_a_moment_every_answer_since_is_in_the_ledger_or_is_named(
    installation: Installation, tmp_path: Path
) -> None:
    road, folder = installation.road, installation.backups
    before, since, after = (installation.rush(CARDS + n * RUSH_CARDS) for n in range(3))
    await installation.runs()
    with road.terminals.tapping(a_tap, per_second=100):
        with installation.received():
            await until("the log is received", installation.streams)
            async with before.on():
                await installation.is_backed_up()
                await _goes_on(before)
            await asyncio.sleep(1)
            moment = datetime.now(UTC)
            await asyncio.sleep(1)
            kept = await road.count("seal")
            async with since.on():
                await _goes_on(since)
            await until("a seal behind the moment is published", lambda: _published(tmp_path) > kept)
            await until("what was answered is published", partial(_outcomes_left, road))
            sealed = await road.count("seal")
            installation.lose_the_server()
        await installation.end_everybody()
        await installation.restore(folder.parent / "second", moment)
        assert await road.count("seal") < sealed
        assert await road.count("gone_back") == 1
        await installation.runs()
        async with after.on():
            await _goes_on(after)
    await road.terminals.answered()
    await road.acknowledged()
    books = await check_books(road.engine)
    assert books.balance, books.problem
    await before.exactly()
    await after.exactly()
    assert await asyncio.to_thread(run_payments, ["verify"], {**os.environ, **installation.services}) == 0
    listed = tmp_path / "answers.jsonl"
    compare = ["compare-outcomes", "--since", moment.isoformat(), "--list", str(listed)]
    assert await asyncio.to_thread(run_payments, compare, {**os.environ, **installation.services}) == 1
    named = [json.loads(line) for line in listed.read_text().splitlines()]
    assert listed.stat().st_mode & 0o777 == 0o600
    causes = Counter(one["difference"] for one in named)
    installation.say(f"the books balance; a person must look at {causes.most_common()}: {listed}")
    gone = {one["request"] for one in named if one["difference"] == "PAYMENT_GONE"}
    approved = {asked.request_id for asked in since.asked if asked.receipt and asked.receipt.decision == DECISION_APPROVED}
    assert approved <= gone <= {asked.request_id for asked in since.asked}
    # Of two taps of a card a moment apart the one may have been accepted before, and the other one now.
    assert {one["difference"] for one in named} <= {"PAYMENT_GONE", "REFUSED_NOW", "POSTED_NOW", "OTHER_AMOUNT"}


def _published(folder: Path) -> int:
    known, _ = read_checkpoints(folder / "checkpoints.jsonl")
    return max(known)


async def _goes_on(rush: Rush) -> None:
    answered = rush.answered
    await until("payments go on", lambda: rush.answered > answered + 100)


async def _outcomes_left(road: Road) -> bool:
    return await road.count("outbox") == 0


async def _more(road: Road, batches: int) -> bool:
    return await road.count("batch") > batches
