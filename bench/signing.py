"""What the load is signed with: the keys of all terminals, made of the root in the stage's own token."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from sdk.merchant.transaction import TerminalKey
from services.common.keyvault.software import Hardness, SoftwareVault, create_token, open_token
from services.payments.adapters.tac import terminal_key
from services.payments.keys import KEYS, TERMINAL_ROOT

KeyOf: TypeAlias = Callable[[str, str], TerminalKey]
"""By merchant and terminal."""

EPOCH: Final = 1
_QUICK: Final = Hardness(passes=1, memory_kib=64, lanes=1)
"""Guessing this PIN leads to nothing."""


def make_token(folder: Path, pin: str) -> SoftwareVault:
    """For the time of a stage."""
    vault = create_token(folder / "payments.token", "payments", pin, pin[::-1] + "0", development=True, hardness=_QUICK)
    for label, purpose in KEYS.items():
        vault.add_version(label, purpose)
    return vault


def keys_of(vault: SoftwareVault) -> KeyOf:
    """Each is made once: signing costs the load little."""
    epoch_key = vault.derive_terminal_epoch(TERMINAL_ROOT, 1, EPOCH)

    @cache
    def key_of(merchant_id: str, terminal_id: str) -> TerminalKey:
        return TerminalKey(EPOCH, terminal_key(epoch_key, merchant_id, terminal_id))

    return key_of


def keys_from_environment() -> KeyOf:
    """Of the token that a stage named to this process."""
    return keys_of(open_token(Path(os.environ["ONECARD_VAULT"]), os.environ["ONECARD_VAULT_PIN"]))
