"""What the root of terminals' keys makes of an epoch: the message under its CMAC, the same in every kind of vault."""

from typing import Final

_CONTEXT: Final = b"onecard terminal epoch\0"
LAST_EPOCH: Final = 2**31 - 1


def epoch_message(epoch: int) -> bytes:
    """Of one epoch alone. Raises ValueError for a number that is none."""
    if not 1 <= epoch <= LAST_EPOCH:
        raise ValueError(f"an epoch is a number from 1 to {LAST_EPOCH}")
    return _CONTEXT + epoch.to_bytes(4)
