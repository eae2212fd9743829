"""The electronic card: signed up, tried, locked, lost with its card and handed on; its tokens are good once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.servers.valkey import Valkey
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import electronic_pb2 as messages
from onecard.card.v1 import sessions_pb2 as sessions
from onecard.card.v1 import window_pb2 as windows
from onecard.card.v1.card_events_pb2 import ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_NOTHING, ELECTRONIC_USE_PAY
from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_IDENTIFY, TOKEN_PURPOSE_PAY, ElectronicToken
from services.card.adapters.electronic_tokens import number_of
from services.card.adapters.events import read_states
from services.card.adapters.passwords import Passwords
from services.card.domain.application import ApplicationKind
from services.card.domain.life_cycle import Party, Verb
from services.card.handlers.keep_time import KeepTime
from services.common.database import driver_session
from tests.integration.card.test_api_cards import IN_PERSON, ask
from tests.support.cardholders import Registry
from tests.support.hall import Hall, Owner, Window, open_hall, status_of
from tests.support.marked import stands_in
from tests.support.tokens import redis_of
from tests.support.town import now_ms

PASSWORD, OTHER = "739154", "268405"
AWAY = (grpc.StatusCode.UNAVAILABLE, "TOKENS_AWAY")
SPENT = (grpc.StatusCode.FAILED_PRECONDITION, "TOKEN_SPENT")
UNKNOWN = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TOKEN")


@pytest.fixture
async def hall(registry: Registry, owner: Owner, tmp_path: Path, valkey_server: Valkey) -> AsyncIterator[Hall]:
    """A card service that has a Redis."""
    redis_of(valkey_server).flushall()  # cards of other tests have these identifiers, too
    async with open_hall(registry, owner, tmp_path, redis=valkey_server.address) as opened:
        yield opened


@pytest.fixture
async def clerk(hall: Hall) -> Window:
    return await hall.window()


@pytest.fixture
async def card(registry: Registry, clerk: Window) -> int:
    """With an electronic one."""
    card = await registry.first_card(1)
    assert not (await clerk.ask("SignUp", sign_up(card))).HasField("refusal")
    return card


@pytest.fixture
async def paying(clerk: Window, owner: Owner, card: int) -> int:
    """With one that pays."""
    await owner.execute("update card.card set financial = 2 where id = $1", card)
    assert not (await ask_electronic(clerk, "RaiseLevel", card)).HasField("refusal")
    return card


def sign_up(card: int, password: str = PASSWORD, request_id: str = "s") -> messages.SignUpRequest:
    return messages.SignUpRequest(request_id=request_id, card_id=card, presented=IN_PERSON, password=password)


async def ask_electronic(window: Window, verb: str, card: int, request_id: str = "e", **other: Any) -> Any:
    kind = getattr(messages, f"{verb}Request")
    return await window.ask(verb, kind(**{"request_id": request_id, "card_id": card, "presented": IN_PERSON, **other}))


async def identifier(owner: Owner, card: int) -> str:
    return str(await owner.fetchval("select card_identifier from card.card where id = $1", card))


async def issue(
    window: Window, owner: Owner, card: int, password: str = PASSWORD, purpose: int = TOKEN_PURPOSE_IDENTIFY
) -> messages.IssueTokenResponse:
    asked = messages.IssueTokenRequest(
        card_identifier=await identifier(owner, card),
        password=password,
        purpose=purpose,  # type: ignore[arg-type]  # a number of the enumeration
    )
    issued: messages.IssueTokenResponse = await window.ask("IssueToken", asked)
    return issued


async def said(window: Window, owner: Owner, card: int, password: str = PASSWORD, purpose: int = TOKEN_PURPOSE_IDENTIFY) -> str:
    """Why there is no token; empty: there is one."""
    return (await issue(window, owner, card, password, purpose)).refusal.reason


async def view(window: Window, token: str) -> windows.HolderView:
    answer = await window.ask("GetHolderView", windows.GetHolderViewRequest(token=token, without_payments=True))
    holder: windows.HolderView = answer.holder
    return holder


async def uses(registry: Registry, card: int) -> list[int]:
    """What other services hear that it could be used for, from first to last."""
    async with driver_session(registry.engine) as driver:
        return [period.use for period in (await read_states(driver, registry.sealing, [card]))[card].electronic_periods]


async def test_a_card_has_one_electronic_card_of_two_levels_and_the_second_needs_an_active_account(
    hall: Hall, registry: Registry, owner: Owner, clerk: Window
) -> None:
    card = await registry.first_card(1)
    assert await said(clerk, owner, card) == "PASSWORD_WRONG"
    assert (await ask_electronic(clerk, "RaiseLevel", card)).refusal.reason == "NO_ELECTRONIC_CARD"
    weak = await clerk.ask("SignUp", sign_up(card, "123456"))
    assert (weak.refusal.reason, weak.refusal.field) == ("PASSWORD_TOO_WEAK", "password")
    done = await clerk.ask("SignUp", sign_up(card))
    assert (done.card.electronic.level, done.card.electronic.use) == (cards.ELECTRONIC_LEVEL_QUERY, ELECTRONIC_USE_IDENTIFY)
    assert await clerk.ask("SignUp", sign_up(card)) == done
    assert (await clerk.ask("SignUp", sign_up(card, request_id="s2"))).refusal.reason == "ELECTRONIC_CARD_EXISTS"
    assert await said(clerk, owner, card, purpose=TOKEN_PURPOSE_PAY) == "ELECTRONIC_LEVEL_TOO_LOW"
    assert (await ask_electronic(clerk, "RaiseLevel", card, "e2")).refusal.reason == "ACCOUNT_NOT_ACTIVE"
    await owner.execute("update card.card set financial = 2 where id = $1", card)
    raised = await ask_electronic(clerk, "RaiseLevel", card, "e3")
    assert raised.card.electronic.use == ELECTRONIC_USE_PAY
    assert (await ask_electronic(clerk, "RaiseLevel", card, "e4")).refusal.reason == "ELECTRONIC_LEVEL_REACHED"
    assert await said(clerk, owner, card, purpose=TOKEN_PURPOSE_PAY) == ""
    assert await uses(registry, card) == [ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_PAY]
    ended = await ask_electronic(clerk, "CancelElectronicCard", card, "e5")
    assert not ended.card.HasField("electronic")
    assert await said(clerk, owner, card) == "PASSWORD_WRONG"
    assert await uses(registry, card) == [ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_PAY, ELECTRONIC_USE_NOTHING]


async def test_of_64_guesses_at_once_no_more_are_judged_than_the_city_allows_and_the_holder_unlocks_it_in_person(
    owner: Owner, clerk: Window, card: int, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    matches = Passwords.matches

    async def watched(self: Passwords, name: str, password: str, stored: Any) -> bool:
        judged.append(0)
        if len(judged) == 1:
            judged[0] = await owner.fetchval("select failures from card.electronic_password")
        return await matches(self, name, password, stored)

    monkeypatch.setattr(Passwords, "matches", watched)
    shown = await identifier(owner, card)
    guesses = [
        messages.IssueTokenRequest(card_identifier=shown, password=f"{n:06}", purpose=TOKEN_PURPOSE_PAY) for n in range(64)
    ]
    heard = [answer.refusal.reason for answer in await asyncio.gather(*(clerk.ask("IssueToken", one) for one in guesses))]
    assert set(heard) <= {"PASSWORD_WRONG", "ELECTRONIC_LOCKED"}
    assert len(judged) == 6
    assert judged[0] >= 1, "it was counted before"
    assert await said(clerk, owner, card) == "ELECTRONIC_LOCKED"
    assert await owner.fetchval("select count(*) from card.audit where act = 'electronic.wrong_password'") == 6
    assert await uses(registry, card) == [ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_NOTHING]
    proxy = cards.Presented(party=cards.PARTY_PROXY, identity_verified=True)
    refused = await ask_electronic(clerk, "ResetPassword", card, "r1", presented=proxy, password=OTHER)
    assert refused.refusal.reason == "PROXY_MAY_NOT"
    assert not (await ask_electronic(clerk, "ResetPassword", card, "r2", password=OTHER)).HasField("refusal")
    assert [await said(clerk, owner, card, word) for word in (PASSWORD, "", OTHER)] == ["PASSWORD_WRONG", "PASSWORD_WRONG", ""]
    assert await owner.fetchval("select failures from card.electronic_password") == 0


async def test_a_password_is_stored_nowhere_in_a_form_that_can_be_read(owner: Owner, clerk: Window, card: int) -> None:
    token = (await issue(clerk, owner, card)).token
    for table in ("electronic_password", "request", "audit", "transition", "event_outbox", "spent_token"):
        rows = await owner.fetch(f"select t::text from card.{table} t")
        assert not [row for row in rows if stands_in(PASSWORD, row[0]) or token in row[0]], table


async def test_a_token_shows_who_somebody_is_once_at_whatever_window_and_whatever_redis_remembers(
    hall: Hall, owner: Owner, clerk: Window, card: int, valkey_server: Valkey
) -> None:
    token = (await issue(clerk, owner, card)).token
    other = await hall.window()
    heard = await asyncio.gather(view(clerk, token), view(other, token), return_exceptions=True)
    assert Counter(type(one) for one in heard) == {windows.HolderView: 1, grpc.aio.AioRpcError: 1}
    assert await status_of(view(clerk, token)) == SPENT
    key = f"electronic:token:{number_of(token).hex()}"
    kept: Any = redis_of(valkey_server).get(key)
    redis_of(valkey_server).flushall()
    assert await status_of(view(clerk, token)) == UNKNOWN
    redis_of(valkey_server).set(key, kept, px=60_000)
    assert await status_of(view(clerk, token)) == SPENT
    assert await owner.fetchval("select count(*) from card.audit where act = 'holder.view'") == 1


async def test_a_token_dies_when_the_next_one_of_its_purpose_is_made_and_when_its_time_is_over(
    owner: Owner, clerk: Window, paying: int, valkey_server: Valkey
) -> None:
    first, second = [(await issue(clerk, owner, paying)).token for _ in range(2)]
    pays = await issue(clerk, owner, paying, purpose=TOKEN_PURPOSE_PAY)
    assert [await status_of(view(clerk, token)) for token in (first, pays.token)] == [UNKNOWN, UNKNOWN]
    assert 0 < pays.expire_time_ms - now_ms() <= 60_000
    redis = redis_of(valkey_server)
    key = f"electronic:token:{number_of(second).hex()}"
    assert 0 < redis.pttl(key) <= 60_000
    kept: Any = redis.get(key)
    old = ElectronicToken.FromString(kept)
    old.expire_time_ms = now_ms() - 1
    redis.set(key, old.SerializeToString(), px=60_000)
    assert await status_of(view(clerk, second)) == UNKNOWN


async def test_without_redis_there_is_no_token(registry: Registry, owner: Owner, tmp_path: Path) -> None:
    async with open_hall(registry, owner, tmp_path, redis="127.0.0.1:1") as hall:
        clerk = await hall.window()
        card = await registry.first_card(1)
        await clerk.ask("SignUp", sign_up(card))
        assert await status_of(issue(clerk, owner, card)) == AWAY
        assert await status_of(view(clerk, "a-token")) == AWAY


@pytest.mark.parametrize("let", [False, True])
async def test_while_its_card_is_lost_for_a_time_it_is_used_only_if_the_holder_said_so(
    registry: Registry, owner: Owner, clerk: Window, paying: int, let: bool
) -> None:
    token = (await issue(clerk, owner, paying)).token
    report = cards.ReportTemporaryLossRequest(request_id="l", card_id=paying, presented=IN_PERSON, electronic_outlives_loss=let)
    lost = await clerk.ask("ReportTemporaryLoss", report)
    assert lost.card.electronic.use == (ELECTRONIC_USE_PAY if let else ELECTRONIC_USE_NOTHING)
    assert await said(clerk, owner, paying, purpose=TOKEN_PURPOSE_PAY) == ("" if let else "CARD_IS_LOST")
    if let:
        assert (await view(clerk, token)).holder_id
    else:
        assert (await status_of(view(clerk, token)))[1] == "CARD_IS_LOST"
    released = await ask(clerk, "Release", paying)
    assert released.card.electronic == cards.ElectronicCard(level=cards.ELECTRONIC_LEVEL_PAYMENT, use=ELECTRONIC_USE_PAY)
    seen = [ELECTRONIC_USE_IDENTIFY, ELECTRONIC_USE_PAY]
    assert await uses(registry, paying) == seen + ([] if let else [ELECTRONIC_USE_NOTHING, ELECTRONIC_USE_PAY])


async def test_after_a_formal_loss_it_is_barred_until_it_goes_with_the_new_card(
    registry: Registry, owner: Owner, clerk: Window, paying: int
) -> None:
    await registry.change(paying, Verb.REPORT_FORMAL_LOSS)
    assert await said(clerk, owner, paying) == "CARD_IS_LOST"
    made = await registry.apply_again(1, ApplicationKind.REISSUE)
    assert made.application is not None
    new = await registry.hand_over(made.application)
    assert await said(clerk, owner, paying) == "PASSWORD_WRONG", "the old card has none"
    assert await said(clerk, owner, new) == ""
    assert await said(clerk, owner, new, purpose=TOKEN_PURPOSE_PAY) == "ACCOUNT_NOT_ACTIVE"
    assert (await uses(registry, paying))[-1] == ELECTRONIC_USE_NOTHING
    assert await uses(registry, new) == [ELECTRONIC_USE_IDENTIFY]
    levels = "select array_agg(electronic order by id) from card.card"
    assert await owner.fetchval(levels) == [0, 2]


async def test_it_is_barred_while_its_card_is_locked_and_ends_when_its_card_is_cancelled(
    registry: Registry, owner: Owner, clerk: Window, paying: int
) -> None:
    await registry.change(paying, Verb.LOCK, Party.SYSTEM)
    assert await said(clerk, owner, paying) == "LOCKED"
    await registry.change(paying, Verb.UNLOCK)
    assert await said(clerk, owner, paying) == ""
    await registry.change(paying, Verb.CANCEL)
    assert await said(clerk, owner, paying) == "PASSWORD_WRONG"
    assert await owner.fetchval("select count(*) from card.electronic_password") == 0
    assert (await uses(registry, paying))[-1] == ELECTRONIC_USE_NOTHING


async def test_a_session_is_opened_by_the_electronic_card(hall: Hall, owner: Owner, card: int) -> None:
    kiosk = await hall.window(subject="onecard://service/portal", token="")
    shown = sessions.CardAndPin(card_identifier=await identifier(owner, card), pin=OTHER)
    asked = sessions.OpenSessionRequest(electronic_card=shown)
    assert (await kiosk.ask("OpenSession", asked)).refusal.reason == "PASSWORD_WRONG"
    asked.electronic_card.pin = PASSWORD
    kiosk.holder = (await kiosk.ask("OpenSession", asked)).token
    ended = await kiosk.ask("CancelElectronicCard", messages.CancelElectronicCardRequest(request_id="c", card_id=card))
    assert not ended.HasField("refusal")
    assert not ended.card.HasField("electronic")


async def test_used_tokens_are_forgotten_a_day_after_their_time(registry: Registry, owner: Owner) -> None:
    add = "insert into card.spent_token values (sha256($1), now() - $2 * interval '1 hour')"
    await owner.execute(add, b"old", 25)
    await owner.execute(add, b"young", 23)
    async with registry.engine.connect() as connection:
        await KeepTime(registry.engine, registry.sealing, registry.settings)(connection)
        await connection.commit()
    assert await owner.fetchval("select array_agg(token) = array[sha256('young')] from card.spent_token")
