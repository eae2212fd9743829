"""Cards of the card service in the street: who has one taps, what is lost is found by somebody else."""

from pathlib import Path
from random import Random

import pytest

from sdk.merchant.transaction import Tap
from simulation.habits import Life
from simulation.pockets import FINDS_MS, LATE_MS, LOOK_BACK_MS, WALK_MS, Noted, PocketReader, Pockets, Residents, Where

NOW_MS = 1_800_000_000_000


class Street:
    def __init__(self, file: Path) -> None:
        self.pockets = Pockets(file)
        self.residents = self.another(file)

    @staticmethod
    def another(file: Path) -> Residents:
        return Residents(PocketReader(file), Life(10, Random(1)), Random(1))

    def note(self, card: str, where: Where, at_ms: int = NOW_MS) -> None:
        self.pockets.note(Noted(card, where, at_ms))

    def taps(self, now_ms: int, looks: int = 50) -> list[Tap]:
        return [tap for _ in range(looks) for tap in self.residents.advance(now_ms)]


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path / "pockets.jsonl")


def test_nobody_taps_before_a_card_was_handed_out_and_carried_to_a_validator(street: Street) -> None:
    assert street.taps(NOW_MS) == []
    street.note("A", Where.IN_HAND)
    assert street.taps(NOW_MS + WALK_MS - 1) == []
    taps = street.taps(NOW_MS + WALK_MS)
    assert {tap.card_identifier for tap in taps} == {"A"}
    assert 0 < len(taps) < 50


def test_a_lost_card_is_tapped_by_its_finder_alone_until_it_is_in_hand_again(street: Street) -> None:
    street.note("A", Where.IN_HAND, NOW_MS - WALK_MS)
    street.note("A", Where.LOST)
    assert street.taps(NOW_MS) == []
    assert [tap.event_time_ms for after in FINDS_MS for tap in street.taps(NOW_MS + after)] == [
        NOW_MS + after for after in FINDS_MS
    ]
    assert street.taps(NOW_MS + LOOK_BACK_MS) == []
    street.note("A", Where.IN_HAND, NOW_MS + LOOK_BACK_MS)
    assert street.taps(NOW_MS + LOOK_BACK_MS + WALK_MS)


def test_of_a_replaced_card_one_tap_from_before_comes_late(street: Street) -> None:
    street.note("A", Where.REPLACED)
    (late,) = street.taps(NOW_MS)
    assert (late.card_identifier, late.event_time_ms) == ("A", NOW_MS - LATE_MS)
    assert len(street.taps(NOW_MS + FINDS_MS[-1])) == len(FINDS_MS)


def test_who_looks_later_knows_who_has_a_card_and_finds_nothing_a_second_time(street: Street, tmp_path: Path) -> None:
    street.note("A", Where.IN_HAND)
    street.note("B", Where.IN_HAND)
    street.note("B", Where.LOST)
    with (tmp_path / "pockets.jsonl").open("a") as file:
        file.write('{"card": "C", "where"')  # a line that is being written
    street.residents = street.another(tmp_path / "pockets.jsonl")
    assert {tap.card_identifier for tap in street.taps(NOW_MS + LOOK_BACK_MS + 1)} == {"A"}
