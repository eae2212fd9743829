"""What ends by itself ends once, at its time, whoever keeps the time."""

import asyncio
from dataclasses import replace

import pytest

from services.card.domain.application import ApplicationKind, Step
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.refusal import Refusal
from services.card.handlers import keep_time
from services.card.handlers.keep_time import KeepTime
from tests.integration.card.test_cards import social
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import WANTED, Registry, submission
from tests.support.town import now_ms

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
