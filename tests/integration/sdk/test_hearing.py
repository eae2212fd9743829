"""Whatever ends in between, a merchant's spool misses no outcome."""

import gc
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from typing import get_args

import pytest

from cli import paths
from cli.city.certificates import Certificates, Registered
from cli.servers.broker import Broker, Kind, make_broker
from sdk.merchant.access import Access, credentials_in
from sdk.merchant.client import MerchantClient
from sdk.merchant.hearing import Hearing
from sdk.merchant.spool import Spool
from tests.integration.sdk.platform import Responder, create_topics, eventually
from tests.integration.sdk.test_client import answered, rides
from tests.support.merchant import Point
from tests.support.outcome_api import OutcomeApi
from tests.support.terminal_keys import sign

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"), pytest.mark.timeout(90)]

Known = dict[tuple[str, str, int], bytes]


@pytest.fixture
def broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    broker = make_broker(broker_kind, tmp_path / "servers")
    broker.start()
    create_topics(broker)
    yield broker
    broker.stop()
    gc.collect()


@pytest.fixture
def api(broker: Broker, tmp_path: Path) -> Iterator[OutcomeApi]:
    with OutcomeApi(tmp_path / "servers", broker) as api:
        api.wait()
        yield api


def hear(spool: Spool, access: Access, seconds: float = 20) -> bool:
    """Nothing is emitted: what is answered then was heard."""
    with Hearing(access, spool) as hearing:
        end = time.monotonic() + seconds
        while spool.pending_count and time.monotonic() < end:
            hearing.take_in(0.2)
    return not spool.pending_count


def test_what_came_while_no_client_ran_is_heard_by_the_next(broker: Broker, api: OutcomeApi, tmp_path: Path) -> None:
    path, known = tmp_path / "bus.spool", Known()
    with Spool(path) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
        client.submit(rides(300), sign)
        assert eventually(lambda: client.all_emitted)
    with Responder(broker, known) as platform:
        assert eventually(lambda: len(known) == 300)
        with Spool(path) as spool:
            assert hear(spool, api.access)
        assert set(platform.received.values()) == {1}


@pytest.mark.parametrize("point", get_args(Point))
def test_a_program_killed_while_it_takes_outcomes_in_loses_none(
    broker: Broker, api: OutcomeApi, tmp_path: Path, point: Point
) -> None:
    path, known = tmp_path / "bus.spool", Known()
    command = [sys.executable, "-m", "tests.support.merchant", broker.bootstrap, api.access.address, str(path), point]
    with Responder(broker, known):
        assert subprocess.run(command, cwd=paths.ROOT, timeout=60, check=False).returncode == -SIGKILL
        with Spool(path) as spool:
            emitted = answered(path) + spool.pending_count
            eventually(lambda: len(known) == emitted, 2)
            with Hearing(api.access, spool) as hearing:
                # What the broker never got has no outcome; everything else is heard without being emitted again.
                assert eventually(lambda: hearing.take_in(0.2) >= 0 and spool.pending_count == emitted - len(known), 60)
            with MerchantClient(broker.bootstrap, spool, api.access) as client:
                assert client.wait_until_answered(60)
        assert answered(path) == len(known) == emitted


def test_an_api_that_is_away_holds_up_no_tap(
    broker: Broker, api: OutcomeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, known = tmp_path / "bus.spool", Known()
    with (
        caplog.at_level(logging.WARNING, "onecard.merchant"),
        Responder(broker, known),
        Spool(path) as spool,
        MerchantClient(broker.bootstrap, spool, api.access) as client,
    ):
        client.submit(rides(100), sign)
        assert client.wait_until_answered(60)
        api.kill()
        for number in range(1, 10):
            client.submit(rides(100, first=number * 100), sign)
            time.sleep(0.5)
        assert eventually(lambda: len(known) == 1000), "the broker takes them all the while"
        assert client.pending_count == 900
        api.start()
        assert client.wait_until_answered(60)
    said = [record.getMessage() for record in caplog.records if api.access.address in record.getMessage()]
    assert len(said) == 2
    assert said[0].startswith("awaiting the outcomes of BUS")
    assert said[1].startswith("outcomes come again")


def test_an_api_that_is_there_only_later_is_caught_up_with(broker: Broker, tmp_path: Path) -> None:
    known = Known()
    api = OutcomeApi(tmp_path / "servers", broker)
    with (
        Responder(broker, known),
        Spool(tmp_path / "bus.spool") as spool,
        MerchantClient(broker.bootstrap, spool, api.access) as client,
    ):
        client.submit(rides(100), sign)
        assert eventually(lambda: len(known) == 100)
        with api:
            # They were decided before anybody could hear of it: once the stream stands they are asked for again.
            assert client.wait_until_answered(60)


def test_each_merchant_is_heard_with_its_own_certificate(broker: Broker, tmp_path: Path) -> None:
    merchants = ["BUS", "SHOP/1%2", "TRAM"]
    certificates = Certificates(tmp_path)
    certificates.hand_out(Registered(name, "campus", []) for name in merchants)
    api = OutcomeApi(tmp_path / "servers", broker, certificates.of_the_service("payments"))
    access = Access(api.access.address, credentials_in(certificates.folder))
    known = Known()
    with (
        api,
        Responder(broker, known),
        Spool(tmp_path / "all.spool") as spool,
        MerchantClient(broker.bootstrap, spool, access) as client,
    ):
        client.submit([ride for name in merchants for ride in rides(50, merchant=name)], sign)
        assert client.wait_until_answered(60)
        client.submit(rides(10, merchant="NOBODY"), sign)
        assert eventually(lambda: len(known) == 160), "one without a certificate sends all the same"
        time.sleep(0.5)
        assert client.pending_count == 10
