"""The people of the city, who are simulated: riders, whoever keeps their cards, clerks at windows, a bank, a phone network."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.city.certificates import Certificates
from cli.city.figures import Figures
from cli.city.issuance import factory_keys
from cli.city.processes import Processes
from cli.city.steps import Steps
from cli.servers.child import Child
from cli.servers.ports import HOST

SIMULATION = "simulation"
SMS = "sms"
TAPS = "taps"
WINDOWS = "windows"
REGISTRY = "registry"
FIRST_SECONDS = 300.0
CARDS_KNOWN_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many, and how busy."""

    cards: int
    rate: float
    drill: bool
    """Whether nothing goes wrong but what the file of troubles says."""


class People:
    """Starts them. Where they keep what they know begins anew with every ledger."""

    def __init__(
        self,
        folder: Path,
        crowd: Crowd,
        processes: Processes,
        certificates: Certificates,
        ports: Mapping[str, int],
        steps: Steps,
    ) -> None:
        """`ports`: of the metrics."""
        self._folder = folder
        self._crowd = crowd
        self._processes = processes
        self._certificates = certificates
        self._ports = ports
        self._steps = steps
        self._pockets = folder / "pockets.jsonl"
        self.spools = folder / "spools"
        self.bank = folder / "bank"
        self.plastic = folder / "plastic"
        """Cards and tills."""
        self.troubles = folder / "troubles.json"
        """What goes wrong on purpose, while this file says so."""

    def draw(self) -> dict[str, Path]:
        """The merchants and accounts of a city of this size, as files; they are the same every time."""
        seed = self._folder / "seed"
        with self._steps.step(f"a city of {self._crowd.cards:,} cards"):
            self._processes.run("files", SIMULATION, "files", "--cards", str(self._crowd.cards), "--out", str(seed))
        return {"register": seed / "registry.jsonl", "open-accounts": seed / "accounts.csv"}

    def publish_cards(self, env: Mapping[str, str]) -> None:
        """The registry of their cards begins; `env` is how it comes to Kafka."""
        self._processes.keep(REGISTRY, SIMULATION, "registry", "--cards", str(self._crowd.cards), env=env)

    def publish_cards_again(self) -> None:
        """To a broker that came back empty; the registry that speaks to the one of before ends."""
        self._processes.start(self._processes.named(REGISTRY))

    def wait_for_cards(self, known: Callable[[], bool]) -> None:
        """Taps of cards that are on their way would be decided too, but later: a city begins with its cards."""
        with self._steps.step("cards on their way into the ledger"):
            awaited = f"{self._crowd.cards:,} cards and a fresh heartbeat of the registry are in the ledger"
            self._processes.named(REGISTRY).wait_ready(known, awaited, CARDS_KNOWN_SECONDS, every=0.25)

    def tap(self, env: Mapping[str, str], figures: Callable[[], Figures]) -> None:
        """Riders set out; it waits for the first tap in the ledger."""
        options = {
            "rate": self._crowd.rate,
            "cards": self._crowd.cards,
            "spools": self.spools,
            "pockets": self._pockets,
            "metrics-port": self._ports[TAPS],
        }
        with self._steps.step("taps, and the first one in the ledger"):
            child = self._processes.keep(TAPS, SIMULATION, "taps", *self._arguments(options), env=env)
            child.wait_ready(lambda: figures().posted > 0, "a tap was posted", FIRST_SECONDS, every=0.1)
        self._steps.say(f"the first tap was posted {time.time() - psutil.Process().create_time():.1f} s after the start")

    def carry_messages(self, port: int) -> None:
        """The gateway of short messages; what it is asked before it listens is asked again."""
        options = {"listen": f"{HOST}:{port}", "metrics-port": self._ports[SMS]}
        env = self._certificates.of_the_service("sms-gateway")
        self._processes.keep(SMS, SIMULATION, "sms", *(f"--{name}={value}" for name, value in options.items()), env=env)

    def open_bank(self) -> None:
        """It reads what goes out, and its returns come in."""
        folders = {"inbox": self.bank / "out", "outbox": self.bank / "in"}
        self._processes.keep("bank", SIMULATION, "bank", *self._arguments(folders))

    def open_windows(self, clerks: str, figures: Callable[[], Figures]) -> None:
        """Windows and mobile kits; it waits for the first card in somebody's hand."""
        files = {"clerks": clerks, "pockets": self._pockets, "plastic": self.plastic, "factory": factory_keys(self._folder)}
        options = {**files, "metrics-port": self._ports[WINDOWS]}
        with self._steps.step("windows, and the first card in somebody's hand"):
            child = self._processes.keep(WINDOWS, SIMULATION, "windows", *self._arguments(options))
            child.wait_ready(lambda: "issue" in figures().windows, "a card was made", FIRST_SECONDS, every=0.25)

    def _arguments(self, options: Mapping[str, object]) -> list[str]:
        drill = {"troubles": self.troubles} if self._crowd.drill else {}
        return [f"--{name}={value}" for name, value in {**options, **drill}.items()]

    def go_home(self) -> Child:
        """Windows and terminals do no more; answers the taps' process, which ends when all outcomes have come."""
        self._processes.named(WINDOWS).ask_to_stop()
        taps = self._processes.named(TAPS)
        taps.ask_to_stop()
        return taps
