"""The load: what the riders of the simulated city do, signed by the SDK, placed as every Kafka client places a key.

A tap's sequence number is its number in the whole load, over all terminals: an outcome tells by it which tap it answers.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple

from aiokafka.partitioner import murmur2

from bench.plan import CARDS
from bench.signing import KeyOf
from sdk.merchant.transaction import sign
from simulation.habits import Life
from simulation.riders import card_identifier


class Place(NamedTuple):
    """A partition."""

    topic: str
    partition: int


class Load(NamedTuple):
    """One record that is ready to be sent."""

    place: Place
    key: bytes
    value: bytes


LATEST_MS: Final = 48 * 3_600_000
"""How long ago a late tap may have happened."""


def taps(first: int, count: int, partitions: int, key_of: KeyOf, late_percent: int = 0) -> Iterator[Load]:
    """Taps with the numbers from `first` on, made now. The same numbers are the same riders' doings in every run.

    Of the late ones a validator tells only now: they happened up to two days ago.
    """
    chance = Random(-first)
    life = Life(CARDS, Random(first))
    hashes: dict[bytes, int] = {}
    for number in range(first, first + count):
        tap = life.next_tap(time.time_ns() // 1_000_000)
        if late_percent and chance.randrange(100) < late_percent:
            tap = replace(tap, event_time_ms=tap.event_time_ms - chance.randrange(LATEST_MS))
        record = sign(tap, number, key_of(tap.merchant_id, tap.terminal_id))
        key = record.key
        place = hashes.get(key)
        if place is None:
            place = hashes[key] = murmur2(key) & 0x7FFFFFFF
        yield Load(Place(record.topic, place % partitions), key, record.record)


def cards() -> Iterator[str]:
    """The identifiers of all cards of the city."""
    return map(card_identifier, range(1, CARDS + 1))
