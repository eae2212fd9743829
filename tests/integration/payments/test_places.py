"""Places of a site on the real database: whatever comes at once, nobody gets a place that is not there, and none is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.outcomes_pb2 import OPERATION_EXPIRE, REASON_BAD_TIME, REASON_QUOTA_FULL, REASON_TOO_LATE, Outcome
from sdk.merchant.transaction import SignedRecord
from services.payments.adapters import requests
from services.payments.adapters.ledger import Ledger
from services.payments.domain.operation import Entry, Kind, Operation, Reserve, Ruling
from services.payments.domain.payment import Payment, PaymentStatus
from services.payments.domain.places import ReservationTerms, Slot
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.entries import read_entries
from services.payments.handlers.find_payment import find_payment
from services.payments.handlers.list_slots import Listed, list_slots
from services.payments.handlers.open_places import OpenPlaces
from services.payments.handlers.operate import Operate
from services.payments.handlers.post_taps import Owed, PostTaps
from services.payments.handlers.sweep import Sweep
from services.payments.handlers.verify_ledger import verify_ledger
from tests.support.office import Office, new_id, open_office, reference
from tests.support.replay import replay
from tests.support.site import rate_by, site_tariffs, today
from tests.support.town import (
    FIRST_ACCOUNT,
    KEY,
    LONG_AGO_MS,
    SCENIC,
    build_town,
    card_identifier,
    card_state,
    entry,
    now_ms,
    received,
)

PLACES = 10
CARDS = 64


@pytest.fixture
async def office(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Office]:
    """Holders with 100 yuan each, and a site that takes ten visitors a day; afterwards everything agrees."""
    town = await build_town(engine, CARDS)
    await rate_by(town, site_tariffs(tmp_path, PLACES))
    office = await open_office(town)
    yield office
    books = await check_books(engine)
    assert books.balance, books.problem
    verified = await verify_ledger(engine, {KEY.version: KEY.key}, {}, horizon_days=180)
    assert not verified.problem
    ledger, differences, _ = await replay(engine, office.ledger.rules)
    assert not differences
    for listed in await slots(office):
        assert ledger.funds(listed.account_id) == (listed.free, listed.reserved)


async def slots(office: Office) -> list[Listed]:
    return [one for one in await list_slots(office.engine, [today(office.ledger)]) if one.account_id]


async def site(office: Office) -> Listed:
    (listed,) = await list_slots(office.engine, [today(office.ledger)])
    return listed


async def reserving(office: Office, card: int, places: int = 1, request_id: str = "", kept_ms: int = 3_600_000) -> Reserve:
    """As the site's desk asks."""
    slot = today(office.ledger)
    await OpenPlaces(office.ledger)([slot])
    terms = ReservationTerms(Scene.SCENIC, office.ledger.places[slot.key], 0, 3, once=False, expire_time_ms=now_ms() + kept_ms)
    return requests.reserve(office.till, request_id or new_id("reserve"), card_identifier(card), slot, places, terms)


def outcomes(*owed: Owed) -> list[Outcome]:
    return [Outcome.FromString(value) for one in owed for _, value in one.outcomes]


def lanes(office: Office, n: int) -> list[PostTaps]:
    """As many workers, each with a memory of its own."""
    ledgers = [Ledger(office.engine, office.ledger.rules, KEY) for _ in range(n)]
    return [PostTaps(ledger, office.town.registry, office.town.verifier) for ledger in ledgers]


async def reserved(office: Office, ruling: Ruling) -> Payment:
    """As its desk finds it."""
    found = await find_payment(office.engine, office.till, reference(ruling), Kind.RESERVE)
    assert found is not None
    assert found.payment is not None
    return found.payment


async def admitted(office: Office) -> int:
    async with office.engine.connect() as connection:
        count = await connection.scalar(text("select count(*) from payments.operation where kind = 12"))
    assert isinstance(count, int)
    return count


async def test_who_has_reserved_enters_and_a_tap_that_comes_again_takes_no_second_place(office: Office) -> None:
    ruling = await office.rule(await reserving(office, 0, 2))
    assert (await site(office))[1:4] == (PLACES, 2, 0)
    tap = entry(0)
    first = await office.town.post(received([tap]))
    again = await office.town.post(received([tap]))
    assert [outcome.charged.amount_fen for outcome in outcomes(first)] == [100]
    assert outcomes(first) == outcomes(again)
    assert (await site(office))[1:4] == (PLACES, 0, 1)
    payment = await reserved(office, ruling)
    assert (payment.status, payment.captured_fen) == (PaymentStatus.CAPTURED, 1)
    assert await admitted(office) == 1


async def test_sixty_four_at_once_get_the_ten_places_that_there_are(office: Office) -> None:
    asked = [await reserving(office, card) for card in range(CARDS)]
    rivals = [office.operate, Operate(Ledger(office.engine, office.ledger.rules, KEY))]
    answers = await asyncio.gather(*(rivals[n % 2]([operation]) for n, operation in enumerate(asked)))
    reasons = Counter(answer.ruling.reason for (answer,) in answers if answer.ruling is not None)  # type: ignore[union-attr]
    assert reasons == {Reason.NONE: PLACES, Reason.QUOTA_FULL: CARDS - PLACES}
    assert (await site(office))[1:4] == (PLACES, PLACES, 0)


async def test_gates_in_several_lanes_share_what_is_left(office: Office) -> None:
    await office.ask(*[await reserving(office, card) for card in range(4)])
    taps = [entry(card, terminal=card % 8) for card in range(CARDS)]
    workers = lanes(office, 4)
    owed = await asyncio.gather(*(workers[n](received(taps[n::4])) for n in range(4)))
    told = outcomes(*owed)
    refused = [outcome for outcome in told if outcome.reason]
    assert {outcome.reason for outcome in refused} == {REASON_QUOTA_FULL}
    assert len(told) - len(refused) == PLACES
    assert (await site(office))[1:4] == (PLACES, 0, PLACES)
    entered = {outcome.identity.terminal_sequence for outcome in told if not outcome.reason}
    first_four = [await verdict(office, tap) for tap in taps[:4]]
    assert first_four == [0] * 4, "who has reserved enters, however full it is"
    assert len(entered) == PLACES == await admitted(office)


async def verdict(office: Office, tap: SignedRecord) -> int:
    (outcome,) = outcomes(await office.town.post(received([tap])))
    return outcome.reason


@pytest.mark.parametrize("seed", range(4))
async def test_of_a_tap_a_cancellation_and_the_end_of_a_hold_one_ends_a_reservation(office: Office, seed: int) -> None:
    held = [await office.rule(await reserving(office, card, kept_ms=1)) for card in range(8)]
    await asyncio.sleep(0.01)
    workers = lanes(office, 2)

    async def come(card: int) -> Sequence[Outcome]:
        return outcomes(await workers[card % 2](received([entry(card)])))

    await asyncio.gather(
        *(come(card) for card in range(8)),
        *(office.operate([office.void(ruling)]) for ruling in held[seed:]),
        *(office.operate([office.expire(ruling)]) for ruling in held),
    )
    payments = [await reserved(office, ruling) for ruling in held]
    assert PaymentStatus.HELD not in {payment.status for payment in payments}
    listed = await site(office)
    assert listed.reserved == 0
    assert listed.taken == await admitted(office) == 8, "ten places for eight visitors: a walk-in's is as good"
    async with office.engine.connect() as connection:
        left = await connection.scalar(text("select count(*) from payments.account where usage::jsonb ? 'reserved'"))
    assert left == 0


async def test_nobody_came_and_the_site_is_told(office: Office) -> None:
    ruling = await office.rule(await reserving(office, 0, 3, kept_ms=1))
    await asyncio.sleep(0.01)
    async with office.engine.connect() as connection:
        assert await Sweep(office.engine, office.operate).holds(connection) == 1
        payload = await connection.scalar(text("select payload from payments.outbox order by id desc limit 1"))
    ((key, value),) = requests._decode(payload)
    outcome = Outcome.FromString(value)
    assert (key, outcome.operation, outcome.charged.amount_fen) == (SCENIC.encode(), OPERATION_EXPIRE, 0)
    assert ruling.payment is not None
    assert outcome.payment_id == ruling.payment.hex()
    assert (await site(office))[1:4] == (PLACES, 0, 0)


async def test_a_slot_is_opened_and_filled_once_whoever_wants_it_first(office: Office) -> None:
    slot = today(office.ledger)
    ledgers = [Ledger(office.engine, office.ledger.rules, KEY) for _ in range(6)]
    await asyncio.gather(*(OpenPlaces(ledger)([slot, slot]) for ledger in ledgers))
    assert len({ledger.places[slot.key] for ledger in ledgers}) == 1
    assert (await site(office))[1:4] == (PLACES, 0, 0)


async def test_a_clock_that_is_off_is_refused_and_opens_no_slot(office: Office) -> None:
    day_ms = 86_400_000
    latest_ms = 253_402_300_799_999  # of the year 9999
    taps = [entry(0, at_ms=at_ms) for at_ms in (latest_ms, now_ms() + day_ms, now_ms() - 200 * day_ms, LONG_AGO_MS)]
    told = outcomes(await office.town.post(received(taps)))
    assert [outcome.reason for outcome in told] == [REASON_BAD_TIME, REASON_BAD_TIME, REASON_TOO_LATE, REASON_TOO_LATE]
    assert not office.ledger.places


async def test_places_that_were_given_stay_when_the_file_says_another_number(office: Office) -> None:
    slot = today(office.ledger)
    await OpenPlaces(office.ledger)([slot])
    await OpenPlaces(Ledger(office.engine, office.ledger.rules, KEY))([slot._replace(places=99)])
    assert (await site(office)).places == PLACES


async def test_the_office_gives_more_places_and_takes_no_reserved_one_away(office: Office) -> None:
    await office.ask(*[await reserving(office, card) for card in range(PLACES)])
    account = (await site(office)).account_id
    given = office.ledger.rules.places_given_account
    slot: Slot = today(office.ledger)

    def moved(debit: int, credit: int, places: int) -> Operation:
        entries = Entry(debit, debit=True, amount_fen=places), Entry(credit, debit=False, amount_fen=places)
        return requests.post(office.service, new_id("places"), entries, 999, event_time_ms=slot.begins_ms, may_overdraw=False)

    assert await office.reason(moved(account, given, 1)) is Reason.INSUFFICIENT_FUNDS
    assert await office.reason(moved(given, account, 5)) is Reason.NONE
    assert (await site(office)).free == 5
    assert await office.reason(moved(account, given, 5)) is Reason.NONE


async def test_a_holders_entries_are_of_money_alone(office: Office) -> None:
    await office.rule(await reserving(office, 0))
    await office.town.post(received([entry(0)]))
    entries = await read_entries(office.engine, FIRST_ACCOUNT, limit=10)
    assert [one.change_fen for one in entries] == [-100, 10_000]


async def test_places_are_balanced_like_money(office: Office) -> None:
    await office.rule(await reserving(office, 0))
    books = await check_books(office.engine)
    assert {(one.currency, one.posted_fen, one.pending_fen) for one in books.imbalances} == {("CNY", 0, 0), ("places", 0, 0)}


async def test_a_reservation_moves_with_the_account_when_the_card_is_replaced(office: Office) -> None:
    await office.ask(*[await reserving(office, card, 1) for card in range(PLACES)])
    state = card_state(CARDS + 1, account=FIRST_ACCOUNT)
    await office.town.project(state)
    (outcome,) = outcomes(await office.town.post(received([entry(CARDS + 1)])))
    assert not outcome.reason
