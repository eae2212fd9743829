"""A second person's word."""

from dataclasses import replace

import pytest

from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.countersignature import Countersignature, SignatureState, decidable, usable
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.rights import RIGHTS, Right, may

CLERK = Actor(3, frozenset({Role.CLERK}), 30, "onecard://merchant/HALL/terminal/W1", "HALL", 10_000)
SUPERVISOR = replace(CLERK, staff=4, roles=frozenset({Role.SUPERVISOR}), shift=40)
ASKED = Countersignature(
    1, "SPOIL_BLANK", {}, CLERK.staff, CLERK.shift, CLERK.terminal, "HALL", SignatureState.WAITING, 0, 10_000, 0
)


@pytest.mark.parametrize(
    ("state", "who", "now", "refusal"),
    [
        (SignatureState.WAITING, SUPERVISOR, 1, None),
        (SignatureState.WAITING, CLERK, 1, Refusal.OWN_REQUEST),
        (SignatureState.WAITING, SUPERVISOR, 10_000, Refusal.COUNTERSIGNATURE_EXPIRED),
        (SignatureState.EXPIRED, SUPERVISOR, 1, Refusal.COUNTERSIGNATURE_EXPIRED),
        (SignatureState.SIGNED, SUPERVISOR, 1, Refusal.COUNTERSIGNATURE_DECIDED),
        (SignatureState.REJECTED, SUPERVISOR, 1, Refusal.COUNTERSIGNATURE_DECIDED),
        (SignatureState.USED, SUPERVISOR, 1, Refusal.COUNTERSIGNATURE_DECIDED),
    ],
)
def test_who_decides_about_what(state: SignatureState, who: Actor, now: int, refusal: Refusal | None) -> None:
    assert decidable(replace(ASKED, state=state), who, now) is refusal


@pytest.mark.parametrize(
    ("state", "shift", "now", "refusal"),
    [
        (SignatureState.SIGNED, 30, 1, None),
        (SignatureState.SIGNED, 31, 1, Refusal.SECOND_PERSON_NEEDED),
        (SignatureState.SIGNED, 30, 10_000, Refusal.SECOND_PERSON_NEEDED),
        (SignatureState.USED, 30, 1, Refusal.SECOND_PERSON_NEEDED),
        (SignatureState.WAITING, 30, 1, Refusal.COUNTERSIGNATURE_AWAITED),
        (SignatureState.REJECTED, 30, 1, Refusal.COUNTERSIGNATURE_REJECTED),
    ],
)
def test_a_word_is_good_once_in_the_shift_that_asked_for_it(
    state: SignatureState, shift: int, now: int, refusal: Refusal | None
) -> None:
    assert usable(replace(ASKED, state=state), replace(CLERK, shift=shift), now) is refusal


def test_nobody_has_asked_yet() -> None:
    assert usable(None, CLERK, 1) is Refusal.SECOND_PERSON_NEEDED


def test_each_right_has_somebody_who_holds_it() -> None:
    assert set(RIGHTS) == set(Right)
    assert all(RIGHTS.values())
    assert may(SUPERVISOR, Right.COUNTERSIGN)
    assert not may(CLERK, Right.COUNTERSIGN)
