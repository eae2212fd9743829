"""Faust tables of an app that reads a fetch at a time: what is rebuilt after a restart from their changelog topics.

Only on Apache Kafka: Tansu compacts nothing, and says wrongly where a topic ends.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol
from zlib import crc32

import faust
from faust.types import TP

from services.payments.adapters.fetches import Fetch, FetchConsumer


class Keepable(Protocol):
    """What a table keeps, as texts."""

    def changes(self) -> Iterator[tuple[str, str | None]]:
        """What has changed since this was last asked; None for what is to be dropped."""

    def restore(self, kept: Mapping[str, str]) -> None:
        """Begin again with what was kept."""


class TableConsumer(FetchConsumer):
    """Fetches of taps, and one message a record of a changelog, as Faust's recovery wants it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._changes: dict[TP, list[Any]] = {}
        super().__init__(*args, **kwargs)

    async def _wait_next_records(self, timeout: float) -> Any:
        records, active = await super()._wait_next_records(timeout)
        changelogs = self.app.tables.changelog_topics
        self._changes = {tp: records.pop(tp) for tp in list(records or ()) if tp.topic in changelogs}
        return records, active

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch, and yield the taps in it as one message, the changes of tables one by one."""
        async for fetch in super().getmany(timeout):
            yield fetch
        changes, self._changes = self._changes, {}
        for tp, records in changes.items():
            for record in records:
                if not self.flow_active:
                    return
                yield tp, self._to_message(tp, record)

    def ack(self, message: Any) -> bool:
        """Changes of tables are not committed: they are read from the beginning at every start."""
        return super().ack(message) if isinstance(message, Fetch) else False


class LiveTable(faust.Table):  # type: ignore[misc]  # Faust is untyped
    """A table whose rows lie where their key says: a fetch is of all partitions, so no event has one to follow."""

    def partition_for_key(self, key: bytes) -> int:
        """Where a key lies in the changelog."""
        return crc32(key) % int(self.app.consumer.topic_partitions(self.changelog_topic_name) or 1)


class KeptTable:
    """Keeps one thing in one table."""

    def __init__(self, app: faust.App, name: str, what: Keepable) -> None:
        self._what = what
        self._table = app.tables.add(LiveTable(app, name=name, key_type=bytes, value_type=bytes, on_recover=self._restore))

    async def _restore(self) -> None:
        self._what.restore({key.decode(): value.decode() for key, value in self._table.items()})

    def keep(self) -> int:
        """Write what has changed, each key once; answers how many there were."""
        number = 0
        for key, value in self._what.changes():
            number += 1
            if value is not None:
                self._table[key.encode()] = value.encode()
            else:
                self._table.pop(key.encode(), None)
        return number
