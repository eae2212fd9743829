"""Terminals that tap: what they emit is in a spool until its outcome has come back."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from kafka import KafkaProducer

from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.spool import Kept, Spool
from sdk.merchant.transaction import SignedRecord
from simulation.raw import RawRecords
from tests.support.town import now_ms
from tests.support.waiting import until

NOT_BY_ITSELF_SECONDS = 3600
TICK_SECONDS = 0.05
MOST_PENDING = 8_000


class Placed(NamedTuple):
    """A record for one partition, or with None for the one that its key says."""

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None

    @classmethod
    def of(cls, record: SignedRecord, partition: int | None = None) -> "Placed":
        return cls(record.topic, record.record, record.key, partition)


class Terminals:
    """All terminals of a town, with one spool and one client."""

    def __init__(self, folder: Path, bootstrap: str, access: Access, *, again_seconds: float = 30) -> None:
        """`again_seconds`: the first pause after which an unanswered tap is emitted again."""
        self.bootstrap = bootstrap
        self.access = access
        self.spools = folder / "spools"
        self._spool = Spool(self.spools / "town.spool", first_pause_seconds=again_seconds)
        self._raw = RawRecords(self.spools / "town.raw")
        self._client = MerchantClient(bootstrap, self._spool, access)

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._spool.close()
        self._raw.close()

    def tap(self, records: Sequence[SignedRecord]) -> None:
        """Keep and emit them, each once unless its outcome is late."""
        assert set(self._client.submit(records, _as_signed)) <= {Kept.NEW}

    def place(self, placed: Sequence[SignedRecord | bytes], where: Callable[[int], Placed]) -> None:
        """Keep them in the spool, but emit each as `where` says of its number; unsigned bytes are kept as noise."""
        signed = [record for record in placed if isinstance(record, SignedRecord)]
        self._client.submit(signed, _as_signed, hold_seconds=NOT_BY_ITSELF_SECONDS)
        for number, record in enumerate(placed):
            if isinstance(record, bytes):
                self._raw.keep(where(number).topic, b"", record, now_ms())
        self.send(where(number) for number in range(len(placed)))

    def send(self, records: Iterable[Placed]) -> None:
        """Hand records to the broker, in order, and wait until it has them."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=False, linger_ms=20)
        try:
            for sent in [producer.send(r.topic, r.value, r.key, partition=r.partition) for r in records]:
                sent.get(timeout=15)
        finally:
            producer.close(timeout=5)

    def again(self, records: Iterable[SignedRecord]) -> None:
        """The same bytes once more, behind the back of the spool."""
        self.send(map(Placed.of, records))

    @contextmanager
    def tapping(self, make: Callable[[], SignedRecord], per_second: int) -> Iterator[None]:
        """Taps keep coming while the body runs, also when the broker is away; a slow machine is not buried under them."""
        stopping = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                begin, made = time.monotonic(), 0
                while not stopping.wait(TICK_SECONDS):
                    due = int((time.monotonic() - begin) * per_second) - made
                    due = max(0, min(due, MOST_PENDING - self._client.pending_count))
                    self.tap([make() for _ in range(due)])
                    made += due
            except BaseException as failure:
                failures.append(failure)
                raise

        thread = threading.Thread(target=run, name="tapping", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(20)
        assert not thread.is_alive()
        assert not failures

    async def answered(self, *, but: int = 0, within: float = 180) -> None:
        """Wait until every tap has its outcome, but so many that get none."""
        what = f"all taps but {but} are answered"
        try:
            await until(what, lambda: self._client.pending_count <= but, within)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._client.pending_count} wait") from None


def _as_signed(record: SignedRecord, _: int) -> SignedRecord:
    return record
