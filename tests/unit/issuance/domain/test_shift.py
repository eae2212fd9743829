"""The sum of a shift."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.issuance.domain.blank import DEPOT, HOLDER, MISSING, TRANSIT, BlankState, Verb
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.shift import (
    Count,
    Differences,
    Flow,
    Held,
    Move,
    Shown,
    balance,
    closable,
    differences,
    flow_of,
    told_otherwise,
)

HERE, THERE = "onecard://merchant/HALL/terminal/W1", "onecard://merchant/HALL/terminal/W2"
S, V = BlankState, Verb


@pytest.mark.parametrize(
    ("move", "flow"),
    [
        (Move(V.ASSIGN, S.BOXED, DEPOT, S.ASSIGNED, HERE), Flow.RECEIVED),
        (Move(V.ASSIGN, S.BOXED, DEPOT, S.ASSIGNED, THERE), None),
        (Move(V.ARRIVE, S.IN_TRANSFER, TRANSIT, S.VERIFIED, HERE), Flow.RECEIVED),
        (Move(V.RESERVE, S.ASSIGNED, HERE, S.RESERVED, HERE), None),
        (Move(V.PRINT, S.VERIFIED, HERE, S.PRINTED, HERE), None),
        (Move(V.HAND_OVER, S.PRINTED, HERE, S.HANDED_OVER, HOLDER), Flow.ISSUED),
        (Move(V.SPOIL, S.PERSONALISING, HERE, S.SPOILED, HERE), Flow.SPOILED),
        (Move(V.RETURN, S.SPOILED, HERE, S.RETURNED, DEPOT), None),
        (Move(V.RETURN_UNUSED, S.ASSIGNED, HERE, S.RETURNED_UNUSED, DEPOT), Flow.RETURNED),
        (Move(V.TRANSFER, S.ASSIGNED, HERE, S.IN_TRANSFER, TRANSIT), Flow.TRANSFERRED),
        (Move(V.MISS, S.PRINTED, HERE, S.MISSING, MISSING), Flow.MISSING),
        (Move(V.MISS, S.SPOILED, HERE, S.MISSING, MISSING), None),
        (Move(V.FIND, S.MISSING, MISSING, S.RETURNED, DEPOT), None),
        (Move(V.BAR, S.ASSIGNED, HERE, S.ASSIGNED, HERE), None),
    ],
)
def test_what_a_move_is_for_a_place(move: Move, flow: Flow | None) -> None:
    assert flow_of(move, HERE) is flow


def test_what_is_being_made_is_on_hand_where_its_plastic_is_and_is_named() -> None:
    moves = [Move(V.ASSIGN, S.BOXED, DEPOT, S.ASSIGNED, HERE, 5), Move(V.HAND_OVER, S.PRINTED, HERE, S.HANDED_OVER, HOLDER, 2)]
    found = balance(HERE, 4, moves, Held(unused=6, spoiled=0, lying=1, unfinished=("B1",)))
    assert (found.holds, found.on_hand, found.held.unfinished) == (True, 7, ("B1",))
    assert not balance(HERE, 3, moves, found.held).holds


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_count_differs_by_what_was_counted_beyond_the_books(
    unused: int, spoiled: int, lying: int, counted_fen: int, books_fen: int
) -> None:
    found = differences(Count(unused, spoiled, lying, counted_fen), Held(unused, spoiled, lying), books_fen)
    assert found.blanks_agree
    assert found.cash_fen == counted_fen - books_fen


def test_a_shift_closes_on_blanks_that_agree_and_cash_that_agrees_or_has_its_reason() -> None:
    right, short, dear = Differences(0, 0, 0, 0), Differences(-1, 0, 0, 0), Differences(0, 0, 0, -5)
    assert closable(right, (), "", moved_since=False) is None
    assert closable(right, (), "", moved_since=True) is Refusal.COUNT_AGAIN
    assert closable(short, (), "somebody has it", moved_since=False) is Refusal.BLANKS_DIFFER
    assert closable(dear, (), "", moved_since=False) is Refusal.CASH_REASON_NEEDED
    assert closable(dear, (), "wrong change", moved_since=False) is None


@pytest.mark.parametrize("differed", [Differences(-1, 0, 0, 0), Differences(0, 1, 0, 0), Differences(0, 0, 0, -5)])
def test_who_says_something_else_behind_a_difference_says_why(differed: Differences) -> None:
    now, before = Count(3, 0, 0, 0), Shown(Count(2, 0, 0, 5), differed)
    otherwise = told_otherwise(now, [before, Shown(now, differed)])
    assert otherwise == [before]
    right = Differences(0, 0, 0, 0)
    assert closable(right, otherwise, "", moved_since=False) is Refusal.COUNT_REASON_NEEDED
    assert closable(right, otherwise, "one lay in the drawer", moved_since=False) is None


def test_who_says_the_same_once_more_has_learnt_nothing_from_the_books() -> None:
    counted = Count(3, 0, 0, 700)
    late = Shown(counted, Differences(0, 0, 0, 700))
    assert told_otherwise(counted, [late]) == []
