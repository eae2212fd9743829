"""The file with terminals' keys: its owner alone reads it; replaced whole, it is the old or the new one after a power cut."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sdk.merchant.transaction import TerminalKey

Place: TypeAlias = tuple[str, str]
"""(merchant, terminal)"""
Keys: TypeAlias = dict[Place, tuple[TerminalKey, ...]]
"""Of each terminal, the oldest epoch first."""


class KeyFileError(Exception):
    """The file cannot be used; the message says why, and names no key."""


def read_keys(path: Path) -> Keys:
    """What was kept; nothing when there is no file. Raises KeyFileError."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others: `chmod 600` it")
        kept = json.loads(path.read_bytes())
        return {
            (merchant_id, terminal_id): tuple(TerminalKey(epoch, bytes.fromhex(key), since) for epoch, key, since in keys)
            for merchant_id, terminals in kept.items()
            for terminal_id, keys in terminals.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise KeyFileError(f"{path} holds no keys of terminals: remove it, and they are fetched again") from None


def write_keys(path: Path, keys: Mapping[Place, tuple[TerminalKey, ...]]) -> None:
    """When this returns they are on the disk. Raises OSError."""
    kept: dict[str, dict[str, list[tuple[int, str, int]]]] = {}
    for (merchant_id, terminal_id), some in sorted(keys.items()):
        kept.setdefault(merchant_id, {})[terminal_id] = [(key.epoch, key.key.hex(), key.valid_from_ms) for key in some]
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
