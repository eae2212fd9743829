"""Every way in which plastic and books may differ is named."""

import pytest

from cli.city.plastic import CARD_NUMBER, Booked, differences
from services.issuance.domain.blank import BlankState
from simulation.chips.card import Chip
from simulation.chips.drawer import Hand, Plastic
from simulation.chips.kind import read_kinds

KIND = read_kinds()["ssc3"]
WINDOW = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"


def card(number: int, hand: Hand = Hand.HOLDER, printed: int = 1) -> Plastic:
    chip = Chip.blank(KIND, number.to_bytes(16), bytes(16))
    if hand is Hand.HOLDER:
        chip.records[CARD_NUMBER] = b"\x07\x09" + f"{number:09}".encode()
    return Plastic(f"S{number}", chip, WINDOW, printed, hand)


def booked(plastic: Plastic, state: BlankState = BlankState.HANDED_OVER) -> Booked:
    return Booked(plastic.serial, plastic.chip.identifier.hex().upper(), state, WINDOW, "ssc3")


def found(*pairs: tuple[Booked, Plastic], made: bool = True) -> list[str]:
    identifiers = frozenset(book.card_identifier for book, _ in pairs) if made else frozenset()
    return differences([book for book, _ in pairs], {plastic.serial: plastic for _, plastic in pairs}, identifiers)


def test_what_agrees_is_not_mentioned() -> None:
    held, spoiled, blank = card(1), card(2, Hand.SPOILED), card(3, Hand.OFFICE, 0)
    assert (
        found((booked(held), held), (booked(spoiled, BlankState.SPOILED), spoiled), (booked(blank, BlankState.ASSIGNED), blank))
        == []
    )


@pytest.mark.parametrize("state", [BlankState.ASSIGNED, BlankState.SPOILED, BlankState.PRINTED])
def test_a_card_in_a_pocket_was_handed_over(state: BlankState) -> None:
    held = card(1)
    assert len(found((booked(held, state), held))) == 1


@pytest.mark.parametrize("state", [BlankState.RESERVED, BlankState.PERSONALISING, BlankState.VERIFIED])
def test_nothing_is_left_half_made(state: BlankState) -> None:
    begun = card(1, Hand.OFFICE, 0)
    assert len(found((booked(begun, state), begun))) == 1


@pytest.mark.parametrize("printed", [0, 2])
def test_a_card_was_printed_once(printed: int) -> None:
    held = card(1, printed=printed)
    assert len(found((booked(held), held))) == 1


def test_a_card_without_its_number_is_no_card() -> None:
    held = card(1)
    del held.chip.records[CARD_NUMBER]
    assert len(found((booked(held), held))) == 1


def test_the_registry_knows_every_card() -> None:
    held = card(1)
    assert len(found((booked(held), held), made=False)) == 1


def test_a_number_is_on_one_card() -> None:
    one, other = card(1), card(2)
    other.chip.records[CARD_NUMBER] = one.chip.records[CARD_NUMBER]
    assert found((booked(one), one), (booked(other), other)) == ["2 chips have one card number"]


def test_another_chip_and_no_card_at_all_are_seen() -> None:
    held = card(1)
    assert len(found((replace_identifier(booked(held)), held))) == 1
    assert len(differences([booked(held)], {}, frozenset())) == 1


def replace_identifier(book: Booked) -> Booked:
    return book._replace(card_identifier="F" * 32)
