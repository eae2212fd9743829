"""The examples of the SDK, each as the process that a merchant's developer starts, against a town's ledger and broker."""

import ast
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from signal import SIG_DFL, SIGINT, signal
from threading import Thread

import pytest

from cli import paths
from cli.city.certificates import Certificates, Registered
from cli.servers.ports import listening
from sdk.examples import bus_validator, canteen_pos, scenic_gate
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.told import SpoolReader
from services.payments.handlers.register_merchants import RegistryLine, register_merchants
from tests.support.outcome_api import OutcomeApi
from tests.support.outcomes import LISTED
from tests.support.road import Road
from tests.support.town import card_identifier
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)

PATIENCE_SECONDS = 40
MERCHANTS = {bus_validator.MERCHANT: "bus", canteen_pos.MERCHANT: "campus", scenic_gate.MERCHANT: "scenic"}
CARD, OTHER = card_identifier(1), card_identifier(2)


@dataclass(slots=True)
class Example:
    """A program that runs, and what it has printed."""

    process: "subprocess.Popen[str]"
    lines: "Queue[str]"

    def say(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.writelines(f"{line}\n" for line in lines)
        self.process.stdin.flush()

    def printed(self) -> str:
        return self.lines.get(timeout=PATIENCE_SECONDS)

    def ends_at_ctrl_c(self) -> list[str]:
        """Answers what it printed in the end."""
        self.process.send_signal(SIGINT)
        return self._end()

    def ends_with_its_input(self) -> list[str]:
        assert self.process.stdin
        self.process.stdin.close()
        return self._end()

    def _end(self) -> list[str]:
        assert self.process.wait(PATIENCE_SECONDS) == 0
        return list(iter(self.printed, ""))


@pytest.fixture
async def secured(road: Road, tmp_path: Path) -> AsyncIterator[list[str]]:
    """The arguments of an example: broker, API with mutual TLS, certificates, folder; and where the hotlist is."""
    road.worker()
    await register_merchants(
        road.engine,
        [RegistryLine(merchant, scene, ["HANDHELD-1"]) for merchant, scene in MERCHANTS.items()],  # type: ignore[arg-type]  # a scene
    )
    certificates = Certificates(tmp_path)
    certificates.hand_out(Registered(merchant, scene, []) for merchant, scene in MERCHANTS.items())
    api = OutcomeApi(tmp_path / "secured", road.broker, certificates.of_the_service("payments"))
    port = int(api.access.address.rpartition(":")[2])
    with api:
        api.child.wait_ready(lambda: listening(port), "it listens", within=30)
        yield [
            road.broker.bootstrap,
            api.access.address,
            str(certificates.folder),
            str(road.terminals.spools),
            api.access.address,
        ]


def _hears_ctrl_c() -> None:
    """A shell's background job passes on that SIGINT is ignored, and Python then raises no KeyboardInterrupt."""
    signal(SIGINT, SIG_DFL)


@contextmanager
def running(name: str, arguments: list[str]) -> Iterator[Example]:
    command = [sys.executable, "-m", f"sdk.examples.{name}", *arguments]
    with subprocess.Popen(
        command,
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=_hears_ctrl_c,  # noqa: PLW1509 - it sets a signal, and no lock is near
    ) as process:
        example = Example(process, Queue())
        reader = Thread(target=_read, args=[example], daemon=True)
        reader.start()
        try:
            yield example
        finally:
            process.kill()
            reader.join()


def _read(example: Example) -> None:
    assert example.process.stdout
    for line in example.process.stdout:
        example.lines.put(line.rstrip("\n"))
    example.lines.put("")


async def test_a_bus_validator_shows_what_rides_cost_and_a_second_run_counts_on(road: Road, secured: list[str]) -> None:
    with running("bus_validator", secured) as bus:
        await has_hotlist(road, "bus_validator")
        bus.say(LISTED)
        assert bus.printed() == "refused: the card is on the hotlist"
        bus.say(CARD)
        assert bus.printed() == "tap 1: 2.00 yuan"
        bus.say(OTHER)
        assert bus.printed() == "tap 2: 2.00 yuan"
        assert bus.ends_at_ctrl_c() == []
    with running("bus_validator", secured) as bus:
        bus.say(card_identifier(3))
        assert bus.printed() == "tap 3: 2.00 yuan"
        assert bus.ends_with_its_input() == []
    assert (await road.exactly()).posted == 3


async def test_a_canteen_s_till_says_what_is_paid_what_is_not_and_what_was_mistyped(road: Road, secured: list[str]) -> None:
    with running("canteen_pos", secured[:4]) as till:
        till.say(f"abc {CARD}")
        assert till.printed().startswith("say it again")
        words = {f"900 {CARD}": "paid 900 fen", f"15000 {OTHER}": "not paid"}
        for line, word in words.items():
            till.say(line)
            assert till.printed() in {word, "no word yet, it follows"}  # a busy machine
        await until("all is answered", lambda: all_answered(road, "canteen_pos"))
        assert till.ends_at_ctrl_c() == ["verdict 1: 1 meals, 900 fen", "verdict 2: 1 meals, 0 fen"]
    report = await road.exactly()
    assert (report.posted, report.refused) == (1, {"insufficient funds": 1})


async def test_a_gate_opens_when_a_tap_is_kept_and_tells_later_what_came_of_it(road: Road, secured: list[str]) -> None:
    with running("scenic_gate", secured) as gate:
        await has_hotlist(road, "scenic_gate")
        gate.say(LISTED)
        assert gate.printed() == "closed: listed"
        gate.say(CARD, OTHER)
        said = [gate.printed() for _ in range(4)]
        assert sorted(said) == ["open", "open", "tap 1: 0 fen", "tap 2: 0 fen"]  # residents enter free
        assert gate.ends_at_ctrl_c() == ["0 without an outcome, kept for the next run"]
    assert (await road.exactly()).posted == 2


@pytest.mark.parametrize("name", ["bus_validator", "canteen_pos", "scenic_gate"])
def test_an_example_stays_short(name: str) -> None:
    tree = ast.parse((paths.ROOT / "sdk" / "examples" / f"{name}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert sum(1 + (node.end_lineno or 0) - node.lineno for node in functions) <= 42


def all_answered(road: Road, name: str) -> bool:
    return all(tally.verdict for tally in SpoolReader(road.terminals.spools / f"{name}.spool").tallies())


async def has_hotlist(road: Road, name: str) -> None:
    path = road.terminals.spools / f"{name}.hotlist"

    def is_there() -> bool:
        if not path.exists():
            return False
        with Hotlist(path) as hotlist:
            return hotlist.entries == 1

    await until("the hotlist has come", is_there)
