"""Tokens of electronic cards in place of cards: each is used once, and pays what its card may pay."""

from dataclasses import replace

import pytest

from services.payments.adapters import requests
from services.payments.domain.card import CardStatus, ElectronicPeriod, ElectronicUse, StatusPeriod
from services.payments.domain.operation import Authorize, Problem, Token
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import ANN, NOW, OTHER_TILL, TILL, a_hall, holder, new_id

SOON = NOW + 60_000


def a_hall_with(use: ElectronicUse, status: CardStatus = CardStatus.NORMAL) -> OneThread:
    card = a_card("A", (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(status, NOW - 1)))
    return a_hall(ann=holder(ANN, 1_000, replace(card, electronic_periods=(ElectronicPeriod(use, 0),))))


def pay(fen: int, token: bytes = b"t" * 32, until_ms: int = SOON, card: str = "A", terminal: object = TILL) -> Authorize:
    assert terminal in (TILL, OTHER_TILL)
    caller = TILL if terminal is TILL else OTHER_TILL
    return requests.authorize(caller, new_id(), card, fen, capture=True, hold_ms=0, token=Token(token, until_ms))


def test_a_token_pays_once_whoever_shows_it_again_and_also_within_one_batch() -> None:
    hall = a_hall_with(ElectronicUse.PAY)
    journal = hall.post([pay(300), pay(300, terminal=OTHER_TILL)])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [Reason.NONE, Reason.TOKEN_SPENT]
    assert [token.number for token in journal.spent] == [b"t" * 32]
    assert hall.reason(pay(300)) is Reason.TOKEN_SPENT
    assert hall.reason(pay(300, b"u" * 32)) is Reason.NONE
    assert hall.funds(ANN) == (400, 0)


def test_whatever_the_first_verdict_is_it_spends_the_token() -> None:
    hall = a_hall_with(ElectronicUse.PAY)
    assert hall.reason(pay(5_000)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(pay(1)) is Reason.TOKEN_SPENT


def test_a_repeat_hears_the_first_verdict_also_when_the_token_has_gone() -> None:
    hall = a_hall_with(ElectronicUse.PAY)
    first = pay(300)
    ruling = hall.rule(first)
    gone = requests.authorize(TILL, first.request.request_id, "", 300, capture=True, hold_ms=0, token=Token(b"t" * 32))
    answer = hall.ask(gone)
    assert (answer.ruling, answer.repeated) == (ruling, True)
    other = requests.authorize(TILL, first.request.request_id, "", 300, capture=True, hold_ms=0, token=Token(b"u" * 32))
    assert hall.ask(other).problem is Problem.CONFLICT


@pytest.mark.parametrize(("card", "until_ms"), [("", 0), ("A", NOW)], ids=["unknown", "expired"])
def test_a_token_that_is_unknown_or_over_is_refused_for_that_and_nobody_is_concerned(card: str, until_ms: int) -> None:
    ruling = a_hall_with(ElectronicUse.PAY).rule(pay(1, until_ms=until_ms, card=card))
    assert (ruling.reason, ruling.account_id) == (Reason.TOKEN_UNKNOWN, 0)


def test_a_token_of_a_card_that_is_not_known_yet_stays_unspent() -> None:
    hall = a_hall_with(ElectronicUse.PAY)
    assert hall.ask(pay(1, card="Z")).problem is Problem.UNKNOWN_CARD
    assert hall.reason(pay(1)) is Reason.NONE


@pytest.mark.parametrize(
    ("use", "status", "reason"),
    [
        (ElectronicUse.NOTHING, CardStatus.NORMAL, Reason.ELECTRONIC_CARD_BARRED),
        (ElectronicUse.IDENTIFY, CardStatus.NORMAL, Reason.ELECTRONIC_CARD_BARRED),
        (ElectronicUse.PAY, CardStatus.NORMAL, Reason.NONE),
        (ElectronicUse.PAY, CardStatus.TEMPORARILY_LOST, Reason.NONE),
        (ElectronicUse.NOTHING, CardStatus.TEMPORARILY_LOST, Reason.CARD_LOST),
        (ElectronicUse.PAY, CardStatus.FORMALLY_LOST, Reason.CARD_LOST),
        (ElectronicUse.PAY, CardStatus.LOCKED, Reason.CARD_LOCKED),
        (ElectronicUse.PAY, CardStatus.CANCELLED, Reason.CARD_CANCELLED),
    ],
)
def test_a_token_pays_what_its_electronic_card_may_pay(use: ElectronicUse, status: CardStatus, reason: Reason) -> None:
    assert a_hall_with(use, status).reason(pay(1)) is reason


def test_an_operation_by_token_is_decided_again_from_the_journal() -> None:
    hold = requests.authorize(
        TILL, "r", "A", 300, capture=False, hold_ms=7_000, asked_hold_ms=0, token=Token(b"t" * 32, SOON)
    )  # fmt: skip
    assert requests.again(TILL, "r", hold.request.body, 0) == hold
