"""How often a caller may ask: one budget for all processes, kept in Redis, spent in memory.

A process takes tokens in blocks, ahead of their use, for all callers in one request each `TICK_SECONDS`. A block that runs out
early is followed by credit, as much as the shared bucket held when it was last asked, and credit is paid before anything else.
So nobody waits for Redis, and over time all processes together let through what one bucket would.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
from redis import RedisError
from redis.commands.core import AsyncScript

from services.common.errors import Code, DomainError
from services.common.peer import Subject
from services.common.shared_memory import open_redis
from services.payments.metrics import RATE_LIMITS_LOCAL

log = structlog.get_logger()

TICK_SECONDS: Final = 0.05
BLOCK_SECONDS: Final = 0.1
"""A block lasts so long at the full rate."""
ANSWER_SECONDS: Final = 0.25
TRY_AGAIN_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 60.0

# For each key: rate a second, most tokens, what is owed and what is wanted; answers what was given of that, and what is left.
# Debt may make a bucket negative, but no deeper than it is high.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local answer = {}
for i, key in ipairs(KEYS) do
    local rate, most, owed, wanted = unpack(ARGV, 4 * i - 3, 4 * i)
    local kept = redis.call('HMGET', key, 'tokens', 'time')
    local tokens = math.min(most, (kept[1] or most) + math.max(0, now - (kept[2] or now)) * rate)
    tokens = math.max(tokens - owed, -most)
    local given = math.max(0, math.min(wanted, math.floor(tokens)))
    tokens = tokens - given
    redis.call('HSET', key, 'tokens', string.format('%.6f', tokens), 'time', string.format('%.6f', now))
    redis.call('PEXPIRE', key, math.ceil((most - tokens) / rate * 1000) + 1000)
    answer[2 * i - 1] = given
    answer[2 * i] = math.max(0, math.floor(tokens))
end
return answer
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often somebody may ask."""

    per_second: int
    burst: int
    """How many times at once, after a rest."""


@dataclass(frozen=True, slots=True)
class Allowances:
    """City settings."""

    terminal: Allowance
    others: Allowance
    """Merchants and services, which ask for many."""

    def of(self, caller: str) -> Allowance:
        """The allowance of a subject's URI."""
        return self.terminal if Subject.parse(caller).terminal_id else self.others


class _Hand:
    """What this process has in hand for one caller; negative: used on credit."""

    __slots__ = ("allowance", "asked", "block", "caller", "floor", "local", "low", "tokens", "used")

    def __init__(self, caller: str, allowance: Allowance) -> None:
        self.caller = caller
        self.allowance = allowance
        self.block = max(1, int(allowance.per_second * BLOCK_SECONDS))
        self.low = (self.block + 1) // 2
        self.tokens = 0
        self.floor = -allowance.burst  # until the first answer a caller counts as rested
        self.asked = False
        self.used = True
        self.local = (float(allowance.burst), time.monotonic())


@dataclass(frozen=True, slots=True)
class _Ask:
    hand: _Hand
    owed: int
    wanted: int


class RateLimits:
    """Counts what callers ask for; `run` must run beside it."""

    def __init__(self, redis_address: str | None, allowances: Allowances) -> None:
        """`redis_address` is host:port; None: each process limits by itself."""
        self._address = redis_address
        self._allowances = allowances
        self._hands: dict[str, _Hand] = {}
        self._asking: list[_Hand] = []
        self._wake = asyncio.Event()
        self._shared: bool | None = None
        RATE_LIMITS_LOCAL.set(1)

    @property
    def shared(self) -> bool:
        """Do all processes share the limits at the moment?"""
        return self._shared is True

    def take(self, caller: str) -> None:
        """Take a token of a caller (a subject's URI); raises DomainError when it has none left."""
        hand = self._hands.get(caller)
        if hand is None:
            hand = self._hands[caller] = _Hand(caller, self._allowances.of(caller))
        hand.used = True
        if hand.tokens < hand.low and not hand.asked:
            hand.asked = True
            self._asking.append(hand)
            self._wake.set()
        if hand.tokens <= hand.floor:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many requests; try again in a moment")
        hand.tokens -= 1

    async def run(self) -> NoReturn:
        """Fill hands for ever."""
        async with self._open_redis() as take:
            if take:
                await self._try(take)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_filling(take))
                if take:
                    group.create_task(self._keep_trying(take))
        raise AssertionError("neither task ends")

    @asynccontextmanager
    async def _open_redis(self) -> AsyncIterator[AsyncScript | None]:
        """The script on the server; None: there is no server to share with."""
        if not self._address:
            yield None
            return
        redis = open_redis(self._address, ANSWER_SECONDS)
        try:
            yield redis.register_script(_TAKE)
        finally:
            await redis.aclose()

    async def _keep_filling(self, take: AsyncScript | None) -> None:
        forget_at = time.monotonic() + FORGET_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._fill(take)
            if time.monotonic() > forget_at:
                forget_at = time.monotonic() + FORGET_SECONDS
                self._forget()
            await asyncio.sleep(TICK_SECONDS)

    async def _keep_trying(self, take: AsyncScript) -> None:
        """Look for a server that is away; meanwhile hands are filled from this process."""
        while True:
            await asyncio.sleep(TRY_AGAIN_SECONDS)
            if not self._shared:
                await self._try(take)

    async def _try(self, take: AsyncScript) -> None:
        try:
            await _ask_redis(take, [], [])
        except (RedisError, OSError) as error:
            self._lose(error)
        else:
            self._find()

    async def _fill(self, take: AsyncScript | None) -> None:
        hands, self._asking = self._asking, []
        asks = [_Ask(hand, owed=max(0, -hand.tokens), wanted=hand.block - max(0, hand.tokens)) for hand in hands]
        answers = await self._from_redis(take, asks) if take and self._shared else None
        if answers is None:
            answers = [_from_this_process(ask) for ask in asks]
        for ask, (given, left) in zip(asks, answers, strict=True):
            hand = ask.hand
            hand.tokens += ask.owed + given
            hand.floor = -left
            hand.asked = False

    async def _from_redis(self, take: AsyncScript, asks: Sequence[_Ask]) -> list[tuple[int, int]] | None:
        """What the shared buckets give, and what they have left; None when Redis does not answer."""
        keys = [f"rates:{ask.hand.caller}" for ask in asks]
        numbers = [
            number for ask in asks for number in (ask.hand.allowance.per_second, ask.hand.allowance.burst, ask.owed, ask.wanted)
        ]
        try:
            answer = await _ask_redis(take, keys, numbers)
        except (RedisError, OSError) as error:
            self._lose(error)
            return None
        return list(zip(answer[::2], answer[1::2], strict=True))

    def _lose(self, error: Exception) -> None:
        if self._shared is not False:
            log.warning("rate_limits_local", redis=self._address, error=type(error).__name__)
        self._shared = False
        RATE_LIMITS_LOCAL.set(1)

    def _find(self) -> None:
        log.info("rate_limits_shared", redis=self._address)
        self._shared = True
        RATE_LIMITS_LOCAL.set(0)

    def _forget(self) -> None:
        """Drop callers who were not here for a while: their buckets are full again."""
        self._hands = {caller: hand for caller, hand in self._hands.items() if hand.used or hand.asked}
        for hand in self._hands.values():
            hand.used = False


async def _ask_redis(take: AsyncScript, keys: list[str], numbers: list[int]) -> list[int]:
    try:
        answer: list[int] = await take(keys=keys, args=numbers)
    finally:
        task = asyncio.current_task()
        if task and task.cancelling():
            # The client uses asyncio.wait_for, which in Python 3.11 forgets a cancellation that comes together with its result.
            raise asyncio.CancelledError
    return answer


def _from_this_process(ask: _Ask) -> tuple[int, int]:
    """The same bucket, of this process alone."""
    allowance, now = ask.hand.allowance, time.monotonic()
    tokens, since = ask.hand.local
    tokens = min(allowance.burst, tokens + (now - since) * allowance.per_second)
    tokens = max(tokens - ask.owed, -allowance.burst)
    given = max(0, min(ask.wanted, int(tokens)))
    ask.hand.local = (tokens - given, now)
    return given, max(0, int(tokens - given))
