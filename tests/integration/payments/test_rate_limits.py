"""How often a caller may ask: shared by all processes while Redis answers, by each process alone while it does not."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from redis import Redis

from cli.servers.valkey import Valkey
from services.common.errors import Code, DomainError
from services.payments.adapters import rate_limits
from services.payments.adapters.rate_limits import Allowance, Allowances, RateLimits
from services.payments.metrics import RATE_LIMITS_LOCAL
from tests.support.waiting import until

_numbers = count(1)


@pytest.fixture
def terminal() -> str:
    """A caller whom no other test knows."""
    return f"onecard://merchant/m/terminal/{next(_numbers)}"


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[Valkey]:
    """One that runs when the test begins and when it ends."""
    yield valkey_server
    if not valkey_server.child.alive:
        valkey_server.start()


@asynccontextmanager
async def limits(address: str | None, allowances: Allowances) -> AsyncIterator[RateLimits]:
    made = RateLimits(address, allowances)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def terminals(per_second: int, burst: int) -> Allowances:
    return Allowances(Allowance(per_second, burst), Allowance(10**6, 10**6))


def takes(limits: RateLimits, caller: str) -> bool:
    try:
        limits.take(caller)
    except DomainError:
        return False
    return True


async def ask(seconds: float, caller: str, *several: RateLimits) -> list[int]:
    """How often each of several processes lets a caller through who never stops asking."""
    passed = [0] * len(several)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number, one in enumerate(several):
            passed[number] += sum(takes(one, caller) for _ in range(20))
        await asyncio.sleep(0.002)
    return passed


def known(valkey: Valkey, caller: str) -> bool:
    with Redis(port=valkey.port) as redis:
        return bool(redis.exists(f"rates:{caller}"))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
async def test_a_rested_caller_may_ask_at_once_as_often_as_its_burst(valkey: Valkey, terminal: str, shared: bool) -> None:
    async with limits(valkey.address if shared else None, terminals(100, 300)) as one:
        assert sum(takes(one, terminal) for _ in range(400)) == 300
        passed = await ask(2.0, terminal, one)
        assert 100 <= passed[0] <= 230, "then its rate"


async def test_two_processes_share_one_budget(valkey: Valkey, terminal: str) -> None:
    async with limits(valkey.address, terminals(200, 100)) as one, limits(valkey.address, terminals(200, 100)) as other:
        passed = await ask(3.0, terminal, one, other)
    # 100 at once and 600 in the time; each process may hold a block of 20 beyond.
    assert 400 <= sum(passed) <= 750
    assert min(passed) > 0


async def test_what_one_process_used_up_another_does_not_give(valkey: Valkey, terminal: str) -> None:
    async with limits(valkey.address, terminals(1, 100)) as one:
        assert sum(takes(one, terminal) for _ in range(100)) == 100
        await until("the shared bucket knows", lambda: known(valkey, terminal))
    async with limits(valkey.address, terminals(1, 100)) as other:
        takes(other, terminal)  # its first answer tells it
        await asyncio.sleep(0.2)
        assert sum(takes(other, terminal) for _ in range(100)) <= 10


async def test_a_caller_below_its_rate_is_never_refused(valkey: Valkey, terminal: str) -> None:
    async with limits(valkey.address, terminals(200, 40)) as one:
        refused = 0
        for _ in range(50):  # 150 a second
            refused += sum(not takes(one, terminal) for _ in range(3))
            await asyncio.sleep(0.02)
        assert refused == 0


async def test_a_refusal_says_why(terminal: str) -> None:
    async with limits(None, terminals(1, 1)) as one:
        one.take(terminal)
        with pytest.raises(DomainError) as refused:
            one.take(terminal)
    assert (refused.value.code, refused.value.reason) == (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED")


async def test_callers_do_not_take_from_each_other(valkey: Valkey) -> None:
    async with limits(valkey.address, Allowances(terminal=Allowance(1, 2), others=Allowance(1, 5))) as one:
        passed = {
            caller: sum(takes(one, caller) for _ in range(10))
            for caller in (
                "onecard://merchant/a/terminal/x",
                "onecard://merchant/a/terminal/y",
                "onecard://merchant/a",
                "onecard://service/a",
            )
        }
    assert list(passed.values()) == [2, 2, 5, 5]


async def test_redis_is_asked_for_blocks_and_never_for_a_payment(valkey: Valkey, terminal: str) -> None:
    with Redis(port=valkey.port) as redis:
        async with limits(valkey.address, terminals(10_000, 10_000)) as one:
            before = redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
            (passed,) = await ask(1.0, terminal, one)
            asked = redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert passed > 2000
    assert asked <= 22


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
async def test_without_redis_each_process_limits_alone_until_it_is_back(
    valkey: Valkey, terminal: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "TRY_AGAIN_SECONDS", 0.3)
    async with limits(valkey.address, terminals(200, 40)) as one, limits(valkey.address, terminals(200, 40)) as other:
        await ask(0.5, terminal, one, other)
        assert one.shared
        assert other.shared
        assert local() == 0
        if trouble == "killed":
            valkey.kill()
        else:
            valkey.child.signal(signal.SIGSTOP)
        await until("both notice", lambda: _asked(one, other, terminal) and not one.shared and not other.shared)
        assert local() == 1
        alone = await ask(2.0, terminal, one, other)
        assert all(200 <= passed <= 500 for passed in alone), "each the whole rate, and no more"
        if trouble == "killed":
            valkey.start()
        else:
            valkey.child.signal(signal.SIGCONT)
        await until("both share again, though nobody asks", lambda: one.shared and other.shared)
        assert local() == 0
        together = await ask(2.0, terminal, one, other)
        assert 200 <= sum(together) <= 600


async def test_a_process_that_begins_without_redis_limits_all_the_same(terminal: str) -> None:
    async with limits("127.0.0.1:1", terminals(100, 50)) as one:
        passed = await ask(1.0, terminal, one)
        assert not one.shared
    assert 80 <= passed[0] <= 170


async def test_taking_a_token_costs_next_to_nothing(terminal: str) -> None:
    async with limits(None, terminals(10_000_000, 10_000_000)) as one:
        began = time.process_time()
        for _ in range(100_000):
            one.take(terminal)
        assert (time.process_time() - began) / 100_000 < 2e-6


def _asked(one: RateLimits, other: RateLimits, caller: str) -> bool:
    takes(one, caller)
    takes(other, caller)
    return True


def local() -> float:
    return next(iter(RATE_LIMITS_LOCAL.collect())).samples[0].value
