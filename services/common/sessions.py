"""How many sessions with PostgreSQL a process uses, of how many it may."""

from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool


class Sessions(Collector):
    """Counted when somebody looks, over all pools of the process: whoever wants one more than there may be waits."""

    def __init__(self) -> None:
        self._engines: WeakSet[AsyncEngine] = WeakSet()

    def watch(self, engine: AsyncEngine) -> None:
        """Count this one's pool too, for as long as it lives."""
        self._engines.add(engine)

    def collect(self) -> Iterable[Metric]:
        """As a gauge."""
        family = GaugeMetricFamily("onecard_database_sessions", "Sessions with PostgreSQL, by what they do", labels=["state"])
        pools = [engine.pool for engine in list(self._engines)]
        sizes = [(pool.checkedout(), pool.size()) for pool in pools if isinstance(pool, QueuePool)]
        family.add_metric(["used"], sum(used for used, _ in sizes))
        family.add_metric(["allowed"], sum(allowed for _, allowed in sizes))
        yield family


SESSIONS: Final = Sessions()
REGISTRY.register(SESSIONS)
