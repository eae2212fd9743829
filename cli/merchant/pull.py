"""A terminal's hotlist, fetched once."""

from __future__ import annotations

from pathlib import Path

import grpc

from sdk.merchant.access import Access
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.hotlist_file import HotlistFileError
from sdk.merchant.hotlist_puller import pull


class PullError(Exception):
    """The list could not be fetched or kept; the message says why."""


def pull_once(path: Path, access: Access, merchant_id: str) -> str:
    """What came of it, as a line for people. Raises PullError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        line = access.connect(merchant_id)
        try:
            with Hotlist(path) as hotlist:
                step = pull(hotlist, line)
                at = hotlist.version
                age = f"{hotlist.age_seconds:.1f} s old" if hotlist.age_seconds < float("inf") else "of unknown age"
                return f"epoch {at.epoch}, version {at.version}, {age}, {hotlist.entries:,} cards ({step.value})"
        finally:
            line.channel.close()
    except grpc.RpcError as error:
        raise PullError(f"nobody answered: {error.code().name}: {error.details()}") from None
    except (OSError, HotlistFileError) as error:
        raise PullError(str(error)) from None
