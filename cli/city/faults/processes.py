"""Faults of processes and servers: killed and not brought back, or frozen so that nobody sees them end."""

import signal

from cli.city.backed_up import RECEIVER, back_up
from cli.city.city import CARD_API, City
from cli.city.faults.fault import Fault
from cli.city.people import REGISTRY
from cli.servers.postgres import Postgres

_CAUGHT_UP = frozenset({"AppendLag", "CardProjectionOld", "BatchUnsealed", "TargetDown", "ErrorBudgetFastBurn"})
"""What may be told while workers catch up with what lay meanwhile."""


def _kill(city: City, *names: str) -> None:
    for child in [city.supervisor.hold(name) for name in names]:
        child.kill()


def _bring_back(city: City, *names: str) -> None:
    for name in names:
        city.supervisor.let_go(name)


def _kill_workers(city: City) -> None:
    _kill(city, *city.workers)


def _bring_workers_back(city: City) -> None:
    _bring_back(city, *city.workers)


def _freeze_workers(city: City) -> None:
    for name in city.workers:
        city.supervisor.hold(name).signal(signal.SIGSTOP)


def _thaw_workers(city: City) -> None:
    for name in city.workers:
        city.processes.named(name).signal(signal.SIGCONT)
        city.supervisor.let_go(name)


def _kill_one_worker(city: City) -> None:
    _kill(city, city.workers[-1])


def _bring_one_worker_back(city: City) -> None:
    _bring_back(city, city.workers[-1])


def _back_up(city: City) -> None:
    back_up(city, city.folder / "backups")


WORKERS_FROZEN = Fault(
    "workers-frozen",
    "both stream workers hang: they hold their sessions and partitions, and do and say nothing",
    _freeze_workers,
    _thaw_workers,
    also=_CAUGHT_UP | {"JobDown", "LedgerCheckStale"},
    alone=True,
    seconds=40,
)
WORKERS_AWAY = Fault(
    "workers-away",
    "both stream workers are killed, and nobody starts them again",
    _kill_workers,
    _bring_workers_back,
    also=_CAUGHT_UP | {"LedgerCheckAbsent", "LedgerCheckStale"},
    alone=True,
    seconds=40,
)
WORKER_AWAY = Fault(
    "worker-away",
    "one of two stream workers is killed, and nobody starts it again",
    _kill_one_worker,
    _bring_one_worker_back,
    also=(_CAUGHT_UP - {"TargetDown"}) | {"LedgerCheckAbsent", "LedgerCheckStale"},
    alone=True,
    seconds=65,
)
CARDS_AWAY = Fault(
    "cards-away",
    "the card service is killed, and with it the registry that simulates one: nobody says which cards there are",
    lambda city: _kill(city, CARD_API, REGISTRY),
    lambda city: _bring_back(city, CARD_API, REGISTRY),
    also=frozenset({"JobDown", "TargetDown", "HotlistOld", "ErrorBudgetFastBurn", "AuditUnsealed"}),
    alone=True,
    seconds=80,
)
DATABASE_AWAY = Fault(
    "database-away",
    "PostgreSQL is killed, and nobody starts it again",
    lambda city: _kill(city, Postgres.name),
    lambda city: _bring_back(city, Postgres.name),
    also=(_CAUGHT_UP - {"ErrorBudgetFastBurn"})
    | {"LedgerCheckStale", "LedgerCheckAbsent", "HotlistOld", "HotlistAbsent", "AuditUnsealed", "JobDown", "LowBlankStock"},
    alone=True,
    seconds=120,
)
RECEIVER_AWAY = Fault(
    "receiver-away",
    "whoever receives the write-ahead log in a second place is killed, and nobody starts it again",
    lambda city: _kill(city, RECEIVER),
    lambda city: _bring_back(city, RECEIVER),
    prepare=_back_up,
    seconds=30,
)
