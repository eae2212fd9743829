"""Where a consumer group begins: set from outside while the group has no member."""

from collections.abc import Mapping

from bench.taps import Place
from services.payments.adapters import group_offsets


def begin_at(bootstrap: str, group: str, offsets: Mapping[Place, int]) -> None:
    """Commit these offsets for the group."""
    with group_offsets.group_offsets(bootstrap, group) as moved:
        moved.move({group_offsets.Place(*place): offset for place, offset in offsets.items()})


def last_share(ends: Mapping[Place, int], wanted: int) -> dict[Place, int]:
    """Offsets behind which about `wanted` records remain, the same share of each partition."""
    held = sum(ends.values())
    return {place: end - end * min(wanted, held) // held for place, end in ends.items()}
