"""Change keys while the city lives: wrap the holders' keys anew, fill a new index, and take the old one away.

Each step is done by hundreds and can be cut off anywhere: what is done stays done, and the next run goes on from there.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit, rotation
from services.card.adapters.people import Holder, read_holders
from services.card.adapters.sealing import Digest, Sealing
from services.card.domain.actor import OPERATOR
from services.card.domain.document import CITIZEN_NUMBERS
from services.card.domain.person import LookupField
from services.card.handlers.once import transact
from services.card.handlers.submit import namesake_digests
from services.common.database import driver_session
from services.common.errors import Code, DomainError

A_TIME: Final = 500
Progress = Callable[[int, int], object]
"""Is told how many are done, of how many."""


async def rewrap_keys(engine: AsyncEngine, sealing: Sealing, progress: Progress) -> int:
    """Wrap every data key with the current version of the vault's key; no field is touched. Answers how many were."""
    version, done, after = sealing.data_key_version(), 0, 0
    async with driver_session(engine) as driver:
        total = await rotation.count_wrapped_by_older(driver, version)
        await audit.record(driver, OPERATOR, "keys.rewrap", detail={"version": version, "keys": total})
        while old := await rotation.wrapped_by_older(driver, version, after, A_TIME):
            await rotation.store_rewrapped(driver, old, [sealing.rewrap(holder, key) for holder, key in old])
            after, done = old[-1][0], done + len(old)
            progress(done, total)
    return done


async def fill_index(engine: AsyncEngine, sealing: Sealing, progress: Progress) -> int:
    """Bring everybody into the newest index. Answers how many were not there.

    Who is added meanwhile by a process that knows the new version is there already; who is added, or gets another number, by
    one that does not is found by another run. `retire_index` looks again before anything is taken away.
    """
    version, done = sealing.index_versions()[-1], 0

    async def fill(page: rotation.Page, driver: "asyncpg.Connection[Any]") -> int:
        missing = await rotation.find_missing(driver, version, page)
        holders = await read_holders(driver, sealing, missing, lock=True)
        if holders:
            await _add(driver, sealing, holders)
        return len(holders)

    async with driver_session(engine) as driver:
        total = await rotation.count_missing(driver, version, A_TIME * 10)
        await audit.record(driver, OPERATOR, "index.fill", detail={"version": version, "holders": total})
        async for page in rotation.page_holders(driver, A_TIME):
            done += await transact(engine, partial(fill, page))
            progress(done, total)
    return done


async def retire_index(owner: AsyncEngine, sealing: Sealing, version: int, progress: Progress) -> int:
    """Take away an index that nobody needs any more, as the owner of the tables. Answers how many rows are gone.

    First nobody can be added to it alone: a process that knows no newer version is refused from then on, rather than that it
    adds people whom others do not find. Then everybody must be in the newest index. Raises DomainError when somebody is not.
    What processes that know both add to it meanwhile is noise as soon as its key is gone.
    """
    newest = sealing.index_versions()[-1]
    if version >= newest:
        raise DomainError(Code.FAILED_PRECONDITION, "INDEX_IN_USE", f"version {version} is the newest: add another one first")
    gone = 0
    async with driver_session(owner) as driver:
        await rotation.bar_index(driver, version)
        if missing := await rotation.count_missing(driver, newest, A_TIME * 10):
            message = f"{missing} holders are not in the index of version {newest}: fill it, then retire version {version}"
            raise DomainError(Code.FAILED_PRECONDITION, "INDEX_NOT_FILLED", message)
        async for page in rotation.page_holders(driver, A_TIME * 10):
            gone += await rotation.forget_index(driver, version, page)
            progress(gone, 0)
        await audit.record(driver, OPERATOR, "index.retire", detail={"version": version, "rows": gone})
    return gone


async def _add(driver: "asyncpg.Connection[Any]", sealing: Sealing, holders: Mapping[int, Holder]) -> None:
    found_by: list[tuple[Digest, int]] = []
    namesakes: list[tuple[Digest, int]] = []
    for holder in holders.values():
        person = holder.person()
        if number := person.social_security_number:
            found_by.append((sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)[-1], holder.id))
        namesakes.append((namesake_digests(sealing, person)[-1], holder.id))
    for one in await rotation.numbers_of(driver, [*holders]):
        number = holders[one.holder].cipher.open(one.field, one.sealed).decode()
        if not one.document_kind:
            found_by.append((sealing.digests(LookupField.CARD_NUMBER, number)[-1], one.holder))
        elif one.document_kind not in CITIZEN_NUMBERS:
            found_by.append((sealing.digests(LookupField.DOCUMENT, str(one.document_kind), number)[-1], one.holder))
    await rotation.add_digests(driver, found_by)
    await rotation.add_namesakes(driver, namesakes)
