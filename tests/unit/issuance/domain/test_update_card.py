"""An issued card gets a new PIN or validity, and a wrong answer never spoils or locks it."""

from dataclasses import replace
from datetime import date

import pytest

from services.issuance.domain.effects import ChangeKind, Outcome, Refused, Verified
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.update_card import Updated, reload_pin, renew_validity
from tests.support.chip import Chip, Cut
from tests.support.chip_driver import PRODUCTS, Bench, LinkCut, bench, card_data

codes = pytest.mark.parametrize("code", sorted(PRODUCTS))


def issued(code: str = "ssc3") -> Bench:
    desk = bench(code)
    assert desk.personalise() == Verified()
    desk.sent.clear()
    return desk


def new_pin(desk: Bench, pin: str = "730158") -> Updated | Refused:
    return desk.drive(reload_pin(desk.product, desk.data.card_identifier, pin, desk.journal.past))


def renew(desk: Bench) -> Updated | Refused:
    desk.data = replace(desk.data, expiry_date=date(2046, 1, 1))
    return desk.drive(renew_validity(desk.product, desk.data, desk.journal.past), cut_takes_link=True)


@codes
def test_the_holder_gets_a_new_pin(code: str) -> None:
    desk = issued(code)
    assert new_pin(desk) == Updated()
    assert desk.chip.pin == "730158"
    assert desk.journal.rows[-1][0].kind is ChangeKind.PIN_RELOAD


def test_a_pin_travels_in_no_command_and_no_trace() -> None:
    desk = issued()
    new_pin(desk)
    assert b"730158" not in b"".join(command.apdu for run in desk.sent for command in run.commands)
    assert bytes.fromhex("730158") not in b"".join(command.apdu for run in desk.sent for command in run.commands)
    assert "730158" not in repr((desk.sent, desk.vault.asked, desk.journal.rows))


@pytest.mark.parametrize("pin", ["", "12345", "1234567", "12345a", "１２３４５６"])
def test_a_pin_has_six_digits(pin: str) -> None:
    desk = issued()
    assert new_pin(desk, pin) == Refused(Refusal.PIN_MALFORMED)
    assert desk.sent == []


def test_a_product_without_a_pin_says_so() -> None:
    desk = issued()
    desk.product = replace(desk.product, pin=None)
    assert new_pin(desk) == Refused(Refusal.NO_PIN_ON_CARD)


def test_another_card_keeps_its_pin() -> None:
    desk = issued()
    desk.chip = Chip(desk.product, bytes.fromhex(card_data(2).card_identifier))
    assert new_pin(desk) == Refused(Refusal.FOREIGN_CARD)
    assert not desk.chip.pin


def test_a_card_that_refuses_pins_is_not_asked_for_ever() -> None:
    desk = issued()
    desk.chip.keys[desk.product.key("pin_reload").address] = bytes(16)
    results = [new_pin(desk) for _ in range(5)]
    assert results == [Refused(Refusal.PIN_NOT_CHANGED)] * 3 + [Refused(Refusal.KEY_TRIES_USED)] * 2


@codes
def test_the_validity_is_renewed_and_nothing_else_is_written(code: str) -> None:
    desk = issued(code)
    desk.chip.writes.clear()
    assert renew(desk) == Updated()
    assert desk.chip.records[0xEF05, 6] == bytes.fromhex("060420460101")
    assert desk.chip.writes == [(0xEF05, 6)]


@codes
@pytest.mark.parametrize("executed", [False, True], ids=["before", "behind"])
def test_a_renewal_that_was_cut_is_done_again(code: str, executed: bool) -> None:
    whole = issued(code)
    begun = whole.chip.commands
    renew(whole)
    for command in range(whole.chip.commands - begun):
        desk = issued(code)
        desk.chip.cut = Cut(command, executed)
        with pytest.raises(LinkCut):
            renew(desk)
        assert renew(desk) == Updated(), command
        assert desk.chip.records == whole.chip.records, command


def test_a_validity_that_does_not_stay_is_found() -> None:
    desk = issued()
    true = desk.chip.transmit
    desk.chip.transmit = (  # type: ignore[method-assign] # a worn memory
        lambda apdu: b"\x90\x00" if apdu[1] == 0xDC else true(apdu)
    )
    assert renew(desk) == Refused(Refusal.READ_BACK_DIFFERS, "EF05/06")


@codes
def test_a_good_card_stays_good_however_many_answers_are_lost(code: str) -> None:
    desk = issued(code)
    for _ in range(12):
        desk.chip.cut = Cut(4, True)
        with pytest.raises(LinkCut):
            renew(desk)
        change, outcome = desk.journal.rows[-1]
        assert (change.kind, outcome) == (ChangeKind.ATTEMPT, Outcome.UNKNOWN)
    assert renew(desk) == Updated()


def test_a_pin_can_be_set_however_many_answers_are_lost() -> None:
    desk = issued()
    whole = issued()
    begun = whole.chip.commands
    assert new_pin(whole) == Updated()
    last = whole.chip.commands - begun - 1
    for _ in range(5):
        desk.chip.cut = Cut(last, True)
        assert new_pin(desk) == Refused(Refusal.CARD_GONE)
        assert desk.journal.rows[-1][1] is Outcome.UNKNOWN
    assert new_pin(desk) == Updated()


def test_a_card_with_other_keys_is_left_before_it_locks() -> None:
    desk = issued()
    update = desk.product.key("update")
    desk.chip.keys[update.address] = bytes(16)
    results = [renew(desk) for _ in range(5)]
    assert results == [Refused(Refusal.KEY_REFUSED)] * 3 + [Refused(Refusal.KEY_TRIES_USED)] * 2
    assert desk.chip.tries[update.address] == desk.product.tries_kept


def test_attempts_are_journalled_before_they_are_made() -> None:
    desk = issued()
    rows = len(desk.journal.rows)
    renew(desk)
    assert [change.kind for change, _ in desk.journal.rows[rows:]] == [ChangeKind.ATTEMPT, ChangeKind.RECORDS]
    assert all(outcome is Outcome.DONE for _, outcome in desk.journal.rows)
