"""A card's PIN: a failure is counted before it is answered, and whoever guesses finds the card locked."""

import asyncio
from typing import Any

import pytest

from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1 import sessions_pb2 as sessions
from onecard.card.v1 import window_pb2 as visits
from services.card.adapters.passwords import Passwords
from tests.integration.card.test_api_cards import IN_PERSON, ask, issued
from tests.integration.card.test_approvals import decide, supervisor
from tests.support.cardholders import citizen_number
from tests.support.hall import ISSUANCE, Hall, Owner, Window, status_of
from tests.support.marked import stands_in

PIN, OTHER_PIN = "739154", "268405"
UNREAD = messages.Presented(party=messages.PARTY_HOLDER_IN_PERSON)
PROXY = messages.Presented(party=messages.PARTY_PROXY, identity_verified=True)


async def with_pin(hall: Hall, clerk: Window, number: int = 1) -> int:
    """A normal card whose holder chose a PIN when it was handed over."""
    _, card = await issued(hall, clerk, number)
    collect = messages.CollectRequest(request_id=f"c{card}", card_id=card, presented=IN_PERSON, new_pin=PIN)
    assert not (await clerk.ask("Collect", collect)).HasField("refusal")
    assert not (await ask(clerk, "Enable", card)).HasField("refusal")
    return card


async def guess(window: Window, card: int, pin: str) -> str:
    """What is said to a PIN; empty: it is the one."""
    answer = await window.ask("VerifyPin", messages.VerifyPinRequest(card_id=card, pin=pin))
    return str(answer.refusal.reason)


def reset(card: int, request_id: str = "r1", **other: Any) -> messages.ResetPinRequest:
    fields = {"presented": IN_PERSON, "new_pin": OTHER_PIN, **other}
    return messages.ResetPinRequest(request_id=request_id, card_id=card, **fields)


async def social(owner: Owner, card: int) -> int:
    return int(await owner.fetchval("select social from card.card where id = $1", card))


async def test_an_empty_or_missing_pin_is_a_failure_also_for_a_card_that_has_none(hall: Hall, owner: Owner) -> None:
    """Known fault 6: a null PIN passes."""
    clerk = await hall.window()
    card, (_, bare) = await with_pin(hall, clerk), await issued(hall, clerk, 2)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, bare)
    for one in (card, bare):
        assert await guess(clerk, one, "") == "PIN_WRONG"
        answer = await clerk.ask("VerifyPin", messages.VerifyPinRequest(card_id=one))
        assert answer.refusal.reason == "PIN_WRONG"
        assert await owner.fetchval("select wrong_pins from card.card where id = $1", one) == 2
    assert await guess(clerk, card, PIN) == ""
    assert await owner.fetchval("select wrong_pins from card.card where id = $1", card) == 0


async def test_a_failure_is_counted_before_the_pin_is_looked_at(
    hall: Hall, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    counted = []

    async def watched(self: Passwords, name: str, pin: str, stored: object) -> bool:
        counted.append(await owner.fetchval("select wrong_pins from card.card where id = $1", card))
        raise ConnectionAbortedError

    monkeypatch.setattr(Passwords, "matches", watched)
    await status_of(guess(clerk, card, PIN))
    monkeypatch.undo()
    assert counted == [1]
    assert await owner.fetchval("select wrong_pins from card.card where id = $1", card) == 1


async def test_after_so_many_failures_in_a_row_the_card_is_locked_and_other_services_hear_of_it(
    hall: Hall, owner: Owner
) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    heard = [await guess(clerk, card, pin) for pin in (*["000000"] * 5, PIN, *["000000"] * 6, PIN)]
    assert heard == ["PIN_WRONG"] * 5 + [""] + ["PIN_WRONG"] * 5 + ["LOCKED", "LOCKED"]
    assert await social(owner, card) == 3
    last = await owner.fetchrow("select verb, party, actor from card.transition where card = $1 order by version desc", card)
    assert last is not None
    assert tuple(last)[:2] == (10, 9)
    version = await owner.fetchval("select version from card.card where id = $1", card)
    assert await owner.fetchval("select count(*) from card.event_outbox where (card, version) = ($1, $2)", card, version) == 1
    assert await owner.fetchval("select count(*) from card.audit where act = 'card.wrong_pin' and card = $1", card) == 11


async def test_of_64_guesses_at_once_no_more_are_judged_than_the_city_allows_and_none_succeeds_after_the_lock(
    hall: Hall, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    judged = []
    matches = Passwords.matches

    async def watched(self: Passwords, name: str, pin: str, stored: Any) -> bool:
        judged.append(pin)
        return await matches(self, name, pin, stored)

    monkeypatch.setattr(Passwords, "matches", watched)
    heard = await asyncio.gather(*(guess(clerk, card, f"{n:06}") for n in range(64)))
    assert set(heard) <= {"PIN_WRONG", "LOCKED"}
    assert len(judged) == 6
    assert await social(owner, card) == 3
    assert await guess(clerk, card, PIN) == "LOCKED"
    assert len(judged) == 6


async def test_nothing_but_the_holder_at_a_window_gives_tries_back(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    for _ in range(5):
        await guess(clerk, card, "000000")
    for verb in ("ReportTemporaryLoss", "Release"):
        assert not (await ask(clerk, verb, card)).HasField("refusal")
    assert await guess(clerk, card, "000000") == "LOCKED"
    assert not (await ask(clerk, "Unlock", card)).HasField("refusal")
    assert await guess(clerk, card, PIN) == ""


async def test_a_weak_pin_is_refused_and_nothing_is_done(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    number = citizen_number(1)
    for pin in ("123456", "000000", number[6:12], number[8:14], number[:6], "345678"):
        asked = messages.CollectRequest(request_id="c", card_id=card, presented=IN_PERSON, new_pin=pin)
        answer = await clerk.ask("Collect", asked)
        assert (answer.refusal.reason, answer.refusal.field, answer.card.production) == ("PIN_TOO_WEAK", "new_pin", 60)
    asked.new_pin = PIN
    assert (await clerk.ask("Collect", asked)).card.production == 70


async def test_a_pin_is_changed_by_whoever_knows_it_and_a_repeat_costs_no_try(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    change = messages.ChangePinRequest(request_id="p", card_id=card, pin="000000", new_pin=OTHER_PIN)
    assert (await clerk.ask("ChangePin", change)).refusal.reason == "PIN_WRONG"
    change.pin = PIN
    done = await clerk.ask("ChangePin", change)
    assert not done.HasField("refusal")
    assert await clerk.ask("ChangePin", change) == done
    assert await owner.fetchval("select wrong_pins from card.card where id = $1", card) == 0
    assert [await guess(clerk, card, pin) for pin in (PIN, OTHER_PIN)] == ["PIN_WRONG", ""]


async def test_a_forgotten_pin_is_reset_in_person_and_never_by_proxy(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    for _ in range(6):
        await guess(clerk, card, "000000")
    assert (await clerk.ask("ResetPin", reset(card, presented=PROXY))).refusal.reason == "PROXY_MAY_NOT"
    remote = messages.Presented(party=messages.PARTY_HOLDER_REMOTE, identity_verified=True)
    assert (await clerk.ask("ResetPin", reset(card, "r2", presented=remote))).refusal.reason == "NOT_BY_THIS_PARTY"
    assert (await clerk.ask("ResetPin", reset(card, "r3", presented=UNREAD))).refusal.reason == "IDENTITY_NOT_VERIFIED"
    assert (await clerk.ask("ResetPin", reset(card, "r4", new_pin=""))).refusal.reason == "PIN_TOO_WEAK"
    done = await clerk.ask("ResetPin", reset(card, "r5"))
    assert done.card.social == messages.SOCIAL_STATUS_NORMAL
    assert [await guess(clerk, card, pin) for pin in (OTHER_PIN, PIN)] == ["", "PIN_WRONG"]


async def test_without_a_document_that_can_be_read_a_reset_waits_for_a_second_person(hall: Hall) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await with_pin(hall, clerk)
    asked = reset(card, presented=UNREAD, without_document=True)
    first = await clerk.ask("ResetPin", asked)
    assert first.refusal.reason == "SECOND_PERSON_NEEDED"
    assert await guess(clerk, card, PIN) == ""
    decided = await decide(chief, first.refusal.approval_id)
    assert (decided.approval.act, decided.approval.detail["shown"]) == ("RESET_PIN", "NO_DOCUMENT")
    asked.new_pin = "951827"  # the holder keys it in again; it was kept nowhere
    assert not (await clerk.ask("ResetPin", asked)).HasField("refusal")
    assert await guess(clerk, card, "951827") == ""


async def test_pins_are_set_within_a_visit_and_stand_on_no_receipt(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    items = [
        visits.VisitItem(collect=messages.CollectRequest(card_id=card, presented=IN_PERSON)),
        visits.VisitItem(enable=messages.EnableRequest(card_id=card, presented=IN_PERSON, new_pin=PIN)),
        visits.VisitItem(
            reset_pin=messages.ResetPinRequest(card_id=card, presented=UNREAD, new_pin=PIN, without_document=True)
        ),
    ]
    receipt = (await clerk.ask("CompleteVisit", visits.CompleteVisitRequest(visit_id="v", items=items))).receipt
    assert [(line.what, line.refusal.reason) for line in receipt.lines] == [
        ("COLLECT", ""),
        ("ENABLE", ""),
        ("RESET_PIN", "SECOND_PERSON_NEEDED"),
    ]
    assert await guess(clerk, card, PIN) == ""


async def test_a_pin_is_chosen_by_the_holder_or_a_guardian_alone(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    await ask(clerk, "Collect", card)
    remote = messages.Presented(party=messages.PARTY_HOLDER_REMOTE, identity_verified=True)
    enable = messages.EnableRequest(request_id="e", card_id=card, presented=remote, new_pin=PIN)
    assert (await clerk.ask("Enable", enable)).refusal.reason == "PIN_IN_PERSON"


async def test_a_pin_is_stored_nowhere_in_a_form_that_can_be_read(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    await clerk.ask("ResetPin", reset(card))
    await guess(clerk, card, PIN)
    stored = await owner.fetchval("select p::text from card.pin p")
    assert "$argon2id$" in stored
    assert PIN.encode().hex() not in stored
    for table in ("pin", "request", "audit", "transition", "event_outbox"):
        rows = await owner.fetch(f"select t::text from card.{table} t")
        assert not [row for row in rows if stands_in(PIN, row[0]) or stands_in(OTHER_PIN, row[0])], table


async def test_issuance_and_others_without_a_shift_try_no_pin_at_a_window(hall: Hall) -> None:
    clerk, issuance = await hall.window(), await hall.window(subject=ISSUANCE, token="")
    card = await with_pin(hall, clerk)
    assert (await status_of(guess(issuance, card, PIN)))[1] == "SIGN_IN_NEEDED"
    opened = await issuance.ask(
        "OpenSession", sessions.OpenSessionRequest(card_and_pin=sessions.CardAndPin(card_identifier="x"))
    )
    assert opened.refusal.reason == "PIN_WRONG"
