"""A town under load whose processes are of two releases: what is replaced by what, and whether everything was exact in the end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGTERM
from subprocess import CompletedProcess
from typing import Any, Final

from google.protobuf.unknown_fields import UnknownFieldSet
from sqlalchemy import text

from onecard.payments.v1.outcomes_pb2 import Outcome
from services.common import topics
from services.common.database import DatabaseError
from services.payments.adapters.cards import Beat
from services.payments.handlers.verify_ledger import Verified, verify_ledger
from tests.support.api import Front
from tests.support.road import Road, any_tap, read_topics
from tests.support.town import KEY, now_ms
from tests.support.waiting import until
from tests.support.worker import settings
from tests.upgrade.processes import Running, Tills
from tests.upgrade.release import Release

CARDS: Final = 200
TAPPED: Final = 150
"""Cards that tap; the others pay at tills."""
DECIDED_BY: Final = 13
"""The field that the next release adds to Outcome."""
SETTLE: Final = f"""
import asyncio, os
from services.common.database import make_engine
from tests.support.town import build_town
async def settle():
    engine = make_engine(os.environ["ONECARD_DATABASE_URL"], "tests", sessions=2)
    await build_town(engine, cards={CARDS})
    await engine.dispose()
asyncio.run(settle())
"""


@dataclass(slots=True)
class City:
    """One road, one port before the ledger, and processes of two releases at it."""

    road: Road
    front: Front
    say: Callable[[str], None]
    tills: Tills = field(init=False)
    running: list[Running] = field(default_factory=list)
    ended: list[Running] = field(default_factory=list)
    seconds_together: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)
    _heart: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        self.tills = Tills(self.front, range(TAPPED, CARDS))

    @property
    def folder(self) -> Path:
        return self.road.folder

    def tell(self, what: str) -> None:
        self.say(f"{time.monotonic() - self._began:5.0f} s  {what}")

    def tap(self) -> Any:
        return any_tap(TAPPED)

    # Processes

    def start(self, release: Release, command: str) -> Running:
        kafka = settings(self.road.database.application_url, self.road.broker)
        environment = self.front.settings() | kafka if command == "serve" else kafka
        environment |= {"ONECARD_GRPC_DRAIN_SECONDS": "5"}
        process = Running(release, command, len(self.running) + len(self.ended) + 1, self.folder, environment)
        self.running.append(process)
        process.start()
        return process

    async def works(self, process: Running) -> None:
        """Wait until it does what it is for."""
        await (process.posted() if process.arguments == ("streams",) else process.serves())

    def of(self, release: Release, command: str) -> list[Running]:
        return [one for one in self.running if one.release == release and one.arguments == (command,)]

    async def end(self, process: Running) -> None:
        """As whoever replaces it ends it; it must end by itself, and well."""
        self.running.remove(process)
        self.ended.append(process)
        process.child.signal(SIGTERM)
        status = await process.died(within=60)
        assert status == 0, f"{process.name} ended with {status}\n{process.child.last_lines()}"

    async def replace(self, old: Running, release: Release) -> None:
        """The new one works before the old one is told to end."""
        new = self.start(release, *old.arguments)
        await self.works(new)
        await self.end(old)
        self.tell(f"{new.name} instead of {old.name}")

    async def roll(self, old: Release, new: Release, *, leave: int = 0) -> None:
        """Replace the processes of a release one by one, but so many of each kind."""
        for command in ("streams", "serve"):
            for process in self.of(old, command)[leave:]:
                await self.replace(process, new)

    async def together(self, seconds: float) -> None:
        """All that run work side by side for so long, and until each of them has done something more."""
        before = {process: process.done for process in self.running}
        began = time.monotonic()
        await asyncio.sleep(seconds)
        for process, done in before.items():
            await until(f"{process.name} does something more", partial(_more, process, done))
        seconds = time.monotonic() - began
        releases = sorted({process.release.name for process in self.running})
        self.seconds_together[" and ".join(releases)] += round(seconds)
        self.tell(f"{' and '.join(releases)} worked side by side for {seconds:.0f} s")

    def crashed(self) -> list[str]:
        return [process.name for process in self.running if not process.child.alive]

    # The schema

    async def migrate(self, release: Release, *options: str, fails: bool = False) -> str:
        """What it says."""
        done: CompletedProcess[str] = await asyncio.to_thread(release.migrate, self.road.database.owner_url, *options)
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        self.tell(f"{release.name}: migrate {' '.join(options)}: {done.stdout.strip().splitlines() or said.strip()[-200:]}")
        return said

    async def settle(self, release: Release) -> None:
        """Merchants, terminals and holders, by the release that is there first."""
        url = self.road.database.application_url
        done = await asyncio.to_thread(release.run, "-c", SETTLE, ONECARD_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr

    # Around

    def begin_to_beat(self) -> None:
        """No card registry runs: a heart beats in its place."""
        self._heart = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            with suppress(*DatabaseError):
                await self.road.town.projection.store([], {0: Beat(now_ms(), 1)})
            await asyncio.sleep(1)

    async def close(self) -> None:
        if self._heart:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)
        for process in self.running:
            process.end()

    # The end

    async def exactly(self) -> "Counted":
        """Every tap and every payment has ended in one way, and the books, digests and seals agree."""
        assert not self.crashed()
        await self.road.terminals.answered()
        await self.road.acknowledged()
        self.tell("every tap is answered, every record acknowledged")
        report = await self.road.exactly()
        assert not report.aside
        self.tell("terminals and ledger agree, books and fares are right")
        verified = await self._sealed()
        self.tell(f"{verified.batches:,} batches are as they were sealed")
        await self._payments_once()
        self.tell("every payment is there once")
        assert await self.road.count("verdict") == report.emitted
        # That each tap was told its verdict the report has compared. This tells by whom.
        outcomes = await self._outcomes(report.emitted)
        return Counted(report.emitted, outcomes, len(self.tills.receipts), verified)

    async def _sealed(self) -> Verified:
        verified = await verify_ledger(self.road.engine, {KEY.version: KEY.key}, {}, horizon_days=180)
        assert not verified.problem, verified.problem
        assert verified.seals
        return verified

    async def _payments_once(self) -> None:
        """Each request that was answered is in the journal once, with what its till was told; nothing else was paid."""
        async with self.road.engine.connect() as connection:
            rows = await connection.execute(
                text("select request_id, outcome, amount_fen, batch, row from payments.operation where kind = 1")
            )
            stored = {row.request_id: (row.outcome == 1, row.amount_fen, (row.batch, row.row)) for row in rows}
        told = {id_: (one.approved, one.amount_fen, one.place) for id_, one in self.tills.receipts.items()}
        assert stored == told

    async def _outcomes(self, taps: int) -> dict[tuple[str, str, int], str]:
        """Of each tap who told it first; a reader of a busy broker may believe too soon that it has come to the end."""
        told: dict[tuple[str, str, int], str] = {}

        async def complete() -> bool:
            nonlocal told
            told = await asyncio.to_thread(self._told)
            return len(told) == taps

        await until("every outcome is in the topic", complete, 120)
        return told

    def _told(self) -> dict[tuple[str, str, int], str]:
        """Of each tap the release that said it first, by a field that ours does not know. However often it was said, it was the same."""
        said: dict[tuple[str, str, int], tuple[bytes, str]] = {}
        for _, _, value in read_topics(self.road.broker.bootstrap, (topics.OUTCOMES,)):
            outcome = Outcome.FromString(value)
            if not outcome.identity.terminal_sequence or outcome.revision:
                continue
            unknown: Any = UnknownFieldSet(outcome)
            by = "".join(one.data.decode() for one in unknown if one.field_number == DECIDED_BY)
            outcome.DiscardUnknownFields()
            key = outcome.identity.merchant_id, outcome.identity.terminal_id, outcome.identity.terminal_sequence
            first = said.setdefault(key, (outcome.SerializeToString(), by))
            assert first[0] == outcome.SerializeToString(), f"two outcomes of {key}"
        return {key: by for key, (_, by) in said.items()}


def _more(process: Running, done: float) -> bool:
    return process.done > done


@dataclass(frozen=True, slots=True)
class Counted:
    """What was shown."""

    taps: int
    outcomes: dict[tuple[str, str, int], str]
    payments: int
    verified: Verified

    def by(self, release: str) -> int:
        return sum(by == release for by in self.outcomes.values())
