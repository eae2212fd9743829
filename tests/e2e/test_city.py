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
from services.card.domain.bank_cause import GUIDANCE, WAYS

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

PERSONAL = {
    "a card": r"(?<![0-9A-Za-z])[0-9A-F]{32}(?![0-9A-Za-z])",
    "a citizen's number": r"(?<![0-9A-Za-z.])[1-9]\d{16}[\dX](?![0-9A-Za-z])",
    "a phone": r"(?<![0-9A-Za-z.])1[3-9]\d{9}(?![0-9A-Za-z.])",
    "a name": r"[\u4e00-\u9fff]{2,}",
}


def personal_in_logs(folder: Path) -> list[tuple[str, str, str]]:
    """(file, what, which) of whatever no line of any process may hold."""
    texts = [(file.name, file.read_text(encoding="utf-8", errors="replace")) for file in sorted(folder.glob("*.log"))]
    assert len(texts) > 10, "the logs of all processes are there"
    for sentence in (*(said.sentence for said in GUIDANCE.values()), *WAYS.values()):  # what a clerk is told of a bank's file
        texts = [(name, text.replace(sentence, "")) for name, text in texts]
    return [(name, what, found) for name, text in texts for what, form in PERSONAL.items() for found in re.findall(form, text)]


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
    assert personal_in_logs(folder / "logs") == []
    assert not [line for p in psutil.process_iter(["cmdline"]) if str(folder) in (line := " ".join(p.info["cmdline"] or ()))]
