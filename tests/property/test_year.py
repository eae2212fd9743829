"""A year under the daily upkeep: months come and go, the ledger does not grow with its history, and nothing old posts again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from cli.servers.postgres import Postgres
from services.payments.handlers.keep_up import MONTHS_AHEAD
from services.payments.handlers.migrate import migrate
from tests.support import wanted
from tests.support.memory import quick_folder
from tests.support.year import CARDS, DAYS_A_MONTH, HORIZON_DAYS, MONTHS, TAPS_A_DAY, Month

TAPS_A_MONTH: Final = DAYS_A_MONTH * TAPS_A_DAY
KEPT_MONTHS: Final = (HORIZON_DAYS + 30) // 30 + 1
"""Of verdicts and transfers: what the horizon and thirty days begin in, and the month that runs."""
GROW_WITH_PAYMENTS: Final = {"operation", "seal", "batch", "audited", "terminal_progress"}
"""Some hundred bytes a batch, a seal or an online payment, which are kept for ever (docs/decisions/0011, 0012)."""


@pytest.fixture
def moved_clock() -> Iterator[dict[str, str]]:
    """The environment of whoever lives that year, with a PostgreSQL that lives it, too."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    wanted.require("" if library else "libfaketime is not installed (Debian: faketime)", "ONECARD_FAKETIME")
    with quick_folder() as folder:
        clock = folder / "clock"
        clock.write_text("+0h\n")
        moved = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        server = Postgres(folder, through=["/usr/bin/env", *(f"{name}={value}" for name, value in moved.items())])
        server.start()
        asyncio.run(migrate(server.owner_url))
        yield {**os.environ, **moved, "APPLICATION": server.application_url, "OWNER": server.owner_url}
        server.stop()
        server.remove()


@pytest.mark.slow
def test_a_year_under_the_daily_upkeep(moved_clock: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.support.year", moved_clock["APPLICATION"], moved_clock["OWNER"]]
    lived = subprocess.run(command, env=moved_clock, capture_output=True, text=True, timeout=400, check=False)
    assert lived.returncode == 0, lived.stderr
    months = [msgspec.json.decode(line, type=Month) for line in lived.stdout.splitlines()]

    assert len(months) == MONTHS
    assert [month.problems for month in months] == [[]] * MONTHS, "the books balance and every seal is proved, each month"
    for month in months:
        assert month.ahead == MONTHS_AHEAD, f"{month.month}: the next months have their partitions"
    steady = months[KEPT_MONTHS:]
    for month in steady:
        assert len(month.detached) == 1, f"{month.month}: one month goes as one comes"
        assert month.folded == TAPS_A_MONTH
        assert month.verdicts <= KEPT_MONTHS * TAPS_A_MONTH + 1
        assert month.transfers <= KEPT_MONTHS * DAYS_A_MONTH * (TAPS_A_DAY + CARDS)
    folded = KEPT_MONTHS + 1
    assert {month.oldest_again for month in months[:folded]} == {"NONE"}, "its first verdict"
    assert {month.oldest_again for month in months[folded:]} == {"TOO_LATE"}, "and once that is folded: nothing, for ever"
    for table, size in steady[-1].bytes_by_table.items():
        if table not in GROW_WITH_PAYMENTS:
            assert size <= 1.25 * steady[0].bytes_by_table[table] + 16_384, f"{table} grows with the years"
