"""Deciding a batch: refusals first, known identities before anything is rated, usage under the lock."""

from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from services.payments.domain.account import AccountStatus, HolderAccount
from services.payments.domain.book import Book, Rules
from services.payments.domain.card import Card, CardStatus, StatusPeriod
from services.payments.domain.posting import decide
from services.payments.domain.rating.cumulative import Measure, Tier, Tiers
from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.price import Flat, NamedPrice
from services.payments.domain.tap import Scene, Tap, Terminal
from services.payments.domain.tariff import Tariff, Tariffs
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Answer, Cause, Reason, Verdict

NOW = 1_790_000_000_000
DAY = 24 * 3_600_000
HOLDER, PAYEE, LOSSES = 2**32, 1000, 3
BUS = Terminal(1, "BUS", "V1", Scene.BUS, PAYEE, retired=False)
CANTEEN = Terminal(2, "CANTEEN", "P1", Scene.CAMPUS, PAYEE, retired=False)
NORMAL = (StatusPeriod(CardStatus.NORMAL, 0),)
RULES = Rules(
    Tariffs([Tariff(Scene.BUS, 0, Flat(200)), Tariff(Scene.CAMPUS, 0, NamedPrice(20_000))]),
    hotlist_losses_account=LOSSES,
    acceptance_horizon_ms=180 * DAY,
    clock_tolerance_ms=600_000,
    hotlist_grace_ms=0,
)


def ride(sequence: int = 1, at: int = NOW, price_fen: int | None = None) -> Tap:
    return Tap(BUS, sequence, sha256(f"{sequence} {at}".encode()).digest(), "C", at, price_fen)


def meal(price_fen: int | None, sequence: int = 1) -> Tap:
    return Tap(CANTEEN, sequence, sha256(f"{sequence} {price_fen}".encode()).digest(), "C", NOW, price_fen)


def book(
    available_fen: int = 1_000,
    *,
    overdraft_fen: int = 0,
    status: AccountStatus = AccountStatus.OPEN,
    periods: tuple[StatusPeriod, ...] = NORMAL,
) -> Book:
    card = Card("C", date(1990, 1, 1), periods, (), 1, 1)
    return Book({"C": HolderAccount(HOLDER, available_fen, overdraft_fen, status, cards=(card,))})


def reason(tap: Tap, on: Book, rules: Rules = RULES) -> Reason:
    (answer,) = decide([tap], (), on, rules, 7, NOW).answers
    assert answer.verdict is not None
    return answer.verdict.reason


@pytest.mark.parametrize(
    ("tap", "wanted"),
    [
        (ride(at=NOW + 600_000), Reason.NONE),
        (ride(at=NOW + 600_001), Reason.BAD_TIME),
        (ride(at=NOW - 180 * DAY), Reason.NONE),
        (ride(at=NOW - 180 * DAY - 1), Reason.TOO_LATE),
        (ride(price_fen=200), Reason.PRICE_NOT_ALLOWED),
        (ride(price_fen=0), Reason.PRICE_NOT_ALLOWED),
        (meal(None), Reason.BAD_PRICE),
        (meal(0), Reason.BAD_PRICE),
        (meal(-5), Reason.BAD_PRICE),
        (meal(1), Reason.NONE),
        (meal(1_000), Reason.NONE),
        (meal(1_001), Reason.INSUFFICIENT_FUNDS),
        (meal(20_001), Reason.BAD_PRICE),
    ],
)
def test_times_prices_and_funds_at_their_boundaries(tap: Tap, wanted: Reason) -> None:
    assert reason(tap, book()) is wanted


def test_overdraft_is_used_to_its_last_fen() -> None:
    assert reason(meal(1_500), book(overdraft_fen=500)) is Reason.NONE
    assert reason(meal(1_501), book(overdraft_fen=500)) is Reason.INSUFFICIENT_FUNDS


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (CardStatus.SEALED, Reason.CARD_SEALED),
        (CardStatus.LOCKED, Reason.CARD_LOCKED),
        (CardStatus.CANCELLED, Reason.CARD_CANCELLED),
        (CardStatus.NORMAL, Reason.NONE),
    ],
)
def test_card_status_is_judged_at_the_instant_of_the_tap(status: CardStatus, wanted: Reason) -> None:
    since = (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(status, NOW - 100))
    assert reason(ride(at=NOW - 100), book(periods=since)) is wanted
    assert reason(ride(at=NOW - 101), book(periods=since)) is Reason.NONE


def test_before_its_first_status_a_card_is_sealed() -> None:
    assert reason(ride(), book(periods=(StatusPeriod(CardStatus.NORMAL, NOW + 1),))) is Reason.CARD_SEALED


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(AccountStatus.FROZEN, Reason.ACCOUNT_FROZEN), (AccountStatus.CLOSED, Reason.ACCOUNT_CLOSED)],
)
def test_a_frozen_or_closed_account_pays_nothing(status: AccountStatus, wanted: Reason) -> None:
    assert reason(ride(), book(status=status)) is wanted


def test_between_report_and_hotlist_the_city_pays_for_a_lost_card() -> None:
    lost = (*NORMAL, StatusPeriod(CardStatus.TEMPORARILY_LOST, NOW - 100, hotlist_published_ms=NOW - 50))
    on = book(available_fen=0, periods=lost)
    journal = decide([ride(1, NOW - 51), ride(2, NOW - 50)], (), on, RULES, 7, NOW)
    assert [a.verdict and a.verdict.reason for a in journal.answers] == [Reason.NONE, Reason.HOTLISTED]
    (leg,) = journal.legs
    assert (leg.code, leg.debit_account, leg.credit_account, leg.amount_fen) == (Code.HOTLIST_LOSS, LOSSES, PAYEE, 200)


def test_grace_moves_the_hotlist_and_an_unpublished_one_never_bites() -> None:
    lost = (*NORMAL, StatusPeriod(CardStatus.FORMALLY_LOST, NOW - 100, hotlist_published_ms=NOW - 50))
    patient = replace(RULES, hotlist_grace_ms=50)
    assert reason(ride(at=NOW - 1), book(periods=lost), patient) is Reason.NONE
    assert reason(ride(at=NOW), book(periods=lost), patient) is Reason.HOTLISTED
    unpublished = (*NORMAL, StatusPeriod(CardStatus.FORMALLY_LOST, NOW - 100))
    assert reason(ride(at=NOW), book(periods=unpublished)) is Reason.NONE


def test_a_repeat_in_the_same_batch_answers_the_first_verdict_and_another_body_conflicts() -> None:
    tap = ride(1)
    journal = decide([tap, tap, tap._replace(digest=b"x" * 32)], (), book(), RULES, 7, NOW)
    first, second, third = journal.answers
    assert second.verdict == first.verdict
    assert second.repeated
    assert third == Answer(None, Cause.IDENTITY_CONFLICT)
    assert len(journal.decided) == len(journal.legs) == 1


def test_a_known_identity_is_answered_even_when_its_card_is_unknown_now() -> None:
    known = Verdict(ride(1).digest, Reason.INSUFFICIENT_FUNDS, 0, 0, 1, 0, NOW - DAY)
    journal = decide([ride(1)], (), Book({}, verdicts={(1, 1): known}), RULES, 7, NOW)
    assert journal.answers == [Answer(known, repeated=True)]
    assert not journal.decided


def test_an_unknown_card_or_a_missing_tariff_leaves_the_identity_free() -> None:
    assert decide([ride()], (), Book({}), RULES, 7, NOW).answers == [Answer(None, Cause.UNKNOWN_CARD)]
    no_tariff = replace(RULES, tariffs=Tariffs([]))
    assert decide([ride()], (), book(), no_tariff, 7, NOW).answers == [Answer(None, Cause.NO_TARIFF)]


def test_what_one_tap_takes_the_next_one_of_the_batch_does_not_have() -> None:
    on = book(500)
    journal = decide([meal(300, 1), meal(300, 2), meal(200, 3)], (), on, RULES, 7, NOW)
    assert [a.verdict and a.verdict.reason for a in journal.answers] == [
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    assert (on.accounts["C"].available_fen, on.accounts["C"].debits_fen) == (0, 500)


THIRD_RIDE_FREE = Tiers("n", Period(PeriodKind.YEAR), Measure.RIDES, tiers=(Tier(0, 100), Tier(2, 0)), payer=2)


def test_usage_is_read_and_written_with_the_account() -> None:
    counting = replace(RULES, tariffs=Tariffs([Tariff(Scene.BUS, 0, Flat(200), (THIRD_RIDE_FREE,), key="bus")]))
    on = book()
    journal = decide([ride(n) for n in range(1, 5)], (), on, counting, 7, NOW)
    assert [a.verdict and a.verdict.charged_fen for a in journal.answers] == [200, 200, 0, 0]
    assert on.accounts["C"].usage["bus"][3]["n"][1] == 4
    assert on.accounts["C"].usage_changed
    refused = book(0)
    decide([ride(1)], (), refused, counting, 7, NOW)
    assert not refused.accounts["C"].usage_changed
