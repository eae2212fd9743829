"""The card projection: heartbeats tell a quiet registry from a stale projection."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.card_events_pb2 import CardEvent, Heartbeat
from services.common import topics
from services.payments.adapters.wire import Received
from services.payments.domain.verdict import Cause
from services.payments.handlers.project_cards import ProjectCards
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from tests.support.town import build_town, card_event, card_state


def beat(partition: int, at_ms: int, partitions: int) -> Received:
    value = CardEvent(heartbeat=Heartbeat(committed_up_to_ms=at_ms, partitions=partitions)).SerializeToString()
    return Received(topics.CARD_EVENTS, partition, at_ms, at_ms, value)


async def test_heartbeats_are_kept_by_partition_and_never_go_back(engine: AsyncEngine) -> None:
    town = await build_town(engine, 0)
    project = ProjectCards(town.projection, town.post, ReplayDeadLetters(engine, town.post, town.registry, town.verifier))
    await project([beat(p, 5_000 + p, 12) for p in range(12)])
    await project([beat(0, 4_000, 12)])

    async def stored() -> dict[int, int]:
        async with engine.connect() as connection:
            rows = await connection.execute(
                text("select partition, (extract(epoch from committed_up_to) * 1000)::bigint from payments.card_projection")
            )
            return {partition: at for partition, at in rows}  # noqa: C416  # rows are no pairs

    assert await stored() == {p: 5_000 + p for p in range(12)}
    # A broker with fewer partitions took its place: the others never beat again, and must not look stale.
    await project([beat(p, 9_000, 4) for p in range(4)])
    assert await stored() == dict.fromkeys(range(4), 9_000)


async def test_a_card_event_that_says_nothing_usable_is_a_dead_letter_and_holds_up_nothing(engine: AsyncEngine) -> None:
    town = await build_town(engine, 0)
    project = ProjectCards(town.projection, town.post, ReplayDeadLetters(engine, town.post, town.registry, town.verifier))
    bad_birth, low_account, good = card_state(1), card_state(2), card_state(3)
    bad_birth.birth_date = "1990-13-01"
    low_account.account_id = 5
    values = [b"\xff", b"", card_event(bad_birth), card_event(low_account), card_event(good)]
    owed = await project([Received(topics.CARD_EVENTS, 0, n, 1_000, value) for n, value in enumerate(values)])
    assert len(owed.dead_letters) == 4
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("select card_identifier from payments.card"))) == [good.card_identifier]
        assert set(await connection.scalars(text("select cause from payments.dead_letter"))) == {Cause.UNDECODABLE}
