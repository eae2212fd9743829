"""Whatever a terminal says: its stream ends by name, its blank's own keys are all that is used, and no key is heard."""

import asyncio
import contextlib
import os
from collections import Counter
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.issuance.v1 import issuance_pb2 as messages
from services.common.errors import Code, DomainError
from services.issuance.api.issuance import IssuanceService
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState
from services.issuance.domain.effects import Generation, KeyUse
from services.issuance.handlers.check_card import CheckCard
from services.issuance.handlers.dialogue import IssueOutcome
from services.issuance.handlers.personalise import Personalise
from tests.support.blanks import OTHER, WINDOW
from tests.support.chip import Chip
from tests.support.chip_crypto import card_key
from tests.support.chip_driver import PRODUCTS, card_data
from tests.support.hostile_terminal import CheckWire, Lie, Request, Wire, forms, heard_bytes, lies, named_as
from tests.support.issuance import ATR, Room
from tests.support.issuance_memory import MemoryJournal
from tests.support.issuance_room import Card, ChipTerminal, Registry, Wrong
from tests.unit.issuance.handlers.test_lives import CLERK

EXAMPLES: Final = int(os.environ.get("ONECARD_HOSTILE_ANSWERS", "1100"))
HEARD_ON_THE_WAY: Final[dict[str, list[Request]]] = {}
MINE, BEGUN, ELSEWHERE, ISSUED, BARRED = range(5)
"""The cards of these tests: in the reader, begun for somebody else, at another window, in somebody's hand, of a lost kit."""


class Hall:
    """A window's service in memory, with a chip in the reader and other cards about."""

    def __init__(self, code: str = "ssc3") -> None:
        product = PRODUCTS[code]
        self.product = product
        identifiers = [card_data(number + 1).card_identifier for number in range(5)]
        self.cards = [Card(Chip(product, bytes.fromhex(one), 7), f"B{number}") for number, one in enumerate(identifiers)]
        places = {ELSEWHERE: OTHER}
        blanks = [
            Blank(f"B{number}", one, code, "BOX-1", BlankState.ASSIGNED, places.get(number, WINDOW), barred=number == BARRED)
            for number, one in enumerate(identifiers)
        ]
        self.journal = MemoryJournal(blanks)
        self.room = Room(self.journal, Registry(), self.cards, CLERK)
        parts = (self.journal, self.room.registry, self.room.vault, tuple(PRODUCTS.values()))
        actors: Any = Everybody()
        self.service = IssuanceService(actors, Personalise(*parts), None, CheckCard(*parts), "江门市")  # type: ignore[arg-type] # no update

    async def fill(self) -> None:
        """What lies about is begun, and issued."""
        await self.room.stream(self.cards[BEGUN], self.room.registry.apply(), Wrong(cut_at_ask=9))
        await self.room.stream(self.cards[ISSUED], self.room.registry.apply())
        assert self.journal.blanks["B1"].state is BlankState.PERSONALISING
        assert self.journal.blanks["B3"].state is BlankState.HANDED_OVER
        self.room.vault.opened.clear()

    def begin(self, application: int = 0, **other: Any) -> Request:
        fields = {"application_id": application, "atr": ATR[self.product.code], "printer_ready": True, **other}
        return Request(begin=messages.BeginPersonalising(**fields))

    async def stream(
        self, begin: Request, lies: "dict[int, Lie] | None" = None, foreign: "list[Request] | None" = None
    ) -> Wire:
        """One stream; `ended` is how."""
        wire = Wire(ChipTerminal(self.cards[MINE]), begin, lies, foreign)
        self.ended = ""
        try:
            async with asyncio.timeout(60):
                await self.service.Personalise(wire, wire)  # type: ignore[arg-type] # it reads from the context
            self.ended = IssueOutcome(wire.heard[-1].finished.outcome).name
        except DomainError as error:
            self.ended = "a crash" if error.code is Code.INTERNAL else error.reason
        return wire


class Everybody:
    """Who asks is a clerk."""

    async def with_right(self, right: object, context: object) -> Actor:
        return CLERK

    def check(self, actor: Actor) -> None:
        pass


def holds(hall: Hall, wire: Wire, begin: Request) -> None:
    """Whatever was said."""
    heard = heard_bytes(wire.heard)
    for taken, vault in hall.room.vault.opened:
        identifier = bytes.fromhex(hall.journal.blanks[taken.record.serial].card_identifier)
        assert vault.identifier == identifier, "of the blank that the record holds"
        assert begin.begin.application_id in (0, taken.record.application)
        assert taken.blank.serial not in ("B2", "B3", "B4"), "of no blank that is not this window's to make a card of"
    for key in hall.product.keys:
        for use in (KeyUse(key.address, generation) for generation in Generation):
            for card in hall.cards:
                assert not [form for form in forms(card_key(hall.product, card.chip.identifier, use)) if form in heard]


async def said_for_another_card(code: str) -> list[Request]:
    """A whole stream, as it was heard on the way."""
    if code not in HEARD_ON_THE_WAY:
        other = Hall(code)
        HEARD_ON_THE_WAY[code] = (await other.stream(other.begin(other.room.registry.apply()))).said
    return HEARD_ON_THE_WAY[code]


def run(work: Any) -> None:
    asyncio.run(work)


@settings(max_examples=EXAMPLES)
@given(code=st.sampled_from(sorted(PRODUCTS)), told=lies, serial=st.sampled_from(("", "B0", "B1", "x" * 40)))
def test_a_terminal_that_lies_is_refused_by_name_and_hears_no_key(code: str, told: dict[int, Lie], serial: str) -> None:
    async def scene() -> None:
        hall = Hall(code)
        await hall.fill()
        application = hall.room.registry.apply()
        begin = hall.begin(application, blank_serial=serial)
        wire = await hall.stream(begin, told, await said_for_another_card(code))
        holds(hall, wire, begin)
        assert hall.ended != "a crash"
        again = await hall.stream(hall.begin(application))
        holds(hall, again, hall.begin(application))
        assert hall.ended != "a crash"
        await hall.room.settle()

    run(scene())


@settings(max_examples=EXAMPLES // 10)
@given(
    application=st.integers(-(2**63), 2**63 - 1),
    atr=st.binary(max_size=40) | st.sampled_from(sorted(ATR.values())),
    serial=st.text(max_size=30),
    ready=st.booleans(),
    told=lies,
)
def test_a_beginning_that_makes_no_sense_holds_nothing(
    application: int, atr: bytes, serial: str, ready: bool, told: dict[int, Lie]
) -> None:
    async def scene() -> None:
        hall = Hall()
        await hall.fill()
        begin = hall.begin(application, atr=atr, blank_serial=serial, printer_ready=ready)
        holds(hall, await hall.stream(begin, told), begin)
        assert hall.ended != "a crash"
        assert not [vault for taken, vault in hall.room.vault.opened if taken.record.application != application], "of nobody's"

    run(scene())


@settings(max_examples=EXAMPLES // 10)
@given(told=lies)
def test_a_terminal_that_lies_at_a_check_hears_no_key_and_changes_nothing(told: dict[int, Lie]) -> None:
    async def scene() -> None:
        hall = Hall()
        await hall.fill()
        card = hall.cards[ISSUED]
        before, written = dict(hall.journal.blanks), list(card.chip.writes)
        wire = CheckWire(ChipTerminal(card), hall.begin(0), told, await said_for_another_card("ssc3"))
        with contextlib.suppress(DomainError):
            await hall.service.CheckCard(wire, wire)  # type: ignore[arg-type] # it reads from the context
        assert (hall.journal.blanks, card.chip.writes) == (before, written)
        assert min(card.chip.least_tries.values()) >= hall.product.tries_kept
        holds(hall, wire, hall.begin(0))
        assert not [form for form in forms(card_data(4).name.encode()) if form in wire.checked.SerializeToString()]

    run(scene())


async def test_an_honest_check_agrees() -> None:
    hall = Hall()
    await hall.fill()
    wire = CheckWire(ChipTerminal(hall.cards[ISSUED]), hall.begin(0))
    await hall.service.CheckCard(wire, wire)  # type: ignore[arg-type] # it reads from the context
    assert wire.checked.agrees


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        (BEGUN, "BLANK_OF_ANOTHER"),
        (ELSEWHERE, "BLANK_ELSEWHERE"),
        (ISSUED, "BLANK_HANDED_OVER"),
        (BARRED, "BLANK_BARRED"),
        (-1, "UNKNOWN_BLANK"),
    ],
)
async def test_a_terminal_that_names_another_cards_identifier_all_along_gets_no_cryptogram(which: int, reason: str) -> None:
    hall = Hall()
    await hall.fill()
    own = hall.cards[MINE].chip.identifier
    other = hall.cards[which].chip.identifier if which >= 0 else bytes(16)
    lying: dict[int, Lie] = {number: lambda said: [named_as(said.answer, own, other)] for number in range(1, 20)}
    wire = await hall.stream(hall.begin(hall.room.registry.apply()), lying)
    assert (hall.ended, wire.heard[-1].finished.refusal.reason) == ("REFUSED", reason)
    assert hall.room.vault.opened == []


async def test_a_terminal_that_names_another_cards_serial_gets_no_cryptogram() -> None:
    hall = Hall()
    wire = await hall.stream(hall.begin(hall.room.registry.apply(), blank_serial="B1"))
    assert wire.heard[-1].finished.refusal.reason == "SERIAL_DIFFERS"
    assert hall.room.vault.opened == []


async def test_a_whole_stream_that_is_replayed_is_refused() -> None:
    hall = Hall()
    application = hall.room.registry.apply()
    first = await hall.stream(hall.begin(application))
    assert hall.ended == "ISSUED"
    replay: dict[int, Lie] = {
        number: lambda said, number=number: [first.said[number]]  # type: ignore[misc]
        for number in range(1, len(first.said))
    }
    hall.room.vault.opened.clear()
    wire = await hall.stream(hall.begin(application), replay)
    assert (hall.ended, wire.heard[-1].finished.refusal.reason) == ("REFUSED", "BLANK_HANDED_OVER")
    assert hall.room.vault.opened == []


@pytest.mark.parametrize("source", ["the step before", "the stream of another card", "two answers for one"])
@pytest.mark.parametrize("number", range(2, 9))
async def test_a_stream_into_which_another_answer_is_spliced_ends(number: int, source: str) -> None:
    foreign = await said_for_another_card("ssc3")
    splice: Lie = {
        "the step before": lambda said: [said.mine[number - 1]],
        "the stream of another card": lambda said: [said.foreign[number]],
        "two answers for one": lambda said: [said.answer, said.answer],
    }[source]
    hall = Hall()
    await hall.fill()
    wire = await hall.stream(hall.begin(hall.room.registry.apply()), {number: splice}, foreign)
    assert hall.ended == "WRONG_POSITION"
    assert len(wire.heard) == number + (source == "two answers for one"), "nothing more is said"


def test_the_lies_of_these_tests_come_to_all_kinds_of_ends() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, database=None)
    @given(told=lies)
    def look(told: dict[int, Lie]) -> None:
        async def scene() -> None:
            hall = Hall()
            await hall.stream(hall.begin(hall.room.registry.apply()), told)
            seen[hall.ended] += 1

        run(scene())

    look()
    assert {"ISSUED", "WRONG_POSITION", "STREAM_CUT", "BAD_REQUEST", "TRY_AGAIN", "SPOILED"} <= set(seen), seen
