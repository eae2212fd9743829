from threading import Thread

import pytest

from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.window.devices.reader import CardGoneError, CardReader, CardSilentError, ChipError, ReaderError
from sdk.window.issuance import transmit
from simulation.chips.card import Chip, Cut
from simulation.chips.hostile import HostileChip, Way
from simulation.chips.reader import Slot
from tests.support.chips import blank

SELECT = b"\x00\xa4\x04\x00\x0f" + bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")
CHALLENGE = b"\x00\x84\x00\x00\x10"
UNKNOWN = b"\x00\xca\x00\x00\x00"


@pytest.fixture
def slot() -> Slot:
    return Slot(chip_seconds=0)


def run(*apdus: bytes, expected: tuple[int, ...] = (0x9000, 0x6100)) -> messages.ChipCommands:
    return messages.ChipCommands(commands=[messages.ChipCommand(apdu=apdu, expected=expected) for apdu in apdus])


def test_a_slot_is_a_card_reader(slot: Slot) -> None:
    reader: CardReader = slot
    assert callable(reader.connect)


def test_a_card_that_comes_is_powered_up_and_says_who_it_is(slot: Slot) -> None:
    chip = blank()
    Thread(target=slot.insert, args=(chip,)).start()
    assert slot.connect(60) == chip.atr


def test_where_none_comes_the_card_is_gone(slot: Slot) -> None:
    with pytest.raises(CardGoneError, match="重新插入"):
        slot.connect(0)


def test_a_card_that_is_pulled_out_is_gone_and_another_one_is_not_taken_for_it(slot: Slot) -> None:
    slot.insert(chip := blank())
    slot.connect(0)
    assert slot.transmit(SELECT)[0] == 0x61
    assert slot.pull() is chip
    with pytest.raises(CardGoneError):
        slot.transmit(SELECT)
    slot.insert(blank(number=2))
    with pytest.raises(CardGoneError):
        slot.transmit(SELECT)


class _PulledMeanwhile:
    def __init__(self, slot: Slot, chip: Chip) -> None:
        self.slot, self.chip = slot, chip
        self.atr = chip.atr

    def power_up(self) -> None:
        self.chip.power_up()

    def transmit(self, apdu: bytes) -> bytes:
        self.slot.pull()
        return self.chip.transmit(apdu)


def test_the_answer_of_a_card_that_is_pulled_out_meanwhile_is_lost_though_it_did_it(slot: Slot) -> None:
    slot.insert(_PulledMeanwhile(slot, chip := blank()))
    slot.connect(0)
    with pytest.raises(CardGoneError):
        slot.transmit(SELECT)
    assert chip.commands == 1


def test_a_cut_of_the_power_is_a_card_that_is_gone_until_it_is_connected_again(slot: Slot) -> None:
    slot.insert(chip := blank())
    slot.connect(0)
    chip.cut = Cut(0, executed=False)
    for _ in range(2):
        with pytest.raises(CardGoneError):
            slot.transmit(SELECT)
    assert slot.connect(0) == chip.atr
    assert slot.transmit(SELECT)[0] == 0x61


def test_silence_has_a_name(slot: Slot) -> None:
    slot.insert(HostileChip(blank(), Way.SILENCE))
    slot.connect(0)
    with pytest.raises(CardSilentError):
        slot.transmit(SELECT)
    slot.insert(blank())
    slot.connect(0)
    slot.silent = True
    with pytest.raises(CardSilentError):
        slot.transmit(SELECT)


def test_behind_disconnecting_nothing_is_answered(slot: Slot) -> None:
    slot.insert(blank())
    slot.connect(0)
    slot.disconnect()
    slot.disconnect()
    with pytest.raises(CardGoneError):
        slot.transmit(SELECT)


def test_a_command_takes_a_chips_time() -> None:
    slot = Slot(chip_seconds=0.001)
    slot.insert(blank())
    slot.connect(0)
    for _ in range(5):
        slot.transmit(CHALLENGE)
    assert slot.slept_seconds == pytest.approx(0.005)


# A run of commands


def test_a_run_is_carried_out_to_its_end(slot: Slot) -> None:
    slot.insert(blank())
    slot.connect(0)
    answer = transmit(run(SELECT, CHALLENGE), slot)
    assert [raw[-2:] for raw in answer.responses] == [b"\x61\x13", b"\x90\x00"]
    assert answer.trouble == messages.CHIP_TROUBLE_UNSPECIFIED


def test_a_run_stops_behind_the_first_answer_that_is_not_expected(slot: Slot) -> None:
    slot.insert(chip := blank())
    slot.connect(0)
    answer = transmit(run(UNKNOWN, SELECT), slot)
    assert list(answer.responses) == [b"\x6d\x00"]
    assert chip.commands == 1
    assert len(transmit(run(SELECT, CHALLENGE, expected=(0x9000,)), slot).responses) == 1


def test_an_answer_without_a_status_word_stops_a_run(slot: Slot) -> None:
    slot.insert(HostileChip(blank(), Way.NO_STATUS))
    slot.connect(0)
    assert list(transmit(run(SELECT, CHALLENGE, expected=(0x90, 0x9000)), slot).responses) == [b"\x90"]


def test_what_was_answered_before_a_card_was_gone_is_told(slot: Slot) -> None:
    slot.insert(chip := blank())
    slot.connect(0)
    chip.cut = Cut(1, executed=True)
    answer = transmit(run(SELECT, CHALLENGE, CHALLENGE), slot)
    assert len(answer.responses) == 1
    assert answer.trouble == messages.CHIP_TROUBLE_CARD_GONE


class _Broken(Slot):
    def __init__(self, trouble: ChipError) -> None:
        super().__init__(0)
        self.trouble = trouble

    def transmit(self, apdu: bytes) -> bytes:
        raise self.trouble


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (CardGoneError(), messages.CHIP_TROUBLE_CARD_GONE),
        (CardSilentError(), messages.CHIP_TROUBLE_SILENT),
        (ReaderError(), messages.CHIP_TROUBLE_READER),
    ],
)
def test_each_trouble_is_told_by_its_name(trouble: ChipError, told: messages.ChipTrouble) -> None:
    assert transmit(run(SELECT), _Broken(trouble)) == messages.ChipResponses(trouble=told)
    assert str(trouble)
