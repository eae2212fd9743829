"""The service's conversations and the simulation's chips were written apart, from the same facts: they must agree on every byte."""

import pytest

from services.issuance.domain.effects import Generation, KeyUse, Refused, Spoil, Verified
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.update_card import Updated, reload_pin
from simulation.chips import card
from simulation.chips.hostile import HostileChip, Way
from simulation.chips.reader import Inserted
from tests.support import chip as supported
from tests.support.chip_crypto import card_key
from tests.support.chip_driver import Bench, bench
from tests.support.chips import KINDS

CODES = sorted(KINDS)


class Bridge:
    """A chip of the simulation, in the place of the driver's own."""

    def __init__(self, code: str, way: Way | None = None, behind: int = 0) -> None:
        self.bench = bench(code)
        identifier = bytes.fromhex(self.bench.data.card_identifier)
        self.simulated = card.Chip.blank(KINDS[code], identifier, bytes(16))
        for address in self.simulated.keys:
            self.simulated.keys[address] = card_key(self.bench.product, identifier, KeyUse(address, Generation.TRANSPORT))
        self.inserted: Inserted = HostileChip(self.simulated, way, behind) if way else self.simulated
        self.bench.chip = self  # type: ignore[assignment] # it has what the driver uses

    def power_up(self) -> None:
        self.inserted.power_up()

    def transmit(self, apdu: bytes) -> bytes:
        try:
            return self.inserted.transmit(apdu)
        except card.PowerCut:
            raise supported.PowerCut from None

    def is_made(self) -> bool:
        """All final keys, all records, and the whole of the tries."""
        product, chip = self.bench.product, self.simulated
        keys = {key.address: card_key(product, chip.identifier, KeyUse(key.address, Generation.FINAL)) for key in product.keys}
        tries = {key.address: key.tries for key in product.keys if key.authenticates}
        places = {(file.identifier, record.number) for file, record in product.records()}
        return chip.keys == keys and chip.tries == tries and set(chip.records) == places


def until_made(bench: Bench) -> int:
    """How often the card was inserted."""
    for insertion in range(1, 10):
        if isinstance(bench.personalise(), Verified):
            return insertion
    raise AssertionError("the card is not made")


@pytest.mark.parametrize("code", CODES)
def test_a_card_is_made_in_one_go(code: str) -> None:
    bridge = Bridge(code)
    assert isinstance(bridge.bench.personalise(), Verified)
    assert bridge.is_made()


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_a_cut_at_any_command_is_mended(code: str, executed: bool) -> None:
    whole = Bridge(code)
    until_made(whole.bench)
    for command in range(whole.simulated.commands):
        bridge = Bridge(code)
        bridge.simulated.cut = card.Cut(command, executed)
        assert until_made(bridge.bench) == 2, command
        assert bridge.is_made(), command


@pytest.mark.parametrize("code", CODES)
def test_a_pin_reaches_the_chip(code: str) -> None:
    bridge = Bridge(code)
    until_made(bridge.bench)
    own = bridge.bench
    result = own.drive(reload_pin(own.product, own.data.card_identifier, "135790", own.journal.past))
    assert isinstance(result, Updated)
    assert bridge.simulated.pin == "135790"


@pytest.mark.parametrize(
    ("way", "behind", "reason"),
    [
        (Way.FOREIGN_IDENTIFIER, 0, Refusal.FOREIGN_CARD),
        (Way.UNREADABLE_IDENTIFIER, 0, Refusal.IDENTIFIER_UNREADABLE),
        (Way.STALE_CHALLENGE, 1, Refusal.CHALLENGE_REPEATED),
        (Way.SHORT_CHALLENGE, 1, Refusal.CHALLENGE_MALFORMED),
        (Way.KEY_LOCKED, 0, Refusal.KEY_LOCKED),
        (Way.KEY_REFUSED, 0, Refusal.KEY_REFUSED),
        (Way.MAC_REFUSED, 0, Refusal.KEY_LOAD_REFUSED),
        (Way.NOT_WRITTEN, 0, Refusal.READ_BACK_DIFFERS),
        (Way.NOT_GENUINE, 0, Refusal.CARD_NOT_GENUINE),
        (Way.SHORT_FILE, 0, Refusal.IDENTIFIER_UNREADABLE),
        (Way.TOO_MANY_BYTES, 0, Refusal.ANSWER_TOO_LONG),
        (Way.WRONG_STATUS, 0, Refusal.NOT_A_SOCIAL_SECURITY_CARD),
    ],
)
def test_each_way_of_a_hostile_card_has_its_name(way: Way, behind: int, reason: Refusal) -> None:
    bridge = Bridge("ssc3", way, behind)
    result = bridge.bench.personalise()
    assert isinstance(result, (Refused, Spoil))
    assert result.reason is reason
    assert min(bridge.simulated.tries.values()) >= bridge.bench.product.tries_kept
