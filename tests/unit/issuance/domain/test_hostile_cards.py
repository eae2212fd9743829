"""Each way of a card to answer wrongly has its name, and says whether the blank is spoiled."""

from typing import Final

import pytest

from services.issuance.domain.effects import Refused, Result, Spoil
from services.issuance.domain.refusal import Refusal
from simulation.chips.hostile import HostileChip, Way
from tests.support.chip_driver import bench

ENDS: Final[dict[Way, Result]] = {
    Way.FOREIGN_IDENTIFIER: Refused(Refusal.FOREIGN_CARD),
    Way.UNREADABLE_IDENTIFIER: Refused(Refusal.IDENTIFIER_UNREADABLE, "EF05/01"),
    Way.STALE_CHALLENGE: Spoil(Refusal.CHALLENGE_REPEATED),
    Way.SHORT_CHALLENGE: Spoil(Refusal.CHALLENGE_MALFORMED),
    Way.WRONG_STATUS: Refused(Refusal.NOT_A_SOCIAL_SECURITY_CARD),
    Way.NO_STATUS: Refused(Refusal.NOT_A_SOCIAL_SECURITY_CARD),
    Way.SHORT_FILE: Refused(Refusal.IDENTIFIER_UNREADABLE, "EF05/01"),
    Way.TOO_MANY_BYTES: Refused(Refusal.ANSWER_TOO_LONG),
    Way.SILENCE: Refused(Refusal.CARD_SILENT),
    Way.MAC_REFUSED: Spoil(Refusal.KEY_LOAD_REFUSED),
    Way.KEY_REFUSED: Spoil(Refusal.KEY_REFUSED),
    Way.KEY_LOCKED: Spoil(Refusal.KEY_LOCKED),
    Way.NOT_WRITTEN: Spoil(Refusal.READ_BACK_DIFFERS, "EF06/01"),
    Way.NOT_GENUINE: Spoil(Refusal.CARD_NOT_GENUINE),
}


@pytest.mark.parametrize("way", Way)
def test_a_wrong_answer_has_a_name(way: Way) -> None:
    desk = bench()
    hostile = HostileChip(desk.chip, way)
    desk.chip = hostile  # type: ignore[assignment] # it does what a chip does
    assert desk.personalise() == ENDS[way]
    assert hostile.wrong
