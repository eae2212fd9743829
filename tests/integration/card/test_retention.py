"""What is over its time is taken away, and nothing else."""

from services.card.domain.application import Step
from services.card.handlers.retain import Retain
from tests.support.cardholders import Registry, submission
from tests.support.hall import Hall, Owner, request
from tests.support.town import now_ms

DAY_MS = 24 * 3600 * 1000


async def keep(registry: Registry, days: int) -> None:
    async with registry.engine.connect() as connection:
        duty = Retain(registry.engine, registry.settings.retention, lambda: now_ms() + days * DAY_MS)
        assert await duty(connection)


async def test_what_an_application_in_vain_left_goes_at_its_time_and_a_card_holders_photo_stays(
    registry: Registry, owner: Owner
) -> None:
    days = registry.settings.retention.in_vain_days
    await registry.first_card(1)
    (withdrawn, still_open) = await registry.submit(submission(2), submission(3))
    assert withdrawn.application
    await registry.step(withdrawn.application, Step.WITHDRAW)
    await owner.execute("update card.application set papers = 'sealed'")
    await keep(registry, days - 1)
    assert await owner.fetchval("select count(*) from card.photo") == 3
    await keep(registry, days + 1)
    assert await owner.fetchval("select count(*) from card.photo where holder = $1", withdrawn.holder) == 0
    assert await owner.fetchval("select count(*) from card.photo") == 2
    assert await owner.fetchval("select array_agg(id) from card.application where papers is null") == [withdrawn.application]
    assert (
        await owner.fetchval("select detail::text from card.audit where act = 'retention.end'") == '{"papers": 1, "photos": 1}'
    )
    assert still_open.application


async def test_a_repeated_request_hears_its_first_answer_for_the_citys_days(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    first = await clerk.ask("Submit", request(1))
    await keep(registry, registry.settings.retention.request_days - 1)
    assert await clerk.ask("Submit", request(1)) == first
    await keep(registry, registry.settings.retention.request_days + 1)
    assert await owner.fetchval("select count(*) from card.request") == 0


async def test_messages_that_were_sent_and_sessions_that_are_over_go_and_what_waits_stays(
    registry: Registry, owner: Owner
) -> None:
    days = registry.settings.retention.past_days
    await registry.first_card(1)
    await registry.first_card(2)
    sent = await owner.fetchval(
        "update card.notification set sent_time = now() where id = (select min(id) from card.notification) returning id"
    )
    waiting = await owner.fetchval("select count(*) from card.notification where sent_time is null")
    await owner.execute(
        """
        insert into card.holder_session (token, holder, way, terminal, serial, outlet, begin_time, expire_time)
        select 'token', id, 1, 'KIOSK-1', '1', '', now(), now() + interval '5 minutes' from card.holder order by id limit 1"""
    )
    await keep(registry, days - 1)
    assert await owner.fetchval("select count(*) from card.notification where id = $1", sent) == 1
    assert await owner.fetchval("select count(*) from card.holder_session") == 1
    await keep(registry, days + 1)
    assert await owner.fetchval("select count(*) from card.notification where id = $1", sent) == 0
    assert await owner.fetchval("select count(*) from card.notification") == waiting > 0
    assert await owner.fetchval("select count(*) from card.holder_session") == 0
