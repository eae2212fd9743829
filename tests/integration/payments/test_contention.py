"""Everybody at once: hot accounts lose nothing, guarded ones are never overdrawn, and nobody waits for each other in a ring."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence

import asyncpg

from services.payments.adapters.ledger import Ledger, Point
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.account import AccountStatus
from services.payments.domain.operation import Operation
from services.payments.domain.verdict import Reason
from services.payments.handlers.operate import Operate
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from tests.support.deadlocks import Deadlocks
from tests.support.office import BANK, FUND, Office
from tests.support.town import CONFIG, FIRST_ACCOUNT, KEY, bus_ride, card_state, purchase, received
from tests.support.waiting import until

ANN = FIRST_ACCOUNT


async def reasons_of(processes: Sequence[Office], operations: Sequence[Operation]) -> Counter[Reason]:
    """Each by itself, in turn at every process."""
    asked = (processes[n % len(processes)].reason(one) for n, one in enumerate(operations))
    return Counter(await asyncio.gather(*asked))


async def test_500_debits_at_once_of_a_guarded_account_stop_at_its_last_fen(office: Office, rival: Office) -> None:
    deadlocks = Deadlocks()
    account = await office.open("narrow", fen=300)
    debits = [office.post((account, -1), (FUND, 1)) for _ in range(500)]
    assert await reasons_of((office, rival), debits) == {Reason.NONE: 300, Reason.INSUFFICIENT_FUNDS: 200}
    assert await office.available(account) == 0
    assert deadlocks.new() == 0


async def test_500_payments_at_once_of_one_card_stop_at_its_last_fen(office: Office, rival: Office) -> None:
    """By the back office, by the till and by taps."""
    asked = [office.post((ANN, -25), (FUND, 25)) for _ in range(460)] + [office.pay(0, 25) for _ in range(40)]
    random.Random(7).shuffle(asked)
    taps = [received([purchase(0, 25)]) for _ in range(20)]
    counted, _ = await asyncio.gather(
        reasons_of((office, rival), asked), asyncio.gather(*(office.town.post(tap) for tap in taps))
    )  # fmt: skip
    balance_fen, held_fen = await office.funds(0)
    assert (balance_fen, held_fen) == (0, 0)
    # 400 of the 520 were paid, whoever they were.
    assert 380 <= counted[Reason.NONE] <= 400


async def test_500_credits_at_once_of_a_hot_account_lose_none(office: Office, rival: Office) -> None:
    deadlocks = Deadlocks()
    guarded = await office.open("popular")
    payee = office.till.payable_account
    credits_ = [office.post((FUND, -3), (guarded, 1), (payee, 2)) for _ in range(500)]
    rolling = asyncio.create_task(roll_up_again_and_again(office))
    assert await reasons_of((office, rival), credits_) == {Reason.NONE: 500}
    rolling.cancel()
    assert await office.available(guarded) == 500
    assert (await office.sums(payee)).balance_fen == 1_000
    assert (await office.sums(FUND)).balance_fen == -1_500
    assert deadlocks.new() == 0


async def roll_up_again_and_again(office: Office) -> None:
    while True:
        async with office.engine.begin() as connection:
            await roll_up_accruals(connection)
        await asyncio.sleep(0.01)


async def test_what_holds_promise_is_rolled_up_with_the_rest(office: Office) -> None:
    payee = office.till.payable_account

    async def promised() -> int:
        async with office.engine.begin() as connection:
            await roll_up_accruals(connection)
        return (await office.sums(payee)).credits_pending_fen

    held = await office.rule(office.hold(0, 300))
    assert await promised() == 300
    await office.rule(office.capture(held, 100, more=True))
    assert await promised() == 200
    await office.rule(office.hold(1, 50))
    assert await promised() == 250
    await office.rule(office.void(held))
    assert await promised() == 50
    assert (await office.sums(payee)).balance_fen == 100


async def test_everything_at_once_in_every_order_and_nobody_waits_in_a_ring(office: Office, rival: Office) -> None:
    """Batches of payments, postings, purses, taps and card events over the same few accounts, each in an order of its own."""
    deadlocks = Deadlocks()
    order = random.Random(20_261_123)
    accounts = [ANN, ANN + 1, ANN + 2, ANN + 3, *[await office.open(f"pot-{n}", fen=1_000) for n in range(3)]]
    purses = [await office.open_purse(card, 200) for card in range(4)]

    def anything() -> Operation:
        card = order.randrange(4)
        match order.randrange(6):
            case 0:
                return office.pay(card, order.randrange(1, 30))
            case 1:
                return office.hold(card, order.randrange(1, 30))
            case 2:
                return office.top_up(card, 5)
            case 3:
                return office.post((order.choice(purses), -1), (FUND, 1))
            case _:
                one, other = order.sample(accounts, 2)
                return office.post((one, -2), (other, 1), (order.choice(purses), 1))

    async def batches(process: Office) -> None:
        for _ in range(8):
            await process.ask(*(anything() for _ in range(order.randrange(1, 12))))

    async def taps() -> None:
        for _ in range(8):
            cards = order.sample(range(4), 4)
            await office.town.post(received([purchase(card, 3) for card in cards] + [bus_ride(card) for card in cards]))

    async def card_events() -> None:
        for version in range(2, 10):
            await office.town.project(*(card_state(card, version=version) for card in order.sample(range(4), 4)))

    lanes: list[Awaitable[None]] = [batches(process) for process in (office, rival) for _ in range(4)]
    await asyncio.gather(*lanes, taps(), taps(), card_events())
    assert deadlocks.new() == 0


async def test_a_deadlock_is_counted_and_the_batch_decided_once_all_the_same(office: Office) -> None:
    deadlocks = Deadlocks()
    tried = []

    async def unlucky(point: Point) -> None:
        if point == "written":
            tried.append(point)
            if len(tried) < 3:
                raise asyncpg.DeadlockDetectedError("somebody else was chosen to go on")

    rules = await read_rules(office.engine, CONFIG)
    operate = Operate(Ledger(office.engine, rules, KEY, unlucky))
    await operate([office.pay(0, 100), office.hold(0, 50), await office.opening("unlucky")])
    assert len(tried) == 3
    assert deadlocks.new() == 2
    assert await office.funds(0) == (9_900, 50)


async def test_two_transactions_that_do_wait_in_a_ring_both_get_through(office: Office) -> None:
    """A foreign session locks two accounts in the wrong order: PostgreSQL ends one, and what was ours goes again.

    Going again it may be quicker than the foreign one and close the ring once more; then that one is ended.
    """
    deadlocks = Deadlocks()
    lock = "select 1 from payments.account where id = $1 for update"
    async with office.engine.connect() as foreign:
        await foreign.exec_driver_sql(lock, (ANN + 1,))
        asked = asyncio.create_task(office.reason(office.post((ANN, -5), (ANN + 1, 5))))
        await until("ours waits", office.somebody_waits)
        # Ours waits longer, so it is the first to look for a ring, and is ended.
        ring = asyncio.create_task(foreign.exec_driver_sql(lock, (ANN,)))
        await asyncio.wait([ring])
        foreign_went_on = ring.exception() is None
        await foreign.rollback()
        assert await asked is Reason.NONE
    assert deadlocks.new() >= foreign_went_on
    assert await office.available(ANN) == 9_995


async def test_freezes_and_payments_of_many_holders_meet_without_a_ring(office: Office, rival: Office) -> None:
    deadlocks = Deadlocks()
    frozen = [office.set_status(ANN + n % 4, AccountStatus.FROZEN if n % 8 < 4 else AccountStatus.OPEN) for n in range(40)]
    pairs = [office.post((ANN + n % 4, -1), (ANN + (n + 1) % 4, 1)) for n in range(40)]
    moved = [office.post((BANK, -1), (ANN + n % 4, 1)) for n in range(40)]
    counted = await reasons_of((office, rival), [one for three in zip(frozen, pairs, moved, strict=True) for one in three])
    assert counted.keys() <= {Reason.NONE, Reason.ACCOUNT_FROZEN}
    assert deadlocks.new() == 0
    assert sum([await office.available(ANN + n) for n in range(4)]) == 40_040
