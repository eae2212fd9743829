"""The table of blanks."""

from dataclasses import replace

import pytest

from services.issuance.domain.blank import (
    DEPOT,
    HOLDER,
    MISSING,
    NO_TERMINALS,
    TABLE,
    TRANSIT,
    UNFINISHED,
    Blank,
    BlankState,
    Fence,
    Verb,
    decide,
    place_after,
)
from services.issuance.domain.refusal import SENTENCES, Refusal, sentence

WINDOW = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
HELD = Blank("B1", "00" * 16, "ssc3", "BOX-1", BlankState.RESERVED, WINDOW, record=7, epoch=2, application=17)
OURS = Fence(7, 2)


def test_a_card_is_made_in_one_order() -> None:
    blank = replace(HELD, state=BlankState.ASSIGNED, record=0, epoch=0)
    for verb in (Verb.RESERVE, Verb.BEGIN, Verb.VERIFY, Verb.PRINT, Verb.HAND_OVER):
        state = decide(blank, verb, OURS, at=WINDOW)
        assert isinstance(state, BlankState)
        blank = replace(blank, state=state, record=7, epoch=2)
    assert blank.state is BlankState.HANDED_OVER


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", BlankState)
def test_what_the_table_lacks_is_refused_with_a_sentence(verb: Verb, state: BlankState) -> None:
    decided = decide(replace(HELD, state=state), verb, OURS, at=WINDOW)
    if state in TABLE[verb].states:
        assert isinstance(decided, BlankState)
    else:
        assert isinstance(decided, Refusal)
        assert sentence(decided)


def test_every_refusal_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Refusal)


def test_an_old_epoch_is_superseded_and_a_newer_one_is_not() -> None:
    assert decide(HELD, Verb.BEGIN, Fence(7, 1)) is Refusal.SUPERSEDED
    assert decide(HELD, Verb.BEGIN, Fence(7, 3)) is BlankState.PERSONALISING


def test_only_the_record_that_holds_a_blank_goes_on_with_it() -> None:
    assert decide(HELD, Verb.BEGIN, Fence(8, 9)) is Refusal.BLANK_OF_ANOTHER
    assert decide(HELD, Verb.BEGIN) is Refusal.BLANK_OF_ANOTHER


def test_a_barred_blank_goes_nowhere_but_back() -> None:
    allowed = {
        verb
        for verb in Verb
        for state in BlankState
        if isinstance(decide(replace(HELD, state=state, barred=True), verb, OURS, at=WINDOW), BlankState)
    }
    assert allowed == {Verb.RELEASE, Verb.SPOIL, Verb.RETURN, Verb.DESTROY, Verb.MISS, Verb.FIND}


def test_what_arrives_is_what_it_was_and_at_the_depot_it_is_unused() -> None:
    on_its_way = replace(HELD, state=BlankState.IN_TRANSFER, place=TRANSIT, destination=WINDOW, before=BlankState.VERIFIED)
    assert decide(on_its_way, Verb.ARRIVE, OURS) is BlankState.VERIFIED
    assert place_after(on_its_way, Verb.ARRIVE) == WINDOW
    assert decide(replace(on_its_way, destination=DEPOT), Verb.ARRIVE, OURS) is BlankState.RETURNED_UNUSED


def test_a_blank_is_in_one_place_whatever_is_done() -> None:
    places = {verb: place_after(replace(HELD, destination=WINDOW), verb, WINDOW) for verb in Verb}
    assert {verb for verb, place in places.items() if place in NO_TERMINALS} == {
        Verb.HAND_OVER, Verb.RETURN, Verb.RETURN_UNUSED, Verb.DESTROY, Verb.TRANSFER, Verb.MISS, Verb.FIND
    }  # fmt: skip
    assert (places[Verb.HAND_OVER], places[Verb.MISS]) == (HOLDER, MISSING)


def test_whoever_has_begun_is_unfinished() -> None:
    assert {BlankState.RESERVED, BlankState.PERSONALISING, BlankState.VERIFIED} == UNFINISHED
