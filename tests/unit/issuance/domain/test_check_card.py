"""What is on a chip is compared with the registry, and never shown."""

from dataclasses import replace

import pytest

from services.issuance.domain.check_card import Checked, Proof, RecordState, check_card
from services.issuance.domain.effects import Refused, Verified
from services.issuance.domain.probe import Probed, probe
from services.issuance.domain.refusal import Refusal
from tests.support.chip_driver import PRODUCTS, Bench, bench, card_data

codes = pytest.mark.parametrize("code", sorted(PRODUCTS))


def check(desk: Bench, *, with_keys: bool = False) -> Checked | Refused:
    conversation = check_card(desk.product, desk.data, desk.journal.past, desk.own_challenge(), with_keys=with_keys)
    return desk.drive(conversation)


def states(result: Checked | Refused) -> dict[str, RecordState]:
    assert isinstance(result, Checked)
    return {one.place: one.state for one in result.records}


@codes
def test_a_card_tells_everybody_who_it_is(code: str) -> None:
    desk = bench(code)
    assert desk.drive(probe(desk.product)) == Probed(desk.data.card_identifier)


@codes
def test_an_issued_card_agrees_with_the_registry(code: str) -> None:
    desk = bench(code)
    assert desk.personalise() == Verified()
    result = check(desk, with_keys=True)
    assert isinstance(result, Checked)
    assert set(states(result).values()) == {RecordState.AGREES}
    assert result.agrees
    assert result.proof is (Proof.PROVED if desk.product.internal else Proof.IMPOSSIBLE)


def test_without_keys_what_needs_one_is_not_compared_and_the_vault_is_not_asked() -> None:
    desk = bench()
    desk.personalise()
    desk.vault.asked.clear()
    result = check(desk)
    found = states(result)
    assert isinstance(result, Checked)
    assert (result.proof, result.agrees) == (Proof.NOT_ASKED, False)
    assert {place for place, state in found.items() if state is RecordState.NOT_COMPARED} == {
        f"EF06/0{number}" for number in range(1, 8)
    }
    assert desk.vault.asked == []


def test_what_differs_and_what_is_missing_is_named() -> None:
    desk = bench()
    desk.personalise()
    desk.data = replace(desk.data, name="别人", sex="1")
    del desk.chip.records[0xEF05, 7]
    desk.chip.records[0xEF06, 7] = b"\x0d\x02\x20\x26"
    result = check(desk, with_keys=True)
    wrong = {place: state for place, state in states(result).items() if state is not RecordState.AGREES}
    assert wrong == {
        "EF06/02": RecordState.DIFFERS,
        "EF06/04": RecordState.DIFFERS,
        "EF06/07": RecordState.DIFFERS,
        "EF05/07": RecordState.MISSING,
    }
    assert isinstance(result, Checked)
    assert not result.agrees


def test_a_blank_lacks_the_holder() -> None:
    found = states(check(bench("ssc2")))
    assert found["EF05/01"] is RecordState.AGREES
    assert found["EF06/01"] is RecordState.MISSING


def test_another_card_is_refused() -> None:
    desk = bench()
    desk.data = card_data(2)
    assert check(desk) == Refused(Refusal.FOREIGN_CARD)


def test_a_card_that_lacks_the_final_key_is_not_genuine() -> None:
    desk = bench()
    desk.personalise()
    desk.chip.keys[desk.product.key("internal").address] = bytes(16)
    assert check(desk, with_keys=True) == Refused(Refusal.CARD_NOT_GENUINE)


def test_a_check_changes_nothing_on_the_card() -> None:
    desk = bench()
    desk.personalise()
    desk.chip.writes.clear()
    check(desk, with_keys=True)
    assert desk.chip.writes == []
