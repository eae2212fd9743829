"""Where the ledger under test is, and as whom the suite speaks to it. Without an address it starts a ledger of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from .client import Caller, Ledger, Target


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ledger", "the ledger that the conformance suite speaks to")
    group.addoption("--ledger-address", help="host:port; without it the suite starts a ledger of its own")
    group.addoption("--ledger-authority", type=Path, help="PEM: who signed the server's certificate")
    group.addoption("--ledger-certificate", type=Path, help="PEM: a service with the back-office right, without overdraft")
    group.addoption("--ledger-key", type=Path, help="PEM: its key")
    group.addoption("--ledger-overdraft-certificate", type=Path, help="PEM: a service with both rights")
    group.addoption("--ledger-overdraft-key", type=Path, help="PEM: its key")
    group.addoption("--ledger-subject", default="", help="in plain text: the URI of the first service")
    group.addoption("--ledger-overdraft-subject", default="", help="in plain text: the URI of the second")
    group.addoption("--ledger-metrics", action="append", default=[], help="URL of a process's metrics; once a process")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The ledger under test."""
    # A run of all tests reads this file too late for its options: then there is no address, either.
    address = request.config.getoption("--ledger-address", default=None)
    with nullcontext(_named(address, request.config)) if address else _own(request) as target:
        yield target


def _named(address: str, config: pytest.Config) -> Target:
    option = config.getoption
    authority = option("--ledger-authority")
    caller = Caller(option("--ledger-certificate"), option("--ledger-key"), option("--ledger-subject"))
    if not caller.subject and not (authority and caller.certificate and caller.key):
        pytest.exit("name --ledger-authority, --ledger-certificate and --ledger-key, or in plain text --ledger-subject", 2)
    overdraft = Caller(
        option("--ledger-overdraft-certificate"), option("--ledger-overdraft-key"), option("--ledger-overdraft-subject")
    )
    return Target(address, authority, caller, None if overdraft == Caller() else overdraft, option("--ledger-metrics"))


@contextmanager
def _own(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Two processes on one port before an empty database. Only here the suite knows this repository."""
    from tests.support.api import BACK_OFFICE, TREASURY, empty_ledger, service_subject  # noqa: PLC0415

    folder = request.getfixturevalue("tmp_path_factory").mktemp("ledger")
    with empty_ledger(request.getfixturevalue("postgres_server"), folder) as front:
        issued = [front.authority.issue(service_subject(name)) for name in (BACK_OFFICE, TREASURY)]
        caller, overdraft = (Caller(one.certificate, one.key) for one in issued)
        metrics = [process.metrics_address for process in front.processes]
        yield Target(front.address, front.authority.certificate, caller, overdraft, metrics)


@pytest.fixture
def connect(target: Target) -> Iterator[Callable[..., Ledger]]:
    """Opens connections, as the first service unless another caller is named; all end with the test."""
    opened: list[Ledger] = []

    def connect(caller: Caller | None = None) -> Ledger:
        opened.append(Ledger(target, caller or target.caller))
        return opened[-1]

    yield connect
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(connect: Callable[..., Ledger]) -> Ledger:
    """One connection."""
    return connect()


@pytest.fixture
def overdraft_ledger(connect: Callable[..., Ledger], target: Target) -> Ledger:
    """One connection of a service that may overdraw."""
    if target.overdraft_caller is None:
        pytest.skip("no caller with the overdraft right is named")
    return connect(target.overdraft_caller)
