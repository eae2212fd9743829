"""Secrets of a city on one machine: drawn once, and kept in files that their owner alone can read."""

import os
import secrets
from pathlib import Path


def keep_secret(file: Path) -> str:
    """The key of the batch digests, or a PIN."""
    if not file.exists():
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            kept.write(secrets.token_hex(32))
    return file.read_text()
