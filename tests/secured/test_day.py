"""The whole road, each on it as its own user with its own rights; and a merchant that speaks for another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.city.certificates import Certificates, Registered
from cli.city.reconcile import reconcile
from cli.servers.secured_kafka import SecuredKafka
from onecard.payments.v1.outcome_service_pb2 import BEGIN_OLDEST, SubscribeRequest
from onecard.payments.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from sdk.merchant.access import Access, credentials_in
from sdk.merchant.client import MerchantClient
from sdk.merchant.kafka_security import KafkaSecurity as MerchantsKafkaSecurity
from sdk.merchant.spool import Spool
from sdk.merchant.transaction import SignedRecord, seal
from services.common import topics
from services.common.announce import Announcer
from services.common.kafka_security import KafkaSecurity
from services.payments.domain.card import CardStatus
from services.payments.domain.verdict import Cause
from services.payments.handlers.check_books import check_books
from tests.support.outcome_api import OutcomeApi
from tests.support.terminal_keys import key_of
from tests.support.town import (
    BUS,
    CAMPUS,
    LONG_AGO_MS,
    SCENIC,
    Database,
    Town,
    build_town,
    bus_ride,
    card_event,
    card_identifier,
    card_state,
    entry,
    purchase,
)
from tests.support.waiting import until
from tests.support.worker import Worker, settings

pytestmark = [pytest.mark.secured, pytest.mark.timeout(300), pytest.mark.usefixtures("merchants")]

CARDS = 60
OUTSIDE, LOST = CARDS - 1, CARDS - 2
SCENES = {BUS: "bus", CAMPUS: "campus", SCENIC: "scenic"}


class Live(Worker):
    """The live windows, as they are started."""

    module = "services.payments"
    arguments = ("live",)


@dataclass(slots=True)
class Secured:
    """A town whose programs all come to Kafka as themselves."""

    kafka: SecuredKafka
    town: Town
    engine: AsyncEngine
    database: Database
    folder: Path
    api: OutcomeApi
    certificates: Certificates

    def environment(self, user: str) -> dict[str, str]:
        """Of one of the services."""
        return settings(self.database.application_url, self.kafka) | self.kafka.user(user)

    @property
    def spools(self) -> Path:
        return self.folder / "spools"

    @contextmanager
    def emitting(self, merchant: str) -> Iterator[MerchantClient]:
        """A merchant's program: its own certificate for Kafka and for the API, its own spool."""
        shown = self.kafka.showing(f"onecard://merchant/{merchant}")
        ours = credentials_in(self.certificates.folder)(merchant)
        access = Access(self.api.access.address, lambda asked: ours if asked == merchant else None)
        with (
            Spool(self.spools / f"{merchant}.spool") as spool,
            MerchantClient(
                shown["ONECARD_KAFKA"], spool, access, security=MerchantsKafkaSecurity.from_environment(shown)
            ) as client,
        ):
            yield client

    async def count(self, what: str) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.execute(text(f"select count(*) from payments.{what}"))).scalar_one())

    async def causes(self) -> list[int]:
        """Of every dead letter."""
        async with self.engine.connect() as connection:
            return sorted((await connection.scalars(text("select cause from payments.dead_letter"))).all())

    async def owed(self, merchant: str) -> int:
        """What is owed to a merchant, posted and pending, in fen."""
        async with self.engine.connect() as connection:
            found = await connection.execute(
                text(
                    "select coalesce(sum(t.amount_fen), 0) from payments.transfer t"
                    " join payments.merchant m on m.payable_account = t.credit_account where m.merchant_id = :merchant"
                ),
                {"merchant": merchant},
            )
            return int(found.scalar_one())

    async def publish(self, user: str, topic: str, *messages: tuple[bytes | None, bytes]) -> None:
        """As a service does."""
        given = self.kafka.user(user)
        announcer = Announcer(given["ONECARD_KAFKA"], KafkaSecurity.from_environment(given))
        await announcer.start()
        await announcer.send(topic, messages)
        await announcer.stop()


@pytest.fixture
async def secured(kafka: SecuredKafka, database: Database, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Secured]:
    certificates = Certificates(kafka.folder)
    certificates.hand_out(Registered(merchant, scene, []) for merchant, scene in SCENES.items())
    environment = {**kafka.user("payments-api"), **certificates.of_the_service("payments")}
    town = await build_town(engine, cards=CARDS)
    with ExitStack() as ending:
        api = OutcomeApi(tmp_path, kafka, environment)
        ending.callback(api.kill)
        api.start()
        made = Secured(kafka, town, engine, database, tmp_path, api, certificates)
        for name, user, kind in (("worker", "payments-streams", Worker), ("live", "payments-live", Live)):
            process = kind(name, tmp_path, made.environment(user))
            ending.callback(process.end)
            process.start()
        yield made


async def answered(client: MerchantClient) -> None:
    await until("every tap is answered", lambda: not client.pending_count, 180)


def as_signed(record: SignedRecord, _: int) -> SignedRecord:
    return record


def signed_by(merchant: str, terminal: str, record: SignedRecord, topic: str = topics.TRANSACTIONS_BUS) -> SignedRecord:
    """The same body under the code of a terminal of ours."""
    body = TransactionBody.FromString(SignedTransaction.FromString(record.record).body)
    return seal(body, topic, key_of(merchant, terminal))


async def test_a_day_of_taps_is_exact_and_a_merchant_speaks_for_itself_alone(secured: Secured) -> None:
    await secured.publish("issuance", topics.ISSUANCE_EVENTS, (b"key", b""))
    lost = card_state(LOST, periods=[(CardStatus.CANCELLED, LONG_AGO_MS, LONG_AGO_MS)], version=2)
    await secured.publish("card", topics.CARD_EVENTS, (card_identifier(LOST).encode(), card_event(lost)))
    cards = range(LOST)
    day = {
        BUS: [bus_ride(card, terminal=card % 8) for card in cards],
        CAMPUS: [purchase(card, 200 + card, terminal=card % 8) for card in cards],
        SCENIC: [entry(card, terminal=card % 8) for card in cards],
    }
    with ExitStack() as programs:
        clients = {merchant: programs.enter_context(secured.emitting(merchant)) for merchant in SCENES}
        for merchant, taps in day.items():
            clients[merchant].submit(taps, as_signed)
        for client in clients.values():
            await answered(client)
        await _a_lost_card_is_known(secured, clients[BUS])
        before = {merchant: await secured.owed(merchant) for merchant in SCENES}
        await _a_merchant_speaks_for_another(secured, clients[BUS])
        assert {merchant: await secured.owed(merchant) for merchant in SCENES} == before
        assert await secured.town.balance(OUTSIDE) == secured.town.opened_fen[OUTSIDE]
    report = await asyncio.to_thread(reconcile, secured.spools, secured.database.application_url)
    assert report.agrees, report.plain()
    assert report.posted == 3 * len(cards)
    books = await check_books(secured.engine)
    assert books.balance, books.problem
    await _nobody_hears_of_anothers_taps(secured, len(cards))


async def _a_lost_card_is_known(secured: Secured, bus: MerchantClient) -> None:
    """What the card service published was projected: the card is refused from then on."""
    bus.submit([bus_ride(LOST)], as_signed)
    await answered(bus)
    assert await secured.count("verdict where reason <> 0") == 1


async def _a_merchant_speaks_for_another(secured: Secured, bus: MerchantClient) -> None:
    """With its own certificate, in the topic that it may write, and with keys of its own terminals."""
    ours = f"{BUS}-T0"
    thefts = [
        # Another merchant's id in the body, and a terminal of that merchant.
        (signed_by(BUS, ours, bus_ride(OUTSIDE, merchant_id=SCENIC, terminal_id=f"{SCENIC}-T1")), Cause.WRONG_SCENE),
        # Our id in the body, and another merchant's terminal.
        (signed_by(BUS, ours, bus_ride(OUTSIDE, terminal_id=f"{SCENIC}-T1")), Cause.UNKNOWN_TERMINAL),
        # Another terminal's id in the body than that of the terminal whose key signed it.
        (signed_by(BUS, ours, bus_ride(OUTSIDE, terminal=1)), Cause.WRONG_TAC),
        # The canteen's own bytes, in the buses' topic.
        (signed_by(CAMPUS, f"{CAMPUS}-T0", purchase(OUTSIDE, 500)), Cause.WRONG_SCENE),
    ]
    bus.submit([record for record, _ in thefts], as_signed)
    wanted = sorted(int(cause) for _, cause in thefts)
    found: list[int] = []

    async def all_are_put_aside() -> bool:
        nonlocal found
        found = await secured.causes()
        return len(found) >= len(wanted)

    await until("all of it is put aside", all_are_put_aside, 60)
    assert found == wanted


async def _nobody_hears_of_anothers_taps(secured: Secured, taps: int) -> None:
    """The canteen asks for everything from the beginning, and says that it is the buses: it hears what is its own."""
    credentials = credentials_in(secured.certificates.folder)(CAMPUS)
    assert credentials
    files = [file.read_bytes() for file in (credentials.authority, credentials.key, credentials.certificate)]
    heard: Counter[str] = Counter()
    async with grpc.aio.secure_channel(secured.api.access.address, grpc.ssl_channel_credentials(*files)) as channel:
        everything = SubscribeRequest(begin=BEGIN_OLDEST)
        says = (("x-onecard-subject", f"onecard://merchant/{BUS}"),)
        async for response in OutcomeServiceStub(channel).Subscribe(everything, metadata=says, timeout=60):
            heard.update(outcome.identity.merchant_id for outcome in response.outcomes)
            if heard.total() >= taps:
                break
    assert heard.keys() == {CAMPUS}
