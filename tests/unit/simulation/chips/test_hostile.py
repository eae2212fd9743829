"""Each way in which a card answers wrongly, and what it leaves of the card behind it."""

import pytest

from simulation.chips.card import Silence
from simulation.chips.cipher import encipher
from simulation.chips.hostile import HostileChip, Way
from tests.support.chips import FINAL, Holder, apdu, blank

DONE = b"\x90\x00"
ISSUED = b"\x05\x04\x20\x26\x01\x01"


def hostile(way: Way, behind: int = 0, code: str = "ssc3") -> Holder:
    """Somebody who speaks with it, its application selected by the card it was."""
    chip = blank(code)
    holder = Holder.of(chip, HostileChip(chip, way, behind))
    Holder.of(chip).select()
    Holder.of(chip).select_file(0xEF05)
    return holder


def chip_of(holder: Holder) -> HostileChip:
    assert isinstance(holder.card, HostileChip)
    return holder.card


def test_a_foreign_identifier_is_well_formed_and_anothers() -> None:
    holder = hostile(Way.FOREIGN_IDENTIFIER)
    answer = holder.read(1, 18)
    own = chip_of(holder).chip.identifier
    assert len(answer) == 20
    assert answer[-2:] == DONE
    assert answer[2:10] == own[:8]
    assert answer[2:-2] != own
    assert holder.read(2) == b"\x02\x01\x33" + DONE


def test_an_identifier_that_cannot_be_read_is_no_record() -> None:
    holder = hostile(Way.UNREADABLE_IDENTIFIER)
    assert holder.read(1) == b"\x6a\x83"
    assert holder.read(2)[-2:] == DONE


def test_a_stale_challenge_comes_again() -> None:
    holder = hostile(Way.STALE_CHALLENGE)
    assert holder.challenge() == holder.challenge() == holder.challenge()
    later = hostile(Way.STALE_CHALLENGE, behind=2)
    first, second, third = (later.challenge() for _ in range(3))
    assert first != second
    assert second == third


def test_a_short_challenge_lacks_a_byte() -> None:
    assert len(hostile(Way.SHORT_CHALLENGE).challenge()) == 15


def test_status_words_that_mean_nothing_begin_where_they_are_told_to() -> None:
    holder = hostile(Way.WRONG_STATUS, behind=2)
    assert holder.read(1)[-2:] == DONE
    assert holder.read(1)[-2:] == DONE
    assert holder.read(1) == holder.read(2) == b"\x6f\x00"
    assert chip_of(holder).wrong == 2


def test_an_answer_without_a_status_word_has_one_byte() -> None:
    assert len(hostile(Way.NO_STATUS).read(1)) == 1


def test_a_short_file_lacks_a_byte_of_each_record() -> None:
    holder = hostile(Way.SHORT_FILE)
    assert holder.read(1, 18) == (b"\x01\x10" + chip_of(holder).chip.identifier)[:-1] + DONE


def test_more_bytes_come_than_were_asked_for() -> None:
    holder = hostile(Way.TOO_MANY_BYTES)
    assert len(holder.read(1, 18)) == 18 + 40 + 2
    assert len(holder.challenge()) == 16 + 40


def test_silence_is_no_answer() -> None:
    holder = hostile(Way.SILENCE)
    with pytest.raises(Silence):
        holder.read(1)


def test_a_refused_mac_leaves_the_card_as_it_was() -> None:
    holder = hostile(Way.MAC_REFUSED)
    holder.authenticate("master")
    assert holder.load("master", FINAL) == b"\x69\x88"
    assert holder.reload_pin("123456") == b"\x69\x88"
    assert FINAL not in chip_of(holder).chip.keys.values()
    assert chip_of(holder).chip.pin == ""


def test_refused_keys_count_down_and_the_cards_own_tries_stay() -> None:
    holder = hostile(Way.KEY_REFUSED)
    answers = [holder.authenticate("update") for _ in range(6)]
    assert answers == [bytes((0x63, 0xC0 | left)) for left in (4, 3, 2, 1, 0, 0)]
    assert set(chip_of(holder).chip.tries.values()) == {5}


def test_a_card_may_say_that_its_keys_are_locked() -> None:
    assert hostile(Way.KEY_LOCKED).authenticate("update") == b"\x69\x83"


def test_a_record_that_is_said_to_be_written_is_not_there() -> None:
    holder = hostile(Way.NOT_WRITTEN)
    holder.authenticate("update")
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == DONE
    assert holder.read(5) == b"\x6a\x83"


def test_a_card_that_is_not_genuine_proves_nothing() -> None:
    holder = hostile(Way.NOT_GENUINE)
    challenge = bytes(range(16))
    address = holder.kind.address("internal")
    answer = holder.card.transmit(apdu(0x00, 0x88, 0x00, address, 16, challenge))
    assert len(answer) == 18
    assert answer[:-2] != encipher("SM4", holder.keys[address], challenge)


@pytest.mark.parametrize("way", sorted(Way, key=str))
def test_each_way_answers_each_command_or_says_nothing(way: Way) -> None:
    holder = hostile(way, code="ssc2")
    for raw in (b"", b"\x00", b"\x84", b"\x00\x82", b"\x00\xb2\x01\x04", b"\x00\x84\x00\x00\x08", b"\x00\x88\x00\x01\x01\x00"):
        try:
            assert holder.card.transmit(raw)
        except Silence:
            assert way is Way.SILENCE


def test_behind_a_reset_a_hostile_card_is_hostile_still() -> None:
    holder = hostile(Way.SHORT_CHALLENGE)
    holder.card.power_up()
    assert len(holder.challenge()) == 15
    assert holder.card.atr == chip_of(holder).chip.atr
