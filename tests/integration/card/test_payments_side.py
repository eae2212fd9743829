"""What the card service decides about a card, as payments hears and settles it: losses, releases, and the switch."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.valkey import Valkey
from onecard.card.v1.card_events_pb2 import CardState
from onecard.payments.v1.outcomes_pb2 import Outcome
from services.card.adapters.electronic_tokens import ElectronicTokens
from services.card.adapters.passwords import Passwords, StoredPassword
from services.card.domain.application import ApplicationKind, Papers, Relation
from services.card.domain.document import DocumentKind
from services.card.domain.electronic import TokenPurpose
from services.card.domain.life_cycle import Verb
from services.card.domain.spending_limits import SpendingLimits
from services.card.handlers.electronic import ElectronicCards, Issued
from services.card.handlers.once import transact
from services.card.handlers.set_spending_limits import GuardiansWord, set_spending_limits
from services.card.handlers.view_holder import CardIdentifier
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.payments.adapters import requests
from services.payments.adapters.electronic_tokens import ElectronicTokens as PaymentsTokens
from services.payments.api.receipts import ruling_of
from services.payments.domain.operation import Answered, Problem
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.find_token import FindToken
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, Registry, citizen_number, minors_submission
from tests.support.office import BANK, HOUR_MS, Office, new_id, open_office
from tests.support.relay import Broker, relay_once
from tests.support.town import build_town, bus_ride, now_ms, received

FARE_FEN = 200
OPENING_FEN = 1_000


@dataclass(slots=True)
class Both:
    """The two services on one database; what lies between them is a broker of ours, that delivers when it is told to."""

    registry: Registry
    office: Office
    broker: Broker

    async def card(self, number: int) -> tuple[int, str]:
        """A normal card with money behind it, and its identifier."""
        card = await self.registry.first_card(number)
        await self.deliver()
        account = await self.ask("holder", card)
        top_up = requests.top_up(self.office.window, new_id("top-up"), account, BANK, OPENING_FEN)
        assert await self.office.reason(top_up) is Reason.NONE
        return card, await self.identifier(card)

    async def identifier(self, card: int) -> str:
        return str(await self.ask("card_identifier", card))

    async def relayed(self) -> list[CardState]:
        """What the card service has to say now; payments has not heard it yet."""
        self.broker.sent.clear()
        await relay_once(self.registry, self.broker)
        return self.broker.states()

    async def deliver(self) -> None:
        await self.office.town.project(*await self.relayed())

    async def pay_by_token(self, redis: str, shown: str, request: str) -> Reason:
        """Somebody shows a token at a till."""
        tokens = PaymentsTokens(redis)
        token, identifier = await FindToken(self.office.engine, tokens)(self.office.till, request, shown)
        await tokens.close()
        paid = requests.authorize(self.office.till, request, identifier, 100, capture=True, hold_ms=HOUR_MS, token=token)
        return await self.office.reason(paid)

    async def authorize(self, identifier: str, fen: int = 100) -> Answered:
        (answer,) = await self.office.ask(
            requests.authorize(self.office.till, new_id("pay"), identifier, fen, capture=True, hold_ms=HOUR_MS)
        )
        return answer

    async def tap(self, identifier: str, at_ms: int) -> tuple[Reason, int]:
        """A ride: why it was refused, and what the holder paid."""
        owed = await self.office.town.post(received([bus_ride(0, card_identifier=identifier, at_ms=at_ms)]))
        ((_, outcome),) = owed.outcomes
        told = Outcome.FromString(outcome)
        return Reason(told.reason), told.charged.amount_fen

    async def balance(self, card: int) -> int:
        return (await self.office.sums(await self.ask("holder", card))).available_fen

    async def losses(self) -> int:
        """What the city has paid for taps of lost cards."""
        async with self.office.engine.connect() as connection:
            sums = "select coalesce(sum(amount_fen), 0) from payments.transfer where debit_account = 3"
            return int((await connection.execute(text(sums))).scalar_one())

    async def ask(self, column: str, card: int) -> Any:
        """What the registry has of a card."""
        async with driver_session(self.registry.engine) as driver:
            return await driver.fetchval(f"select {column} from card.card where id = $1", card)


@pytest.fixture
async def both(registry: Registry, engine: AsyncEngine) -> AsyncIterator[Both]:
    yield Both(registry, await open_office(await build_town(engine, 0)), Broker())
    books = await check_books(engine)
    assert books.balance, books.problem


async def test_taps_of_a_reported_card_settle_by_the_instant_of_the_tap(both: Both) -> None:
    card, identifier = await both.card(1)
    reported = now_ms()
    await both.registry.change(card, Verb.REPORT_FORMAL_LOSS, at_ms=reported)
    (state,) = await both.relayed()
    await both.office.town.project(state)
    published = state.status_periods[-1].hotlist_published_ms
    assert published > reported
    before = await both.tap(identifier, reported - 1)
    between = await both.tap(identifier, reported)
    last = await both.tap(identifier, published - 1)
    after = await both.tap(identifier, published)
    assert (before, between, last) == ((Reason.NONE, FARE_FEN), (Reason.NONE, 0), (Reason.NONE, 0))
    assert after == (Reason.HOTLISTED, 0)
    assert await both.balance(card) == OPENING_FEN - FARE_FEN  # the holder paid what came before the report, and no more
    assert await both.losses() == 2 * FARE_FEN
    ruling = (await both.authorize(identifier)).ruling
    assert ruling is not None
    assert ruling.reason is Reason.CARD_LOST


async def test_a_guardian_sets_limits_and_the_childs_next_ride_is_refused(both: Both) -> None:
    """From the window over the card's event to the ledger; a ride from before the guardian's word is not."""
    (made,) = await both.registry.submit(minors_submission())
    card = await both.registry.hand_over(made.application or 0)
    await both.deliver()
    top_up = requests.top_up(both.office.window, new_id("top-up"), made.holder or 0, BANK, OPENING_FEN)
    assert await both.office.reason(top_up) is Reason.NONE
    identifier, began = await both.identifier(card), now_ms()
    papers = Papers(Relation.PARENT, "李大人", DocumentKind.RESIDENT_ID.value, citizen_number(70), ("户口簿",))
    word = GuardiansWord(made.holder or 0, SpendingLimits(day_fen=300), verified=True, guardian=papers)
    said = await transact(
        both.registry.engine,
        # Not within the millisecond of the ride before.
        lambda driver: set_spending_limits(driver, both.registry.sealing, word, CLERK, began + 1),
    )
    assert said.refusal is None
    await both.deliver()
    assert await both.tap(identifier, began) == (Reason.NONE, FARE_FEN)
    assert await both.tap(identifier, now_ms()) == (Reason.NONE, FARE_FEN)
    assert await both.tap(identifier, now_ms()) == (Reason.OVER_GUARDIAN_DAY, 0)
    refused = await both.authorize(identifier, 101)
    assert refused.ruling is not None
    assert refused.ruling.reason is Reason.OVER_GUARDIAN_DAY
    assert await both.balance(card) == OPENING_FEN - 2 * FARE_FEN


async def test_a_stale_message_does_not_lock_a_released_card_again(both: Both) -> None:
    card, identifier = await both.card(1)
    await both.registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    stale = await both.relayed()
    await both.office.town.project(*stale)
    assert await both.tap(identifier, now_ms()) == (Reason.HOTLISTED, 0)
    await both.registry.change(card, Verb.RELEASE)
    await both.deliver()
    await both.office.town.project(*stale)
    ruling = (await both.authorize(identifier)).ruling
    assert ruling is not None
    assert ruling.reason is Reason.NONE
    assert await both.tap(identifier, now_ms()) == (Reason.NONE, FARE_FEN)


@pytest.mark.parametrize("first", ["old", "new"])
async def test_between_the_two_messages_of_a_switch_neither_card_pays_and_then_the_new_one_does(both: Both, first: str) -> None:
    old, old_name = await both.card(1)
    replacing = await both.registry.apply_again(1, ApplicationKind.REPLACE)
    assert replacing.application is not None
    await both.registry.begin(replacing.application)
    await both.registry.end(replacing.application)
    new = await both.registry.card_of(replacing.application)
    await both.registry.change(new, Verb.COLLECT)
    await both.deliver()
    assert (await both.authorize(old_name)).ruling is not None  # until the switch the old card works
    new_name = await both.identifier(new)
    money = await both.balance(old)
    await both.registry.change(new, Verb.ENABLE)
    switched = {state.card_identifier: state for state in await both.relayed()}
    told, untold = (old_name, new_name) if first == "old" else (new_name, old_name)
    await both.office.town.project(switched[told])
    for name in (old_name, new_name):
        answer = await both.authorize(name)
        assert answer.problem is Problem.SWITCH_IN_PROGRESS
        with pytest.raises(DomainError) as refused:
            ruling_of(answer)
        assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "SWITCH_IN_PROGRESS")  # a till asks again
    await both.office.town.project(switched[untold])
    paid, declined = (await both.authorize(new_name)).ruling, (await both.authorize(old_name)).ruling
    assert paid is not None
    assert declined is not None
    assert (paid.reason, declined.reason) == (Reason.NONE, Reason.CARD_CANCELLED)
    assert paid.account_id == declined.account_id
    assert await both.balance(new) == money - 100  # the switch itself moved nothing


async def test_a_late_tap_of_the_old_card_finds_the_account_of_its_holder(both: Both, owner: Owner) -> None:
    old, old_name = await both.card(1)
    ridden = now_ms()
    replacing = await both.registry.apply_again(1, ApplicationKind.REPLACE)
    assert replacing.application is not None
    new = await both.registry.hand_over(replacing.application)
    await both.deliver()
    assert await both.tap(old_name, ridden) == (Reason.NONE, FARE_FEN)
    assert await both.tap(old_name, now_ms()) == (Reason.CARD_CANCELLED, 0)
    assert await both.tap(await both.identifier(new), now_ms()) == (Reason.NONE, FARE_FEN)
    assert await both.balance(old) == await both.balance(new) == OPENING_FEN - 2 * FARE_FEN
    pointers = await owner.fetch("select distinct account_id from payments.card")
    assert len(pointers) == 1


async def test_a_token_of_the_card_service_pays_once_and_not_when_its_card_is_lost(
    both: Both, owner: Owner, valkey_server: Valkey
) -> None:
    redis, registry, password = valkey_server.address, both.registry, "739154"
    card, identifier = await both.card(1)
    tokens, passwords = ElectronicTokens(redis), Passwords(registry.vault, PasswordHasher(1, 64, 1), "electronic")
    electronic = ElectronicCards(registry.engine, registry.sealing, registry.settings, passwords, tokens)
    stored = await electronic.store(card, password)
    assert isinstance(stored, StoredPassword)
    assert (await registry.change(card, Verb.SIGN_UP, password=stored)).refusal is None
    await owner.execute("update card.card set financial = 2 where id = $1", card)
    assert (await registry.change(card, Verb.RAISE_LEVEL)).refusal is None
    await both.deliver()

    async def issue() -> str:
        issued = await electronic.issue(CardIdentifier(identifier), password, TokenPurpose.PAY, CLERK, now_ms())
        assert isinstance(issued, Issued)
        return issued.token

    first, name = await issue(), new_id("token")
    assert await both.pay_by_token(redis, first, name) is Reason.NONE
    assert await both.pay_by_token(redis, first, name) is Reason.NONE, "asked once more"
    assert await both.pay_by_token(redis, first, new_id("token")) is Reason.TOKEN_SPENT
    assert await both.balance(card) == OPENING_FEN - 100
    second = await issue()
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    await both.deliver()
    assert await both.pay_by_token(redis, second, new_id("token")) is Reason.CARD_LOST
    await tokens.close()
    passwords.close()
