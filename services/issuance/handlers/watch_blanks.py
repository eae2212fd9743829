"""What the elected process does about blanks: bars those of lost terminals, measures moves and stock, and warns of too few."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import now_ms
from services.common.database import Trouble, driver_of, sqlstate_of, trouble
from services.common.errors import DomainError
from services.issuance import metrics
from services.issuance.adapters import audit
from services.issuance.adapters.blanks import BY_ITSELF, enter, find_blanks
from services.issuance.domain.blank import DEPOT, BlankState, Verb, decide
from services.issuance.domain.settings import IssuanceRules
from services.issuance.handlers.once import transact

Lost: TypeAlias = Callable[[], Awaitable[Mapping[str, int]]]
"""Terminals that were revoked as a whole, by subject, with the time in UTC milliseconds. It may fail."""

_MOST: Final = 1000
_AT: Final = f"""
select serial, place from issuance.blank where place = any($1::text[]) and state between 3 and 6 and not barred
order by serial limit {_MOST}"""  # noqa: S608 - our own number
_QUICK: Final = "set local lock_timeout = '300ms'"
"""Somebody who holds a blank for longer is not waited for: it is tried again in the next round."""
_LATE_SECONDS: Final = 12.0
"""More than twice as long as a transaction may last, with its waiting for a lock: what is older is all there."""
_NEWEST: Final = """
select coalesce(max(id), 0) from issuance.blank_entry where at < clock_timestamp() - make_interval(secs => $1)"""
_MOVES: Final = """
select e.verb, e.from_state, e.to_state, b.product, case when e.record is null then 'BY_HAND' else e.reason end, count(*)
from issuance.blank_entry e join issuance.blank b on b.serial = e.serial
where e.id > $1 and e.id <= $2 group by 1, 2, 3, 4, 5"""
_STOCK: Final = """
select case when b.place = 'DEPOT' then 'DEPOT' else p.outlet end, b.product, count(*)
from issuance.blank b join issuance.place p on p.name = b.place
where b.state in (2, 3, 13) and not b.barred group by 1, 2"""
_PLACES: Final = """
select p.name, p.outlet, count(b.serial) from issuance.place p
left join issuance.blank b on b.place = p.name and b.state = 3 and not b.barred
where p.name like 'onecard://%' group by 1, 2"""
_PRODUCTS: Final = """
select x.product, count(b.serial) from (select distinct product from issuance.box) x
left join issuance.blank b on b.product = x.product and b.place = 'DEPOT' and b.state in (2, 13) and not b.barred group by 1"""

log = structlog.get_logger()


class BarLostBlanks:
    """A duty: whatever lies at a terminal that was revoked as a whole gets nothing more from the vault."""

    def __init__(self, engine: AsyncEngine, lost: Lost) -> None:
        self._engine = engine
        self._lost = lost

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        lost = await self._lost()
        found = await (await driver_of(connection)).fetch(_AT, list(lost))
        serials: dict[str, list[str]] = {}
        for serial, place in found:
            serials.setdefault(place, []).append(serial)
        for place, there in serials.items():
            await self._bar(place, there, lost[place])
        return len(found) < _MOST

    async def _bar(self, place: str, serials: Sequence[str], lost_ms: int) -> None:
        """All of one place; where that fails, each by itself: one that cannot be barred now keeps no other one waiting."""

        async def bar(driver: "asyncpg.Connection[Any]") -> int:
            await driver.execute(_QUICK)
            blanks = [(blank, decide(blank, Verb.BAR)) for blank in await find_blanks(driver, serials)]
            moved = [(blank, state) for blank, state in blanks if isinstance(state, BlankState) and not blank.barred]
            await enter(driver, moved, Verb.BAR, BY_ITSELF, reason="TERMINAL_REVOKED")
            await audit.record(driver, None, "blanks.bar", detail={"place": place, "count": len(moved)})
            return len(moved)

        try:
            barred = await transact(self._engine, bar)
        except (asyncpg.PostgresError, DomainError) as error:
            if trouble(error) is Trouble.WAIT:
                raise
            if len(serials) == 1:
                log.warning("barring_put_off", serial=serials[0], sqlstate=sqlstate_of(error))
                return
            for serial in serials:
                await self._bar(place, [serial], lost_ms)
            return
        for _ in range(barred):
            metrics.BARRED_AFTER.observe(max(0, now_ms() - lost_ms) / 1000)
        log.warning("blanks_barred", count=barred)


class MeasureBlanks:
    """A duty: what moved, how many there are where, and where there are too few."""

    EVERY_SECONDS: Final = 5.0

    def __init__(self, rules: IssuanceRules, late_seconds: float = _LATE_SECONDS) -> None:
        self._rules = rules
        self._late_seconds = late_seconds
        self._seen: int | None = None
        self._low: frozenset[str] = frozenset()
        self._measured_at = float("-inf")

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round."""
        driver = await driver_of(connection)
        newest: int = await driver.fetchval(_NEWEST, self._late_seconds)
        if self._seen is not None:
            await self._count_moves(driver, self._seen, newest)
        self._seen = newest
        if time.monotonic() - self._measured_at >= self.EVERY_SECONDS:
            await self._measure_stock(driver)
            self._measured_at = time.monotonic()
        return True

    async def _count_moves(self, driver: "asyncpg.Connection[Any]", after: int, up_to: int) -> None:
        for verb, from_state, to_state, product, reason, times in await driver.fetch(_MOVES, after, up_to):
            states = (BlankState(from_state).name, BlankState(to_state).name)
            metrics.TRANSITIONS.labels(*states).inc(times)
            if verb == Verb.SPOIL:
                metrics.SPOILED.labels(product, reason).inc(times)

    async def _measure_stock(self, driver: "asyncpg.Connection[Any]") -> None:
        metrics.STOCK.clear()
        for depot, product, count in await driver.fetch(_STOCK):
            metrics.STOCK.labels(depot, product).set(count)
        products, places = await driver.fetch(_PRODUCTS), await driver.fetch(_PLACES)
        low = {f"{DEPOT} {product}": DEPOT for product, count in products if count < self._rules.lowest_depot}
        low |= {place: outlet for place, outlet, count in places if count < self._rules.lowest_stock}
        metrics.LOW_STOCK.clear()
        for depot in low.values():
            metrics.LOW_STOCK.labels(depot).inc()
        for place in sorted(low.keys() - self._low):
            log.warning("few_blanks", place=place)
        self._low = frozenset(low)
