import json
from pathlib import Path

import pytest

from simulation.chips.card import Cut, PowerCut
from simulation.chips.drawer import Drawer, Hand, Plastic
from tests.support.chips import FINAL, KINDS, Holder, blank

ISSUED = b"\x05\x04\x20\x26\x01\x01"


@pytest.fixture
def drawer(tmp_path: Path) -> Drawer:
    return Drawer(tmp_path / "cards", KINDS)


@pytest.mark.parametrize("code", sorted(KINDS))
def test_a_card_lies_in_the_drawer_as_it_was_left(drawer: Drawer, code: str) -> None:
    holder = Holder.of(chip := blank(code))
    holder.select()
    holder.fail("update")
    holder.reload_pin("123456")
    holder.verify_pin("654321")
    assert holder.authenticate("master") == b"\x90\x00"
    assert holder.load("master", FINAL) == b"\x90\x00"
    drawer.put(Plastic("A-1", chip, "DEPOT"))
    again = drawer.take("A-1").chip
    assert again.state() == chip.state()
    assert again.tries[holder.kind.address("update")] == 4
    assert again.pin_tries == 5


def test_a_card_out_of_the_drawer_has_no_power(drawer: Drawer) -> None:
    holder = Holder.of(chip := blank())
    holder.select()
    holder.authenticate("update")
    drawer.put(Plastic("A-1", chip, "DEPOT"))
    holder.card = drawer.take("A-1").chip
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x69\x86"


def test_what_a_card_answered_is_kept_however_the_process_ends(drawer: Drawer) -> None:
    drawer.put(Plastic("A-1", blank(), "DEPOT"))
    holder = Holder.of(blank(), drawer.take("A-1").chip)
    holder.select()
    holder.authenticate("read")
    holder.authenticate("update")
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x90\x00"
    assert drawer.take("A-1").chip.records[0xEF05, 5] == ISSUED


@pytest.mark.parametrize("executed", [False, True])
def test_a_cut_leaves_the_file_before_or_behind_the_command(drawer: Drawer, executed: bool) -> None:
    drawer.put(Plastic("A-1", blank(), "DEPOT"))
    chip = drawer.take("A-1").chip
    holder = Holder.of(blank(), chip)
    holder.select()
    holder.authenticate("master")
    chip.cut = Cut(1, executed)
    with pytest.raises(PowerCut):
        holder.load("master", FINAL)
    assert (drawer.take("A-1").chip.keys[holder.kind.address("master")] == FINAL) is executed


def test_a_card_that_was_half_laid_down_lies_there_as_before(drawer: Drawer) -> None:
    drawer.put(Plastic("A-1", blank(), "DEPOT"))
    (drawer.folder / "A-1.partial").write_text('{"kind": "ss')
    assert drawer.take("A-1").chip.state() == blank().state()
    assert list(drawer.serials()) == ["A-1"]


def test_cards_lie_in_the_order_of_their_serials_and_belong_to_nobody_else(drawer: Drawer) -> None:
    for number in (3, 1, 2):
        drawer.put(Plastic(f"A-{number}", blank(number=number), "DEPOT"))
    assert list(drawer.serials()) == ["A-1", "A-2", "A-3"]
    assert drawer.folder.stat().st_mode & 0o077 == 0
    assert (drawer.folder / "A-1.chip").stat().st_mode & 0o077 == 0
    json.loads((drawer.folder / "A-1.chip").read_text())


@pytest.mark.parametrize("serial", ["../A-1", "a", "", "A/1"])
def test_no_serial_leads_out_of_the_drawer(drawer: Drawer, serial: str) -> None:
    with pytest.raises(ValueError, match="serial"):
        drawer.put(Plastic(serial, blank(), "DEPOT"))


def test_what_a_person_sees_of_a_card_lies_there_with_it(drawer: Drawer) -> None:
    drawer.put(Plastic("A-1", blank(), "onecard://terminal/HALL-1", 2, Hand.SPOILED))
    (seen,) = drawer.all()
    assert (seen.serial, seen.place, seen.printed, seen.hand) == ("A-1", "onecard://terminal/HALL-1", 2, Hand.SPOILED)


def test_a_card_that_is_not_there_is_not_found(drawer: Drawer) -> None:
    with pytest.raises(FileNotFoundError):
        drawer.take("A-9")
