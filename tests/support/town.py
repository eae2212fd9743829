"""A small town: merchants with terminals, holders with cards, and taps made of them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.postgres import Postgres
from onecard.card.v1.card_events_pb2 import (
    CardEvent,
    CardState,
    CategoryPeriod,
    SpendingLimitPeriod,
    SpendingLimits,
    StatusPeriod,
)
from onecard.payments.v1.transactions_pb2 import BusRide, CampusPurchase, ScenicEntry, TransactionBody
from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.payments.adapters.cards import Beat, CardProjection, decode_card_event
from services.payments.adapters.epochs import EpochKeys
from services.payments.adapters.ledger import AtPoint, BatchKey, Ledger, pass_by
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.tariffs import read_rules
from services.payments.adapters.wire import Received
from services.payments.config import Config
from services.payments.domain.card import CardStatus
from services.payments.handlers.open_accounts import Opening, open_accounts
from services.payments.handlers.post_taps import PostTaps
from services.payments.handlers.register_merchants import RegistryLine, register_merchants
from tests.support.terminal_keys import sealed, vault

CONFIG = Config(database_url="", kafka="", tariffs=Path(__file__).parent / "tariffs")
"""With plain tariffs: a fare depends on no other tap."""
TARIFFS = CONFIG.tariffs
KEY = BatchKey(bytes(32), 1)
FIRST_ACCOUNT = 2**32
BUS, CAMPUS, SCENIC = "BUS-1", "CAMPUS-1", "PARK-1"
TERMINALS = 8
LONG_AGO_MS = 1_600_000_000_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test."""

    server: Postgres
    application_url: str
    owner_url: str
    card_url: str
    issuance_url: str


def card_identifier(number: int) -> str:
    return f"C{number:015d}"


def card_state(
    number: int,
    *,
    birth_date: date = date(1990, 6, 15),
    periods: Sequence[tuple[CardStatus, int, int]] = ((CardStatus.NORMAL, LONG_AGO_MS, 0),),
    category: str = "ordinary",
    limits: Sequence[tuple[SpendingLimits | None, int]] = (),
    version: int = 1,
    account: int | None = None,
) -> CardState:
    """(status, valid from, hotlist published) periods, a guardian's limits as (limits, valid from); the card's account follows from its number unless it is given."""
    return CardState(
        card_identifier=card_identifier(number),
        account_id=FIRST_ACCOUNT + number if account is None else account,
        birth_date=birth_date.isoformat(),
        status_periods=[
            StatusPeriod(status=status.value, valid_from_ms=since, hotlist_published_ms=published)  # type: ignore[arg-type]
            for status, since, published in periods
        ],
        category_periods=[CategoryPeriod(category=category, resident=True, valid_from_ms=LONG_AGO_MS)],
        epoch=1,
        version=version,
        spending_limit_periods=[SpendingLimitPeriod(limits=one, valid_from_ms=since) for one, since in limits],
    )


def card_event(state: CardState) -> bytes:
    return CardEvent(state=state).SerializeToString()


_sequences = count(1)


def bus_ride(
    card: int,
    *,
    line: str = "L1",
    terminal: int = 0,
    sequence: int | None = None,
    at_ms: int | None = None,
    **body: object,
) -> SignedRecord:
    ride = BusRide(line_id=line, stop_id="S1")
    return sealed(_body(BUS, terminal, card, sequence, at_ms, body, bus_ride=ride), topics.TRANSACTIONS_BUS)


def purchase(
    card: int, price_fen: int, *, terminal: int = 0, sequence: int | None = None, at_ms: int | None = None, **body: object
) -> SignedRecord:
    body["price_fen"] = price_fen
    scene = CampusPurchase(outlet_id="O1")
    return sealed(_body(CAMPUS, terminal, card, sequence, at_ms, body, campus_purchase=scene), topics.TRANSACTIONS_CAMPUS)


def entry(
    card: int, *, terminal: int = 0, sequence: int | None = None, at_ms: int | None = None, **body: object
) -> SignedRecord:
    return sealed(
        _body(SCENIC, terminal, card, sequence, at_ms, body, scenic_entry=ScenicEntry(gate_id="G1")), topics.TRANSACTIONS_SCENIC
    )


def _body(
    merchant: str, terminal: int, card: int, sequence: int | None, at_ms: int | None, given: dict[str, object], **scene: object
) -> TransactionBody:
    fields: dict[str, object] = {
        "merchant_id": merchant,
        "terminal_id": f"{merchant}-T{terminal}",
        "terminal_sequence": next(_sequences) if sequence is None else sequence,
        "card_identifier": card_identifier(card),
        "event_time_ms": now_ms() if at_ms is None else at_ms,
    }
    return TransactionBody(**{**fields, **given, **scene})  # type: ignore[arg-type]


_offsets = count(0)


def received(records: Iterable[SignedRecord | tuple[str, bytes]]) -> list[Received]:
    """As the broker would deliver them; (topic, bytes) for records that nobody signed."""
    out = []
    for record in records:
        topic, value = (record.topic, record.record) if isinstance(record, SignedRecord) else record
        out.append(Received(topic, 0, next(_offsets), now_ms(), value))
    return out


@dataclass(slots=True)
class Town:
    """Merchants, terminals and holders in a database, and what posts their taps."""

    engine: AsyncEngine
    ledger: Ledger
    registry: Registry
    verifier: Verifier
    post: PostTaps
    projection: CardProjection
    opened_fen: dict[int, int] = field(default_factory=dict)

    async def project(self, *states: CardState) -> list[str]:
        cards = [decoded for state in states if not isinstance(decoded := decode_card_event(card_event(state)), Beat)]
        return await self.projection.store(cards, {})

    async def balance(self, number: int) -> int:
        async with self.engine.connect() as connection:
            row = await connection.exec_driver_sql(
                "select credits_posted_fen - debits_posted_fen from payments.account where id = $1", (FIRST_ACCOUNT + number,)
            )
            return int(row.scalar_one())


def make_verifier(engine: AsyncEngine) -> Verifier:
    """Of codes under keys that the token of the tests makes."""
    return Verifier(EpochKeys(engine, vault()))


async def build_town(engine: AsyncEngine, cards: int, opening_fen: int = 10_000, at: AtPoint = pass_by) -> Town:
    """Cards 0 … n-1 of ordinary grown-ups, each with the same opening."""
    lines = [
        RegistryLine(merchant, scene, [f"{merchant}-T{n}" for n in range(TERMINALS)])  # type: ignore[arg-type]
        for merchant, scene in ((BUS, "bus"), (CAMPUS, "campus"), (SCENIC, "scenic"))
    ]
    await register_merchants(engine, lines)
    openings = [Opening(FIRST_ACCOUNT + n, opening_fen) for n in range(cards)]
    await open_accounts(engine, KEY, openings, lambda _: None)
    registry, verifier = Registry(engine), make_verifier(engine)
    ledger = Ledger(engine, await read_rules(engine, CONFIG), KEY, at)
    town = Town(engine, ledger, registry, verifier, PostTaps(ledger, registry, verifier), CardProjection(engine))
    town.opened_fen = dict.fromkeys(range(cards), opening_fen)
    if cards:
        await town.project(*(card_state(n) for n in range(cards)))
    return town
