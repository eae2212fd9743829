"""The simulation's chip, with what tests have to know of it: each key of its own, what was written, how few tries were ever left."""

import random
from pathlib import Path
from typing import Final

from services.issuance.domain.effects import Generation, KeyUse
from services.issuance.domain.product import Product
from simulation.chips.card import Chip as SimulatedChip
from simulation.chips.card import Cut, PowerCut
from simulation.chips.kind import read_kinds
from tests.support.chip_crypto import card_key

__all__ = ["Chip", "Cut", "PowerCut"]
_KINDS: Final = read_kinds() | read_kinds(Path(__file__).parent / "products")
_SELECT_FILE: Final = bytes.fromhex("00A4000002")


class Chip(SimulatedChip):
    """As the factory delivers it."""

    def __init__(self, product: Product, identifier: bytes, seed: int = 0, *, fetches: bool = False) -> None:
        """`fetches`: the reader asks for what 61xx announces, so that nobody sees it."""
        self.product = product
        self.least_tries = {key.address: key.tries for key in product.keys if key.authenticates}
        self.writes: list[tuple[int, int] | str] = []
        self._fetches = fetches
        self._selected_file = 0
        kind = _KINDS[product.code]
        keys = {key.address: card_key(product, identifier, KeyUse(key.address, Generation.TRANSPORT)) for key in product.keys}
        super().__init__(kind, identifier, keys, SimulatedChip.blank(kind, identifier, bytes(16)).records)
        self.randomness = random.Random(seed).randbytes

    def transmit(self, apdu: bytes) -> bytes:
        """data ‖ SW1 SW2. Raises PowerCut."""
        before = (dict(self.records), dict(self.keys))
        try:
            answer = super().transmit(apdu)
        except PowerCut:
            if before != (self.records, self.keys):
                self._note(apdu)
            raise
        finally:
            self.least_tries = {address: min(least, self.tries[address]) for address, least in self.least_tries.items()}
        if apdu.startswith(_SELECT_FILE):
            self._selected_file = int.from_bytes(apdu[5:])
        if answer == b"\x90\x00":
            self._note(apdu)
        if self._fetches and answer[0] == 0x61:
            return super().transmit(b"\x00\xc0\x00\x00" + answer[1:])
        return answer

    def _note(self, apdu: bytes) -> None:
        if apdu[1] == 0xDC:
            self.writes.append((self._selected_file, apdu[2]))
        elif apdu[1] == 0xD4:
            self.writes.append(self.product.key_at(apdu[3]).name)
