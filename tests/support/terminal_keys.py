"""A token of payments with a known root of terminals' keys, and the keys that terminals have by it."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from onecard.payments.v1.transactions_pb2 import TransactionBody
from sdk.merchant.transaction import SignedRecord, Tap, TerminalKey, seal
from sdk.merchant.transaction import sign as sign_with
from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from services.payments.adapters.tac import terminal_key
from services.payments.keys import KEYS, TERMINAL_ROOT

ROOT: Final = bytes(range(16))
PIN: Final = "pin of a test"


@cache
def vault() -> SoftwareVault:
    """One for the whole run, in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="onecard-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    token = create_token(
        folder / "payments.token", "payments", PIN, "pin of another", development=True, hardness=Hardness(1, 64, 1)
    )
    for label, purpose in KEYS.items():
        token.add_version(label, purpose, ROOT)
    return token


def vault_settings() -> Mapping[str, str]:
    """For a process of payments."""
    return {"ONECARD_VAULT": str(vault().file), "ONECARD_VAULT_PIN": PIN}


@cache
def key_of(merchant_id: str, terminal_id: str, epoch: int = 1) -> TerminalKey:
    """What a terminal signs with."""
    epoch_key = vault().derive_terminal_epoch(TERMINAL_ROOT, 1, epoch)
    return TerminalKey(epoch, terminal_key(epoch_key, merchant_id, terminal_id))


def sign(tap: Tap, terminal_sequence: int) -> SignedRecord:
    """A tap under its terminal's code."""
    return sign_with(tap, terminal_sequence, key_of(tap.merchant_id, tap.terminal_id))


def sealed(body: TransactionBody, topic: str, epoch: int = 1) -> SignedRecord:
    """A body under its terminal's code, whether anybody knows the terminal or not."""
    return seal(body, topic, key_of(body.merchant_id, body.terminal_id, epoch))
