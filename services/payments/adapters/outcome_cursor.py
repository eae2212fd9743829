"""How far a merchant's outcomes were read: opaque bytes to whoever keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

import msgspec
from aiokafka.partitioner import murmur2

_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class BadCursorError(ValueError):
    """These bytes are no cursor of this merchant."""


@dataclass(frozen=True, slots=True)
class Life:
    """A life of the road. In another cluster, or with another number of partitions, offsets mean something else."""

    cluster_id: str
    partitions: int


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The next offset of every partition that may hold something for the merchant.

    That is the one where its key lives; all of them for as long as it still reads from the oldest.
    """

    cluster_id: str
    partitions: _Partition
    offsets: dict[_Partition, _Offset]

    @classmethod
    def at(cls, life: Life, offsets: Mapping[int, int]) -> Self:
        """A cursor of this life."""
        return cls(life.cluster_id, life.partitions, dict(offsets))

    @property
    def life(self) -> Life:
        """What its offsets are worth something in."""
        return Life(self.cluster_id, self.partitions)


def encode_cursor(cursor: Cursor) -> bytes:
    """As a subscriber keeps it."""
    return msgspec.msgpack.encode(cursor)


def decode_cursor(kept: bytes, merchant_id: str) -> Cursor:
    """What a subscriber has kept; raises BadCursorError."""
    try:
        cursor = msgspec.msgpack.decode(kept, type=Cursor)
    except msgspec.MsgspecError as error:
        raise BadCursorError(str(error)) from None
    known = range(cursor.partitions)
    if not known or not all(partition in known for partition in cursor.offsets):
        raise BadCursorError("it names a partition that it does not count")
    if home_of(merchant_id, cursor.partitions) not in cursor.offsets:
        raise BadCursorError("it is another merchant's")
    return cursor


def home_of(merchant_id: str, partitions: int) -> int:
    """The partition where a merchant's outcomes are, as every Kafka client places a key."""
    return int((murmur2(merchant_id.encode()) & 0x7FFFFFFF) % partitions)
