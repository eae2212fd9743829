"""Codes of transactions on the real database: what is not signed is not decided, and costs the genuine one nothing."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli import paths
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from sdk.merchant.transaction import SignedRecord, seal
from services.common import topics
from services.common.database import make_engine
from services.payments.adapters.epochs import read_epochs
from services.payments.adapters.wire import Received
from services.payments.domain.verdict import Cause
from services.payments.handlers.check_books import check_books
from services.payments.handlers.epochs import EpochError, add_epoch, list_epochs, retire_epoch
from services.payments.handlers.post_taps import Owed
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from tests.support.terminal_keys import PIN, key_of, vault_settings
from tests.support.town import (
    BUS,
    KEY,
    Database,
    Town,
    build_town,
    bus_ride,
    card_identifier,
    card_state,
    now_ms,
    received,
)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[AsyncEngine]:
    """Of the database's owner, who alone adds and retires epochs."""
    engine = make_engine(database.owner_url, "tests", sessions=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def town(engine: AsyncEngine) -> Town:
    return await build_town(engine, 4)


def signed_in(epoch: int, ride: SignedRecord) -> SignedRecord:
    """The same body under its terminal's key of another epoch."""
    body = SignedTransaction.FromString(ride.record).body
    return seal(TransactionBody.FromString(body), ride.topic, key_of(ride.merchant_id, ride.terminal_id, epoch))


def altered(ride: SignedRecord, **fields: object) -> SignedRecord:
    record = SignedTransaction.FromString(ride.record)
    for name, value in fields.items():
        setattr(record, name, value)
    return ride._replace(record=record.SerializeToString())


async def put_aside(town: Town) -> list[tuple[str, bool]]:
    async with town.engine.connect() as connection:
        rows = await connection.execute(text('select cause, resolved_time from payments.dead_letter order by "offset"'))
        return [(Cause(cause).name, resolved is not None) for cause, resolved in rows]


async def verdicts(town: Town) -> int:
    async with town.engine.connect() as connection:
        return int(await connection.scalar(text("select count(*) from payments.verdict")))


async def heard(town: Town) -> None:
    """What was added or retired a moment ago is known."""
    town.verifier._keys._read_at = float("-inf")
    await town.verifier.refresh_if_due()


async def posted(town: Town, *records: SignedRecord) -> Owed:
    return await town.post(received(records))


def replay_of(town: Town) -> ReplayDeadLetters:
    return ReplayDeadLetters(town.engine, town.post, town.registry, town.verifier)


async def test_each_kind_of_wrong_has_a_cause_of_its_own_and_no_verdict(town: Town) -> None:
    ride = bus_ride(0)
    wrong = [
        altered(ride, tac=bytes(16)),
        altered(ride, tac=b""),
        altered(ride, tac=SignedTransaction.FromString(ride.record).tac[:8]),
        altered(ride, epoch=0),
        altered(ride, epoch=2),
    ]
    owed = await posted(town, *wrong)
    assert (owed.outcomes, len(owed.dead_letters)) == ([], 5)
    assert [cause for cause, _ in await put_aside(town)] == ["WRONG_TAC"] * 3 + ["UNKNOWN_EPOCH"] * 2
    assert (await verdicts(town), await town.balance(0)) == (0, 10_000)


async def test_a_forged_body_takes_no_identity_and_the_genuine_one_posts(town: Town) -> None:
    genuine, forged = bus_ride(0, terminal=1, sequence=5), bus_ride(3, terminal=1, sequence=5)
    tac = SignedTransaction.FromString(genuine.record).tac
    assert (await posted(town, altered(forged, tac=tac))).outcomes == []
    assert len((await posted(town, genuine)).outcomes) == 1
    assert (await posted(town, altered(forged, tac=bytes(16)))).outcomes == []  # nor is it told that there is another one
    assert [cause for cause, _ in await put_aside(town)] == ["WRONG_TAC"] * 2
    assert [await town.balance(card) for card in (0, 3)] == [9_800, 10_000]
    assert (await check_books(town.engine)).balance


async def test_another_terminals_key_signs_nothing(town: Town) -> None:
    ride = bus_ride(0, terminal=1)
    body = TransactionBody.FromString(SignedTransaction.FromString(ride.record).body)
    assert (await posted(town, seal(body, ride.topic, key_of(BUS, f"{BUS}-T2")))).outcomes == []
    assert await put_aside(town) == [("WRONG_TAC", False)]


async def test_what_was_signed_in_an_epoch_that_came_later_is_decided_by_a_replay(town: Town, owner: AsyncEngine) -> None:
    early = signed_in(2, bus_ride(0))
    forged = altered(signed_in(2, bus_ride(1)), tac=bytes(16))
    assert (await posted(town, early, forged)).outcomes == []
    assert await replay_of(town).of_cause(Cause.UNKNOWN_EPOCH) == (2, 0)
    assert (await add_epoch(owner, 1, now_ms())).number == 2
    await asyncio.sleep(town.verifier.MISS_SECONDS)
    assert await replay_of(town).of_cause(Cause.UNKNOWN_EPOCH) == (2, 1)
    assert await put_aside(town) == [("UNKNOWN_EPOCH", True), ("WRONG_TAC", False)]
    assert [await town.balance(card) for card in (0, 1)] == [9_800, 10_000]


async def test_epochs_change_in_the_middle_of_a_spool_and_both_halves_post(town: Town, owner: AsyncEngine) -> None:
    await add_epoch(owner, 1, now_ms())
    await heard(town)
    rides = [bus_ride(0), signed_in(2, bus_ride(0)), bus_ride(0), signed_in(2, bus_ride(0))]
    assert len((await posted(town, *rides)).outcomes) == 4
    assert await town.balance(0) == 9_200


async def test_what_was_signed_in_a_retired_epoch_has_no_verdict_and_keeps_its_first_one(
    town: Town, owner: AsyncEngine
) -> None:
    before, late = bus_ride(0), bus_ride(0)
    await posted(town, before)
    await add_epoch(owner, 1, now_ms())
    assert await retire_epoch(owner, 1, now_ms() + 1)
    await heard(town)
    assert (await posted(town, late, signed_in(2, bus_ride(0)))).outcomes != []
    assert await put_aside(town) == [("RETIRED_EPOCH", False)]
    assert await replay_of(town).of_cause(Cause.RETIRED_EPOCH) == (1, 0)
    # The same body under a newer key is the same transaction.
    assert len((await posted(town, signed_in(2, before))).outcomes) == 1
    assert (await verdicts(town), await town.balance(0)) == (2, 9_600)


async def test_a_tap_of_an_unknown_card_is_verified_again_when_it_is_decided_at_last(town: Town, owner: AsyncEngine) -> None:
    await posted(town, bus_ride(9))
    await add_epoch(owner, 1, now_ms())
    await retire_epoch(owner, 1, now_ms() + 1)
    await heard(town)
    await town.project(card_state(9, account=2**32))
    assert await replay_of(town).of_cards([card_identifier(9)]) == 1
    assert await put_aside(town) == [("RETIRED_EPOCH", False)]
    assert await town.balance(0) == 10_000


async def test_epochs_are_added_in_their_order_and_one_is_always_left(engine: AsyncEngine, owner: AsyncEngine) -> None:
    now = now_ms()
    with pytest.raises(EpochError, match="no other epoch"):
        await retire_epoch(owner, 1, now)
    later = await add_epoch(owner, 1, now + 1000)
    with pytest.raises(EpochError, match="epoch 2 begins later"):
        await add_epoch(owner, 1, now)
    with pytest.raises(EpochError, match="no other epoch"):
        await retire_epoch(owner, 1, now)
    assert await retire_epoch(owner, 1, now + 2000)
    assert not await retire_epoch(owner, 1, now + 2000)
    with pytest.raises(EpochError, match="no epoch 7"):
        await retire_epoch(owner, 7, now)
    assert [(epoch.number, epoch.retired) for epoch in await list_epochs(engine)] == [(1, True), (2, False)]
    assert (later.number, (await add_epoch(owner, 1, now + 3000)).number) == (2, 3)


async def test_the_application_may_read_epochs_and_change_none(engine: AsyncEngine) -> None:
    for statement in (
        "insert into payments.terminal_epoch values (2, 1, now())",
        "update payments.terminal_epoch set epoch = 3",
    ):
        async with engine.connect() as connection:
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute(text(statement))


def run(database: Database, *arguments: str, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "ONECARD_DATABASE_URL": database.application_url,
        "ONECARD_OWNER_DATABASE_URL": database.owner_url,
        "ONECARD_KAFKA": "127.0.0.1:1",
        "ONECARD_BATCH_KEY": KEY.key.hex(),
        "ONECARD_GRPC_LISTEN": "127.0.0.1:1",
        "ONECARD_GRPC_PLAINTEXT": "1",
        "COLUMNS": "120",
        **more,
    }
    command = [sys.executable, "-m", "services.payments", *arguments]
    return subprocess.run(
        command, env=environment, cwd=paths.ROOT, capture_output=True, text=True, check=False, timeout=60, input=typed
    )


@pytest.mark.parametrize("what", [("streams",), ("serve",), ("replay", "WRONG_TAC"), ("epochs", "add")])
async def test_without_its_vault_nothing_starts(database: Database, what: tuple[str, ...]) -> None:
    ended = await asyncio.to_thread(run, database, *what)
    assert ended.returncode == 1
    assert "onecard payments: ONECARD_VAULT" in ended.stderr


async def test_the_commands_add_list_and_retire(database: Database) -> None:
    def say(*arguments: str) -> str:
        ended = run(database, "epochs", *arguments, **vault_settings())
        return ended.stdout + ended.stderr

    assert "current" in await asyncio.to_thread(say, "list")
    assert "epoch 2 was added" in await asyncio.to_thread(say, "add", "--days", "0")
    assert "epoch 1 is retired" in await asyncio.to_thread(say, "retire", "1")
    assert "was retired already" in await asyncio.to_thread(say, "retire", "1")
    assert "add one first" in await asyncio.to_thread(say, "retire", "2")
    listed = await asyncio.to_thread(say, "list")
    assert "retired" in listed
    assert "current" in listed


async def test_a_root_that_epochs_need_is_named_before_it_is_destroyed(database: Database, tmp_path: Path) -> None:
    settings = {
        "ONECARD_VAULT": str(tmp_path / "payments.token"),
        "ONECARD_VAULT_PIN": PIN,
        "ONECARD_VAULT_SO_PIN": "another pin",
    }

    def say(*arguments: str, typed: str = "") -> str:
        ended = run(database, "vault", *arguments, typed=typed, **settings)
        return ended.stdout + ended.stderr

    assert "terminal-root" in await asyncio.to_thread(say, "create", "--development")
    assert "version 2" in await asyncio.to_thread(say, "add-version", "terminal-root")
    assert "version 2" in await asyncio.to_thread(say, "activate", "terminal-root", "2")
    assert "epoch 1 of terminals' keys" in await asyncio.to_thread(say, "destroy", "terminal-root", "1", typed="no\n")
    added = await asyncio.to_thread(run, database, "epochs", "add", **settings)
    assert "epoch 2 was added" in added.stdout
    async with make_engine(database.application_url, "tests", sessions=1).connect() as connection:
        epochs = await read_epochs(connection)
    assert [(epoch.number, epoch.root_version) for epoch in epochs] == [(1, 1), (2, 2)]


async def test_a_record_of_the_topic_that_nobody_signed_is_no_transaction(town: Town) -> None:
    unsigned = SignedTransaction(body=b"", terminal_id="").SerializeToString()
    assert (await town.post([Received(topics.TRANSACTIONS_BUS, 0, 10**6, now_ms(), unsigned)])).outcomes == []
    assert await put_aside(town) == [("UNDECODABLE", False)]
