"""What a guardian lets a child spend: who may say it, and when it ends."""

from datetime import date, timedelta

import pytest

from onecard.card.v1.card_events_pb2 import SpendingLimits as Told
from services.card.adapters.spending_limits import LIMIT_COLUMNS
from services.card.domain.person import age_on
from services.card.domain.refusal import Refusal
from services.card.domain.spending_limits import (
    NO_LIMITS,
    LimitPeriod,
    SpendingLimits,
    may_limit,
    of_age_on,
    until_of_age,
)

LUNCH = LimitPeriod(SpendingLimits(day_fen=2_000), 1_000)
TIGHTER = LimitPeriod(SpendingLimits(day_fen=1_000), 2_000)
LIFTED = LimitPeriod(NO_LIMITS, 3_000)


def test_limits_are_told_by_the_names_they_are_stored_under() -> None:
    assert [field.name for field in Told.DESCRIPTOR.fields] == LIMIT_COLUMNS.split(", ")


@pytest.mark.parametrize(
    ("age", "guardian", "verified", "wanted"),
    [
        (17, True, True, None),
        (0, True, True, None),
        (18, True, True, Refusal.HOLDER_OF_AGE),
        (17, True, False, Refusal.IDENTITY_NOT_VERIFIED),
        (17, None, True, Refusal.GUARDIAN_NEEDED),
        (17, False, True, Refusal.GUARDIAN_NEEDED),
    ],
)
def test_a_guardian_limits_a_child_and_nobody_else_does(
    age: int, guardian: bool | None, verified: bool, wanted: Refusal | None
) -> None:
    assert may_limit(age, guardian, verified=verified) is wanted


@pytest.mark.parametrize("born", [date(2010, 9, 1), date(2008, 2, 29), date(2012, 2, 28)])
def test_a_child_is_of_age_on_the_day_on_which_it_is_eighteen(born: date) -> None:
    day = of_age_on(born)
    assert (age_on(born, day - timedelta(1)), age_on(born, day)) == (17, 18)


def test_periods_end_on_that_day_unless_they_ended_before() -> None:
    end = LimitPeriod(NO_LIMITS, 5_000)
    assert list(until_of_age([LUNCH, TIGHTER], 5_000)) == [LUNCH, TIGHTER, end]
    assert list(until_of_age([LUNCH, LIFTED], 5_000)) == [LUNCH, LIFTED]
    assert list(until_of_age([], 5_000)) == []
    # A birth date was corrected: the holder was of age already.
    assert list(until_of_age([LUNCH, TIGHTER], 2_000)) == [LUNCH, LimitPeriod(NO_LIMITS, 2_000)]
    assert list(until_of_age([LUNCH, TIGHTER], 1_000)) == []
