"""Tamper evidence: whatever the owner of the database does to the journal, the first thing that is wrong is named."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters import proof
from services.payments.adapters.ledger import BatchKey, Ledger
from services.payments.handlers.post_taps import PostTaps
from tests.support.sealing import Books, sealed_books
from tests.support.town import KEY, Database, bus_ride, received

TAPS, HOLD, ONLINE = 5, 6, 7
"""Batches in the middle: seven taps of which one is refused; a hold; a payment and a capture in parts."""
FORGED = BatchKey(b"\1" * 32, KEY.version)


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> AsyncIterator[Books]:
    async with sealed_books(engine, database.owner_url) as made:
        yield made


async def test_a_ledger_that_nobody_touched_is_proved(books: Books) -> None:
    found = await books.verify()
    assert found.problem == ""
    batches, rows = await books.owner.fetchrow("select count(*), sum(verdicts + operations + transfers) from payments.batch")  # type: ignore[misc]
    assert (found.seals, found.batches, found.rows, found.checkpoints, found.unsealed) == (5, batches, rows, 5, 0)


@pytest.mark.parametrize(
    ("tampering", "batch", "sign"),
    [
        ("update payments.verdict set charged_fen = charged_fen - 1 where batch = 5 and row = 5", TAPS, "one of their values"),
        ("update payments.verdict set reason = 2 where batch = 5 and outcome = 2", TAPS, "one of their values"),
        ("update payments.verdict set fare_fen = 600 where batch = 5 and row = 5", TAPS, "row 5 do not name the same amount"),
        ("update payments.verdict set account_id = account_id + 1 where batch = 5 and row = 3", TAPS, "row 3 do not name"),
        (
            "update payments.transfer set amount_fen = 100 where batch = 5 and row = 5",
            TAPS,
            "row 5 do not name the same amount",
        ),
        ("update payments.transfer set credit_account = 2 where batch = 5 and row = 5", TAPS, "one of their values"),
        ("update payments.transfer set event_time = event_time - interval '1 s' where batch = 5 and row = 5", TAPS, "values"),
        ("update payments.transfer set leg = 1 where batch = 5 and row = 5", TAPS, "transfer 0 of row 5 was removed"),
        ("update payments.operation set amount_fen = amount_fen + 1 where batch = 6", HOLD, "one of their values"),
        ("update payments.operation set moved_fen = moved_fen + 1 where batch = 7 and kind = 2", ONLINE, "row 1 do not name"),
        ("update payments.operation set body = '\\x00' where batch = 6", HOLD, "one of their values"),
        ("update payments.operation set payment = null where batch = 6", HOLD, "one of their values"),
        ("update payments.batch set now = now + interval '1 s' where number = 5", TAPS, "does not have the id of its place"),
        ("update payments.batch set now = now + interval '1 s' where number = 6", HOLD, "its clock was changed"),
        ("update payments.batch set digest = '\\x00' where number = 6", HOLD, "its digest or its clock was changed"),
        ("update payments.batch set verdicts = 8 where number = 5", TAPS, "its counts were changed"),
        ("update payments.batch set key_version = 9 where number = 5", TAPS, "version 9 of the key, which is not at hand"),
        ("delete from payments.verdict where batch = 5 and row = 4", TAPS, "row 4 was removed"),
        ("delete from payments.verdict where batch = 5", TAPS, "row 0 was removed"),
        ("delete from payments.transfer where batch = 5 and row = 5", TAPS, "row 5 do not name the same amount"),
        ("delete from payments.operation where batch = 7 and row = 0", ONLINE, "row 0 was removed"),
        (
            "insert into payments.verdict select terminal, 999999, batch, 7, outcome, reason, fare_fen, charged_fen, account_id,"
            " event_time, body_digest from payments.verdict where batch = 5 and row = 0",
            TAPS,
            "row 7 was inserted: the batch counts 7",
        ),
        (
            "insert into payments.verdict select terminal, 999999, batch, row, outcome, reason, fare_fen, charged_fen, account_id,"
            " event_time, body_digest from payments.verdict where batch = 5 and row = 2",
            TAPS,
            "row 2 is there 2 times: one was inserted",
        ),
        (
            "insert into payments.transfer select payments.first_transfer_id(now()), batch, row, 1, code, debit_account,"
            " credit_account, amount_fen, currency, account_id, terminal, sequence, event_time, service_date, posting_date"
            " from payments.transfer where batch = 5 and row = 5",
            TAPS,
            "transfer 1 of row 5 does not have the id of its place",
        ),
        (
            "insert into payments.transfer select payments.first_transfer_id(now()), batch, 9, 0, code, debit_account,"
            " credit_account, amount_fen, currency, account_id, terminal, sequence, event_time, service_date, posting_date"
            " from payments.transfer where batch = 5 and row = 5",
            TAPS,
            "a transfer of row 9 was inserted",
        ),
        (
            "insert into payments.operation select terminal, 'another', batch, 1, kind, outcome, reason, amount_fen, moved_fen,"
            " account_id, payment, body_digest, body from payments.operation where batch = 6",
            HOLD,
            "row 1 was inserted",
        ),
    ],
)
async def test_an_altered_batch_is_named_and_what_was_done_to_it(books: Books, tampering: str, batch: int, sign: str) -> None:
    assert not (await books.owner.execute(tampering)).endswith(" 0")
    problem = (await books.verify()).problem
    assert problem.startswith(f"batch {batch} was altered: ")
    assert sign in problem


async def test_the_first_of_several_altered_batches_is_named(books: Books) -> None:
    await books.owner.execute("update payments.verdict set charged_fen = charged_fen - 1 where row = 5 and batch > 3")
    assert (await books.verify()).problem.startswith("batch 5 was altered")


async def test_stretches_of_a_few_rows_prove_the_same(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_MOST_ROWS", 5)
    assert (await books.verify()).problem == ""
    monkeypatch.setattr(proof, "_MOST_BATCHES", 1)
    assert (await books.verify()).problem == ""
    await books.owner.execute("delete from payments.transfer where batch = 5 and row = 5")
    assert (await books.verify()).problem.startswith("batch 5 was altered")


async def test_a_forged_digest_shows(books: Books) -> None:
    await books.owner.execute("update payments.transfer set amount_fen = 100 where batch = 5 and row = 5")
    await books.digest_again(TAPS, FORGED)
    await books.chain_again(FORGED, since=3)
    assert (await books.verify({})).problem.startswith("batch 5 was altered")


async def test_a_batch_that_was_removed_is_named(books: Books) -> None:
    await books.owner.execute("delete from payments.batch where number = 5")
    assert (await books.verify()).problem == "batch 5 was removed, and its rows were left"
    for table in ("verdict", "transfer", "operation"):
        await books.owner.execute(f"delete from payments.{table} where batch = 5")
    assert (await books.verify()).problem == "batch 5 was removed, with its rows: seal 3 has it"


async def test_the_chain_does_not_close_over_a_removed_batch_without_the_key(books: Books) -> None:
    for table in ("verdict", "transfer", "operation"):
        await books.owner.execute(f"delete from payments.{table} where batch = 5")
    await books.owner.execute("delete from payments.batch where number = 5")
    await books.owner.execute("update payments.seal set holes = '{[5,6)}', batches = batches - 1 where number = 3")
    await books.chain_again(FORGED, since=3)
    assert "seal 3 was altered, or the chain was made anew from there" in (await books.verify({})).problem


async def test_a_seal_that_was_removed_or_altered_is_named(books: Books) -> None:
    await books.owner.execute("update payments.seal set create_time = create_time - interval '1 s' where number = 3")
    assert "seal 3 was altered" in (await books.verify()).problem
    await books.owner.execute("delete from payments.seal where number = 3")
    assert "seal 3 was removed" in (await books.verify()).problem


async def test_a_cut_tail_shows_at_the_checkpoints_alone(books: Books) -> None:
    seal = (await books.seals())[-2]
    for table, column in (("verdict", "batch"), ("transfer", "batch"), ("operation", "batch"), ("batch", "number")):
        await books.owner.execute(f"delete from payments.{table} where {column} > $1", seal.last)
    await books.owner.execute("delete from payments.seal where number > $1", seal.number)
    assert (await books.verify({})).problem == "", "inside of the database nothing is left to tell"
    problem = (await books.verify()).problem
    assert re.match(
        r"the tail was cut: on \S+ \S+ seal 5 stood at batch 13, now the chain ends with seal 4 at batch 10", problem
    )


async def test_a_ledger_that_went_on_after_its_tail_was_cut_shows_at_the_checkpoints(books: Books) -> None:
    published = dict(books.checkpoints)
    for table, column in (("verdict", "batch"), ("transfer", "batch"), ("operation", "batch"), ("batch", "number")):
        await books.owner.execute(f"delete from payments.{table} where {column} > 10")
    await books.owner.execute("delete from payments.seal where number = 5")
    for card in range(2):
        await books.office.town.post(received([bus_ride(card)]))
        await books.seal()
    assert (await books.verify()).problem == ""
    assert (await books.verify(published)).problem.startswith("seal 5 is not what was published")


async def test_a_chain_made_anew_with_the_very_key_shows_at_the_checkpoints(books: Books) -> None:
    await books.owner.execute("update payments.verdict set charged_fen = charged_fen - 1 where batch = 5 and row = 5")
    await books.digest_again(TAPS)
    await books.chain_again()
    assert (await books.verify({})).problem == "", "whoever has the key can make all of it anew, but for what was published"
    problem = (await books.verify()).problem
    assert problem.startswith("seal 3 is not what was published on ")
    assert problem.endswith("made anew by somebody who has the key, behind seal 2, which is as it was published")


async def test_a_batch_that_was_inserted_is_named(books: Books, engine: AsyncEngine) -> None:
    unused = int(await books.owner.fetchval("select nextval('payments.batch_number')"))
    await books.office.town.post(received([bus_ride(1)]))
    await books.seal()
    copy = "insert into payments.batch select $1, now, verdicts, transfers, digest, key_version, operations from payments.batch"
    await books.owner.execute(f"{copy} where number = 5", unused)
    problem = (await books.verify()).problem
    assert problem == f"batch {unused} was inserted: seal 6 found its number unused"
    await books.owner.execute("delete from payments.batch where number = $1", unused)
    await books.owner.execute("update payments.verdict set batch = $1 where batch = 5 and row = 5", unused)
    await books.owner.execute("update payments.batch set verdicts = 6 where number = 5")
    await books.digest_again(TAPS)
    await books.chain_again()
    problem = (await books.verify({})).problem
    assert problem == f"rows were inserted under number {unused}, which no batch has"


async def test_a_batch_inserted_with_the_key_under_an_old_number_is_named(books: Books) -> None:
    unused = int(await books.owner.fetchval("select nextval('payments.batch_number')"))
    await books.office.town.post(received([bus_ride(1)]))
    await books.seal()
    await books.owner.execute("update payments.seal set create_time = create_time - interval '2 days' where number <= 6")
    await books.chain_again()
    await books.office.town.post(received([bus_ride(1)]))
    await books.seal()
    copy = "insert into payments.batch select $1, now, 0, 0, digest, key_version, 0 from payments.batch where number = 5"
    await books.owner.execute(copy, unused)
    await books.digest_again(unused)
    await books.seal()
    problem = (await books.verify({})).problem
    assert problem == f"batch {unused} was inserted: seal 6 found its number unused"


async def test_rows_behind_the_end_that_no_batch_has_are_named(books: Books) -> None:
    await books.owner.execute("update payments.verdict set batch = 1000000 where batch = 5 and row = 6")
    await books.digest_again(TAPS)
    await books.chain_again()
    assert (await books.verify({})).problem.startswith("batch 5 was altered: its rows are as they were digested")
    await books.owner.execute("update payments.batch set verdicts = 6 where number = 5")
    assert (await books.verify({})).problem == "rows were inserted under number 1000000, which no batch has"


async def test_what_is_not_sealed_yet_is_said_and_its_digests_are_proved(books: Books) -> None:
    await books.office.town.post(received([bus_ride(1)]))
    found = await books.verify()
    assert (found.problem, found.unsealed) == ("", 1)
    await books.owner.execute("update payments.transfer set amount_fen = 1 where batch = 14")
    assert (await books.verify()).problem.startswith("batch 14 was altered")


async def test_a_late_batch_is_proved_with_the_seal_that_it_joined(books: Books, unlimited: AsyncEngine) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()

    async def at(point: str) -> None:
        if point == "written":
            written.set()
            await go_on.wait()

    slow = PostTaps(
        Ledger(unlimited, books.office.town.ledger.rules, KEY, at), books.office.town.registry, books.office.town.verifier
    )
    posting = asyncio.create_task(slow(received([bus_ride(1)])))
    await written.wait()
    await books.office.town.post(received([bus_ride(2)]))
    assert (await books.seal()).holes == ((14, 14),)
    go_on.set()
    await posting
    found = await books.verify()
    assert (found.problem, found.unsealed) == ("", 1)
    assert (await books.seal()).late == (14,)
    found = await books.verify()
    assert (found.problem, found.unsealed) == ("", 0)
    await books.owner.execute("update payments.transfer set amount_fen = 1 where batch = 14")
    assert (await books.verify()).problem.startswith("batch 14 was altered")


async def test_a_journal_that_grows_meanwhile_is_no_tampered_one(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_MOST_ROWS", 20)
    growing = True

    async def grow(card: int) -> None:
        while growing:
            await books.office.town.post(received([bus_ride(card)]))

    async def seal() -> None:
        while growing:
            await books.seal()

    work = [asyncio.create_task(grow(card)) for card in range(4)] + [asyncio.create_task(seal())]
    found = [await books.verify({}) for _ in range(5)]
    growing = False
    await asyncio.gather(*work)
    assert [each.problem for each in found] == [""] * 5
    assert found[-1].batches > found[0].batches
    assert (await books.verify()).problem == ""


async def test_proving_may_begin_behind_a_checkpoint(books: Books) -> None:
    third = books.checkpoints[3][0]
    found = await books.verify(after=third)
    assert (found.problem, found.seals) == ("", 2)
    await books.owner.execute("update payments.transfer set amount_fen = 1 where batch = 5 and row = 5")
    assert (await books.verify(after=third)).problem == "", "that is what it was asked not to look at"
    await books.chain_again(FORGED)
    assert "seal 3 is not what was published" in (await books.verify(after=third)).problem


async def test_older_keys_prove_what_was_digested_with_them(books: Books, engine: AsyncEngine) -> None:
    newer = BatchKey(b"\2" * 32, 2)
    town = books.office.town
    await PostTaps(Ledger(engine, town.ledger.rules, newer), town.registry, town.verifier)(received([bus_ride(1)]))
    await books.seal()
    assert (await books.verify(keys={1: KEY.key, 2: newer.key})).problem == ""
    assert "version 2 of the key, which is not at hand" in (await books.verify()).problem
