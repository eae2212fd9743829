"""Do what is asked once: a repeat of a request hears the first answer, another request under the same id is told so."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import DatabaseError, Trouble, driver_session, driver_transaction, trouble
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by

A = TypeVar("A")

_MOST_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.01
_KNOWN: Final = "select digest, response from {schema}.request where caller = $1 and request_id = $2"
_KEEP: Final = "insert into {schema}.request (caller, request_id, digest, response) values ($1, $2, $3, $4)"

Digests: TypeAlias = Callable[[str, bytes], list[bytes]]
"""Of a method and its request, by which a repeat is known: under each version of a key, if there is one, the newest last."""


async def transact(engine: AsyncEngine, act: Callable[["asyncpg.Connection[Any]"], Awaitable[A]]) -> A:
    """Do something in one transaction; when it lost a race, from the beginning, a moment later."""
    for attempt in range(_MOST_TRIES):
        try:
            async with driver_transaction(engine) as driver:
                return await act(driver)
        except DatabaseError as error:
            if trouble(error) is not Trouble.AGAIN:
                raise
        await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * (attempt + 1)))  # noqa: S311 - nobody gains by guessing it
    raise DomainError(Code.UNAVAILABLE, "TOO_MANY_AT_ONCE", "办理人数过多，请稍后再试")


class Once:
    """Requests by (caller, id). The answer is kept in the act's own transaction; it holds nothing personal."""

    def __init__(self, engine: AsyncEngine, schema: str, digests: Digests, at: AtPoint = pass_by) -> None:
        """`schema`: of the service, with a table `request`."""
        self._engine = engine
        self._digests = digests
        self._at = at
        self._known, self._keep = _KNOWN.format(schema=schema), _KEEP.format(schema=schema)

    async def __call__(
        self,
        caller: str,
        request_id: str,
        method: str,
        request: bytes,
        kind: type[A],
        act: Callable[["asyncpg.Connection[Any]"], Awaitable[A]],
        *,
        final: Callable[[A], bool] = lambda _: True,
    ) -> A:
        """The answer to a request: of `act`, or of the time when it was asked first. Raises DomainError for another request.

        An answer that is not final is not kept: the same request is carried out when it comes again.
        """
        digests = self._digests(method, request)

        async def once(driver: "asyncpg.Connection[Any]") -> A:
            if (known := await self._heard(driver, caller, request_id, digests, kind)) is not None:
                return known
            answer = await act(driver)
            if final(answer):
                await driver.execute(self._keep, caller, request_id, digests[-1], msgspec.msgpack.encode(answer))
            await self._at(f"{method} written")
            return answer

        answer = await transact(self._engine, once)
        await self._at(f"{method} committed")
        return answer

    async def heard(self, caller: str, request_id: str, method: str, request: bytes, kind: type[A]) -> A | None:
        """The answer of the time when it was asked first, where asking again has a price. Raises DomainError as above."""
        async with driver_session(self._engine) as driver:
            return await self._heard(driver, caller, request_id, self._digests(method, request), kind)

    async def _heard(
        self, driver: "asyncpg.Connection[Any]", caller: str, request_id: str, digests: list[bytes], kind: type[A]
    ) -> A | None:
        known = await driver.fetchrow(self._known, caller, request_id)
        if known is None:
            return None
        if known[0] not in digests:
            raise DomainError(Code.ALREADY_EXISTS, "REQUEST_ID_USED", "该请求编号已用于另一笔业务")
        return msgspec.msgpack.decode(known[1], type=kind)
