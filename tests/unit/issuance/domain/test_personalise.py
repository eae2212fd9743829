"""A chip is personalised whatever cuts its power or link: always to one consistent card."""

import os
import random
from collections.abc import Callable
from typing import Final

import pytest

from services.issuance.domain.card_data import records_of
from services.issuance.domain.effects import ChangeKind, Generation, KeyUse, Outcome, Refused, Send, Spoil, Verified
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from tests.support.chip import Chip, Cut
from tests.support.chip_crypto import card_key
from tests.support.chip_driver import PRODUCTS, Bench, bench, card_data

LIVES: Final = int(os.environ.get("ONECARD_CHIP_LIVES", "200"))
MOST_CUTS: Final = 8
MASTER: Final = 0x00
codes = pytest.mark.parametrize("code", sorted(PRODUCTS))


def is_whole(desk: Bench) -> bool:
    """It is right, and no try is lost."""
    tries = {key.address: key.tries for key in desk.product.keys if key.authenticates}
    return is_right(desk) and desk.chip.tries == tries


def is_right(desk: Bench) -> bool:
    """Every record as it should be, every key the final one."""
    contents = records_of(desk.product, desk.data)
    assert not isinstance(contents, Refused)
    identifier = bytes.fromhex(desk.data.card_identifier)
    return desk.chip.records == {(one.file, one.number): one.content for one in contents} and all(
        desk.chip.keys[key.address] == card_key(desk.product, identifier, KeyUse(key.address, Generation.FINAL))
        for key in desk.product.keys
    )


@codes
@pytest.mark.parametrize("fetches", [False, True])
def test_a_blank_becomes_a_card(code: str, fetches: bool) -> None:
    desk = bench(code, fetches=fetches)
    assert desk.personalise() == Verified()
    assert is_whole(desk)
    assert desk.stages == [
        Stage.CARD_READ,
        Stage.AUTHENTICATED,
        Stage.HOLDER_WRITTEN,
        Stage.NUMBER_WRITTEN,
        Stage.KEYS_REPLACED,
        Stage.VERIFIED,
    ]


@codes
def test_the_number_comes_last_and_the_keys_behind_it_with_the_master_key_at_the_end(code: str) -> None:
    desk = bench(code)
    desk.personalise()
    loads = [key.name for key in desk.product.keys]
    assert desk.chip.writes[-len(loads) - 1 :] == [(0xEF05, 7), *loads]
    assert loads[-1] == "master"


@codes
def test_what_changes_the_card_is_journalled_and_nothing_else(code: str) -> None:
    desk = bench(code)
    desk.personalise()
    changing = [run for run in desk.sent if any(command.apdu[1] in {0xDC, 0xD4} for command in run.commands)]
    assert [run.change for run in changing] == [change for change, _ in desk.journal.rows]
    assert [run for run in desk.sent if run.change] == changing
    assert len([run for run in changing if run.change and run.change.kind is ChangeKind.RECORDS]) == 2
    assert all(outcome is Outcome.DONE for _, outcome in desk.journal.rows)


@codes
def test_steps_count_from_one_and_a_card_costs_few_messages(code: str) -> None:
    desk = bench(code)
    desk.personalise()
    assert [run.step for run in desk.sent] == list(range(1, len(desk.sent) + 1))
    assert len(desk.sent) <= 17


@codes
def test_every_cryptogram_is_bound_to_a_challenge_of_its_own(code: str) -> None:
    desk = bench(code)
    desk.personalise()
    challenges = [question.challenge for question in desk.vault.asked]
    assert len(set(challenges)) == len(challenges)


@codes
def test_a_card_that_is_inserted_again_is_only_verified(code: str) -> None:
    desk = bench(code)
    desk.personalise()
    desk.chip.writes.clear()
    assert desk.personalise() == Verified()
    assert desk.chip.writes == []
    assert is_whole(desk)


@codes
@pytest.mark.parametrize("executed", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("link", [False, True], ids=["power", "link"])
def test_a_cut_at_any_command_is_recovered(code: str, executed: bool, link: bool) -> None:
    whole = bench(code)
    whole.personalise()
    for command in range(whole.chip.commands):
        desk = bench(code)
        desk.chip.cut = Cut(command, executed)
        assert desk.personalise(cut_takes_link=link) == (None if link else Refused(Refusal.CARD_GONE)), command
        assert desk.personalise() == Verified(), command
        assert is_whole(desk), command


@codes
def test_lives_with_many_cuts_are_recovered(code: str) -> None:
    for life in range(LIVES):
        desk = live(code, life)
        assert is_whole(desk), life
        assert min(desk.chip.least_tries.values()) >= desk.product.tries_kept, life


def live(code: str, seed: int) -> Bench:
    """A card that is cut up to eight times, anywhere, and then no more."""
    chance = random.Random(seed)
    desk = bench(code, seed + 1)
    for _ in range(chance.randint(1, MOST_CUTS)):
        desk.chip.cut = Cut(chance.randrange(80), chance.random() < 0.5)
        result = desk.personalise(cut_takes_link=chance.random() < 0.5)
        assert result in (None, Verified(), Refused(Refusal.CARD_GONE)), seed
    desk.chip.cut = None
    assert desk.personalise() == Verified(), seed
    return desk


@codes
@pytest.mark.parametrize("loaded", [False, True], ids=["old key", "new key"])
@pytest.mark.parametrize("pattern", range(8))
def test_three_lost_answers_to_the_settling_of_a_key_are_recovered(code: str, loaded: bool, pattern: int) -> None:
    desk = bench(code)
    lose_settling(desk, 3, loaded=loaded, pattern=pattern)
    assert desk.personalise() == Verified()
    assert is_whole(desk)
    assert desk.chip.least_tries[MASTER] >= desk.product.tries_kept


@codes
@pytest.mark.parametrize("loaded", [False, True], ids=["old key", "new key"])
@pytest.mark.parametrize("pattern", range(0, 256, 5))
def test_however_many_are_lost_the_card_is_not_locked(code: str, loaded: bool, pattern: int) -> None:
    desk = bench(code)
    lose_settling(desk, MOST_CUTS, loaded=loaded, pattern=pattern)
    assert desk.personalise() == Spoil(Refusal.KEY_TRIES_USED)
    assert desk.chip.least_tries[MASTER] >= desk.product.tries_kept


def lose_settling(desk: Bench, times: int, *, loaded: bool, pattern: int) -> None:
    """Lose the answer to the last key load, and then to each attempt to find out, executed where the pattern's bit is set."""
    cut_at(desk, lambda apdu: apdu[1] == 0xD4 and apdu[3] == MASTER, executed=loaded)
    for cut in range(times):
        cut_at(desk, lambda apdu: apdu[1] == 0x82 and apdu[3] == MASTER, executed=bool(pattern >> cut & 1))


def cut_at(desk: Bench, which: Callable[[bytes], bool], *, executed: bool) -> None:
    """Insert the card; its power and the link go at the first command of that kind."""
    transmit = desk.chip.transmit

    def watching(apdu: bytes) -> bytes:
        if which(apdu):
            desk.chip.cut = Cut(0, executed)
        return transmit(apdu)

    desk.chip.transmit = watching  # type: ignore[method-assign] # for this one insertion
    desk.personalise(cut_takes_link=True)
    del desk.chip.transmit
    desk.chip.cut = None


def test_a_lost_answer_to_a_key_load_costs_at_most_one_try() -> None:
    desk = bench()
    cut_at(desk, lambda apdu: apdu[1] == 0xD4, executed=False)
    assert desk.personalise() == Verified()
    assert desk.chip.least_tries[0x0A] == desk.product.key("read").tries - 1
    assert is_whole(desk)


def test_the_transport_key_alone_is_tried_where_no_key_load_was_ever_journalled() -> None:
    desk = bench()
    desk.chip.keys[0x0A] = bytes(16)
    assert desk.personalise() == Spoil(Refusal.KEY_REFUSED)
    assert desk.chip.tries[0x0A] == desk.product.key("read").tries - 1


def test_a_foreign_card_is_not_touched() -> None:
    desk = bench()
    desk.chip = Chip(desk.product, bytes.fromhex(card_data(2).card_identifier))
    assert desk.personalise() == Refused(Refusal.FOREIGN_CARD)
    assert desk.vault.asked == []
    assert desk.journal.rows == []


def test_a_card_that_was_exchanged_meanwhile_is_not_spoiled() -> None:
    desk = bench()
    true, foreign = desk.chip.transmit, Chip(desk.product, bytes.fromhex(card_data(2).card_identifier))
    exchanged: list[bytes] = []

    def exchanging(apdu: bytes) -> bytes:
        if exchanged or "master" in desk.chip.writes:
            exchanged.append(apdu)
            return foreign.transmit(apdu)
        return true(apdu)

    desk.chip.transmit = exchanging  # type: ignore[method-assign] # by a quick hand
    assert desk.personalise() == Refused(Refusal.FOREIGN_CARD)
    del desk.chip.transmit
    assert desk.personalise() == Verified()


def test_a_card_without_the_application_may_be_taken_out_again() -> None:
    desk = bench()
    desk.chip.product = PRODUCTS["ssc2"]
    desk.chip.transmit = lambda apdu: b"\x6a\x82"  # type: ignore[method-assign] # a bank's card
    assert desk.personalise() == Refused(Refusal.NOT_A_SOCIAL_SECURITY_CARD)


def test_a_locked_key_spoils_the_blank() -> None:
    desk = bench()
    desk.chip.tries[0x04] = 0
    assert desk.personalise() == Spoil(Refusal.KEY_LOCKED)


def test_no_second_key_is_tried_where_that_could_lock_the_card() -> None:
    desk = bench()
    cut_at(desk, lambda apdu: apdu[1] == 0xD4, executed=False)
    desk.chip.tries[0x0A] = 3
    assert desk.personalise() == Spoil(Refusal.KEY_TRIES_USED)
    assert desk.chip.tries[0x0A] == 2


def test_a_forged_card_cannot_prove_itself() -> None:
    desk = bench()
    true = desk.chip.transmit
    desk.chip.transmit = (  # type: ignore[method-assign] # it lacks the key
        lambda apdu: bytes(16) + b"\x90\x00" if apdu[1] == 0x88 else true(apdu)
    )
    assert desk.personalise() == Spoil(Refusal.CARD_NOT_GENUINE)


def test_other_factory_data_spoil_the_blank_before_anything_is_written() -> None:
    desk = bench()
    desk.chip.records[0xEF05, 3] = b"\x03\x042.00"
    assert desk.personalise() == Spoil(Refusal.FACTORY_DATA_DIFFER, "EF05/03")
    assert desk.chip.writes == []


def test_a_record_that_does_not_stay_is_found_by_reading_back() -> None:
    desk = bench()
    true = desk.chip.transmit

    def forgetful(apdu: bytes) -> bytes:
        answer = true(apdu)
        if apdu[1] == 0xDC and apdu[2] == 2:
            desk.chip.records.pop((0xEF06, 2), None)
        return answer

    desk.chip.transmit = forgetful  # type: ignore[method-assign] # a worn memory
    assert desk.personalise() == Spoil(Refusal.READ_BACK_DIFFERS, "EF06/02")


def test_a_reset_between_two_commands_is_no_reason_to_spoil() -> None:
    desk = bench()
    true = desk.chip.transmit

    def shaken(apdu: bytes) -> bytes:
        if apdu[1] == 0xDC:
            return b"\x69\x82"
        return true(apdu)

    desk.chip.transmit = shaken  # type: ignore[method-assign] # a loose contact
    assert desk.personalise() == Refused(Refusal.SECURITY_LOST, "EF06/01")


def test_nothing_personal_and_no_cryptogram_is_shown() -> None:
    desk = bench()
    desk.personalise()
    shown = repr((desk.sent, desk.vault.asked, desk.data, desk.journal.rows, desk.stages))
    for value in (desk.data.name, desk.data.card_number, desk.data.social_security_number, desk.data.card_identifier):
        assert value not in shown
    for run in desk.sent:
        for command in run.commands:
            assert repr(command.apdu) not in shown
            assert command.apdu.hex() not in shown


def test_no_command_carries_a_key() -> None:
    desk = bench()
    identifier = bytes.fromhex(desk.data.card_identifier)
    keys = [card_key(desk.product, identifier, KeyUse(key.address, one)) for key in desk.product.keys for one in Generation]
    desk.personalise()
    sent = b"".join(command.apdu for run in desk.sent for command in run.commands)
    assert not [key for key in keys if key in sent]


def test_the_digest_tells_runs_apart_and_has_no_data() -> None:
    one, other = bench(serial=1), bench(serial=2)
    one.personalise()
    other.personalise()
    assert len(set(one.journal.digests)) == len(one.journal.digests)
    assert one.journal.digests[1] != other.journal.digests[1]
    assert all(len(digest) == 32 for digest in one.journal.digests)
    assert Send(1, ()).digest != Send(1, one.sent[0].commands).digest
