"""A consumer of fetches without Faust around it."""

from asyncio import Event
from collections import defaultdict, deque
from typing import Any

from services.payments.adapters.fetches import FetchConsumer
from services.payments.adapters.holes import Holes


class Bare(FetchConsumer):
    """A consumer without a broker: only the books about offsets."""

    def __init__(self) -> None:
        self._ends = defaultdict(deque)
        self._delivery = self._open = 0
        self._has_room = Event()
        self._has_room.set()
        self._next = {}
        self._holes = Holes()
        self._acked: Any = defaultdict(list)
        self._acked_index: Any = defaultdict(set)
        self._read_offset: Any = defaultdict(lambda: None)
        self._committed_offset: Any = defaultdict(lambda: None)
        self._unacked_messages: Any = set()
