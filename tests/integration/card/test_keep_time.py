"""What ends by itself ends once, at its time, whoever keeps the time."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.card import metrics
from services.card.domain.application import ApplicationKind, ApplicationState, Mode, Step
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.refusal import Refusal
from services.card.handlers import keep_time
from services.card.handlers.keep_time import KeepTime
from services.common.clock import SHANGHAI, instant
from services.common.housekeeping import Duty, Housekeeping
from tests.integration.card.test_cards import social
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import WANTED, Registry, submission
from tests.support.town import now_ms
from tests.support.waiting import until

DAY_MS = 24 * 3600 * 1000


async def pass_time(registry: Registry, days: float) -> bool:
    """One round of the timekeeper, so many days from now."""
    keeper = KeepTime(registry.engine, registry.sealing, registry.settings, lambda: now_ms() + int(days * DAY_MS))
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        return await keeper(connection)


async def test_a_temporary_loss_ends_on_its_seventh_day_and_once(registry: Registry, owner: Owner) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_REMOTE)
    await pass_time(registry, 6.99)
    assert await social(owner, card) is SocialStatus.TEMPORARILY_LOST
    await asyncio.gather(*(pass_time(registry, 7.01) for _ in range(4)))
    assert await social(owner, card) is SocialStatus.NORMAL
    assert await owner.fetchval("select count(*) from card.transition where verb = 5") == 1
    assert await owner.fetchval("select actor from card.transition where verb = 5") == "timer"


async def test_a_loss_that_became_formal_does_not_end_by_itself(registry: Registry, owner: Owner) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    await pass_time(registry, 30)
    assert await social(owner, card) is SocialStatus.FORMALLY_LOST


async def test_a_temporary_card_lives_its_days_beside_the_ordinary_one(registry: Registry, owner: Owner) -> None:
    ordinary = await registry.first_card(1)
    wanted = replace(WANTED, kind=ApplicationKind.TEMPORARY)
    (made,) = await registry.submit(submission(1, wanted=wanted))
    assert made.application is not None
    temporary = await registry.hand_over(made.application)
    await pass_time(registry, 59)
    assert await social(owner, temporary) is SocialStatus.NORMAL
    await pass_time(registry, 62)
    assert [await social(owner, card) for card in (ordinary, temporary)] == [SocialStatus.NORMAL, SocialStatus.CANCELLED]


@pytest.mark.parametrize("collected", [False, True])
async def test_a_temporary_card_that_nobody_enabled_ends_with_its_application(
    registry: Registry, owner: Owner, collected: bool
) -> None:
    await registry.first_card(1)
    wanted = replace(WANTED, kind=ApplicationKind.TEMPORARY)
    (made,) = await registry.submit(submission(1, wanted=wanted))
    application = made.application or 0
    await registry.begin(application)
    card = await registry.card_of(application)
    await pass_time(registry, 62)
    assert await social(owner, card) is SocialStatus.SEALED  # its maker has it, and says when it is made
    assert (await registry.end(application)).refusal is None
    if collected:
        await registry.change(card, Verb.COLLECT)
    assert await pass_time(registry, 62)
    assert await social(owner, card) is SocialStatus.CANCELLED
    assert await owner.fetchval("select state from card.application where id = $1", application) == ApplicationState.LAPSED
    assert await owner.fetchval("select max(step) from card.step where application = $1", application) == Step.EXPIRE
    (again,) = await registry.submit(submission(1, wanted=wanted))
    assert again.refusal is None


async def test_a_refused_application_lapses_when_nobody_hands_it_in_again(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1))
    assert made.application is not None
    await registry.step(made.application, Step.REFUSE)
    await pass_time(registry, 29)
    assert (await registry.step(made.application, Step.RESUBMIT)).refusal is None
    await registry.step(made.application, Step.REFUSE)
    await pass_time(registry, 31)
    assert (await registry.step(made.application, Step.RESUBMIT)).refusal is Refusal.APPLICATION_ENDED
    assert await owner.fetchval("select state from card.application") == 10


async def test_more_than_one_round_can_carry_is_said_to_be_behind(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        await registry.change(await registry.first_card(number), Verb.REPORT_TEMPORARY_LOSS)
    monkeypatch.setattr(keep_time, "MOST", 2)
    assert not await pass_time(registry, 8)
    assert await pass_time(registry, 8)


async def test_a_card_is_due_for_renewal_sixty_days_before_its_end_and_its_holder_is_told_once(
    registry: Registry, owner: Owner
) -> None:
    ends = instant(now_ms()).astimezone(SHANGHAI).date() + timedelta(100)
    card = await registry.first_card(1)
    lost, replaced = await registry.first_card(2), await registry.first_card(3)
    await registry.change(lost, Verb.REPORT_FORMAL_LOSS)
    await registry.apply_again(3, ApplicationKind.REPLACE)
    await owner.execute("update card.card set valid_until = $1", ends)
    due = "select id from card.card where renewal_time is not null order by id"
    told = "select count(*) from card.notification where kind = 6"
    await pass_time(registry, 39)
    assert await owner.fetch(due) == []
    await asyncio.gather(*(pass_time(registry, 41) for _ in range(4)))
    assert [row[0] for row in await owner.fetch(due)] == [card]
    await pass_time(registry, 300)
    assert await owner.fetchval(told) == 1
    assert [await social(owner, one) for one in (card, replaced)] == [SocialStatus.NORMAL] * 2  # it works until the switch
    renewal = await registry.apply_again(1, ApplicationKind.REPLACE)
    new = await registry.hand_over(renewal.application or 0)
    assert [await social(owner, one) for one in (card, new)] == [SocialStatus.CANCELLED, SocialStatus.NORMAL]
    await pass_time(registry, 41)
    assert await owner.fetchval(told) == 1


async def test_when_the_elected_worker_dies_another_one_keeps_the_time_and_each_act_happens_once(
    registry: Registry, owner: Owner
) -> None:
    cards = [await registry.first_card(number) for number in (1, 2)]
    for card in cards:
        await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    at = now_ms() + 8 * DAY_MS

    def worker() -> Housekeeping:
        keeper = KeepTime(registry.engine, registry.sealing, registry.settings, lambda: at)
        return Housekeeping(registry.engine, "card.housekeeping", [[Duty(0.05, keeper)]])

    async def ended() -> bool:
        return bool(await owner.fetchval("select count(*) = 2 from card.transition where verb = 5"))

    workers = [asyncio.create_task(worker().run()) for _ in range(2)]
    try:
        await until("the elected one has done the first", ended)
        oid = await owner.fetchval("select oid from pg_database where datname = current_database()")
        pid = await owner.fetchval("select pid from pg_locks where locktype = 'advisory' and database = $1", oid)
        await owner.execute("select pg_terminate_backend($1)", pid)
        await registry.change(cards[0], Verb.REPORT_TEMPORARY_LOSS, at_ms=now_ms() - DAY_MS)
        again = "select count(*) = 3 from card.transition where verb = 5"
        await until("whoever is elected now does the next", lambda: owner.fetchval(again))
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert await owner.fetchval("select count(*) from card.transition where verb = 5") == 3


async def test_what_is_overdue_is_measured_by_kind_and_mode(registry: Registry) -> None:
    await registry.submit(*(submission(number) for number in (1, 2)))
    await registry.submit(submission(3, wanted=replace(WANTED, mode=Mode.INSTANT)))
    await registry.first_card(4)  # it is there: nothing about it is late
    await pass_time(registry, 0.1)

    def overdue(mode: Mode) -> int:
        return int(metrics.APPLICATIONS_OVERDUE.labels("FIRST", mode.name)._value.get())

    assert (overdue(Mode.ORDINARY), overdue(Mode.INSTANT)) == (0, 1)
    await pass_time(registry, 30)
    assert (overdue(Mode.ORDINARY), overdue(Mode.INSTANT)) == (2, 1)
