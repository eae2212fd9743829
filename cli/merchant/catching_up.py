"""What came while no client ran on a spool."""

from __future__ import annotations

import time
from pathlib import Path

from sdk.merchant.access import Access
from sdk.merchant.hearing import Hearing
from sdk.merchant.spool import Spool, SpoolInUseError

QUIET_SECONDS = 1.5
PATIENCE_SECONDS = 15.0


def catch_up(path: Path, access: Access) -> None:
    """Take in outcomes until none is missing, or none comes for a moment. Raises FileNotFoundError when there is no spool.

    Nothing is emitted. A spool that a client holds hears by itself.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with Spool(path) as spool, Hearing(access, spool) as hearing:
            quiet_at = time.monotonic() + QUIET_SECONDS
            end = time.monotonic() + PATIENCE_SECONDS
            while spool.pending_count and time.monotonic() < min(quiet_at, end):
                if hearing.take_in(0.1):
                    quiet_at = time.monotonic() + QUIET_SECONDS
    except SpoolInUseError:
        return
