"""People are told what happened, once, by number alone, whoever ends on the way."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from signal import SIGKILL
from typing import Any

import asyncpg
import pytest

from cli import paths
from services.card import metrics
from services.card.adapters.sms_gateway import SmsGateway
from services.card.domain.application import ApplicationKind, Step
from services.card.domain.bank_cause import BankCause
from services.card.domain.life_cycle import Verb
from services.card.domain.refusal import Refusal
from services.card.handlers.handle_application import handle_application
from services.card.handlers.notify import Notify
from services.card.handlers.once import transact
from simulation.sms import STEADY, Moods, SimulatedGateway, start
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, Registry, submission
from tests.support.sealing import autocommit
from tests.support.town import Database, now_ms

HOUR_MS = 3600 * 1000


@contextmanager
def gateway(moods: Moods = STEADY) -> Iterator[tuple[SimulatedGateway, str]]:
    simulated = SimulatedGateway(moods, seed=1)
    server, port = start(simulated, "127.0.0.1:0", None)
    try:
        yield simulated, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def in_order(simulated: SimulatedGateway) -> list[str]:
    """The texts, by the numbers of the messages."""
    messages = simulated.messages
    return [messages[key][1] for key in sorted(messages, key=lambda key: int(key.rpartition("-")[2]))]


@asynccontextmanager
async def telling(registry: Registry, address: str, hours: float = 0) -> AsyncIterator[Notify]:
    """The duty, with a clock that is ahead."""
    sms = SmsGateway(address, None)
    yield Notify(registry.sealing, registry.settings, sms, lambda: now_ms() + int(hours * HOUR_MS))
    await sms.close()


async def tell(registry: Registry, address: str, hours: float = 0) -> None:
    async with telling(registry, address, hours) as notify, autocommit(registry.engine) as connection:
        await notify(connection)


async def test_each_act_is_told_once_in_words_without_name_and_number(registry: Registry, owner: Owner) -> None:
    wanted = submission(1)
    (made,) = await registry.submit(wanted)
    assert made.application is not None
    await registry.step(made.application, Step.REFUSE)
    await registry.step(made.application, Step.RESUBMIT)
    card = await registry.hand_over(made.application)
    for verb in (Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE, Verb.REPORT_TEMPORARY_LOSS, Verb.REPORT_FORMAL_LOSS):
        await registry.change(card, verb)
    again = await registry.apply_again(1, ApplicationKind.REISSUE)
    await registry.hand_over(again.application or 0)
    with gateway() as (simulated, address):
        await asyncio.gather(*(tell(registry, address) for _ in range(3)))  # who all believe that they are elected
        await tell(registry, address)
        texts = in_order(simulated)
        phones = {phone for phone, _ in simulated.messages.values()}
    told = await owner.fetch("select kind from card.notification order by id")
    assert [kind for (kind,) in told] == [1, 2, 1, 3, 7, 4, 5, 4, 4, 1, 3, 7]
    wording = {1: "已受理", 2: "已退回", 3: "已到网点", 4: "已挂失", 5: "已解除挂失", 7: "已启用"}
    assert all(wording[kind] in text for (kind,), text in zip(told, texts, strict=True))
    assert phones == {wanted.person.phone}
    (number,) = await owner.fetch("select card_identifier from card.card where id = $1", card)
    for text in texts:
        for marked in (wanted.person.name, wanted.document.number, wanted.person.phone, number[0]):
            assert marked not in text
    assert await owner.fetchval("select count(*) from card.notification where sent_time is null") == 0


async def test_a_message_is_noted_with_its_act_or_not_at_all(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1))

    async def refuse(driver: "asyncpg.Connection[Any]", cause: int = Refusal.REFUSED_BY_CLERK) -> None:
        await handle_application(
            driver, registry.sealing, made.application or 0, Step.REFUSE, CLERK, now_ms(), cause=cause
        )  # fmt: skip

    async def fail(driver: "asyncpg.Connection[Any]") -> None:
        await refuse(driver)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await transact(registry.engine, fail)
    assert await owner.fetchval("select count(*) from card.notification") == 1
    await transact(registry.engine, refuse)
    with gateway() as (simulated, address):
        await tell(registry, address)
        await registry.step(made.application or 0, Step.RESUBMIT)
        await transact(registry.engine, partial(refuse, cause=BankCause.RISK))
        await tell(registry, address)
        _, refused, _, by_bank = in_order(simulated)
    assert refused.endswith("申请材料不符合要求，请按退回原因补正后重新提交。")
    assert by_bank.endswith("银行风险审核未通过。")


async def test_whoever_waits_for_a_photo_or_has_no_telephone_is_not_told_and_that_is_no_fault(
    registry: Registry, owner: Owner
) -> None:
    await registry.submit(submission(1, photo=False))
    assert await owner.fetchval("select count(*) from card.notification") == 0
    without = submission(2)
    await registry.submit(replace(without, person=replace(without.person, phone="")))
    (deleted,) = await registry.submit(submission(3))
    await owner.execute(
        "update card.holder set data_key = null, deletion_time = now() where id = $1", deleted.holder
    )  # fmt: skip
    with gateway() as (simulated, address):
        await tell(registry, address)
        assert simulated.messages == {}
    assert await owner.fetchval("select count(*) from card.notification where give_up_time is null") == 0
    assert await owner.fetchval("select sum(attempts) from card.notification") == 0


async def test_a_gateway_that_is_away_is_asked_later_and_given_up_after_a_day(registry: Registry, owner: Owner) -> None:
    await registry.submit(submission(1))
    nowhere = "127.0.0.1:1"
    await tell(registry, nowhere)
    await tell(registry, nowhere)  # not due yet
    assert await owner.fetchval("select attempts from card.notification") == 1
    assert metrics.NOTIFICATIONS_WAITING._value.get() == 1
    await tell(registry, nowhere, hours=1)
    pause = "extract(epoch from due_time - now())"
    assert 3600 + 50 < await owner.fetchval(f"select {pause} from card.notification") < 3600 + 70
    await tell(registry, nowhere, hours=24.1)
    assert await owner.fetchval("select give_up_time is not null from card.notification")
    assert metrics.NOTIFICATIONS_WAITING._value.get() == 0
    with gateway() as (simulated, address):
        await tell(registry, address, hours=48)
        assert simulated.messages == {}


async def test_a_moody_gateway_shows_each_message_once_all_the_same(registry: Registry, owner: Owner) -> None:
    await registry.submit(*(submission(n) for n in range(1, 41)))
    with gateway(Moods(away=0.3, silent=0.3)) as (simulated, address):
        for hours in range(12):
            await tell(registry, address, hours)
        assert len(simulated.messages) == 40
    assert await owner.fetchval("select count(*) from card.notification where sent_time is not null") == 40
    assert await owner.fetchval("select max(attempts) from card.notification") > 1


async def test_a_number_that_the_gateway_will_never_take_is_given_up_at_once(registry: Registry, owner: Owner) -> None:
    wrong = submission(1)
    await registry.submit(replace(wrong, person=replace(wrong.person, phone="no number")))
    with gateway() as (_, address):
        await tell(registry, address)
    assert await owner.fetchval("select give_up_time is not null and attempts = 1 from card.notification")


async def test_killed_between_sending_and_marking_no_message_is_lost_and_each_is_shown_once(
    registry: Registry, owner: Owner, database: Database
) -> None:
    await registry.submit(*(submission(n) for n in range(1, 21)))
    with gateway() as (simulated, address):
        arguments = (database.card_url, str(registry.vault.file), address, "7")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.teller", *arguments, cwd=paths.ROOT
        )  # fmt: skip
        assert await asyncio.wait_for(process.wait(), 60) == -SIGKILL
        assert len(simulated.messages) >= 7
        assert await owner.fetchval("select count(*) from card.notification where sent_time is not null") == 0
        await tell(registry, address)
        assert len(simulated.messages) == 20
    assert await owner.fetchval("select count(*) from card.notification where sent_time is null") == 0
