"""A reader with one slot: somebody puts a card in and pulls it out again, at any moment."""

from __future__ import annotations

import time
from threading import Condition

from sdk.window.devices.reader import CardGoneError, CardSilentError
from simulation.chips.card import Chip, PowerCut

CHIP_SECONDS = 0.02
"""What a command costs a real card."""


class Slot:
    """A CardReader. Whoever puts cards in is another thread, or the same one beforehand."""

    def __init__(self, chip_seconds: float = CHIP_SECONDS) -> None:
        self.chip_seconds = chip_seconds
        self.silent = False
        """The card in it answers nothing any more."""
        self.slept_seconds = 0.0
        """Of the chips, all in all."""
        self._chip: Chip | None = None
        self._powered = False
        self._changed = Condition()

    def insert(self, chip: Chip) -> None:
        """Put a card in."""
        with self._changed:
            self._chip, self._powered = chip, False
            self._changed.notify_all()

    def pull(self) -> Chip | None:
        """Pull it out, whatever it is doing."""
        with self._changed:
            chip, self._chip = self._chip, None
            return chip

    def connect(self, patience_seconds: float) -> bytes:
        """Power the card up; its ATR."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chip is not None, patience_seconds):
                raise CardGoneError
            assert self._chip is not None
            self._chip.power_up()
            self._powered = True
            return self._chip.atr

    def transmit(self, apdu: bytes) -> bytes:
        """The card's answer."""
        if self.chip_seconds:
            time.sleep(self.chip_seconds)
            self.slept_seconds += self.chip_seconds
        chip = self._chip
        if chip is None or not self._powered:
            raise CardGoneError
        if self.silent:
            raise CardSilentError
        try:
            return chip.transmit(apdu)
        except PowerCut:
            self._powered = False
            raise CardGoneError from None

    def disconnect(self) -> None:
        """Power it down."""
        self._powered = False
