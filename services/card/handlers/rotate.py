"""Change keys while the city lives: wrap the holders' keys anew, fill a new index, and take the old one away.

Each step is done by hundreds and can be cut off anywhere: what is done stays done, and the next run goes on from there.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import rotation
from services.card.adapters.people import Holder
from services.card.adapters.sealing import Digest, Sealing
from services.card.domain.document import CITIZEN_NUMBERS
from services.card.domain.person import LookupField
from services.card.handlers.once import transact
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
        while old := await rotation.wrapped_by_older(driver, version, after, A_TIME):
            await rotation.store_rewrapped(driver, old, [sealing.rewrap(holder, key) for holder, key in old])
            after, done = old[-1][0], done + len(old)
            progress(done, total)
    return done


async def fill_index(engine: AsyncEngine, sealing: Sealing, progress: Progress) -> int:
    """Bring everybody into the newest index. Answers how many were not there.

    Who is added meanwhile by a process that knows the new version is there already; who is added by one that does not is
    found by another run. `retire_index` looks again before anything is taken away.
    """
    version, done, after = sealing.index_versions()[-1], 0, 0
    async with driver_session(engine) as driver:
        total = await rotation.count_missing(driver, version)

    async def fill(driver: "asyncpg.Connection[Any]") -> Sequence[Holder]:
        holders = await rotation.lock_missing(driver, sealing, version, after, A_TIME)
        if holders:
            await _add(driver, sealing, holders)
        return holders

    while holders := await transact(engine, fill):
        after, done = holders[-1].id, done + len(holders)
        progress(done, total)
    return done


async def retire_index(owner: AsyncEngine, sealing: Sealing, version: int, progress: Progress) -> int:
    """Take away an index that nobody needs any more, as the owner of the tables. Answers how many rows are gone.

    First nothing can be added to it: a process that knows no newer version is refused from then on, rather than that it adds
    people whom others do not find. Then everybody must be in the newest index. Raises DomainError when somebody is not.
    """
    newest = sealing.index_versions()[-1]
    if version >= newest:
        raise DomainError(Code.FAILED_PRECONDITION, "INDEX_IN_USE", f"version {version} is the newest: add another one first")
    gone = 0
    async with driver_session(owner) as driver:
        await rotation.bar_index(driver, version)
        if missing := await rotation.count_missing(driver, newest):
            message = f"{missing} holders are not in the index of version {newest}: fill it, then retire version {version}"
            raise DomainError(Code.FAILED_PRECONDITION, "INDEX_NOT_FILLED", message)
        while rows := await rotation.forget_index(driver, version, A_TIME * 10):
            gone += rows
            progress(gone, 0)
    return gone


async def _add(driver: "asyncpg.Connection[Any]", sealing: Sealing, holders: Sequence[Holder]) -> None:
    by_id = {holder.id: holder for holder in holders}
    found_by: list[tuple[Digest, int]] = []
    namesakes: list[tuple[Digest, int]] = []
    for holder in holders:
        person = holder.person()
        if number := person.social_security_number:
            found_by += [(d, holder.id) for d in sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)]
        name = sealing.digests(LookupField.NAME_AND_BIRTH_DATE, person.name, person.birth_date.isoformat())
        namesakes += [(d, holder.id) for d in name]
    for one in await rotation.numbers_of(driver, [*by_id]):
        number = by_id[one.holder].cipher.open(one.field, one.sealed).decode()
        if not one.document_kind:
            found_by += [(d, one.holder) for d in sealing.digests(LookupField.CARD_NUMBER, number)]
        elif one.document_kind not in CITIZEN_NUMBERS:
            found_by += [(d, one.holder) for d in sealing.digests(LookupField.DOCUMENT, str(one.document_kind), number)]
    await rotation.add_digests(driver, found_by)
    await rotation.add_namesakes(driver, namesakes)
