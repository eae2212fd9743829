"""How a clerk makes cards: a blank from the tray into the reader, and after a cut the same one again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random

from onecard.card.v1 import cards_pb2 as cards
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.blanks_pb2 import (
    BLANK_STATE_ASSIGNED,
    BLANK_STATE_HANDED_OVER,
    BLANK_STATE_SPOILED,
    BlankState,
)
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.blanks import Blanks
from sdk.window.devices.printer import READY, CardFace, Printed, PrinterState
from sdk.window.issuance import Issuance, Issued
from simulation.chips.card import Cut
from simulation.chips.drawer import Drawer, Hand, Plastic
from simulation.chips.reader import Slot
from simulation.metrics import CARDS_MADE

log = logging.getLogger("onecard.simulation.issuing")

CARD_SECONDS = 5.0
MOST_TRIES = 12
"""With one card, and with one application."""
COMMANDS = 90
"""About as many as a card takes."""
CUT = 0.05
"""Of the cards: somebody pulls it out too early, or the power goes."""
PRINTER_FAILS = 0.02
GONE = {BLANK_STATE_HANDED_OVER: Hand.HOLDER, BLANK_STATE_SPOILED: Hand.SPOILED}
"""Where a card goes that the tray does not get back."""
UNFINISHED = ("RESERVED", "PERSONALISING", "VERIFIED", "PRINTED")


class NoBlankError(Exception):
    """The tray is empty."""


class Plate:
    """A printer that marks the plastic; sometimes it does not know what it did."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.plastic: Plastic | None = None
        """The card that lies in it."""

    def ready(self) -> PrinterState:
        """Always."""
        return READY

    def refuses(self, face: CardFace) -> str:
        """Nothing."""
        return ""

    def print(self, face: CardFace) -> Printed:
        """Mark it."""
        assert self.plastic is not None, "somebody put a card in"
        chance = self._random.random()
        if chance < PRINTER_FAILS / 2:
            return Printed.FAILED_BEFORE
        self.plastic.printed += 1
        return Printed.UNKNOWN if chance < PRINTER_FAILS else Printed.DONE


class Hands:
    """What the clerk does while a card is made: looks at it, and hands it over against whatever was shown."""

    def __init__(self) -> None:
        self.plastic: Plastic | None = None
        self.presented = cards.Presented()

    def look(self) -> messages.CardLooks:
        """They see whether it is printed."""
        assert self.plastic is not None, "it lies in front of them"
        return messages.CARD_LOOKS_GOOD if self.plastic.printed else messages.CARD_LOOKS_BLANK

    def hand_over(self, card_id: int, *, old_card_wanted: bool) -> messages.HandedOver:
        """To the holder."""
        presented = cards.Presented()
        presented.CopyFrom(self.presented)
        presented.old_card_returned = presented.old_card_returned or old_card_wanted
        return messages.HandedOver(presented=presented)


class Maker:
    """One place where cards are made: its tray, its reader, its printer."""

    def __init__(self, place: str, lines: tuple[Issuance, Blanks], drawer: Drawer, random: Random, chip_seconds: float) -> None:
        """`place`: the subject of the terminal's certificate."""
        self.place = place
        self.issuance, self.blanks = lines
        self._drawer = drawer
        self._random = random
        self._slot = Slot(chip_seconds)
        self._plate, self._hands = Plate(random), Hands()

    def make(self, application: int, presented: cards.Presented) -> None:
        """The card of an application, in its holder's hand. Raises NoBlankError, TillError."""
        self._hands.presented = presented
        for _ in range(MOST_TRIES):
            plastic = self._blank()
            issued = self._with_one_card(application, plastic)
            if plastic.hand is Hand.HOLDER:
                return
            if plastic.hand is not Hand.SPOILED and issued.outcome != messages.ISSUE_OUTCOME_RELEASED:
                raise _refused(issued)
        raise NoBlankError(f"{MOST_TRIES} blanks were spoiled for one application")

    def _with_one_card(self, application: int, plastic: Plastic) -> Issued:
        """From the tray to the holder, or into the box of spoiled ones; put in again as often as it takes."""
        if self._random.random() < CUT:
            plastic.chip.cut = Cut(self._random.randrange(COMMANDS), self._random.random() < 0.5)
        for _ in range(MOST_TRIES):
            try:
                issued = self._insert(application if self._state(plastic) == BLANK_STATE_ASSIGNED else 0, plastic)
            except OutcomeUnknownError as error:
                log.info("%s: %s; the same card again", self.place, error.trouble)
                CARDS_MADE.labels("CUT").inc()
                continue
            CARDS_MADE.labels(messages.IssueOutcome.Name(issued.outcome).removeprefix("ISSUE_OUTCOME_")).inc()
            if issued.outcome not in (messages.ISSUE_OUTCOME_TRY_AGAIN, messages.ISSUE_OUTCOME_LYING):
                return issued
        raise OutcomeUnknownError("", f"{MOST_TRIES} times the same card, and no end")

    def _insert(self, application: int, plastic: Plastic) -> Issued:
        self._plate.plastic = self._hands.plastic = plastic
        self._slot.insert(plastic.chip)
        try:
            issued = self.issuance.personalise(
                application, self._slot, self._plate, self._hands, blank_serial=plastic.serial, card_seconds=CARD_SECONDS
            )
            plastic.hand = GONE.get(self._state(plastic), Hand.OFFICE)  # the answer that said so may have been lost
            return issued
        finally:
            self._slot.pull()
            plastic.place = self.place
            self._drawer.put(plastic)

    def finish_what_was_begun(self, presented: cards.Presented) -> Iterator[Issued]:
        """Of a clerk before, whose window ended in the middle of something; what the books call spoiled goes into its box."""
        self._hands.presented = presented
        for state in UNFINISHED:
            for blank in list(self.blanks.list_blanks(state=state)):
                yield self._with_one_card(0, self._drawer.take(blank.serial))
        for blank in list(self.blanks.list_blanks(state="SPOILED")):
            plastic = self._drawer.take(blank.serial)
            plastic.hand = Hand.SPOILED
            self._drawer.put(plastic)

    def _blank(self) -> Plastic:
        for blank in self.blanks.list_blanks(state="ASSIGNED"):
            plastic = self._drawer.take(blank.serial)
            if plastic.hand is Hand.OFFICE:
                return plastic
        raise NoBlankError(f"{self.place} has no blank")

    def _state(self, plastic: Plastic) -> BlankState:
        """As issuance has it."""
        return self.blanks.get_blank(plastic.serial).blank.state


def _refused(issued: Issued) -> NotAcceptedError:
    reason = issued.refusal.reason if issued.refusal else messages.IssueOutcome.Name(issued.outcome)
    return NotAcceptedError(reason, issued.refusal.message if issued.refusal else "")
