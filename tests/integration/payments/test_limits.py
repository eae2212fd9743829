"""Daily limits on the real database: counted under the holder's lock, whoever asks and however many at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.common.clock import midnight_ms
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.book import Rules
from services.payments.domain.calendar import service_date
from services.payments.domain.limits import Limits
from services.payments.domain.operation import Operation
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason
from tests.support.office import HOUR_MS, Gate, Office, another_process
from tests.support.replay import replay
from tests.support.town import CONFIG, Database, card_state, now_ms, purchase, received

DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def tight(office: Office) -> Rules:
    """Ten payments or ten yuan a day, students half of it."""
    return replace(
        await read_rules(office.engine, CONFIG),
        limits={
            "": Limits(payment_fen=500, day_fen=1_000, day_payments=10, scene_day_fen={Scene.CAMPUS: 900}),
            "student": Limits(payment_fen=500, day_fen=500, day_payments=5),
        },
    )


@pytest.fixture
async def strict(office: Office, database: Database, tight: Rules) -> AsyncIterator[tuple[Office, Office]]:
    """Two processes under tight limits."""
    async with another_process(office, database, rules=tight) as one, another_process(office, database, rules=tight) as other:
        yield one, other


async def reasons_of(processes: tuple[Office, Office], operations: list[Operation]) -> Counter[Reason]:
    return Counter(await asyncio.gather(*(processes[n % 2].reason(one) for n, one in enumerate(operations))))


async def test_64_payments_at_once_where_a_day_allows_10_are_10(office: Office, strict: tuple[Office, Office]) -> None:
    payments = [(office.hold if n % 3 else office.pay)(0, 1) for n in range(64)]
    assert await reasons_of(strict, payments) == {Reason.NONE: 10, Reason.OVER_DAY_COUNT: 54}


async def test_64_payments_at_once_never_exceed_the_days_amount(office: Office, strict: tuple[Office, Office]) -> None:
    payments = [office.pay(0, 101) for _ in range(64)]
    assert await reasons_of(strict, payments) == {Reason.NONE: 8, Reason.OVER_CATEGORY_LIMIT: 56}
    assert await office.funds(0) == (10_000 - 808, 0)


async def test_a_batch_counts_its_own_payments(office: Office, strict: tuple[Office, Office]) -> None:
    answers = await strict[0].ask(*(office.pay(0, 1) for _ in range(12)))
    assert Counter(answer.ruling and answer.ruling.reason for answer in answers) == {
        Reason.NONE: 10,
        Reason.OVER_DAY_COUNT: 2,
    }


async def test_all_cards_of_a_holder_count_together_each_by_its_own_category(
    office: Office, strict: tuple[Office, Office]
) -> None:
    account = card_state(0).account_id
    await office.town.project(card_state(8, account=account), card_state(9, account=account, category="student"))
    assert await strict[0].reason(office.pay(0, 300)) is Reason.NONE
    assert await strict[1].reason(office.pay(8, 200)) is Reason.NONE
    assert await strict[0].reason(office.pay(9, 1)) is Reason.OVER_DAY_LIMIT
    assert await strict[1].reason(office.pay(0, 401)) is Reason.OVER_CATEGORY_LIMIT
    assert await strict[0].reason(office.pay(8, 400)) is Reason.NONE


async def test_a_voided_hold_makes_room_again_once(office: Office, strict: tuple[Office, Office]) -> None:
    held = await strict[0].rule(office.hold(0, 500))
    assert await strict[1].reason(office.pay(0, 401)) is Reason.OVER_CATEGORY_LIMIT
    voids = [office.void(held) for _ in range(4)]
    assert (await reasons_of(strict, voids))[Reason.NONE] == 1
    assert await strict[1].reason(office.pay(0, 401)) is Reason.NONE
    assert await strict[0].reason(office.pay(0, 500)) is Reason.OVER_CATEGORY_LIMIT
    assert await strict[0].reason(office.pay(0, 499)) is Reason.NONE


async def test_the_next_day_forgets(office: Office, strict: tuple[Office, Office]) -> None:
    midnight = midnight_ms(service_date(now_ms() + DAY_MS))
    for at, wanted in ((midnight - 1, Reason.NONE), (midnight - 1, Reason.OVER_CATEGORY_LIMIT), (midnight, Reason.NONE)):
        (answer, _) = await strict[0].ledger.operate([office.pay(0, 500), office.pay(1, 1)], at)
        assert answer.ruling is not None
        assert answer.ruling.reason is wanted


async def test_taps_use_up_no_limit_of_online_payments(office: Office, strict: tuple[Office, Office]) -> None:
    await office.town.post(received([purchase(0, 400) for _ in range(12)]))
    assert await strict[0].reason(office.pay(0, 500)) is Reason.NONE
    await office.town.post(received([purchase(0, 100)]))
    assert await strict[0].reason(office.pay(0, 401)) is Reason.OVER_CATEGORY_LIMIT


async def test_by_the_journal_a_refusal_stands_before_the_payment_that_it_did_not_see(
    office: Office, database: Database, tight: Rules
) -> None:
    """A payment alone has read the account, and taken its number; a hold is refused before it is written."""
    gate = Gate("locked")
    async with (
        another_process(office, database, rules=tight) as one,
        another_process(office, database, at=gate, rules=tight) as slow,
    ):
        assert await one.reason(office.pay(0, 500)) is Reason.NONE
        paying = asyncio.create_task(slow.rule(office.pay(0, 100)))
        await gate.reached()
        refused = await one.rule(office.hold(0, 450))
        gate.open()
        paid = await paying
    assert (paid.reason, refused.reason) == (Reason.NONE, Reason.OVER_CATEGORY_LIMIT)
    assert refused.batch < paid.batch
    assert not (await replay(office.engine, tight))[1], "behind the payment it would be too much for the day"
