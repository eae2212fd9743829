"""A clerk whose line breaks when the last answer is on its way."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from onecard.card.v1 import cards_pb2 as cards
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.blanks_pb2 import BLANK_STATE_ASSIGNED, BLANK_STATE_HANDED_OVER, BLANK_STATE_SPOILED, BlankState
from sdk.till.errors import OutcomeUnknownError
from sdk.window.issuance import Issued
from simulation.chips.drawer import Drawer, Hand, Plastic
from simulation.issuing import Maker
from tests.support.chips import KINDS, blank

PLACE = "onecard://merchant/CITY-HALL/terminal/KIT-1"


@dataclass
class Books:
    """Both services as the clerk meets them; the answer to the first card is lost."""

    ends: BlankState
    states: dict[str, BlankState] = field(default_factory=dict)

    def personalise(self, application: int, *_: object, blank_serial: str, card_seconds: float) -> Issued:
        lost, self.ends = self.ends, BLANK_STATE_HANDED_OVER
        if self.states[blank_serial] != BLANK_STATE_ASSIGNED:
            return Issued(messages.ISSUE_OUTCOME_REFUSED, messages.Refusal(reason="BLANK_GONE"), 0, "", 3)
        self.states[blank_serial] = lost
        raise OutcomeUnknownError("", "the stream was cut")

    def get_blank(self, serial: str) -> Any:
        return SimpleNamespace(blank=SimpleNamespace(state=self.states[serial]))

    def list_blanks(self, *, state: str) -> list[Any]:
        wanted = BlankState.Value(f"BLANK_STATE_{state}")
        return [SimpleNamespace(serial=serial) for serial, found in self.states.items() if found == wanted]


@pytest.mark.parametrize(
    ("ends", "hands"),
    [(BLANK_STATE_HANDED_OVER, [Hand.HOLDER, Hand.OFFICE]), (BLANK_STATE_SPOILED, [Hand.SPOILED, Hand.HOLDER])],
)
def test_a_card_whose_last_answer_was_lost_lies_where_the_books_have_it(
    ends: BlankState, hands: list[Hand], tmp_path: Path
) -> None:
    drawer, books = Drawer(tmp_path, KINDS), Books(ends)
    for serial in ("A-1", "A-2"):
        books.states[serial] = BLANK_STATE_ASSIGNED
        drawer.put(Plastic(serial, blank(), PLACE))
    lines: Any = (books, books)
    Maker(PLACE, lines, drawer, Random(1), 0.0).make(7, cards.Presented())
    assert [plastic.hand for plastic in drawer.all()] == hands
