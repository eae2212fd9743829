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

from cli.city.certificates import Certificates, Registered
from cli.city.figures import Figures, Watch
from cli.city.issuance import ISSUANCE_API, ISSUANCE_VAULT, IssuanceHouse, issuance_settings
from cli.city.metrics import Scrape, address, scrape
from cli.city.monitoring import Monitoring
from cli.city.people import REGISTRY, SMS, TAPS, WINDOWS, Crowd, People
from cli.city.processes import Processes
from cli.city.secrets import keep_secret
from cli.city.servers import PAYMENTS, Servers
from cli.city.state import SIMULATED_MERCHANTS, State, mark_runner, runner_file, write_state
from cli.city.steps import Steps
from cli.city.supervisor import Supervisor
from cli.servers.broker import Kind
from cli.servers.child import Child
from cli.servers.mark import end_leftovers
from cli.servers.ports import HOST, free_port, listening

CARD = "services.card"
API = "payments-api"
LIVE = "payments-live"
CARD_API = "card-api"
OUTLET = "440703-01"
OPERATORS = ("operator-1", "operator-2")
OWN_HOLDERS = "alter sequence card.holder_id restart with 1099511627776"
"""The simulated registry's holders lie below: the card service registers its own beside them."""
BANK_EVERY_SECONDS = "5"
"""A city that shows itself does not gather applications for half an hour."""
NO_LIVE_WINDOWS = "no live windows: they need Apache Kafka (BROKER=kafka), for Tansu compacts no topic"
DRILL_SCALE = 20.0
"""So many times faster alerts go in a run of faults."""
READY_SECONDS = 60.0
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
    drill: bool = False
    """Whether nothing goes wrong but what somebody does on purpose, and alerts go faster."""


class City:
    """One city in one folder. `stop` may be called at any moment of its life."""

    def __init__(self, folder: Path, plan: Plan, steps: Steps) -> None:
        self.folder = folder
        self.plan = plan
        self._steps = steps
        self._ending = threading.Event()
        self.servers = Servers(folder, plan.broker, secured=plan.secured, steps=steps, ending=self._ending)
        self.workers = [f"payments-{number}" for number in range(1, plan.workers + 1)]
        live = [LIVE] if plan.broker == "kafka" else []
        self.services = [*self.workers, *live, API, CARD_API, ISSUANCE_API, ISSUANCE_VAULT]
        shown = [*self.services, SMS, TAPS, WINDOWS]
        self._ports = {name: free_port() for name in shown}
        self._api_port, self._card_port, self._sms_port = free_port(), free_port(), free_port()
        self._issuance_port = free_port()
        self.monitoring = Monitoring(folder, self._ports, steps, DRILL_SCALE if plan.drill else 1)
        self._certificates = Certificates(folder)
        self._checkpoints = folder / "checkpoints.jsonl"
        self._state = State(
            runner=mark_runner(folder),
            broker=plan.broker,
            kafka=self.servers.broker.bootstrap,
            redis=self.servers.valkey.address,
            database_url=self.servers.postgres.application_url,
            owner_database_url=self.servers.postgres.owner_url,
            batch_key=keep_secret(folder / "batch.key"),
            spools=str(folder / "spools"),
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
            backup_database_url=self.servers.postgres.url_of("backup"),
            kafka_users=self.servers.users(),
            prometheus=self.monitoring.address,
            alertmanager=self.monitoring.alertmanager_address,
        )
        self.processes = Processes(folder, self.environment)
        crowd = Crowd(plan.cards, plan.rate, plan.drill)
        self.people = People(folder, crowd, self.processes, self._certificates, self._ports, steps)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="starting")
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
    def state(self) -> State:
        """What other commands are told of it."""
        return self._state

    @property
    def supervisor(self) -> Supervisor:
        """Who brings back what dies."""
        assert self._supervisor is not None, "nobody supervises it yet"
        return self._supervisor

    def read_metrics(self) -> dict[str, Scrape | None]:
        """One reading of every process that shows metrics."""
        return {name: scrape(port) for name, port in self._ports.items()}

    def start(self) -> None:
        """Bring everything to life, independent things side by side."""
        if ended := end_leftovers(self.folder):
            self._steps.say(f"ended what an earlier run had left: {', '.join(ended)}")
        if not self.servers.postgres.data.exists():
            self._forget_the_past()
        self.servers.fetch()
        seed, ledger, road = self._begin(self.people.draw), self._begin(self._start_ledger), self._begin(self._start_road)
        self._await(seed, ledger, road, self._begin(self.servers.start_shared), self._begin(self._make_root))
        write_state(self.folder, self._state)
        sown, api = self._begin(self._sow, seed.result()), self._begin(self._start_api, seed.result())
        self._await(sown, api, *(self._begin(self._start_worker, name) for name in self.workers))
        self.servers.give_rights(self.processes)
        self.people.wait_for_cards(self._cards_are_known)
        # Whoever waits sees taps first: the card service would take the processor from what they need.
        self._await(self._begin(self._start_taps), self._begin(self._start_card_service))
        self.monitoring.start(self.servers.begin)
        self._start_live()
        self.people.open_bank()
        self._start_issuance()
        self.people.open_windows(self._state.clerks, self._figures)
        self._name_operators()

    def supervise(self, say: Callable[[str], None]) -> None:
        """From now on bring back what dies, and say so; say, too, what Alertmanager tells people."""
        self.monitoring.board.say = say
        supervisor = self._supervisor = Supervisor(say)
        self.servers.watch(supervisor, self._revive_broker)
        self.monitoring.watch(supervisor, self.servers.begin)
        for child in self.processes.kept:
            self.watch(child)

    def watch(self, child: Child) -> None:
        """From now on bring this process back when it dies."""
        self.supervisor.watch(child.name, partial(self.processes.named, child.name), partial(self.processes.start, child))

    def stop_taps(self) -> Child:
        """Tell windows and terminals to do no more; taps end when all outcomes have come, or their patience is over."""
        if self._supervisor:
            for name in (WINDOWS, TAPS):
                self._supervisor.forget(name)
        return self.people.go_home()

    @property
    def windows(self) -> Child:
        """Told to end, they close their shifts first."""
        return self.processes.named(WINDOWS)

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
        self.processes.kill()
        self.monitoring.kill()
        self.servers.kill()
        self.stop()

    def _stop_all(self) -> None:
        for _ in range(2):  # asked a second time the terminals do not wait for outcomes: their spools keep what is due
            if self.processes.ask_to_stop(TAPS, WINDOWS, REGISTRY):
                time.sleep(0.2)
        self.processes.stop()
        self.monitoring.stop()
        self.servers.stop()

    # What is there before anybody taps

    def _start_ledger(self) -> None:
        self.servers.start_ledger(self.folder, self.processes)

    def _start_road(self) -> None:
        self.servers.start_road(self.processes)
        self.people.publish_cards(self.servers.as_user("simulation-registry"))

    def _revive_broker(self) -> None:
        """Tansu comes back empty: topics and cards are made known to it again."""
        self.servers.begin(self.servers.broker.start)
        self.servers.create_topics(self.processes)
        self.people.publish_cards_again()

    def _make_root(self) -> None:
        if Path(self._state.payments["ONECARD_VAULT"]).exists():
            return
        with self._steps.step("root of the terminals' keys"):
            env = {**self._state.payments, "ONECARD_VAULT_SO_PIN": keep_secret(self.folder / "payments.so-pin")}
            self.processes.run("payments-vault", PAYMENTS, "vault", "create", "--development", env=env)

    def _forget_the_past(self) -> None:
        """A new ledger knows nothing of what was posted before: spools, topics, checkpoints and the like are the old one's."""
        for name in ("spools", "kafka", "seed", "bank", "plastic"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("checkpoints.jsonl", "pockets.jsonl", "troubles.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _sow(self, seed: Mapping[str, Path]) -> None:
        """Register the merchants and open the accounts, unless this very seed is in the ledger."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in seed.values())).hexdigest()
        sown = self.folder / "seed" / f"sown-{digest}"
        if sown.exists():
            return
        with self._steps.step("merchants, accounts, first top-ups"):
            for command, file in seed.items():
                self.processes.run(command, PAYMENTS, command, str(file))
        sown.touch()

    def _cards_are_known(self) -> bool:
        return self.servers.postgres.scalar(CARDS_ARE_KNOWN.format(cards=self.plan.cards)) == "t"

    # Services and taps

    def _start_api(self, seed: Mapping[str, Path]) -> None:
        with self._steps.step("API, and certificates for its callers"):
            register = seed["register"].read_bytes()
            self._certificates.hand_out(msgspec.json.decode(line, type=Registered) for line in register.splitlines())
            environment = {
                **self._state.payments,
                **self.servers.as_user("payments-api"),
                **self._certificates.of_the_service("payments"),
                "ONECARD_GRPC_LISTEN": self._state.api,
                "ONECARD_METRICS_PORT": str(self._ports[API]),
            }
            child = self.processes.keep(API, PAYMENTS, "serve", env=environment)
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
                "ONECARD_BANK_FOLDER": str(self.people.bank),
                "ONECARD_BANK_EVERY_SECONDS": BANK_EVERY_SECONDS,
            }
            if not Path(environment["ONECARD_VAULT"]).exists():
                self.processes.run("card-vault", CARD, "vault", "create", "--development", env=environment)
            self.processes.run("card-migrate", CARD, "migrate", env=environment)
            if self.servers.postgres.scalar("select count(*) from card.holder") == "0":
                self.servers.postgres.scalar(OWN_HOLDERS)
            clerks = ("--outlet", OUTLET, "--out", self._state.clerks)
            self.processes.run("card-clerks", CARD, "create-demo-staff", *clerks, env=environment)
            self.processes.run("card-rights", PAYMENTS, "grant", "card", "back_office")
            self.people.carry_messages(self._sms_port)
            child = self.processes.keep(CARD_API, CARD, "serve", env=environment)
            child.wait_ready(lambda: listening(self._card_port), f"it serves on {self._state.card_api}", READY_SECONDS)

    def _start_issuance(self) -> None:
        with self._steps.step("issuance, and the vault of chips' keys"):
            self.processes.run("issuance-rights", PAYMENTS, "grant", "issuance", "back_office")
            IssuanceHouse(self.folder, self.processes, self._certificates, self._ports, self._state.issuance).start()

    def _name_operators(self) -> None:
        """Two people who may look after dead letters: what one asks, the other approves."""
        with self._steps.step("operators"):
            for name in OPERATORS:
                self._certificates.stand_in_for(name)
                self.processes.run(f"rights-{name}", PAYMENTS, "grant", name, "operator")

    def _issuance_settings(self) -> dict[str, str]:
        payments, card = (f"{HOST}:{port}" for port in (self._api_port, self._card_port))
        settings = issuance_settings(self.folder, self.servers.postgres, self._issuance_port, payments, card)
        return settings | self.servers.as_user("issuance")

    def _payments_settings(self) -> dict[str, str]:
        """What those processes and commands of payments need that verify."""
        return {
            "ONECARD_VAULT": str(self.folder / "payments.token"),
            "ONECARD_VAULT_PIN": keep_secret(self.folder / "payments.pin"),
        }

    def _card_settings(self) -> dict[str, str]:
        """What the commands of the card service need, too."""
        return {
            **self.servers.as_user("card"),
            "ONECARD_DATABASE_URL": self.servers.postgres.url_of("card"),
            "ONECARD_VAULT": str(self.folder / "card.token"),
            "ONECARD_VAULT_PIN": keep_secret(self.folder / "card.pin"),
            "ONECARD_PAYMENTS": f"{HOST}:{self._api_port}",
            "ONECARD_SMS": f"{HOST}:{self._sms_port}",
            "ONECARD_GRPC_LISTEN": f"{HOST}:{self._card_port}",
        }

    def _start_worker(self, name: str) -> None:
        port = self._ports[name]
        with self._steps.step(f"worker {name}"):
            env = {**self._state.payments, **self.servers.as_user("payments-streams"), "ONECARD_METRICS_PORT": str(port)}
            child = self.processes.keep(name, PAYMENTS, "streams", env=env)
            child.wait_ready(lambda: scrape(port) is not None, f"it showed metrics on {address(port)}", READY_SECONDS)

    def _start_live(self) -> None:
        """Nobody waits for its figures: it starts when taps are on their way, and what it missed it reads."""
        if LIVE not in self._ports:
            self._steps.say(NO_LIVE_WINDOWS)
            return
        port = self._ports[LIVE]
        with self._steps.step("live windows"):
            child = self.processes.keep(
                LIVE, PAYMENTS, "live", env={**self.servers.as_user(LIVE), "ONECARD_METRICS_PORT": str(port)}
            )
            child.wait_ready(lambda: scrape(port) is not None, f"it showed metrics on {address(port)}", READY_SECONDS)

    def _start_taps(self) -> None:
        self.people.tap(self.servers.as_user(SIMULATED_MERCHANTS), self._figures)

    def _figures(self) -> Figures:
        """What has happened since the start. A process that has failed meanwhile ends the waiting for it, too."""
        self.processes.check()
        return Watch().observe(time.monotonic(), self.read_metrics())

    # Threads

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(work, *arguments)

    @staticmethod
    def _await(*futures: Future[Any]) -> None:
        """Wait for all of them, or for the first that fails."""
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
