"""An employer's batch: each row keeps the verdict that it got first, whatever happens in between."""

import asyncio
from collections.abc import Sequence

import pytest

from services.card.adapters.batches import BatchRow
from services.card.domain.refusal import Refusal
from services.card.handlers.submit import Submission
from services.card.handlers.submit_batch import ROWS_A_TRANSACTION, TRANSACTIONS_AT_ONCE, Row, SubmitBatch, Unreadable
from services.common.errors import DomainError
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, Registry, submission
from tests.support.town import now_ms


def rows(count: int) -> list[Row]:
    return [Row(number, b"%d" % number) for number in range(1, count + 1)]


def read(row: Row) -> Submission | Unreadable:
    """The row's content is the number of the person; nobody has number 13."""
    person = int(row.content)
    return Unreadable(Refusal.NAME_NOT_ACCEPTED, "person.name") if person == 13 else submission(person, photo=False)


async def bring(registry: Registry, brought: Sequence[Row], name: str = "b1", header: bytes = b"header") -> Sequence[BatchRow]:
    batch = SubmitBatch(registry.engine, registry.sealing, registry.settings)
    return (await batch(name, header, brought, read, CLERK, now_ms())).rows


async def test_each_row_has_its_own_verdict_in_order(registry: Registry, owner: Owner) -> None:
    (known,) = await registry.submit(submission(5))
    repeated = [*rows(20), Row(21, b"7")]
    verdicts = await bring(registry, repeated)
    assert [row.row for row in verdicts] == list(range(1, 22))
    refused = {row.row: Refusal(row.refusal) for row in verdicts if row.refusal}
    assert refused == {
        5: Refusal.APPLICATION_OPEN,
        13: Refusal.NAME_NOT_ACCEPTED,
        21: Refusal.ROW_REPEATED,
    }
    assert verdicts[4].application == known.application
    assert await owner.fetchval("select count(*) from card.application") == 19
    assert await owner.fetchval("select count(*) from card.batch where end_time is not null") == 1


async def test_a_batch_that_was_cut_off_goes_on_where_it_stopped(registry: Registry, owner: Owner) -> None:
    brought = rows(2 * ROWS_A_TRANSACTION + 50)
    batch = SubmitBatch(registry.engine, registry.sealing, registry.settings)

    def read_until(row: Row) -> Submission | Unreadable:
        if row.number > ROWS_A_TRANSACTION + 7:
            raise KeyboardInterrupt
        return read(row)

    with pytest.raises(KeyboardInterrupt):
        await batch("b1", b"header", brought, read_until, CLERK, now_ms())
    assert await owner.fetchval("select count(*) from card.batch_row") == ROWS_A_TRANSACTION
    first = await owner.fetch("select row, application from card.batch_row order by row")
    verdicts = await bring(registry, brought)
    assert [(row.row, row.application) for row in verdicts[:ROWS_A_TRANSACTION]] == [tuple(row) for row in first]
    assert sum(not row.refusal for row in verdicts) == len(brought) - 1
    assert await owner.fetchval("select count(*) from card.application") == len(brought) - 1
    assert await bring(registry, brought) == verdicts


async def test_one_batch_brought_four_times_at_once_is_one_batch(registry: Registry, owner: Owner) -> None:
    brought = rows(60)
    heard = await asyncio.gather(*(bring(registry, brought) for _ in range(4)))
    assert heard[0] == heard[1] == heard[2] == heard[3]
    assert await owner.fetchval("select count(*) from card.application") == 59


async def test_another_batch_or_row_under_the_same_name_is_refused_and_changes_nothing(registry: Registry) -> None:
    verdicts = await bring(registry, rows(10))
    with pytest.raises(DomainError, match="BATCH_ID_USED"):
        await bring(registry, rows(10), header=b"another")
    with pytest.raises(DomainError, match="BATCH_ROW_DIFFERS"):
        await bring(registry, [*rows(9), Row(10, b"99")])
    assert await bring(registry, rows(10)) == verdicts


async def test_many_batches_at_once_leave_sessions_for_others(registry: Registry, owner: Owner) -> None:
    together, writing, most = asyncio.Barrier(TRANSACTIONS_AT_ONCE), 0, 0

    async def count(point: str) -> None:
        nonlocal writing, most
        if point == "batch rows written":
            writing += 1
            most = max(most, writing)
            await together.wait()
            writing -= 1

    batch = SubmitBatch(registry.engine, registry.sealing, registry.settings, count)
    brought = [[Row(1, b"%d" % (100 + number))] for number in range(3 * TRANSACTIONS_AT_ONCE)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(batch(f"b{n}", b"header", rows, read, CLERK, now_ms()) for n, rows in enumerate(brought)))
    assert most == TRANSACTIONS_AT_ONCE
    assert await owner.fetchval("select count(*) from card.application") == len(brought)
