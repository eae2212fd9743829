"""The whole city as a person starts it: servers, workers, the simulation with its mischief, and the account at the end."""

import re
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from cli.city.city import NO_LIVE_WINDOWS, Plan
from cli.city.ending import CARDS_AGREE
from cli.city.reconcile import AGREED
from cli.city.run import run_city
from cli.servers.broker import Kind

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def test_a_city_taps_accounts_for_everything_and_leaves_nothing_behind(servers_folder: Path, broker_kind: Kind) -> None:
    folder = servers_folder / "city"
    screen = StringIO()
    status = run_city(folder, Plan(cards=500, rate=300, workers=2, broker=broker_kind), 8, Console(file=screen, width=160))
    said = screen.getvalue()
    assert status == 0, said
    assert AGREED in said, said
    assert CARDS_AGREE in said, said
    assert re.search(r"^[1-9][\d,]* cards of the registry", said, re.MULTILINE), said
    assert ("✓ live windows" if broker_kind == "kafka" else NO_LIVE_WINDOWS) in said, said
    assert "was started again" not in said, said
    assert not [line for p in psutil.process_iter(["cmdline"]) if str(folder) in (line := " ".join(p.info["cmdline"] or ()))]
