"""A virtual card in a reader of the operating system: what the driver `vsmartcard-vpcd` asks over TCP, the card answers.

Each message has its length before it, two bytes. One byte is a control: 0 power off, 1 power on, 2 reset, 4 what is the ATR?
All else are commands. The driver listens while its reader is empty; a connection is a card that was put in.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Final

from simulation.chips.card import PowerCut, Silence
from simulation.chips.reader import Inserted

_POWER: Final = frozenset({b"\x00", b"\x01", b"\x02"})
_ATR: Final = b"\x04"
_LENGTH: Final = 2
_CONNECT_SECONDS: Final = 30.0


class CardInVpcd:
    """A card that lies in the driver's reader, until it is pulled out."""

    def __init__(self, card: Inserted, port: int, host: str = "127.0.0.1") -> None:
        """Put it in. Raises OSError: no driver listens, or another card is in."""
        self._card = card
        self._out = Event()
        self._link = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        self._link.settimeout(None)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = Thread(target=self._serve, name=f"card in vpcd:{port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> CardInVpcd:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    @property
    def is_out(self) -> bool:
        """Somebody pulled it, a cut of the power took it, or the driver is gone."""
        return self._out.is_set()

    def pull(self) -> None:
        """Pull it out, whatever it is doing."""
        with suppress(OSError):  # it is out already
            self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        try:
            while message := self._message():
                answer = self._answer(message)
                if answer is not None:
                    self._link.sendall(len(answer).to_bytes(_LENGTH) + answer)
        except (OSError, PowerCut):
            pass  # pulled out: the driver hears it from the connection
        finally:
            self._card.power_up()
            self._link.close()
            self._out.set()

    def _answer(self, message: bytes) -> bytes | None:
        if message in _POWER:
            self._card.power_up()
            return None
        if message == _ATR:
            return self._card.atr
        if len(message) == 1:
            return None
        try:
            return self._card.transmit(message)
        except Silence:
            return None

    def _message(self) -> bytes:
        """Empty: the driver is gone."""
        return self._read(int.from_bytes(self._read(_LENGTH)))

    def _read(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            # The driver sends length and message apart: without this each command costs 44 ms, for both sides wait.
            self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            more = self._link.recv(count - len(read))
            if not more:
                return b""
            read += more
        return read


def reader_configuration(name: str, port: int, library: str) -> str:
    """Of the driver's reader, for the folder that `pcscd --config` names. It has a second slot at the next port."""
    return f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:{port:#x}\nLIBPATH {library}\nCHANNELID {port:#x}\n'
