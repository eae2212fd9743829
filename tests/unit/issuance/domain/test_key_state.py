"""Which key is in a place, as far as the journal knows, and which is tried."""

from typing import Final

import pytest

from services.issuance.domain.effects import Change, ChangeKind, Generation, Outcome, Past
from services.issuance.domain.key_state import key_state
from services.issuance.domain.product import Key

KEY: Final = Key("update", 0x04, "master", authenticates=True, tries=5)
OTHER: Final = 0x0A
OLD, NEW = Generation.TRANSPORT, Generation.FINAL
LOST, DONE, NOT = Outcome.UNKNOWN, Outcome.DONE, Outcome.REFUSED
Row = tuple[Change, Outcome]


def load(outcome: Outcome, address: int = KEY.address) -> Row:
    return Change(ChangeKind.KEY_LOAD, address), outcome


def tried(generation: Generation, outcome: Outcome, address: int = KEY.address) -> Row:
    return Change(ChangeKind.ATTEMPT, address, generation), outcome


@pytest.mark.parametrize(
    ("rows", "settled", "order"),
    [
        ([], OLD, (OLD,)),
        ([load(LOST, OTHER), tried(NEW, DONE, OTHER)], OLD, (OLD,)),
        ([(Change(ChangeKind.RECORDS, KEY.address), LOST)], OLD, (OLD,)),
        ([load(DONE)], NEW, (NEW, OLD)),
        ([load(NOT)], OLD, (OLD, NEW)),
        ([load(LOST)], None, (NEW, OLD)),
        ([load(LOST), tried(NEW, LOST)], None, (OLD, NEW)),
        ([load(LOST), tried(NEW, LOST), tried(OLD, LOST)], None, (NEW, OLD)),
        ([load(LOST), tried(NEW, NOT)], OLD, (OLD, NEW)),
        ([load(LOST), tried(NEW, NOT), tried(OLD, LOST)], OLD, (OLD, NEW)),
        ([load(LOST), tried(NEW, LOST), tried(OLD, NOT)], NEW, (NEW, OLD)),
        ([load(LOST), tried(NEW, DONE)], NEW, (NEW, OLD)),
        ([load(LOST), tried(NEW, NOT), load(LOST)], None, (NEW, OLD)),
        ([load(LOST), tried(NEW, NOT), load(DONE)], NEW, (NEW, OLD)),
    ],
)
def test_the_journal_tells_what_it_knows_and_the_order_of_trying(
    rows: list[Row], settled: Generation | None, order: tuple[Generation, ...]
) -> None:
    state = key_state(KEY, Past(tuple(rows)))
    assert state.settled is settled
    assert state.order() == order


@pytest.mark.parametrize(
    ("rows", "kept", "may"),
    [
        ([load(LOST)], 2, True),
        ([load(LOST), tried(NEW, LOST), tried(NEW, LOST)], 2, True),
        ([load(LOST), tried(NEW, LOST), tried(NEW, LOST), tried(NEW, NOT)], 2, False),
        ([load(LOST), tried(NEW, LOST), tried(NEW, LOST), tried(NEW, LOST)], 1, True),
        ([load(LOST), tried(NEW, LOST), tried(NEW, LOST), tried(NEW, DONE)], 2, True),
        ([load(LOST), tried(OLD, LOST), tried(OLD, LOST), tried(OLD, LOST)], 2, True),
        ([load(DONE), *[tried(NEW, LOST)] * 9], 2, True),
        ([load(LOST), tried(NEW, DONE), *[tried(NEW, LOST)] * 9], 2, True),
        ([load(LOST), tried(OLD, DONE), *[tried(NEW, LOST)] * 3], 2, False),
        ([load(DONE), *[tried(NEW, NOT)] * 2, tried(NEW, LOST)], 2, True),
        ([load(DONE), *[tried(NEW, NOT)] * 3, tried(NEW, LOST)], 2, False),
        ([tried(NEW, NOT), tried(NEW, NOT), tried(NEW, NOT), load(LOST)], 2, True),
    ],
)
def test_an_attempt_is_made_only_while_its_failure_leaves_enough_tries(rows: list[Row], kept: int, may: bool) -> None:
    assert key_state(KEY, Past(tuple(rows))).may_try(KEY, NEW, kept) is may
