"""Each rule of a virtual card, by its bytes."""

import pytest

from simulation.chips.card import Chip, Cut, PowerCut
from simulation.chips.cipher import encipher
from tests.support.chips import FINAL, KINDS, Holder, apdu, blank, holder_at_the_files

DONE = b"\x90\x00"
CODES = sorted(KINDS)
ISSUED = b"\x05\x04\x20\x26\x01\x01"
"""EF05/05."""


@pytest.fixture(params=CODES)
def holder(request: pytest.FixtureRequest) -> Holder:
    """Of a blank that was just selected."""
    made = Holder.of(blank(request.param))
    made.select()
    return made


def chip_of(holder: Holder) -> Chip:
    assert isinstance(holder.card, Chip)
    return holder.card


def test_the_reset_answers_with_the_products_name() -> None:
    assert blank("ssc3").atr.hex().upper().startswith("3B09008153534333")
    assert blank("ssc2").atr.hex().upper().startswith("3B09008153534332")


# Selecting


def test_the_application_is_selected_by_its_chinese_name_and_its_template_waits(holder: Holder) -> None:
    answer = holder.select()
    assert answer == b"\x61\x13"
    template = holder.card.transmit(b"\x00\xc0\x00\x00\x13")
    assert template == b"\x6f\x11\x84\x0f" + bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF") + DONE


def test_what_waits_is_told_in_parts_and_once(holder: Holder) -> None:
    holder.select()
    assert holder.card.transmit(b"\x00\xc0\x00\x00\x20") == b"\x6c\x13"
    first = holder.card.transmit(b"\x00\xc0\x00\x00\x10")
    assert len(first) == 18
    assert first[-2:] == b"\x61\x03"
    assert len(holder.card.transmit(b"\x00\xc0\x00\x00\x03")) == 5
    assert holder.card.transmit(b"\x00\xc0\x00\x00\x03") == b"\x69\x85"


def test_what_waits_is_gone_behind_another_command(holder: Holder) -> None:
    holder.select()
    holder.challenge()
    assert holder.card.transmit(b"\x00\xc0\x00\x00\x13") == b"\x69\x85"


def test_another_name_is_no_application(holder: Holder) -> None:
    assert holder.card.transmit(apdu(0x00, 0xA4, 0x04, 0x00, 3, b"abc")) == b"\x6a\x82"
    assert holder.select_file(0xEF05) == b"\x6a\x82"


def test_files_are_there_once_the_application_is_selected() -> None:
    holder = Holder.of(blank())
    assert holder.select_file(0xEF05) == b"\x6a\x82"
    assert holder.read(1) == b"\x69\x86"
    holder.select()
    assert [holder.select_file(file) for file in (0xEF05, 0xEF06, 0xEF07, 0xEF08)] == [DONE] * 4
    assert holder.select_file(0xEF09) == b"\x6a\x82"


def test_in_another_directory_nobody_is_authenticated_and_our_files_are_not() -> None:
    holder = holder_at_the_files()
    assert holder.select_file(0xDF01) == DONE
    assert holder.select_file(0xEF05) == b"\x6a\x82"
    holder.select()
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x69\x82"


# Reading


def test_anybody_reads_who_the_card_is(holder: Holder) -> None:
    holder.select_file(0xEF05)
    identifier = chip_of(holder).identifier
    assert holder.read(1, 18) == holder.read(1) == b"\x01\x10" + identifier + DONE
    assert identifier[:8] == bytes.fromhex("440700D156000005")


def test_a_blank_has_the_factorys_records_and_no_others(holder: Holder) -> None:
    holder.select_file(0xEF05)
    assert [holder.read(number)[-2:] == DONE for number in range(1, 9)] == [True] * 4 + [False] * 4
    assert holder.read(7) == b"\x6a\x83"


def test_another_length_is_told_the_right_one(holder: Holder) -> None:
    holder.select_file(0xEF05)
    assert holder.read(1, 17) == holder.read(1, 19) == b"\x6c\x12"


@pytest.mark.parametrize("code", ["ssc3", "aes"])
def test_the_holders_records_are_read_with_their_key_alone(code: str) -> None:
    holder = Holder.of(blank(code))
    holder.select()
    holder.select_file(0xEF06)
    assert holder.read(1) == b"\x69\x82"
    assert holder.authenticate("update") == DONE
    assert holder.read(1) == b"\x69\x82"
    assert holder.authenticate("read") == DONE
    assert holder.read(1) == b"\x6a\x83"


def test_of_the_second_generation_anybody_reads_all() -> None:
    holder = Holder.of(blank("ssc2"))
    holder.select()
    holder.select_file(0xEF06)
    assert holder.read(1) == b"\x6a\x83"


# Writing


@pytest.mark.parametrize("code", CODES)
def test_records_are_written_with_the_update_key_alone(code: str) -> None:
    holder = Holder.of(blank(code))
    holder.select()
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x69\x82"
    assert holder.authenticate("master") == DONE
    assert holder.update(5, ISSUED) == b"\x69\x82"
    assert holder.authenticate("update") == DONE
    assert holder.update(5, ISSUED) == DONE
    assert holder.update(5, ISSUED[:-1] + b"\x02") == DONE
    assert holder.read(5) == ISSUED[:-1] + b"\x02" + DONE


def test_a_name_is_appended_behind_its_tag() -> None:
    holder = holder_at_the_files()
    holder.select_file(0xEF06)
    name = b"\x09\x1e" + "张三".encode("gbk").ljust(30, b"\0")
    assert holder.update(2, name) == DONE
    assert holder.read(2) == name + DONE


@pytest.mark.parametrize("wrong", [ISSUED[:-1], ISSUED + b"\0", b"\x06" + ISSUED[1:], b"\x05\x03" + ISSUED[2:], b"\x05"])
def test_a_record_with_another_tag_or_length_is_not_written(wrong: bytes) -> None:
    holder = holder_at_the_files()
    assert holder.update(5, wrong) == b"\x6a\x80"
    assert holder.read(5) == b"\x6a\x83"


def test_what_the_factory_wrote_stays_and_there_is_room_for_no_more() -> None:
    holder = holder_at_the_files()
    assert holder.update(1, b"\x01\x10" + bytes(16)) == b"\x69\x85"
    assert holder.update(8, b"\x08\x01\x00") == b"\x6a\x83"
    holder.select_file(0xEF08)
    assert holder.update(1, b"\x01\x01\x00") == b"\x69\x82"


def test_whoever_selects_the_application_anew_is_a_stranger() -> None:
    holder = holder_at_the_files()
    holder.select()
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x69\x82"


# Authenticating


def test_a_challenge_has_the_length_of_a_block(holder: Holder) -> None:
    assert len(holder.challenge()) == {"ssc2": 8}.get(holder.kind.code, 16)
    assert holder.challenge() != holder.challenge()
    assert holder.card.transmit(b"\x00\x84\x00\x00\x07") == b"\x67\x00"


def test_a_challenge_is_good_for_the_next_command_alone(holder: Holder) -> None:
    address = holder.kind.address("update")
    right = encipher(holder.kind.algorithm, holder.keys[address], holder.challenge())
    holder.select_file(0xEF05)
    assert holder.prove(address, right) == b"\x69\x84"
    right = encipher(holder.kind.algorithm, holder.keys[address], holder.challenge())
    assert holder.prove(address, right) == DONE
    assert holder.prove(address, right) == b"\x69\x84"
    assert chip_of(holder).tries[address] == 5


def test_of_a_challenge_of_another_length_no_key_is_proven(holder: Holder) -> None:
    holder.card.transmit(b"\x00\x84\x00\x00\x04")
    assert holder.prove(holder.kind.address("update"), bytes(holder.kind.block_bytes)) == b"\x69\x84"


def test_wrong_keys_are_counted_and_the_right_one_gives_the_tries_back(holder: Holder) -> None:
    assert [holder.fail("update") for _ in range(4)] == [b"\x63\xc4", b"\x63\xc3", b"\x63\xc2", b"\x63\xc1"]
    assert holder.authenticate("update") == DONE
    assert holder.fail("update") == b"\x63\xc4"


def test_a_key_without_tries_is_locked_for_ever_and_others_are_not(holder: Holder) -> None:
    assert [holder.fail("update") for _ in range(5)][-1] == b"\x63\xc0"
    holder.card.power_up()
    holder.select()
    assert holder.authenticate("update") == b"\x69\x83"
    assert holder.authenticate("master") == DONE


def test_a_wrong_key_takes_away_what_the_right_one_gave() -> None:
    holder = holder_at_the_files()
    holder.fail("update")
    assert holder.update(5, ISSUED) == b"\x69\x82"


def test_keys_that_do_not_authenticate_are_none(holder: Holder) -> None:
    holder.challenge()
    assert holder.prove(holder.kind.address("pin_reload"), bytes(holder.kind.block_bytes)) == b"\x6a\x88"
    assert holder.prove(0x77, bytes(holder.kind.block_bytes)) == b"\x6a\x88"


def test_a_cryptogram_of_another_length_costs_no_try(holder: Holder) -> None:
    holder.challenge()
    address = holder.kind.address("update")
    assert holder.prove(address, bytes(holder.kind.block_bytes - 1)) == b"\x67\x00"
    assert chip_of(holder).tries[address] == 5


@pytest.mark.parametrize("code", ["ssc3", "aes"])
def test_a_card_proves_itself_with_its_internal_key_and_lends_no_other(code: str) -> None:
    holder = Holder.of(blank(code))
    holder.select()
    address, challenge = holder.kind.address("internal"), bytes(range(16))
    assert holder.card.transmit(apdu(0x00, 0x88, 0x00, address, 16, challenge)) == b"\x61\x10"
    proof = holder.card.transmit(b"\x00\xc0\x00\x00\x10")
    assert proof == encipher(holder.kind.algorithm, holder.keys[address], challenge) + DONE
    for other in {*holder.kind.keys} - {address}:
        assert holder.card.transmit(apdu(0x00, 0x88, 0x00, other, 16, challenge)) == b"\x6a\x88"


def test_the_second_generation_cannot_prove_itself() -> None:
    holder = Holder.of(blank("ssc2"))
    holder.select()
    answers = {holder.card.transmit(apdu(0x00, 0x88, 0x00, address, 8, bytes(8))) for address in range(16)}
    assert answers == {b"\x6a\x88"}


# Replacing keys


def _prove(holder: Holder, *names: str) -> None:
    for name in names:
        assert holder.authenticate(name) == DONE


def test_each_key_is_replaced_under_the_one_that_protects_it(holder: Holder) -> None:
    _prove(holder, "update", "master")
    for place in holder.kind.keys.values():
        assert holder.load(place.name, FINAL) == DONE
    assert set(chip_of(holder).keys.values()) == {FINAL}
    holder.select()
    _prove(holder, "update", "master")


def test_a_replaced_key_proves_nothing_any_more(holder: Holder) -> None:
    old = holder.keys[holder.kind.address("update")]
    _prove(holder, "update", "master")
    assert holder.load("update", FINAL) == DONE
    holder.keys[holder.kind.address("update")] = old
    assert holder.authenticate("update") == b"\x63\xc4"


def test_a_new_key_has_all_its_tries(holder: Holder) -> None:
    holder.fail("update")
    _prove(holder, "master")
    if holder.kind.keys[holder.kind.address("update")].under == "update":
        _prove(holder, "update")
    assert holder.load("update", FINAL) == DONE
    assert chip_of(holder).tries[holder.kind.address("update")] == 5


def test_a_key_load_waits_for_the_proof_of_the_protecting_key(holder: Holder) -> None:
    assert holder.load("master", FINAL) == b"\x69\x82"
    assert FINAL not in chip_of(holder).keys.values()


def test_a_key_load_is_bound_to_a_fresh_challenge_and_works_once(holder: Holder) -> None:
    _prove(holder, "master")
    header = holder.kind.load + bytes((holder.kind.address("master"),))
    command = holder.protected(header, holder.kind.key_header + FINAL, holder.kind.address("master"))
    holder.select_file(0xEF05)
    assert holder.card.transmit(command) == b"\x69\x84"
    holder.challenge()
    assert holder.card.transmit(command) == b"\x69\x88"
    assert FINAL not in chip_of(holder).keys.values()


def test_each_byte_of_a_key_load_is_under_its_mac(holder: Holder) -> None:
    _prove(holder, "master")
    address = holder.kind.address("master")
    header = holder.kind.load + bytes((address,))
    length = len(holder.protected(header, holder.kind.key_header + FINAL, address))
    for at in range(5, length):
        command = bytearray(holder.protected(header, holder.kind.key_header + FINAL, address))
        command[at] ^= 1
        assert holder.card.transmit(bytes(command)) == b"\x69\x88"
    assert FINAL not in chip_of(holder).keys.values()


def test_a_key_for_one_place_does_not_fit_into_another(holder: Holder) -> None:
    _prove(holder, "master")
    master, other = holder.kind.address("master"), holder.kind.address("pin_reload")
    command = bytearray(holder.protected(holder.kind.load + bytes((master,)), holder.kind.key_header + FINAL, master))
    command[3] = other
    assert holder.card.transmit(bytes(command)) == b"\x69\x88"


@pytest.mark.parametrize("plain", [b"\x13\0\0\0" + bytes(15), b"\x14\0\0\0" + bytes(16), bytes(16), b""])
def test_what_is_no_key_is_not_taken_for_one(holder: Holder, plain: bytes) -> None:
    _prove(holder, "master")
    before = dict(chip_of(holder).keys)
    address = holder.kind.address("master")
    assert holder.card.transmit(holder.protected(holder.kind.load + bytes((address,)), plain, address)) == b"\x6a\x80"
    assert chip_of(holder).keys == before


def test_there_is_no_place_for_an_unknown_key(holder: Holder) -> None:
    _prove(holder, "master")
    command = holder.protected(holder.kind.load + b"\x77", holder.kind.key_header + FINAL, holder.kind.address("master"))
    assert holder.card.transmit(command) == b"\x6a\x88"


# The PIN


def test_a_blank_has_no_pin_and_a_reload_gives_it_one(holder: Holder) -> None:
    assert holder.verify_pin("123456") == b"\x6a\x88"
    assert holder.reload_pin("123456") == DONE
    assert holder.verify_pin("123456") == DONE


def test_wrong_pins_are_counted_until_a_reload(holder: Holder) -> None:
    holder.reload_pin("123456")
    assert [holder.verify_pin("654321") for _ in range(6)] == [bytes((0x63, 0xC0 | left)) for left in (5, 4, 3, 2, 1, 0)]
    assert holder.verify_pin("123456") == b"\x69\x83"
    assert holder.reload_pin("111222") == DONE
    assert holder.verify_pin("111222") == DONE


def test_the_right_pin_gives_the_tries_back_and_asking_costs_none(holder: Holder) -> None:
    holder.reload_pin("123456")
    holder.verify_pin("654321")
    assert holder.verify_pin("") == holder.verify_pin("") == b"\x63\xc5"
    assert holder.verify_pin("1234") == b"\x67\x00"
    holder.verify_pin("123456")
    assert holder.verify_pin("") == b"\x63\xc6"


def test_a_reload_with_a_wrong_mac_changes_nothing(holder: Holder) -> None:
    holder.reload_pin("123456")
    command = holder.protected(holder.kind.pin_reload, b"\x03\x65\x43\x21", holder.kind.address("pin_reload"))
    assert holder.card.transmit(command[:-1] + bytes((command[-1] ^ 1,))) == b"\x69\x88"
    assert holder.card.transmit(command) == b"\x69\x84"
    assert holder.verify_pin("123456") == DONE


@pytest.mark.parametrize("digits", ["1234", "12345678"])
def test_a_pin_of_another_length_is_none(holder: Holder, digits: str) -> None:
    assert holder.reload_pin(digits) == b"\x6a\x80"


# Commands that are none


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"", "6700"),
        (b"\x00\xa4\x04", "6700"),
        (b"\x00\xa4\x04\x00\x05ab", "6700"),
        (b"\x00\xa4\x04\x00\x01abc", "6700"),
        (b"\x00\xa4\x04\x00\x00\x01", "6700"),
        (b"\x00\xa4\x09\x00\x01a", "6a86"),
        (b"\x00\x82\x01\x04\x01a", "6a86"),
        (b"\x00\xb2\x01\x05\x00", "6a86"),
        (b"\x00\xca\x00\x00\x00", "6d00"),
        (b"\x80\xa4\x04\x00\x01a", "6e00"),
        (b"\x00\xd4\x01\x00\x01a", "6d00"),
    ],
)
def test_what_is_no_command_is_answered_by_name(raw: bytes, answer: str) -> None:
    holder = holder_at_the_files()
    assert holder.card.transmit(raw).hex() == answer


# Cuts


@pytest.mark.parametrize("executed", [False, True])
def test_a_cut_is_before_or_behind_a_command_never_in_it(executed: bool) -> None:
    holder = holder_at_the_files()
    chip = chip_of(holder)
    chip.cut = Cut(1, executed)
    holder.read(1)
    with pytest.raises(PowerCut):
        holder.update(5, ISSUED)
    assert ((0xEF05, 5) in chip.records) is executed
    assert holder.read(1) == b"\x69\x86"
    holder.select()
    holder.select_file(0xEF05)
    assert holder.update(5, ISSUED) == b"\x69\x82"


def test_tries_stay_used_behind_a_cut() -> None:
    holder = Holder.of(blank())
    holder.select()
    holder.challenge()
    chip = chip_of(holder)
    chip.cut = Cut(0, executed=True)
    with pytest.raises(PowerCut):
        holder.prove(0x04, bytes(16))
    holder.select()
    assert holder.fail("update") == b"\x63\xc3"
