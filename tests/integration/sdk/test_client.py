import gc
import logging
import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.broker import Broker, Kind, make_broker
from sdk.merchant.client import MerchantClient
from sdk.merchant.outcomes import OutcomeReader
from sdk.merchant.spool import Answer, Kept, Outcome, Spool
from sdk.merchant.transaction import BusRide, SignedRecord
from tests.integration.sdk.platform import Responder, create_topics, eventually
from tests.support.outcome_api import OutcomeApi
from tests.support.terminal_keys import sign

# kafka-python leaves the sockets of failed attempts to the garbage collector, and its log records hold on to them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture(autouse=True)
def sockets_are_collected() -> Iterator[None]:
    library = logging.getLogger("kafka")
    library.setLevel(logging.CRITICAL)
    yield
    library.setLevel(logging.NOTSET)
    gc.collect()


@pytest.fixture
def broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    """Without the platform's other topics: the merchants' side needs no more."""
    broker = make_broker(broker_kind, tmp_path / "servers")
    broker.start()
    create_topics(broker)
    yield broker
    broker.stop()


@pytest.fixture
def api(broker: Broker, tmp_path: Path) -> Iterator[OutcomeApi]:
    with OutcomeApi(tmp_path / "servers", broker) as api:
        api.wait()
        yield api


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.spool"


@pytest.fixture
def known() -> dict[tuple[str, str, int], bytes]:
    """What the platform has decided; it outlives its broker."""
    return {}


def rides(count: int, *, merchant: str = "BUS", first: int = 0) -> list[BusRide]:
    return [
        BusRide(
            merchant_id=merchant,
            terminal_id=f"V-{number % 7}",
            card_identifier=f"CARD{number}",
            event_time_ms=NOW_MS,
            line_id="L1",
            stop_id="S1",
        )
        for number in range(first, first + count)
    ]


def answered(path: Path) -> int:
    with sqlite3.connect(path) as db:
        count: int = db.execute("select count(*) from answered").fetchone()[0]
    db.close()
    return count


def test_every_tap_is_answered(broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]) -> None:
    answers: list[Answer] = []
    with (
        Responder(broker, known) as platform,
        Spool(path) as spool,
        MerchantClient(broker.bootstrap, spool, api.access, on_answers=answers.extend) as client,
    ):
        assert client.submit(rides(500), sign) == [Kept.NEW] * 500
        assert client.wait_until_answered(60)
    assert len(answers) == len(known) == answered(path) == 500
    assert set(platform.received.values()) == {1}
    assert {answer.outcome.fare_fen for answer in answers} == {200}


def test_the_next_run_emits_the_same_bytes_of_what_was_not_answered(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]
) -> None:
    with Spool(path) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
        client.submit(rides(50), sign)
        assert eventually(lambda: client.all_emitted)
    with (
        Responder(broker, known) as platform,
        Spool(path) as spool,
        MerchantClient(broker.bootstrap, spool, api.access) as client,
    ):
        client.submit(rides(50, first=50), sign)
        assert client.wait_until_answered(60)
    # The first run's records are still in the topics: other bytes would make more than a hundred records.
    assert len(platform.received) == len(known) == 100
    assert {sequence for _, terminal, sequence in known if terminal == "V-0"} == set(range(1, 16))


def test_an_unanswered_tap_is_emitted_again_after_its_pause(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]
) -> None:
    with Spool(path, first_pause_seconds=0.5) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
        assert eventually(lambda: client.connected)
        client.submit(rides(10), sign)
        time.sleep(1)
        with Responder(broker, known) as platform:
            assert client.wait_until_answered(60)
    assert min(platform.received.values()) >= 1


def test_what_is_held_back_waits_for_its_time(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]
) -> None:
    with Responder(broker, known), Spool(path) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
        client.submit(rides(10), sign, hold_seconds=3600)
        client.submit(rides(10, first=10), sign)
        assert eventually(lambda: client.pending_count == 10)
        spool.release()
        assert client.wait_until_answered(60)


def test_a_reused_identity_is_answered_as_a_conflict(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]
) -> None:
    thief: list[Answer] = []
    with Responder(broker, known):
        with Spool(path) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
            client.submit(rides(1), sign)
            assert client.wait_until_answered(60)
        with (
            Spool(path.with_name("thief.spool")) as spool,
            MerchantClient(broker.bootstrap, spool, api.access, on_answers=thief.extend) as client,
        ):

            def forge(ride: BusRide, _: int) -> SignedRecord:
                return sign(ride, 1)

            (ride,) = rides(1, first=7)  # another card at the same validator
            client.submit([ride], forge)
            assert client.wait_until_answered(60)
    assert [(answer.outcome.verdict, answer.outcome.reason) for answer in thief] == [(2, 12)]


def test_a_reader_sees_its_own_merchants_only(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes]
) -> None:
    with (
        Responder(broker, known),
        OutcomeReader(api.access, {"BUS"}, lambda _: None) as reader,
        Spool(path) as spool,
        MerchantClient(broker.bootstrap, spool, api.access) as client,
    ):
        assert reader.poll(10), "it says at once that it stands"
        client.submit(rides(20) + rides(20, merchant="TRAM"), sign)
        assert client.wait_until_answered(60)
        seen: list[Outcome] = []

        def all_seen() -> bool:
            seen.extend(outcome for heard in reader.poll(0.1) for outcome in heard.outcomes)
            return len(seen) >= 20

        assert eventually(all_seen)
        all_seen()  # and no more
    assert len(seen) == 20
    assert {outcome.merchant_id for outcome in seen} == {"BUS"}


def test_a_broker_that_is_late_is_awaited_and_named(
    broker_kind: Kind,
    tmp_path: Path,
    path: Path,
    known: dict[tuple[str, str, int], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = make_broker(broker_kind, tmp_path / "servers")
    api = OutcomeApi(tmp_path / "servers", broker)
    with caplog.at_level(logging.WARNING, "onecard.merchant"), Spool(path) as spool, api:
        with MerchantClient(broker.bootstrap, spool, api.access) as client:
            client.submit(rides(20), sign)
            time.sleep(3)
            before = _cpu_seconds()
            time.sleep(2)
            assert _cpu_seconds() - before < 0.8, "it waits, it does not spin"
            broker.start()
            create_topics(broker)
            with Responder(broker, known):
                assert client.wait_until_answered(60)
        broker.stop()
    said = [record.getMessage() for record in caplog.records if "the broker at" in record.getMessage()]
    assert len(said) == 2
    assert broker.bootstrap in said[0]
    assert str(path) in said[0]
    assert "is back" in said[1]


@pytest.mark.parametrize("away_seconds", [0, 5], ids=["restarted at once", "away for a while"])
def test_a_killed_broker_costs_no_tap_even_when_it_lost_its_memory(
    broker: Broker, api: OutcomeApi, path: Path, known: dict[tuple[str, str, int], bytes], away_seconds: int
) -> None:
    with Spool(path) as spool, MerchantClient(broker.bootstrap, spool, api.access) as client:
        with Responder(broker, known):
            client.submit(rides(100), sign)
            assert client.wait_until_answered(60)
        client.submit(rides(100, first=100), sign)
        assert eventually(lambda: client.all_emitted)
        broker.kill()
        for number in range(3):
            client.submit(rides(100, first=200 + 100 * number), sign)
            time.sleep(away_seconds / 3)
        broker.start()
        create_topics(broker)
        with Responder(broker, known):
            client.submit(rides(100, first=500), sign)
            assert client.wait_until_answered(60)
    assert len(known) == answered(path) == 600


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
