"""Keys change while people apply: nobody becomes two, and nobody is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters.people import find_holders, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.person import LookupField
from services.card.domain.refusal import Refusal
from services.card.handlers import rotate
from services.card.handlers.correct_identity import Corrected, Correction, correct_identity
from services.card.handlers.once import transact
from services.card.handlers.rotate import fill_index, retire_index, rewrap_keys
from services.common.database import driver_session, make_engine
from services.common.errors import DomainError
from services.common.keyvault.software import open_token
from services.common.keyvault.vault import Purpose, UnknownKeyError
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, Registry, document, passport_of, submission
from tests.support.town import Database, now_ms


@pytest.fixture
async def owner_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.owner_url, "owner", sessions=2)
    yield engine
    await engine.dispose()


@pytest.fixture
def renewed(registry: Registry) -> Registry:
    """A process that was started after the keys had got a second version; `registry` is one of before."""
    newer = open_token(registry.vault.file, "pin of a test")
    newer.add_version("index", Purpose.MAC)
    newer.add_version("data", Purpose.WRAP)
    return Registry(registry.engine, newer)


def activate(process: Registry) -> None:
    """Every process of before has ended."""
    process.vault.activate("data", 2)


class Cut(Exception):  # noqa: N818 - it stands for a kill
    pass


def cut_after(times: int) -> rotate.Progress:
    calls = iter(range(times))

    def progress(*_: int) -> None:
        if next(calls, None) is None:
            raise Cut

    return progress


async def found(registry: Registry, sealing: Sealing, number: int) -> int | None:
    """Whom the newest index of a process leads to."""
    digest = sealing.digests(*registry.ssn_of(number))[-1]
    async with driver_session(registry.engine) as driver:
        return (await find_holders(driver, [digest])).get((digest.field, digest.digest))


async def test_keys_change_under_applications_and_a_kill_and_nobody_is_lost_or_doubled(
    registry: Registry, renewed: Registry, owner: Owner, owner_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "A_TIME", 7)
    for first in range(1, 101, 20):
        await registry.submit(*(submission(n) for n in range(first, first + 20)))
    await registry.first_card(500)
    running = True
    refused: Counter[Refusal | None] = Counter()

    async def people_apply(process: Registry, numbers: Iterator[int]) -> None:
        for number in numbers:
            if not running:
                return
            (one,) = await process.submit(submission(number))
            refused[one.refusal] += 1

    # Both processes bring the same people, old and new ones, in different orders.
    old = asyncio.create_task(people_apply(registry, iter(range(80, 180))))
    new = asyncio.create_task(people_apply(renewed, iter(range(179, 79, -1))))
    for times in (1, 3, 5):
        with pytest.raises(Cut):
            await fill_index(renewed.engine, renewed.sealing, cut_after(times))
    await fill_index(renewed.engine, renewed.sealing, lambda *_: None)
    await asyncio.gather(old, new)
    running = False
    assert set(refused) == {None, Refusal.APPLICATION_OPEN}
    assert await owner.fetchval("select count(*) from card.holder") == 180
    await registry.submit(submission(300))  # the old process adds somebody behind it all
    assert await fill_index(renewed.engine, renewed.sealing, lambda *_: None) > 0
    gone = await retire_index(owner_engine, renewed.sealing, 1, lambda *_: None)
    assert gone == 181 * 2 + 1  # number and name of each, and one card
    newest = Sealing(renewed.vault)
    assert len({await found(renewed, newest, number) for number in range(1, 180)} - {None}) == 179
    (again,) = await renewed.submit(submission(5))
    assert again.refusal is Refusal.APPLICATION_OPEN


async def test_an_index_is_not_taken_away_while_somebody_is_only_there(
    registry: Registry, renewed: Registry, owner: Owner, owner_engine: AsyncEngine
) -> None:
    await registry.submit(submission(1))
    with pytest.raises(DomainError, match="INDEX_NOT_FILLED"):
        await retire_index(owner_engine, renewed.sealing, 1, lambda *_: None)
    assert await owner.fetchval("select count(*) from card.lookup") == 1
    with pytest.raises(DomainError, match="INDEX_IN_USE"):
        await retire_index(owner_engine, renewed.sealing, 2, lambda *_: None)


async def test_a_process_that_does_not_know_the_new_index_is_refused_once_the_old_one_is_barred(
    registry: Registry, renewed: Registry, owner: Owner, owner_engine: AsyncEngine
) -> None:
    await renewed.submit(submission(1))
    await retire_index(owner_engine, renewed.sealing, 1, lambda *_: None)
    with pytest.raises(Exception, match="lookup_version"):
        await registry.submit(submission(1))
    assert await owner.fetchval("select count(*) from card.holder") == 1
    await renewed.first_card(2)  # with both keys life goes on
    assert await owner.fetchval("select count(*) from card.holder") == 2


async def test_who_got_a_card_after_the_new_index_came_is_brought_into_it_whole(
    registry: Registry, renewed: Registry, owner_engine: AsyncEngine
) -> None:
    (old,) = await registry.submit(submission(1))
    await renewed.hand_over(old.application or 0)  # by its card number alone the holder is in the new index
    with pytest.raises(DomainError, match="INDEX_NOT_FILLED"):
        await retire_index(owner_engine, renewed.sealing, 1, lambda *_: None)
    assert await fill_index(renewed.engine, renewed.sealing, lambda *_: None) == 1
    assert await fill_index(renewed.engine, renewed.sealing, lambda *_: None) == 0
    await retire_index(owner_engine, renewed.sealing, 1, lambda *_: None)
    assert await found(renewed, renewed.sealing, 1) == old.holder
    (again,) = await renewed.submit(submission(1))
    assert (again.refusal, again.holder) == (Refusal.LIVE_CARD_EXISTS, old.holder)
    (abroad,) = await renewed.submit(passport_of(1))
    assert (abroad.refusal, abroad.possible_holders) == (Refusal.POSSIBLE_SAME_PERSON, (old.holder,))


async def test_a_card_number_from_before_a_correction_is_brought_into_the_new_index(
    registry: Registry, renewed: Registry
) -> None:
    card = await registry.first_card(1)
    async with driver_session(registry.engine) as driver:
        holder = await driver.fetchval("select holder from card.card where id = $1", card)
    correction = Correction(holder, name="李正")
    corrected = await transact(
        renewed.engine, lambda driver: correct_identity(driver, renewed.sealing, correction, CLERK, now_ms(), approved=True)
    )
    assert corrected.refusal is None
    assert await fill_index(renewed.engine, renewed.sealing, lambda *_: None) == 1
    async with driver_session(renewed.engine) as driver:
        kinds = await driver.fetch("select field from card.lookup where holder = $1 and index_version = 2 order by 1", holder)
    assert [kind for (kind,) in kinds] == [LookupField.SOCIAL_SECURITY_NUMBER, LookupField.CARD_NUMBER]


async def test_until_the_new_index_is_filled_namesakes_are_found_by_the_older_one(
    registry: Registry, renewed: Registry
) -> None:
    (old,) = await registry.submit(submission(1))
    (abroad,) = await renewed.submit(passport_of(1))
    assert (abroad.refusal, abroad.possible_holders) == (Refusal.POSSIBLE_SAME_PERSON, (old.holder,))


async def test_wrapped_keys_are_renewed_and_every_field_still_opens(
    registry: Registry, renewed: Registry, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "A_TIME", 10)
    activate(renewed)
    holders = [one.holder or 0 for one in await registry.submit(*(submission(n) for n in range(1, 41)))]
    fields = await owner.fetch("select id, name, birth_date from card.holder order by id")
    with pytest.raises(Cut):
        await rewrap_keys(renewed.engine, renewed.sealing, cut_after(2))
    assert await owner.fetchval("select count(*) from card.holder where data_key_version = 2") == 30
    assert await rewrap_keys(renewed.engine, renewed.sealing, lambda *_: None) == 10
    assert await owner.fetch("select id, name, birth_date from card.holder order by id") == fields
    renewed.vault.destroy_version("data", 1)
    async with driver_session(renewed.engine) as driver:
        read = await read_holders(driver, Sealing(renewed.vault), holders)
        assert [read[h].person() for h in holders] == [submission(n).person for n in range(1, 41)]
        with pytest.raises(UnknownKeyError):  # a process that never heard of the new version
            await read_holders(driver, registry.sealing, holders)


async def test_a_corrected_number_is_in_every_index_and_the_wrong_one_in_none(registry: Registry, renewed: Registry) -> None:
    """Also when a process corrects it that does not know the newest index yet: then filling it finds the holder missing."""
    card = await registry.first_card(1)
    await fill_index(registry.engine, renewed.sealing, lambda *_: None)
    async with driver_session(registry.engine) as driver:
        holder = await driver.fetchval("select holder from card.card where id = $1", card)
    assert await found(renewed, renewed.sealing, 1) == holder
    for process, wrong, right in ((registry, 1, 1001), (renewed, 1001, 2001)):
        correction = Correction(holder, document=document(right))

        async def correct(driver: Any, sealing: Sealing = process.sealing, put_right: Correction = correction) -> Corrected:
            return await correct_identity(driver, sealing, put_right, CLERK, now_ms(), approved=True)

        assert (await transact(registry.engine, correct)).refusal is None
        missing = await fill_index(registry.engine, renewed.sealing, lambda *_: None)
        assert missing == (1 if process is registry else 0)
        for sealing in (registry.sealing, renewed.sealing):
            assert await found(registry, sealing, wrong) is None
            assert await found(registry, sealing, right) == holder
