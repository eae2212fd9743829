"""Payments by token at real processes: Redis finds the card, the ledger makes it single use."""

import asyncio
from collections import Counter

import grpc
import pytest
from sqlalchemy import text

from cli.servers.valkey import Valkey
from onecard.card.v1.card_events_pb2 import ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_NOTHING, ELECTRONIC_USE_PAY
from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_IDENTIFY
from onecard.payments.v1.outcomes_pb2 import (
    REASON_CARD_LOST,
    REASON_ELECTRONIC_CARD_BARRED,
    REASON_TOKEN_SPENT,
    REASON_TOKEN_UNKNOWN,
    REASON_UNSPECIFIED,
)
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED
from services.payments.adapters.spent_tokens import forget_spent_tokens
from services.payments.domain.card import CardStatus
from tests.support.api import Api
from tests.support.client import Client, refused
from tests.support.office import new_id
from tests.support.tokens import electronic, leave, redis_of

INVALID, TAKEN = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS


@pytest.fixture
async def card(api: Api) -> int:
    """With an electronic one that pays."""
    card = api.new_card()
    await api.project(electronic(card, ELECTRONIC_USE_PAY))
    return card


@pytest.fixture
async def till(api: Api) -> Client:
    return api.till()


async def spent(api: Api, card: int) -> int:
    return 10_000 - (await api.window().balance(card)).balance.amount_fen


async def test_of_many_tills_with_one_token_at_once_exactly_one_is_paid(api: Api, valkey_server: Valkey, card: int) -> None:
    token = leave(valkey_server, card)
    tills = [api.till(number) for number in range(8)]
    receipts = await asyncio.gather(*(till.by_token(token, 700) for till in tills))
    assert Counter(receipt.reason for receipt in receipts) == {REASON_UNSPECIFIED: 1, REASON_TOKEN_SPENT: 7}
    assert await spent(api, card) == 700


async def test_a_token_that_a_restored_redis_brings_back_is_still_spent(
    api: Api, valkey_server: Valkey, card: int, till: Client
) -> None:
    token = leave(valkey_server, card)
    assert (await till.by_token(token, 700)).decision == DECISION_APPROVED
    redis_of(valkey_server).flushall()
    leave(valkey_server, card, token)
    assert (await till.by_token(token, 700)).reason == REASON_TOKEN_SPENT
    assert await spent(api, card) == 700


async def test_a_repeat_hears_its_first_verdict_when_the_token_is_spent_and_gone(
    api: Api, valkey_server: Valkey, card: int, till: Client
) -> None:
    token, name = leave(valkey_server, card), new_id("token")
    first = await till.by_token(token, 700, name)
    redis_of(valkey_server).flushall()
    assert await till.by_token(token, 700, name) == first
    assert await refused(till.by_token(token, 701, name)) == (TAKEN, "IDENTITY_CONFLICT")
    assert await refused(till.by_token("another", 700, name)) == (TAKEN, "IDENTITY_CONFLICT")
    assert await spent(api, card) == 700


async def test_a_token_holds_money_that_is_captured_by_the_payment(
    valkey_server: Valkey, card: int, api: Api, till: Client
) -> None:
    held = await till.by_token(leave(valkey_server, card), 700, capture=False)
    assert (await till.capture(held.payment_id, 500)).decision == DECISION_APPROVED
    assert await spent(api, card) == 500


async def test_what_is_unknown_over_or_for_something_else_pays_nothing_and_says_so(
    valkey_server: Valkey, card: int, till: Client
) -> None:
    over, other = leave(valkey_server, card, seconds=0), leave(valkey_server, card, purpose=TOKEN_PURPOSE_IDENTIFY)
    for token in ("nobody's", over, other):
        receipt = await till.by_token(token, 1)
        assert (receipt.reason, bool(receipt.message)) == (REASON_TOKEN_UNKNOWN, True)


@pytest.mark.parametrize(
    ("use", "status", "reason"),
    [
        (ELECTRONIC_USE_IDENTIFY, CardStatus.NORMAL, REASON_ELECTRONIC_CARD_BARRED),
        (ELECTRONIC_USE_NOTHING, CardStatus.TEMPORARILY_LOST, REASON_CARD_LOST),
        (ELECTRONIC_USE_PAY, CardStatus.TEMPORARILY_LOST, REASON_UNSPECIFIED),
        (ELECTRONIC_USE_PAY, CardStatus.FORMALLY_LOST, REASON_CARD_LOST),
    ],
)
async def test_the_registry_says_what_an_electronic_card_may(
    api: Api, valkey_server: Valkey, card: int, till: Client, use: int, status: CardStatus, reason: int
) -> None:
    token = leave(valkey_server, card)
    await api.project(electronic(card, use, status=status, version=3))  # type: ignore[arg-type]
    assert (await till.by_token(token, 1)).reason == reason


async def test_a_card_and_a_token_together_are_refused(valkey_server: Valkey, card: int, till: Client) -> None:
    assert await refused(till.authorize(card, 1, token=leave(valkey_server, card))) == (INVALID, "BAD_REQUEST")


async def test_spent_tokens_are_forgotten_a_day_after_their_time(api: Api) -> None:
    add = "insert into payments.spent_token values (sha256(:name), 1, now() - :age * interval '1 hour')"
    async with api.engine.begin() as connection:
        for name, age in ((b"old", 25), (b"young", 23)):
            await connection.execute(text(add), {"name": name, "age": age})
        await forget_spent_tokens(connection)
    left = "select token = sha256('young') from payments.spent_token where token in (sha256('old'), sha256('young'))"
    assert [tuple(row) for row in await api.rows(left)] == [(True,)]
