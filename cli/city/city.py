"""The city: what starts after what, and the order in which all of it ends."""

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cli import paths
from cli.city.certificates import Certificates, Registered
from cli.city.figures import Figures, Watch
from cli.city.issuance import ISSUANCE_API, ISSUANCE_VAULT, IssuanceHouse, factory_keys, issuance_settings
from cli.city.metrics import Scrape, address, scrape
from cli.city.monitoring import Monitoring
from cli.city.processes import EndingError, Processes
from cli.city.secrets import keep_secret
from cli.city.state import SIMULATED_MERCHANTS, State, mark_runner, runner_file, write_state
from cli.city.steps import Steps
from cli.city.supervisor import Supervisor
from cli.servers.broker import Kind, make_broker
from cli.servers.child import Child
from cli.servers.jars import fetch_jars
from cli.servers.mark import end_leftovers
from cli.servers.ports import HOST, free_port, listening
from cli.servers.postgres import Postgres
from cli.servers.secured_kafka import OF_ONE_MACHINE, SecuredKafka
from cli.servers.valkey import Valkey

PAYMENTS = "services.payments"
CARD = "services.card"
SIMULATION = "simulation"
API = "payments-api"
LIVE = "payments-live"
CARD_API = "card-api"
SMS = "sms"
OUTLET = "440703-01"
OPERATORS = ("operator-1", "operator-2")
OWN_HOLDERS = "alter sequence card.holder_id restart with 1099511627776"
"""The simulated registry's holders lie below: the card service registers its own beside them."""
BANK_EVERY_SECONDS = "5"
"""A city that shows itself does not gather applications for half an hour."""
NO_LIVE_WINDOWS = "no live windows: they need Apache Kafka (BROKER=kafka), for Tansu compacts no topic"
READY_SECONDS = 60.0
FIRST_SECONDS = 120.0
CARDS_KNOWN_SECONDS = 180.0
CARDS_ARE_KNOWN = """
select max(committed_up_to) > now() - interval '3 seconds' and (select count(*) from payments.card) >= {cards}
from payments.card_projection"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of city."""

    cards: int
    rate: float
    workers: int
    broker: Kind
    secured: bool = False
    """Whether the broker asks who comes."""


class City:
    """One city in one folder. `stop` may be called at any moment of its life."""

    def __init__(self, folder: Path, plan: Plan, steps: Steps) -> None:
        self.folder = folder
        self.plan = plan
        self.spools = folder / "spools"
        self._steps = steps
        self._postgres = Postgres(folder)
        self._broker = make_broker(plan.broker, folder, secured=plan.secured)
        self._valkey = Valkey(folder)
        self._workers = [f"payments-{number}" for number in range(1, plan.workers + 1)]
        live = [LIVE] if plan.broker == "kafka" else []
        shown = [*self._workers, *live, API, CARD_API, ISSUANCE_API, ISSUANCE_VAULT, SMS, "taps", "windows"]
        self._ports = {name: free_port() for name in shown}
        self._api_port, self._card_port, self._sms_port = free_port(), free_port(), free_port()
        self._issuance_port = free_port()
        self._monitoring = Monitoring(folder, self._ports, steps)
        self._certificates = Certificates(folder)
        self._checkpoints = folder / "checkpoints.jsonl"
        self._pockets = folder / "pockets.jsonl"
        self._bank = folder / "bank"
        self.plastic = folder / "plastic"
        """Cards and tills."""
        self._state = State(
            runner=mark_runner(folder),
            broker=plan.broker,
            kafka=self._broker.bootstrap,
            redis=self._valkey.address,
            database_url=self._postgres.application_url,
            owner_database_url=self._postgres.owner_url,
            batch_key=keep_secret(folder / "batch.key"),
            spools=str(self.spools),
            api=f"{HOST}:{self._api_port}",
            card_api=f"{HOST}:{self._card_port}",
            certificates=str(self._certificates.folder),
            clerks=str(folder / "clerks.jsonl"),
            issuance_api=f"{HOST}:{self._issuance_port}",
            card=self._card_settings(),
            issuance=self._issuance_settings(),
            payments=self._payments_settings(),
            metrics={name: address(port) for name, port in self._ports.items()},
            checkpoints=str(self._checkpoints),
            backup_database_url=self._postgres.url_of("backup"),
            kafka_users={name: self._as(name) for name in OF_ONE_MACHINE} if plan.secured else {},
            prometheus=self._monitoring.address,
        )
        self._processes = Processes(folder, self.environment)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="starting")
        self._ending = threading.Event()
        self._supervisor: Supervisor | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which services and commands find the city."""
        return self._state.environment()

    @property
    def card_environment(self) -> dict[str, str]:
        """What the commands of the card service need beside it."""
        return self._state.card

    @property
    def issuance_environment(self) -> dict[str, str]:
        """What the commands of issuance need beside it."""
        return self._state.issuance

    @property
    def clerks(self) -> Path:
        """Who can sign in at its windows, a line each."""
        return Path(self._state.clerks)

    @property
    def addresses(self) -> dict[str, str]:
        """Where each process shows its metrics."""
        return self._state.metrics

    @property
    def prometheus(self) -> str:
        """Where all of them together can be asked; empty: Prometheus is not installed."""
        return self._monitoring.address

    def read_metrics(self) -> dict[str, Scrape | None]:
        """One reading of every process that shows metrics."""
        return {name: scrape(port) for name, port in self._ports.items()}

    def start(self) -> None:
        """Bring everything to life, independent things side by side."""
        if ended := end_leftovers(self.folder):
            self._steps.say(f"ended what an earlier run had left: {', '.join(ended)}")
        if not self._postgres.data.exists():
            self._forget_the_past()
        if self.plan.broker == "kafka" and not paths.KAFKA_LIBS.exists():
            with self._steps.step("Apache Kafka's jars"):
                fetch_jars(paths.KAFKA_LIBS, self._steps.say)
        seed, ledger, road = self._begin(self._draw_seed), self._begin(self._start_ledger), self._begin(self._start_road)
        self._await(seed, ledger, road, self._begin(self._start_shared), self._begin(self._make_root))
        write_state(self.folder, self._state)
        sown, api = self._begin(self._sow, seed.result()), self._begin(self._start_api, seed.result())
        self._await(sown, api, *(self._begin(self._start_worker, name) for name in self._workers))
        self._give_rights()
        self._wait_for_cards()
        # Whoever waits sees taps first: the card service would take the processor from what they need.
        self._await(self._begin(self._start_taps), self._begin(self._start_card_service))
        self._monitoring.start(self._start_server)
        self._start_live()
        self._start_bank()
        self._start_issuance()
        self._start_windows()
        self._name_operators()

    def supervise(self, say: Callable[[str], None]) -> None:
        """From now on bring back what dies, and say so."""
        supervisor = self._supervisor = Supervisor(say)
        supervisor.watch("PostgreSQL", lambda: self._postgres.child, self._postgres.start)
        supervisor.watch(self._valkey.name, lambda: self._valkey.child, lambda: self._start_server(self._valkey.start))
        supervisor.watch(self._broker.kind, lambda: self._broker.child, self._revive_broker)
        self._monitoring.watch(supervisor, self._start_server)
        for child in self._processes.kept:
            supervisor.watch(child.name, partial(self._processes.named, child.name), partial(self._processes.start, child))

    def stop_taps(self) -> Child:
        """Tell windows and terminals to do no more; taps end when all outcomes have come, or their patience is over."""
        if self._supervisor:
            for name in ("windows", "taps"):
                self._supervisor.forget(name)
        self._processes.named("windows").ask_to_stop()
        taps = self._processes.named("taps")
        taps.ask_to_stop()
        return taps

    @property
    def windows(self) -> Child:
        """Told to end, they close their shifts first."""
        return self._processes.named("windows")

    def stop(self) -> None:
        """End everything: first what makes work, then what does it, then what keeps it."""
        self._ending.set()
        if self._supervisor:
            self._supervisor.close()
        self._stop_all()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._supervisor:
            self._supervisor.join()
        self._stop_all()  # what a thread was just starting
        (self.folder / "state.json").unlink(missing_ok=True)
        runner_file(self.folder).unlink(missing_ok=True)

    def kill(self) -> None:
        """End everything without letting anybody tidy up; what was committed stays."""
        self._processes.kill()
        self._monitoring.kill()
        self._broker.kill()
        self._valkey.kill()
        self._postgres.kill()
        self.stop()

    def _stop_all(self) -> None:
        for _ in range(2):  # asked a second time the terminals do not wait for outcomes: their spools keep what is due
            if self._processes.ask_to_stop("taps", "windows", "registry"):
                time.sleep(0.2)
        self._processes.stop()
        self._monitoring.stop()
        self._broker.stop()
        self._valkey.stop()
        self._postgres.stop()

    # Servers

    def _start_ledger(self) -> None:
        with self._steps.step("PostgreSQL"):
            self._start_server(self._postgres.start)
        if not self._postgres.data.is_relative_to(self.folder):
            self._steps.say(f"  its user may not enter {self.folder}: its data is in {self._postgres.data} until `make clean`")
        with self._steps.step("ledger schema"):
            self._processes.run("migrate", PAYMENTS, "migrate")

    def _make_root(self) -> None:
        if Path(self._state.payments["ONECARD_VAULT"]).exists():
            return
        with self._steps.step("root of the terminals' keys"):
            env = {**self._state.payments, "ONECARD_VAULT_SO_PIN": keep_secret(self.folder / "payments.so-pin")}
            self._processes.run("payments-vault", PAYMENTS, "vault", "create", "--development", env=env)

    def _start_road(self) -> None:
        with self._steps.step("Apache Kafka" if self.plan.broker == "kafka" else "Tansu, a broker in memory"):
            self._start_server(self._broker.start)
        with self._steps.step("topics"):
            self._create_topics()
        env = self._as("simulation-registry")
        self._processes.keep("registry", SIMULATION, "registry", "--cards", str(self.plan.cards), env=env)

    def _start_shared(self) -> None:
        with self._steps.step("Valkey, what processes share"):
            self._start_server(self._valkey.start)

    def _create_topics(self) -> None:
        env = self._broker.administrator() if isinstance(self._broker, SecuredKafka) else {}
        self._processes.run("create-topics", PAYMENTS, "create-topics", env=env)

    def _give_rights(self) -> None:
        """Each merchant may write its scene's topic, should it come with a certificate of its own."""
        if isinstance(self._broker, SecuredKafka):
            with self._steps.step("rights on Kafka"):
                self._processes.run("rights", PAYMENTS, "kafka", "rights", "--simulation", env=self._broker.administrator())

    def _as(self, user: str) -> dict[str, str]:
        """The variables by which a process comes to Kafka as this user, where Kafka asks who comes."""
        return self._broker.user(user) if isinstance(self._broker, SecuredKafka) else {}

    def _start_server(self, start: Callable[[], None]) -> None:
        if self._ending.is_set():
            raise EndingError
        start()

    def _revive_broker(self) -> None:
        """Tansu comes back empty: topics and cards are made known to it again."""
        self._start_server(self._broker.start)
        self._create_topics()
        self._processes.start(self._registry)  # which ends the one that speaks to the broker of before

    def _forget_the_past(self) -> None:
        """A new ledger knows nothing of what was posted before: spools, topics, checkpoints and the like are the old one's."""
        for name in ("spools", "kafka", "seed", "bank", "plastic"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._checkpoints.unlink(missing_ok=True)
        self._pockets.unlink(missing_ok=True)

    # Merchants, accounts and cards

    def _draw_seed(self) -> dict[str, Path]:
        """The merchants and accounts of a city of this size, as files; they are the same every time."""
        seed = self.folder / "seed"
        with self._steps.step(f"a city of {self.plan.cards:,} cards"):
            self._processes.run("files", SIMULATION, "files", "--cards", str(self.plan.cards), "--out", str(seed))
        return {"register": seed / "registry.jsonl", "open-accounts": seed / "accounts.csv"}

    def _sow(self, seed: Mapping[str, Path]) -> None:
        """Register the merchants and open the accounts, unless this very seed is in the ledger."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in seed.values())).hexdigest()
        sown = self.folder / "seed" / f"sown-{digest}"
        if sown.exists():
            return
        with self._steps.step("merchants, accounts, first top-ups"):
            for command, file in seed.items():
                self._processes.run(command, PAYMENTS, command, str(file))
        sown.touch()

    @property
    def _registry(self) -> Child:
        return self._processes.named("registry")

    def _wait_for_cards(self) -> None:
        """Taps of cards that are on their way would be decided too, but later: a city begins with its cards."""
        with self._steps.step("cards on their way into the ledger"):
            awaited = f"{self.plan.cards:,} cards and a fresh heartbeat of the registry are in the ledger"
            self._registry.wait_ready(self._cards_are_known, awaited, CARDS_KNOWN_SECONDS, every=0.25)

    def _cards_are_known(self) -> bool:
        return self._postgres.scalar(CARDS_ARE_KNOWN.format(cards=self.plan.cards)) == "t"

    # API, workers and taps

    def _start_api(self, seed: Mapping[str, Path]) -> None:
        with self._steps.step("API, and certificates for its callers"):
            register = seed["register"].read_bytes()
            self._certificates.hand_out(msgspec.json.decode(line, type=Registered) for line in register.splitlines())
            environment = {
                **self._state.payments,
                **self._as("payments-api"),
                **self._certificates.of_the_service("payments"),
                "ONECARD_GRPC_LISTEN": self._state.api,
                "ONECARD_METRICS_PORT": str(self._ports[API]),
            }
            child = self._processes.keep(API, PAYMENTS, "serve", env=environment)
            child.wait_ready(lambda: listening(self._api_port), f"it serves on {self._state.api}", READY_SECONDS)

    def _start_card_service(self) -> None:
        with self._steps.step("card service, and its clerks"):
            self._certificates.stand_in_for("issuance")
            environment = {
                **self._state.card,
                **self._certificates.of_the_service("card"),
                **self._certificates.of_the_issuer(),
                "ONECARD_VAULT_SO_PIN": keep_secret(self.folder / "card.so-pin"),
                "ONECARD_METRICS_PORT": str(self._ports[CARD_API]),
                "ONECARD_BANK_FOLDER": str(self._bank),
                "ONECARD_BANK_EVERY_SECONDS": BANK_EVERY_SECONDS,
            }
            if not Path(environment["ONECARD_VAULT"]).exists():
                self._processes.run("card-vault", CARD, "vault", "create", "--development", env=environment)
            self._processes.run("card-migrate", CARD, "migrate", env=environment)
            if self._postgres.scalar("select count(*) from card.holder") == "0":
                self._postgres.scalar(OWN_HOLDERS)
            clerks = ("--outlet", OUTLET, "--out", self._state.clerks)
            self._processes.run("card-clerks", CARD, "create-demo-staff", *clerks, env=environment)
            self._processes.run("card-rights", PAYMENTS, "grant", "card", "back_office")
            self._start_sms_gateway()
            child = self._processes.keep(CARD_API, CARD, "serve", env=environment)
            child.wait_ready(lambda: listening(self._card_port), f"it serves on {self._state.card_api}", READY_SECONDS)

    def _start_issuance(self) -> None:
        with self._steps.step("issuance, and the vault of chips' keys"):
            self._processes.run("issuance-rights", PAYMENTS, "grant", "issuance", "back_office")
            IssuanceHouse(self.folder, self._processes, self._certificates, self._ports, self._state.issuance).start()

    def _name_operators(self) -> None:
        """Two people who may look after dead letters: what one asks, the other approves."""
        with self._steps.step("operators"):
            for name in OPERATORS:
                self._certificates.stand_in_for(name)
                self._processes.run(f"rights-{name}", PAYMENTS, "grant", name, "operator")

    def _issuance_settings(self) -> dict[str, str]:
        payments, card = (f"{HOST}:{port}" for port in (self._api_port, self._card_port))
        settings = issuance_settings(self.folder, self._postgres, self._issuance_port, payments, card)
        return settings | self._as("issuance")

    def _start_sms_gateway(self) -> None:
        """What it is asked before it listens is asked again."""
        options = {"listen": f"{HOST}:{self._sms_port}", "metrics-port": self._ports[SMS]}
        env = self._certificates.of_the_service("sms-gateway")
        self._processes.keep(SMS, SIMULATION, "sms", *(f"--{name}={value}" for name, value in options.items()), env=env)

    def _payments_settings(self) -> dict[str, str]:
        """What those processes and commands of payments need that verify."""
        return {
            "ONECARD_VAULT": str(self.folder / "payments.token"),
            "ONECARD_VAULT_PIN": keep_secret(self.folder / "payments.pin"),
        }

    def _card_settings(self) -> dict[str, str]:
        """What the commands of the card service need, too."""
        return {
            **self._as("card"),
            "ONECARD_DATABASE_URL": self._postgres.url_of("card"),
            "ONECARD_VAULT": str(self.folder / "card.token"),
            "ONECARD_VAULT_PIN": keep_secret(self.folder / "card.pin"),
            "ONECARD_PAYMENTS": f"{HOST}:{self._api_port}",
            "ONECARD_SMS": f"{HOST}:{self._sms_port}",
            "ONECARD_GRPC_LISTEN": f"{HOST}:{self._card_port}",
        }

    def _start_bank(self) -> None:
        """It reads what goes out, and its returns come in."""
        folders = ("--inbox", str(self._bank / "out"), "--outbox", str(self._bank / "in"))
        self._processes.keep("bank", SIMULATION, "bank", *folders)

    def _start_windows(self) -> None:
        files = {"clerks": self._state.clerks, "pockets": self._pockets, "plastic": self.plastic}
        files["factory"] = factory_keys(self.folder)
        options = {**files, "metrics-port": self._ports["windows"]}
        with self._steps.step("windows, and the first card in somebody's hand"):
            arguments = (f"--{name}={value}" for name, value in options.items())
            child = self._processes.keep("windows", SIMULATION, "windows", *arguments)
            child.wait_ready(lambda: "issue" in self._figures().windows, "a card was made", FIRST_SECONDS, every=0.25)

    def _start_worker(self, name: str) -> None:
        port = self._ports[name]
        with self._steps.step(f"worker {name}"):
            env = {**self._state.payments, **self._as("payments-streams"), "ONECARD_METRICS_PORT": str(port)}
            child = self._processes.keep(name, PAYMENTS, "streams", env=env)
            child.wait_ready(lambda: scrape(port) is not None, f"it showed metrics on {address(port)}", READY_SECONDS)

    def _start_live(self) -> None:
        """Nobody waits for its figures: it starts when taps are on their way, and what it missed it reads."""
        if LIVE not in self._ports:
            self._steps.say(NO_LIVE_WINDOWS)
            return
        port = self._ports[LIVE]
        with self._steps.step("live windows"):
            child = self._processes.keep(LIVE, PAYMENTS, "live", env={**self._as(LIVE), "ONECARD_METRICS_PORT": str(port)})
            child.wait_ready(lambda: scrape(port) is not None, f"it showed metrics on {address(port)}", READY_SECONDS)

    def _start_taps(self) -> None:
        options = {
            "rate": self.plan.rate,
            "cards": self.plan.cards,
            "spools": self.spools,
            "pockets": self._pockets,
            "metrics-port": self._ports["taps"],
        }
        with self._steps.step("taps, and the first one in the ledger"):
            arguments = (f"--{name}={value}" for name, value in options.items())
            child = self._processes.keep("taps", SIMULATION, "taps", *arguments, env=self._as(SIMULATED_MERCHANTS))
            child.wait_ready(lambda: self._figures().posted > 0, "a tap was posted", FIRST_SECONDS, every=0.1)
        self._steps.say(f"the first tap was posted {time.time() - psutil.Process().create_time():.1f} s after the start")

    def _figures(self) -> Figures:
        """What has happened since the start. A process that has failed meanwhile ends the waiting for it, too."""
        self._processes.check()
        return Watch().observe(time.monotonic(), self.read_metrics())

    # Threads

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(work, *arguments)

    @staticmethod
    def _await(*futures: Future[Any]) -> None:
        """Wait for all of them, or for the first that fails."""
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
