"""Applications on a real database: one person, one application, whoever brings it and however often at once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any, TypeAlias

import asyncpg
import pytest

from services.card.adapters.people import document_field, read_documents, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.application import ApplicationState
from services.card.domain.document import Document, DocumentKind, parse_document
from services.card.domain.refusal import Refusal
from services.card.handlers.once import Once
from services.card.handlers.submit import Decided, Submission, submit
from services.common.database import driver_session, driver_transaction
from services.common.errors import DomainError
from tests.support.cardholders import CLERK, TODAY, Registry, passport_of, submission
from tests.support.town import now_ms
from tests.support.waiting import SOMEBODY_WAITS, until

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def test_an_application_is_stored_with_its_person_and_nothing_personal_in_the_clear(
    registry: Registry, owner: Owner
) -> None:
    wanted = submission(1)
    (made,) = await registry.submit(wanted)
    assert made.refusal is None
    assert made.holder is not None
    async with driver_session(registry.engine) as driver:
        holders = await read_holders(driver, registry.sealing, [made.holder])
        documents = await read_documents(driver, [made.holder])
    holder = holders[made.holder]
    assert holder.person() == wanted.person
    (document,) = documents[made.holder]
    assert holder.cipher.open(document_field(1), document.sealed).decode() == wanted.document.number
    state = await owner.fetchval("select state from card.application where id = $1", made.application)
    assert state == ApplicationState.APPLIED
    steps = await owner.fetch("select step, state, actor from card.step where application = $1", made.application)
    assert [tuple(step) for step in steps] == [(1, 2, "staff:7")]
    tables = await owner.fetch("select relname from pg_class where relnamespace = 'card'::regnamespace and relkind = 'r'")
    for (table,) in tables:
        for (row,) in await owner.fetch(f"select t::text from card.{table} t"):
            for marked in (wanted.person.name, wanted.document.number, wanted.person.phone, "1990-01-01"):
                assert marked not in row, table
                assert marked.encode().hex() not in row, table


async def test_a_photo_that_is_missing_is_waited_for(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1, photo=False))
    state = await owner.fetchval("select state from card.application where id = $1", made.application)
    assert state == ApplicationState.AWAITING_PHOTO


async def test_64_copies_at_once_make_one_application_and_the_others_hear_of_it(registry: Registry, owner: Owner) -> None:
    decided = [one for (one,) in await asyncio.gather(*(registry.submit(submission(1)) for _ in range(64)))]
    accepted = [one for one in decided if one.refusal is None]
    assert len(accepted) == 1
    assert {one.refusal for one in decided if one.refusal} == {Refusal.APPLICATION_OPEN}
    assert {one.application for one in decided} == {accepted[0].application}
    for table in ("holder", "application", "document", "step", "lookup"):
        assert await owner.fetchval(f"select count(*) from card.{table}") == 1


async def test_batches_that_bring_the_same_people_in_any_order_make_one_application_each(
    registry: Registry, owner: Owner
) -> None:
    people = [submission(n) for n in range(1, 41)]
    batches = [people, people[::-1], people[20:] + people[:20], people[::2] + people[1::2]]
    decided = await asyncio.gather(*(registry.submit(*batch) for batch in batches))
    assert sum(one.refusal is None for batch in decided for one in batch) == 40
    assert await owner.fetchval("select count(*) from card.application") == 40
    assert await owner.fetchval("select count(*) from card.holder") == 40


async def test_a_person_who_comes_twice_in_one_batch_counts_once(registry: Registry) -> None:
    decided = await registry.submit(submission(1), submission(2), submission(1))
    assert [one.refusal for one in decided] == [None, None, Refusal.ROW_REPEATED]


async def test_another_name_under_a_known_number_is_refused(registry: Registry) -> None:
    await registry.submit(submission(1))
    (other,) = await registry.submit(submission(1, name="王五"))
    assert (other.refusal, other.application) == (Refusal.PERSON_DIFFERS, None)


async def test_the_same_person_under_another_kind_of_document_is_shown_and_never_merged(
    registry: Registry, owner: Owner
) -> None:
    (known,) = await registry.submit(submission(1))
    abroad = passport_of(1)
    (shown,) = await registry.submit(abroad)
    assert shown == Decided(None, None, Refusal.POSSIBLE_SAME_PERSON, (known.holder,))  # type: ignore[arg-type]
    (another,) = await registry.submit(replace(abroad, other_people=frozenset({known.holder or 0})))
    assert another.refusal is None
    assert another.holder != known.holder
    words = await owner.fetch("select holder, detail->>'other_people' from card.audit where act = 'application.submit'")
    assert [tuple(word) for word in words] == [(known.holder, None), (another.holder, str(known.holder))]


async def test_the_same_person_under_two_kinds_of_document_in_one_batch_is_left_to_a_clerk(registry: Registry) -> None:
    rows = [
        submission(1),
        passport_of(1),
        submission(2, name="王伟"),
        submission(3, name="王伟"),
        passport_of(4),
        submission(4),
    ]
    decided = await registry.submit(*rows)
    doubtful = Refusal.POSSIBLE_SAME_PERSON
    assert [one.refusal for one in decided] == [None, doubtful, None, None, None, doubtful]
    (shown,) = await registry.submit(submission(4))  # at a window, afterwards
    assert shown.possible_holders == (decided[4].holder,)


@pytest.mark.parametrize("shown_first", [submission, passport_of])
async def test_the_same_person_under_two_kinds_of_document_at_two_windows_at_once_is_one_person(
    registry: Registry, owner: Owner, shown_first: Callable[[int], Submission]
) -> None:
    shown_second = passport_of if shown_first is submission else submission
    async with driver_transaction(registry.engine) as driver:
        await driver.execute("set local idle_in_transaction_session_timeout = 0; set local transaction_timeout = 0")
        (first,) = await submit(driver, registry.sealing, registry.settings, [shown_first(1)], CLERK, now_ms())
        second = asyncio.create_task(registry.submit(shown_second(1)))
        await until("the other window waits", lambda: owner.fetchval(SOMEBODY_WAITS))
    assert first.refusal is None
    assert await second == [Decided(None, None, Refusal.POSSIBLE_SAME_PERSON, (first.holder or 0,))]


async def test_64_copies_of_a_passport_at_once_make_one_application_and_the_others_hear_of_it(registry: Registry) -> None:
    decided = [one for (one,) in await asyncio.gather(*(registry.submit(passport_of(1)) for _ in range(64)))]
    assert Counter(one.refusal for one in decided) == {None: 1, Refusal.APPLICATION_OPEN: 63}
    assert len({one.application for one in decided}) == 1


async def test_batches_with_the_same_people_under_both_kinds_of_document_make_one_person_of_each(
    registry: Registry, owner: Owner
) -> None:
    people = [[submission(n), passport_of(n)][n % 2] for n in range(1, 41)]
    others = [[passport_of(n), submission(n)][n % 2] for n in range(40, 0, -1)]
    decided = await asyncio.gather(*(registry.submit(*batch) for batch in (people, others, others[::-1], people[::-1])))
    assert sum(one.refusal is None for batch in decided for one in batch) == 40
    assert await owner.fetchval("select count(*) from card.holder") == 40


async def test_two_foreigners_whose_countries_gave_the_same_number_are_two_people(registry: Registry, owner: Owner) -> None:
    british = passport_of(1)
    french = parse_document(DocumentKind.PASSPORT, british.document.number, TODAY, "FRA")
    assert isinstance(french, Document)
    person = replace(british.person, name="MARIE DUPONT", social_security_number=french.social_security_number)
    (one,) = await registry.submit(british)
    (other,) = await registry.submit(replace(british, document=french, person=person))
    assert (one.refusal, other.refusal) == (None, None)
    assert one.holder != other.holder
    (again,) = await registry.submit(british)
    assert (again.refusal, again.application) == (Refusal.APPLICATION_OPEN, one.application)


async def test_two_citizens_of_the_same_name_and_birthday_are_two_people(registry: Registry) -> None:
    (one,) = await registry.submit(submission(1, name="王伟"))
    (other,) = await registry.submit(submission(2, name="王伟"))
    assert (one.refusal, other.refusal) == (None, None)
    assert one.holder != other.holder


async def test_a_repeated_request_hears_its_first_answer_and_another_one_is_told_apart(registry: Registry) -> None:
    once = Once(registry.engine, registry.sealing)
    calls = 0

    async def act(driver: Any) -> int:
        nonlocal calls
        calls += 1
        return calls

    asked = [once("onecard://x", "r1", "Submit", b"request", int, act) for _ in range(8)]
    assert len(set(await asyncio.gather(*asked))) == 1
    assert await once("onecard://x", "r1", "Submit", b"request", int, act) == await once(
        "onecard://x", "r1", "Submit", b"request", int, act
    )
    for caller, request_id, request, alone in (("onecard://y", "r1", b"request", True), ("onecard://x", "r2", b"", True)):
        before = calls
        await once(caller, request_id, "Submit", request, int, act)
        assert (calls == before + 1) is alone
    with pytest.raises(DomainError, match="REQUEST_ID_USED"):
        await once("onecard://x", "r1", "Submit", b"another", int, act)
    registry.vault.add_version("index", registry.vault._keys[1].purpose)
    rotated = Once(registry.engine, Sealing(registry.vault))
    before = calls
    await rotated("onecard://x", "r1", "Submit", b"request", int, act)  # also when the keys have changed
    assert calls == before


async def test_a_child_is_brought_by_a_guardian(registry: Registry) -> None:
    child = replace(submission(1), document=submission(1).document)
    young = replace(child.person, birth_date=date(2020, 1, 1))
    (refused,) = await registry.submit(replace(child, person=young))
    assert refused.refusal is Refusal.GUARDIAN_NEEDED
