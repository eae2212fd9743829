"""A registry that went back to a moment hears by card.events what came later: what bars a card is done again, the rest is named."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from cli.servers.broker import Broker as RealBroker
from onecard.card.v1.card_events_pb2 import (
    CARD_STATUS_CANCELLED,
    CARD_STATUS_FORMALLY_LOST,
    CARD_STATUS_LOCKED,
    CARD_STATUS_NORMAL,
    CARD_STATUS_TEMPORARILY_LOST,
    CardEvent,
    CardState,
    CardStatus,
)
from services.card.__main__ import app
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Verb
from services.card.handlers.after_restore import after_restore
from services.card.handlers.reapply_states import Cause, Reapplied, reapply_states
from services.common.announce import Announcer
from services.common.clock import instant
from services.common.database import make_engine
from services.common.topics import CARD_EVENTS
from tests.support.cardholders import Registry
from tests.support.hall import Owner
from tests.support.relay import Broker, relay_once
from tests.support.town import Database, now_ms

HEARTBEAT = CardEvent()


class Past:
    """What was published before the restore, and the command that hears it."""

    def __init__(self, registry: Registry, database: Database) -> None:
        self.registry = registry
        self.database = database
        self.broker = Broker()
        self.moment_ms = 0

    async def begin(self, cards: int) -> list[CardState]:
        """Cards that are published as they are; what comes now is behind the moment."""
        for number in range(1, cards + 1):
            await self.registry.first_card(number)
        await relay_once(self.registry, self.broker)
        self.moment_ms = now_ms()
        states = self.broker.states()
        self.broker.sent.clear()
        return states

    async def hear(self, states: Sequence[CardState]) -> Reapplied:
        owned = make_engine(self.database.owner_url, "tests", sessions=1)
        values = [CardEvent(state=state).SerializeToString() for state in states]
        try:
            return await reapply_states(
                owned,
                self.broker,  # type: ignore[arg-type]  # a broker in memory
                self.registry.settings.life,
                [b"\xff", HEARTBEAT.SerializeToString(), *values],
                self.moment_ms,
            )
        finally:
            await owned.dispose()


@pytest.fixture
def past(registry: Registry, database: Database) -> Past:
    return Past(registry, database)


def later(state: CardState, status: CardStatus, *, versions: int = 1, after_ms: int = 0) -> CardState:
    """The same card, so many acts later."""
    moved = CardState()
    moved.CopyFrom(state)
    moved.version += versions
    moved.status_periods.add(status=status, valid_from_ms=now_ms() + after_ms)
    return moved


async def social(owner: Owner, state: CardState) -> SocialStatus:
    return SocialStatus(
        await owner.fetchval("select social from card.card where card_identifier = $1", state.card_identifier)
    )  # fmt: skip


async def test_what_bars_a_card_is_done_again_at_its_own_time_and_what_frees_one_is_named(
    past: Past, owner: Owner, engine: AsyncEngine
) -> None:
    lost, for_a_time, locked, gone, freed, changed = await past.begin(6)
    freed_card = await owner.fetchval("select id from card.card where card_identifier = $1", freed.card_identifier)
    await past.registry.change(freed_card, Verb.REPORT_FORMAL_LOSS)
    heard = [
        later(lost, CARD_STATUS_TEMPORARILY_LOST),
        later(lost, CARD_STATUS_FORMALLY_LOST, versions=2),
        later(for_a_time, CARD_STATUS_TEMPORARILY_LOST),
        later(locked, CARD_STATUS_LOCKED),
        later(gone, CARD_STATUS_CANCELLED),
        later(freed, CARD_STATUS_NORMAL, versions=5),
        later(changed, CARD_STATUS_NORMAL),
    ]
    done = await past.hear(heard)
    assert done.barred == 4
    assert done.cards == {
        Cause.CANCELLED_SINCE: [gone.card_identifier],
        Cause.RELEASED_SINCE: [freed.card_identifier],
        Cause.CHANGED_SINCE: [changed.card_identifier],
    }
    assert [await social(owner, state) for state in (lost, for_a_time, locked, gone, freed, changed)] == [
        SocialStatus.FORMALLY_LOST,
        SocialStatus.TEMPORARILY_LOST,
        SocialStatus.LOCKED,
        SocialStatus.CANCELLED,
        SocialStatus.FORMALLY_LOST,
        SocialStatus.NORMAL,
    ]
    since = await owner.fetchval(
        "select (extract(epoch from t.at) * 1000)::bigint from card.transition t join card.card c on c.id = t.card"
        " where c.card_identifier = $1 order by t.version desc limit 1",
        lost.card_identifier,
    )
    assert since == heard[1].status_periods[-1].valid_from_ms
    again = await past.hear(heard)  # cut off, and run again: nothing is done twice
    assert again.barred == 0
    await relay_once(past.registry, past.broker)
    published = {state.card_identifier: state.status_periods[-1].status for state in past.broker.states()}
    assert published[lost.card_identifier] == CARD_STATUS_FORMALLY_LOST


async def test_a_card_that_nobody_knows_any_more_is_cancelled_everywhere_and_others_are_left_alone(
    past: Past, owner: Owner
) -> None:
    (known,) = await past.begin(1)
    made, stranger = CardState(), CardState()
    made.CopyFrom(known)
    made.card_identifier, made.epoch, made.version = "0" * 31 + "1", 3, 7
    del made.status_periods[:]
    made.status_periods.add(status=CARD_STATUS_NORMAL, valid_from_ms=past.moment_ms + 1)
    stranger.CopyFrom(known)
    stranger.card_identifier = "0" * 31 + "2"
    done = await past.hear([made, stranger])
    assert (done.cards, done.strangers, done.barred) == ({Cause.MADE_SINCE: [made.card_identifier]}, 1, 0)
    (ended,) = past.broker.states()
    assert (ended.card_identifier, ended.status_periods[-1].status) == (made.card_identifier, CARD_STATUS_CANCELLED)
    assert (ended.epoch, ended.version) > (made.epoch, made.version)
    # Whatever is announced from now on stands above every epoch that was published.
    owned = make_engine(past.database.owner_url, "tests", sessions=1)
    restored = await after_restore(owned, 1000, lambda *_: None)
    await owned.dispose()
    assert restored.epoch == made.epoch + 1
    assert await owner.fetchval("select count(*) from card.audit where act = 'restore.reapply'") == 1


async def test_the_command_hears_the_topic_and_lists_each_card_to_look_at(
    past: Past, owner: Owner, broker: RealBroker, tmp_path: Path
) -> None:
    lost, changed = await past.begin(2)
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    for state in (later(lost, CARD_STATUS_FORMALLY_LOST), later(changed, CARD_STATUS_NORMAL)):
        event = CardEvent(state=state).SerializeToString()
        await announcer.send(CARD_EVENTS, [(state.card_identifier.encode(), event)])
    await announcer.stop()
    listed = tmp_path / "cards.txt"
    words = ["go-back", "--to", instant(past.moment_ms).isoformat(), "--list", str(listed)]
    environment = {
        "ONECARD_OWNER_DATABASE_URL": past.database.owner_url,
        "ONECARD_KAFKA": broker.bootstrap,
        "ONECARD_VAULT": str(past.registry.vault.file),
        "ONECARD_VAULT_PIN": "pin of a test",
    }
    for barred in (1, 0):
        result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
        assert result.exit_code == 0, (result.output, result.exception)
        assert f"{barred} cards are lost, locked or cancelled again" in result.output
    assert await social(owner, lost) is SocialStatus.FORMALLY_LOST
    assert set(listed.read_text().splitlines()) == {f"{Cause.CHANGED_SINCE.name} {changed.card_identifier}"}
    assert listed.stat().st_mode & 0o777 == 0o600
