"""Prove the journal: every digest is made again from the rows, every seal from the digests, and compared with checkpoints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import SHANGHAI, instant, milliseconds, now_ms
from services.common.database import driver_session
from services.common.gone_back import GoneBack, follower, given_up, read_gone_back
from services.payments.adapters.checkpoints import Checkpoint
from services.payments.adapters.proof import EVERY_BATCH, Proved, Prover
from services.payments.adapters.seals import BEFORE_THE_FIRST, CHAIN, gone_back_mac, newest_seal, seal_head, seals_between
from services.payments.adapters.unpack import Batch
from services.payments.domain.seal import Seal, is_hole
from services.payments.handlers.fold_marks import DAYS_BEYOND_THE_HORIZON

_SEALS_AT_ONCE: Final = 1000
_DAY_MS: Final = 24 * 3_600_000
"""A hole that is older than this, seen from the newest seal, is never sealed: see SealBatches."""

_ROWS: Final = text("select coalesce(sum(verdicts + operations + transfers), 0) from payments.batch where number > :after")
_FOLDED: Final = text("select through_batch, before from payments.folded order by through_batch desc limit 1")
_DETACHED: Final = text("select from_time, to_time from payments.detached")


@dataclass(slots=True)
class Verified:
    """What was proved, and the first thing that is wrong."""

    seals: int = 0
    batches: int = 0
    rows: int = 0
    excused: int = 0
    """Batches whose rows were folded or detached: their digests are in the chain, and cannot be made again."""
    unsealed: int = 0
    """Batches that are not sealed yet; their rows agree with their digests."""
    oldest_unsealed_ms: int = 0
    checkpoints: int = 0
    """How many were compared."""
    given_up: int = 0
    """Checkpoints behind a moment that the installation went back to: by its own note they are not compared."""
    problem: str = ""


class _TamperedError(Exception):
    """The first thing that is wrong."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """Whose rows need not be there."""

    folded_through: int
    folded_before_ms: int
    detached_ms: tuple[tuple[int, int], ...]

    def excuses(self, batch: Batch) -> bool:
        return (batch.number <= self.folded_through and batch.now_ms < self.folded_before_ms) or any(
            since <= batch.now_ms < until for since, until in self.detached_ms
        )

    @property
    def latest_ms(self) -> int:
        return max([self.folded_before_ms, *(until for _, until in self.detached_ms)])


async def verify_ledger(
    engine: AsyncEngine,
    keys: Mapping[int, bytes],
    checkpoints: Mapping[int, Sequence[Checkpoint]],
    *,
    horizon_days: int,
    after: Checkpoint | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """Prove the whole chain, or what follows a checkpoint that is trusted. `progress(rows, of rows)` is told now and then.

    It begins anew when rows that it missed were folded or detached meanwhile.
    """
    first = after.last_batch if after else 0
    gone, total = await _survey(engine, first)
    while (found := await _verify(engine, keys, checkpoints, gone, total, horizon_days, after, progress)).problem:
        before = gone
        gone, total = await _survey(engine, first)
        if gone == before:
            break
    return found


async def _verify(
    engine: AsyncEngine,
    keys: Mapping[int, bytes],
    checkpoints: Mapping[int, Sequence[Checkpoint]],
    gone: _Gone,
    total: int,
    horizon_days: int,
    after: Checkpoint | None,
    progress: Callable[[int, int], None],
) -> Verified:
    async with Prover(engine, keys, gone.excuses, after.last_batch if after else 0) as prover:
        verification = _Verification(engine, keys, checkpoints, prover, lambda done: progress(done, total))
        try:
            _refuse_what_is_too_young(gone, horizon_days)
            await verification.run(after)
        except _TamperedError as wrong:
            verification.found.problem = str(wrong)
    return verification.found


async def _survey(engine: AsyncEngine, after: int) -> tuple[_Gone, int]:
    """Whose rows need not be there, and how many there are to come."""
    async with engine.begin() as connection:
        await connection.execute(text("set local transaction_timeout = 0"))
        await connection.execute(text("select payments.summarize_journal()"))
        folded = (await connection.execute(_FOLDED)).first()
        detached = [(milliseconds(since), milliseconds(until)) for since, until in await connection.execute(_DETACHED)]
        rows = await connection.scalar(_ROWS, {"after": after})
    return _Gone(folded[0] if folded else 0, milliseconds(folded[1]) if folded else 0, tuple(detached)), rows


def _refuse_what_is_too_young(gone: _Gone, horizon_days: int) -> None:
    """Otherwise a record of a folding that never was would hide what was removed."""
    kept = timedelta(days=horizon_days + DAYS_BEYOND_THE_HORIZON)
    if gone.latest_ms > now_ms() - kept / timedelta(milliseconds=1):
        raise _TamperedError(
            f"rows are said to be folded or detached up to {_said(gone.latest_ms)}: nothing as young as that may be"
        )


@dataclass(slots=True)
class _Verification:
    """One way along the chain."""

    engine: AsyncEngine
    keys: Mapping[int, bytes]
    checkpoints: Mapping[int, Sequence[Checkpoint]]
    prover: Prover
    progress: Callable[[int], None]
    found: Verified = field(default_factory=Verified)
    passed_rows: int = 0
    gone_back: list[GoneBack] = field(default_factory=list)
    in_holes: dict[int, tuple[Proved, Seal]] = field(default_factory=dict)
    """Batches that were committed after the seal of their number; a later seal must have them."""

    async def run(self, after: Checkpoint | None) -> None:
        async with driver_session(self.engine) as driver:
            self.gone_back = await read_gone_back(driver, CHAIN)
        self._refuse_forged_notes()
        self.found.given_up = sum(given_up(self.gone_back, number) for number in self.checkpoints)
        seal = await self._start(after)
        newest = await self._newest()
        while seals := await self._seals(seal.number, newest.number):
            for following in seals:
                await self._follow(seal, following, limit=seals[-1].last)
                seal = following
        if seal.number < newest.number:
            raise _TamperedError(f"seal {newest.number} was removed a moment ago")
        await self._look_behind(seal)

    async def _start(self, after: Checkpoint | None) -> Seal:
        if after is None:
            return BEFORE_THE_FIRST
        found = await self._seals(after.seal - 1, after.seal)
        if not found or found[0].head != after.head:
            raise _TamperedError(f"seal {after.seal} is not what was published on {_said(after.time_ms)}")
        return found[0]

    def _refuse_forged_notes(self) -> None:
        for time in self.gone_back:
            if time.key_version not in self.keys or gone_back_mac(self.keys[time.key_version], time) != time.mac:
                raise _TamperedError(f"the note that the ledger went back behind seal {time.after_seal} is not by the key")

    async def _newest(self) -> Seal:
        async with self.engine.connect() as connection:
            return await newest_seal(connection)

    async def _seals(self, after: int, upto: int) -> list[Seal]:
        async with self.engine.connect() as connection:
            return await seals_between(connection, after, upto, _SEALS_AT_ONCE)

    async def _follow(self, before: Seal, seal: Seal, limit: int) -> None:
        """One link: nothing between the seals, every batch there, every row as it was digested, the head as it must be."""
        expected = follower(self.gone_back, before.number)
        if seal.number != expected or seal.first != before.last + 1:
            raise _TamperedError(f"seal {expected} was removed or altered: seal {seal.number} does not follow it")
        covered = await self._covered(seal, limit)
        late = [await self._late(number) for number in seal.late]
        for proved in (*late, *covered):
            self._count(proved)
        if seal.batches != len(late) + len(covered):
            raise _TamperedError(f"seal {seal.number} was altered: it counts {seal.batches} batches")
        self._compare_head(before, seal, [proved.digest or b"" for proved in (*late, *covered)])
        self.found.seals += 1

    async def _covered(self, seal: Seal, limit: int) -> list[Proved]:
        covered = []
        expected = seal.first
        for proved in await self.prover.through(seal.last, limit):
            if is_hole(seal.holes, proved.number):
                if proved.digest is None:
                    raise _TamperedError(f"rows were inserted under number {proved.number}, which no batch has")
                self.in_holes[proved.number] = proved, seal
                continue
            expected = _refuse_gap(expected, proved.number, seal)
            _refuse_fault(proved)
            covered.append(proved)
        _refuse_gap(expected, seal.last + 1, seal)
        return covered

    async def _late(self, number: int) -> Proved:
        kept = self.in_holes.pop(number, None)
        proved = kept[0] if kept else await self.prover.one(number)
        if proved is None:
            raise _TamperedError(f"batch {number} was removed, with its rows")
        _refuse_fault(proved)
        return proved

    def _count(self, proved: Proved) -> None:
        self.found.batches += 1
        self.found.excused += proved.excused
        self.found.rows += 0 if proved.excused else proved.rows
        self.passed_rows += proved.rows
        self.progress(self.passed_rows)

    def _compare_head(self, before: Seal, seal: Seal, digests: Iterable[bytes]) -> None:
        key = self.keys.get(seal.key_version)
        if key is None:
            raise _TamperedError(f"seal {seal.number} names version {seal.key_version} of the key, which is not at hand")
        if seal_head(key, before.head, seal, digests) != seal.head:
            raise _TamperedError(
                f"seal {seal.number} was altered, or the chain was made anew from there without the key:"
                f" its head does not follow from seal {before.number} and batches {seal.first} to {seal.last}"
            )
        for checkpoint in self.checkpoints.get(seal.number, ()):
            if (checkpoint.head, checkpoint.last_batch) != (seal.head, seal.last):
                since = max((number for number in self.checkpoints if number < seal.number), default=0)
                raise _TamperedError(
                    f"seal {seal.number} is not what was published on {_said(checkpoint.time_ms)}:"
                    " the chain was cut and went on, or was made anew by somebody who has the key, behind "
                    + (f"seal {since}, which is as it was published" if since else "its beginning")
                )
            self.found.checkpoints += 1

    async def _look_behind(self, seal: Seal) -> None:
        """What is not sealed: the batches of the last moment, and what somebody has put there.

        Seals that were made meanwhile are not proved, but they say what was sealed after all.
        """
        while seals := await self._seals(seal.number, EVERY_BATCH):
            for number in (number for later in seals for number in later.late):
                self.in_holes.pop(number, None)
            seal = seals[-1]
        for number in sorted(self.checkpoints):
            if number > seal.number and not given_up(self.gone_back, number):
                cut = self.checkpoints[number][0]
                raise _TamperedError(
                    f"the tail was cut: on {_said(cut.time_ms)} seal {number} stood at batch {cut.last_batch},"
                    f" now the chain ends with seal {seal.number} at batch {seal.last}"
                )
        for proved, found_by in self.in_holes.values():
            if seal.create_time_ms - found_by.create_time_ms > _DAY_MS or proved.fault:
                raise _TamperedError(f"batch {proved.number} was inserted: seal {found_by.number} found its number unused")
            self._count_unsealed(proved)
        self.prover.skip(seal.last)
        for proved in await self.prover.through(EVERY_BATCH, EVERY_BATCH):
            if proved.digest is None:
                raise _TamperedError(f"rows were inserted under number {proved.number}, which no batch has")
            _refuse_fault(proved)
            self._count_unsealed(proved)

    def _count_unsealed(self, proved: Proved) -> None:
        self.found.unsealed += 1
        oldest_ms = self.found.oldest_unsealed_ms
        self.found.oldest_unsealed_ms = min(oldest_ms or proved.now_ms, proved.now_ms)


def _refuse_gap(expected: int, number: int, seal: Seal) -> int:
    """All numbers before this one must be holes of the seal; answers the next one to be expected."""
    holes = dict(seal.holes)
    while expected < number:
        if expected not in holes:
            raise _TamperedError(f"batch {expected} was removed, with its rows: seal {seal.number} has it")
        expected = holes[expected] + 1
    return number + 1


def _refuse_fault(proved: Proved) -> None:
    if proved.digest is None:
        raise _TamperedError(f"batch {proved.number} was removed, and its rows were left")
    if proved.fault:
        raise _TamperedError(f"batch {proved.number} was altered: {proved.fault}")


def _said(time_ms: int) -> str:
    moment: datetime = instant(time_ms).astimezone(SHANGHAI)
    return f"{moment:%Y-%m-%d %H:%M:%S}"
