"""Transaction authentication codes (交易验证码): SM4-CMAC over a body's very bytes under its terminal's key of an epoch."""

from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.cmac import CMAC

from services.payments.adapters.epochs import EpochKeys
from services.payments.domain.tap import Terminal
from services.payments.domain.verdict import Cause

_CONTEXT: Final = b"onecard terminal key\0"


def terminal_key(epoch_key: bytes, merchant_id: str, terminal_id: str) -> bytes:
    """Of one terminal for one epoch, 16 bytes. Identifiers are ASCII, so no two terminals have the same name here."""
    context = CMAC(SM4(epoch_key))
    context.update(_CONTEXT + merchant_id.encode() + b"\0" + terminal_id.encode())
    return context.finalize()


class Verifier:
    """Says whether a terminal signed a body; without I/O on the hot path.

    An epoch that was added a moment ago is found because a miss asks for a refresh, at most one a second.
    """

    REFRESH_SECONDS: Final = 10.0
    MISS_SECONDS: Final = 1.0

    def __init__(self, keys: EpochKeys) -> None:
        self._keys = keys
        self._keyed: dict[tuple[int, int], CMAC] = {}
        self._missed = False

    async def refresh_if_due(self) -> None:
        """Look again every few seconds, or soon when an epoch was missed."""
        if self._keys.age_seconds < (self.MISS_SECONDS if self._missed else self.REFRESH_SECONDS):
            return
        await self.refresh()

    async def refresh(self) -> None:
        """Look at once."""
        self._missed = False
        if await self._keys.refresh():
            self._keyed = {place: keyed for place, keyed in self._keyed.items() if self._keys.has(place[1])}

    def check(self, terminal: Terminal, epoch: int, body: bytes, tac: bytes) -> Cause | None:
        """Why a body is not the terminal's; None: it is."""
        keyed = self._keyed.get((terminal.number, epoch))
        if keyed is None:
            if not self._keys.has(epoch):
                return self._cause_of(epoch)
            # A keyed context costs three times as much as its copy.
            keyed = CMAC(SM4(terminal_key(self._keys.of(epoch), terminal.merchant_id, terminal.terminal_id)))
            self._keyed[terminal.number, epoch] = keyed
        context = keyed.copy()
        context.update(body)
        return None if compare_digest(context.finalize(), tac) else Cause.WRONG_TAC

    def _cause_of(self, epoch: int) -> Cause:
        if any(known.retired for known in self._keys.epochs if known.number == epoch):
            return Cause.RETIRED_EPOCH
        self._missed = True
        return Cause.UNKNOWN_EPOCH
