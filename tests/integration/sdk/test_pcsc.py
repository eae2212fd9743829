"""A virtual card in a reader of the operating system: the same commands, over pcscd and its driver."""

from collections.abc import Iterator

import pytest

from sdk.window.devices.pcsc import PcscReader, readers
from sdk.window.devices.reader import CardGoneError, CardReader, CardSilentError, ReaderError
from simulation.chips.card import Chip, Cut
from simulation.chips.hostile import HostileChip, Way
from simulation.chips.vpcd import CardInVpcd
from tests.support.chips import FINAL, Holder, blank
from tests.support.pcscd import READER
from tests.support.waiting import until

pytestmark = pytest.mark.pcsc
DONE = b"\x90\x00"
PATIENCE_SECONDS = 60
NAME = b"\x09\x1e" + "欧阳".encode("gbk").ljust(30, b"\0")


@pytest.fixture
def port(vpcd_port: int) -> int:
    return vpcd_port


@pytest.fixture
def reader(port: int) -> Iterator[PcscReader]:
    """With an empty slot."""
    reader = PcscReader(READER)
    yield reader
    reader.disconnect()


class Wire:
    """A card as whoever speaks by the reader sees it."""

    def __init__(self, reader: CardReader, chip: Chip) -> None:
        self.reader = reader
        self.atr = chip.atr

    def power_up(self) -> None:
        assert self.reader.connect(PATIENCE_SECONDS) == self.atr

    def transmit(self, apdu: bytes) -> bytes:
        return self.reader.transmit(apdu)


def test_the_reader_is_listed(port: int) -> None:
    assert [name for name in readers() if name.startswith(READER)]


def test_a_reader_that_is_not_there_is_asked_for(port: int) -> None:
    with pytest.raises(ReaderError, match="没有找到读卡器"):
        PcscReader("No such reader").connect(0)


def test_where_no_card_comes_it_is_gone(reader: PcscReader) -> None:
    with pytest.raises(CardGoneError):
        reader.connect(0.1)
    with pytest.raises(CardGoneError):
        reader.transmit(b"\x00\x84\x00\x00\x10")


@pytest.mark.parametrize("code", ["ssc2", "ssc3"])
def test_a_card_is_read_and_written(reader: PcscReader, port: int, code: str) -> None:
    chip = blank(code)
    holder = Holder.of(chip, Wire(reader, chip))
    with CardInVpcd(chip, port):
        holder.card.power_up()
        assert holder.select() == b"\x61\x13"
        assert holder.card.transmit(b"\x00\xc0\x00\x00\x13")[-2:] == DONE
        holder.select_file(0xEF05)
        assert holder.read(1, 18) == b"\x01\x10" + chip.identifier + DONE
        assert holder.read(1, 5) == b"\x6c\x12"
        assert holder.authenticate("update") == DONE
        assert holder.select_file(0xEF06) == DONE
        assert holder.update(2, NAME) == DONE
        assert holder.authenticate("master") == DONE
        assert holder.load("master", FINAL) == DONE
        assert chip.commands >= 12
        reader.disconnect()
    assert chip.records[0xEF06, 2] == NAME
    assert chip.keys[0] == FINAL


@pytest.mark.parametrize("executed", [False, True])
def test_a_card_that_is_pulled_in_the_middle_is_put_in_again_and_goes_on(reader: PcscReader, port: int, executed: bool) -> None:
    chip = blank()
    holder = Holder.of(chip, Wire(reader, chip))
    with CardInVpcd(chip, port):
        holder.card.power_up()
        holder.select()
        holder.authenticate("update")
        holder.select_file(0xEF06)
        chip.cut = Cut(0, executed)
        with pytest.raises(CardGoneError):
            holder.update(2, NAME)
    assert ((0xEF06, 2) in chip.records) is executed
    with CardInVpcd(chip, port):
        holder.card.power_up()
        holder.select()
        holder.select_file(0xEF06)
        assert holder.update(2, NAME) == b"\x69\x82"
        assert holder.authenticate("update") == DONE
        holder.select_file(0xEF06)
        assert holder.update(2, NAME) == DONE
        reader.disconnect()
    assert chip.records[0xEF06, 2] == NAME


async def test_a_card_that_is_pulled_between_two_commands_is_gone(reader: PcscReader, port: int) -> None:
    chip = blank()
    card = CardInVpcd(chip, port)
    reader.connect(PATIENCE_SECONDS)
    card.pull()
    await until("the card is out", lambda: card.is_out)
    with pytest.raises(CardGoneError):
        reader.transmit(b"\x00\x84\x00\x00\x10")


def test_a_card_that_is_gone_is_not_answered_for_by_the_next_one(reader: PcscReader, port: int) -> None:
    with CardInVpcd(first := blank(), port):
        reader.connect(PATIENCE_SECONDS)
        reader.transmit(b"\x00\x84\x00\x00\x10")
    with pytest.raises(CardGoneError):
        reader.transmit(b"\x00\x84\x00\x00\x10")
    with CardInVpcd(second := blank(number=2), port):
        assert reader.connect(PATIENCE_SECONDS) == second.atr
        reader.transmit(b"\x00\x84\x00\x00\x10")
        reader.disconnect()
    assert (first.commands, second.commands) == (1, 1)


def test_two_programs_do_not_speak_with_one_card(reader: PcscReader, port: int) -> None:
    with CardInVpcd(blank(), port):
        reader.connect(PATIENCE_SECONDS)
        with pytest.raises(ReaderError, match="其他程序"):
            PcscReader(READER).connect(PATIENCE_SECONDS)
        reader.disconnect()


def test_silence_ends(port: int) -> None:
    reader = PcscReader(READER, answer_seconds=1)
    with CardInVpcd(HostileChip(blank(), Way.SILENCE), port):
        reader.connect(PATIENCE_SECONDS)
        with pytest.raises(CardSilentError):
            reader.transmit(b"\x00\x84\x00\x00\x10")
