"""Cards are made whatever is cut: chip, link, printer, process, card service; with the journal in memory."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.blank import Blank, BlankState
from services.issuance.handlers.dialogue import Finished, IssueOutcome
from tests.support.chip import Chip
from tests.support.chip_driver import PRODUCTS, card_data
from tests.support.issuance import Books, Room, check_books
from tests.support.issuance_memory import MemoryJournal
from tests.support.issuance_room import Card, Registry

LIVES: Final = int(os.environ.get("ONECARD_ISSUE_LIVES", "3000"))
MOST_CUTS: Final = 8
WINDOW: Final = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
CLERK: Final = Actor(3, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**60)


def open_room(blanks: int, code: str = "ssc3", seed: int = 0) -> Room:
    product = PRODUCTS[code]
    identifiers = [card_data(number + 1).card_identifier for number in range(blanks)]
    serials = [f"B{number:08}" for number in range(blanks)]
    held = [
        Blank(serial, identifier, code, "BOX-1", BlankState.ASSIGNED, WINDOW)
        for serial, identifier in zip(serials, identifiers, strict=True)
    ]
    cards = [
        Card(Chip(product, bytes.fromhex(identifier), seed), serial)
        for serial, identifier in zip(serials, identifiers, strict=True)
    ]
    return Room(MemoryJournal(held), Registry(), cards, CLERK)


def books_of(room: Room) -> Books:
    journal = room.journal
    assert isinstance(journal, MemoryJournal)
    rows = [(number, epoch, note.step, note.kind) for number, notes in journal.notes.items() for epoch, note in notes]
    owed = sum(not owed.done for owed in journal.owed)
    return Books(list(journal.records.values()), journal.blanks, owed, rows)


@pytest.mark.parametrize("code", sorted(PRODUCTS))
async def test_a_blank_becomes_an_enabled_card_in_its_holders_hand(code: str) -> None:
    room = open_room(1, code)
    ended = await room.stream(room.cards[0], room.registry.apply())
    assert isinstance(ended, Finished), ended
    assert (ended.outcome, ended.refusal, ended.card, ended.serial) == (IssueOutcome.ISSUED, None, 1, "B00000000")
    check_books(books_of(room), room.registry, room.cards)


def test_lives_with_many_cuts_end_in_one_card_each(progress: Callable[[str], None]) -> None:
    async def lives() -> None:
        seen: Counter[str] = Counter()
        for life in range(LIVES):
            chance = random.Random(life)
            room = open_room(12, chance.choice(sorted(PRODUCTS)), life)
            try:
                await room.live(chance, chance.randint(1, MOST_CUTS))
                check_books(books_of(room), room.registry, room.cards)
            except AssertionError as error:
                raise AssertionError(f"life {life}") from error
            seen += room.seen
            if (life + 1) % 10_000 == 0:
                progress(f"{life + 1:,} of {LIVES:,} lives in memory")
        assert seen["ISSUED"] > 0.5 * LIVES
        wanted = {"Look", "WAITING_TO_BE_ENABLED", "SPOILED", "TRY_AGAIN", "STREAM_CUT", "DIED"}
        assert wanted <= {name for name, times in seen.items() if times > LIVES // 100}

    asyncio.run(lives())
