"""A reader with one slot: somebody puts a card in and pulls it out again, at any moment."""

from __future__ import annotations

import time
from threading import Condition
from typing import Protocol

from sdk.window.devices.reader import CardGoneError, CardSilentError
from simulation.chips.card import PowerCut, Silence

CHIP_SECONDS = 0.02
"""What a command costs a real card."""


class Inserted(Protocol):
    """What lies in a reader: a Chip, or one that answers wrongly."""

    @property
    def atr(self) -> bytes:
        """What its reset answers."""
        ...

    def power_up(self) -> None:
        """Reset."""
        ...

    def transmit(self, apdu: bytes) -> bytes:
        """data ‖ SW1 SW2. Raises PowerCut, Silence."""
        ...


class Slot:
    """A CardReader. Whoever puts cards in is another thread, or the same one beforehand."""

    def __init__(self, chip_seconds: float = CHIP_SECONDS) -> None:
        self.chip_seconds = chip_seconds
        self.silent = False
        """The card in it answers nothing any more."""
        self.slept_seconds = 0.0
        """Of the chips, all in all."""
        self._chip: Inserted | None = None
        self._powered: Inserted | None = None
        self._changed = Condition()

    def insert(self, chip: Inserted) -> None:
        """Put a card in; one that is in it is pulled out first."""
        with self._changed:
            self._chip, self._powered = chip, None
            self._changed.notify_all()

    def pull(self) -> Inserted | None:
        """Pull it out, whatever it is doing."""
        with self._changed:
            chip, self._chip, self._powered = self._chip, None, None
            self._changed.notify_all()
            return chip

    def connect(self, patience_seconds: float) -> bytes:
        """Power the card up; its ATR."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chip is not None, patience_seconds):
                raise CardGoneError
            assert self._chip is not None
            self._chip.power_up()
            self._powered = self._chip
            return self._chip.atr

    def transmit(self, apdu: bytes) -> bytes:
        """The card's answer; a card that is pulled out meanwhile may have done what it was told."""
        if self.chip_seconds:
            time.sleep(self.chip_seconds)
            self.slept_seconds += self.chip_seconds
        chip = self._powered
        if chip is None:
            raise CardGoneError
        if self.silent:
            raise CardSilentError
        try:
            answer = chip.transmit(apdu)
        except PowerCut:
            self._powered = None
            raise CardGoneError from None
        except Silence:
            raise CardSilentError from None
        if self._powered is not chip:
            raise CardGoneError
        return answer

    def disconnect(self) -> None:
        """Power it down."""
        self._powered = None
