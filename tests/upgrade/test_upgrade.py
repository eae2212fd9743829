"""One release replaces another under load, goes back, goes forward again and contracts: nothing is lost, nothing is done twice.

The pair is this code and the next release (`next_release.patch`, `next_migrations/`), which gives a hot table a column that becomes
obligatory and an event a field. ONECARD_UPGRADE_FROM names a tag instead: then that release is replaced by this code.
"""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.support.waiting import until
from tests.upgrade.city import City
from tests.upgrade.release import Release

SECONDS: Final = float(os.environ.get("ONECARD_UPGRADE_SECONDS", "5"))
"""For how long both releases work side by side, each time."""
RATE: Final = int(os.environ.get("ONECARD_UPGRADE_RATE", "200"))
FROM: Final = os.environ.get("ONECARD_UPGRADE_FROM", "")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def old(tmp_path: Path) -> Release:
    return Release.of(FROM, tmp_path / "old") if FROM else Release.this()


@pytest.fixture
def new(tmp_path: Path) -> Release:
    return Release.this() if FROM else Release.next(tmp_path / "next")


async def test_a_release_replaces_another_under_load_goes_back_and_forward_again(
    city: City, old: Release, new: Release
) -> None:
    for command in ("streams", "streams", "serve", "serve"):
        city.start(old, command)
    for process in city.of(old, "serve"):
        await city.works(process)
    with city.road.terminals.tapping(city.tap, per_second=RATE), city.tills.paying():
        for process in city.of(old, "streams"):
            await city.works(process)
        if not FROM:
            await _waits_for_the_schema(city, new)
        await city.migrate(new)
        await city.roll(old, new, leave=1)
        await city.together(SECONDS)
        if (old.root / "services/common/schema.py").exists():  # before it, a schema newer than the code was an error
            await city.migrate(old)
        await city.roll(new, old)
        await city.together(SECONDS / 5)
        await city.roll(old, new, leave=1)
        await city.together(SECONDS / 5)
        if not FROM:
            said = await city.migrate(new, "--contract", fails=True)
            assert "cannot come before these have gone, which know nothing of it: payments-" in said
        await city.roll(old, new)
        await city.migrate(new, "--backfill")
        await city.migrate(new, "--contract")
        await city.together(SECONDS / 5)
        if not FROM:
            await _is_refused(city, old)
    counted = await city.exactly()
    if not FROM:
        assert counted.by("next")
        assert counted.by("")
        filled = "verdict v join payments.batch b on b.number = v.batch where v.decide_time = b.now"
        assert await city.road.count(filled) == counted.taps
    city.tell(
        f"{counted.taps:,} taps ({counted.by('next'):,} of them said by the next release) and {counted.payments:,} payments, each"
        f" once; attempts of tills that were made again: {dict(city.tills.asked_again)}; {counted.verified.batches:,} batches proved;"
        f" {len(city.ended)} processes drained; together: {dict(city.seconds_together)} s"
    )


async def _waits_for_the_schema(city: City, new: Release) -> None:
    """A process that comes before its schema says so, and works when the schema has come."""
    early = city.start(new, "serve")
    await until("it says what it awaits", lambda: "waiting_for_schema" in early.log)
    await city.migrate(new)
    await city.works(early)
    await city.end(early)


async def _is_refused(city: City, old: Release) -> None:
    """Behind the contract an old process does not begin."""
    late = city.start(old, "streams")
    city.running.remove(late)
    assert await late.died() == 1
    assert "the payments schema was contracted by" in late.log
