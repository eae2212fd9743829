"""Staff accounts and their shifts in PostgreSQL."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.passwords import StoredPassword
from services.card.adapters.shifts import token_digest
from services.card.domain.actor import Role
from services.card.domain.staff import Ending
from services.common.clock import instant

_TRY: Final = """
update card.staff set failures = failures + 1 where login = $1 and state = 1 and failures < $2
returning id, outlet, roles, password, password_key_version, must_change, totp, totp_key_version"""
_ACCEPT: Final = "update card.staff set failures = 0, totp_step = $2 where id = $1 and totp_step < $2"
_CHANGE: Final = "update card.staff set password = $2, password_key_version = $3, must_change = false where id = $1"
_LOGINS: Final = "select login from card.staff"
_ADD: Final = """
insert into card.staff (login, outlet, roles, password, password_key_version, totp, totp_key_version)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning id"""
_ANY: Final = "select exists (select from card.staff)"
_END: Final = "update card.shift set end_time = $2, ended_by = $3 where staff = $1 and end_time is null"
_BEGIN: Final = """
insert into card.shift (token, staff, terminal, serial, outlet, begin_time, expire_time)
values ($1, $2, $3, $4, $5, $6, $7) returning id"""
_UNLOCK: Final = "update card.staff set failures = 0 where id = $1"


class Account(NamedTuple):
    """Somebody who may try to sign in."""

    id: int
    outlet: str
    roles: frozenset[Role]
    password: StoredPassword
    must_change: bool
    totp: bytes
    """The second factor's secret, wrapped."""
    totp_key_version: int


async def take_try(driver: "asyncpg.Connection[Any]", login: str, most: int) -> Account | None:
    """Count a try, before anything is looked at; None: nobody of this name, or no try is left."""
    row = await driver.fetchrow(_TRY, login, most)
    if row is None:
        return None
    id_, outlet, roles, password, version, must_change, totp, totp_version = row
    return Account(id_, outlet, frozenset(map(Role, roles)), StoredPassword(password, version), must_change, totp, totp_version)


async def accept(driver: "asyncpg.Connection[Any]", staff: int, totp_step: int) -> bool:
    """The tries are forgotten; False when the step of the second factor, or a later one, was used before."""
    return bool((await driver.execute(_ACCEPT, staff, totp_step)) == "UPDATE 1")


async def change_password(driver: "asyncpg.Connection[Any]", staff: int, password: StoredPassword) -> None:
    """Another password."""
    await driver.execute(_CHANGE, staff, *password)


async def anybody(driver: "asyncpg.Connection[Any]") -> bool:
    """Whether there is an account at all."""
    return bool(await driver.fetchval(_ANY))


async def logins(driver: "asyncpg.Connection[Any]") -> frozenset[str]:
    """Of everybody who ever worked here."""
    return frozenset(row[0] for row in await driver.fetch(_LOGINS))


async def add_staff(
    driver: "asyncpg.Connection[Any]",
    login: str,
    outlet: str,
    roles: Iterable[Role],
    password: StoredPassword,
    totp: tuple[int, bytes],
) -> int | None:
    """A new account; None when the login is taken."""
    version, blob = totp
    number: int | None = await driver.fetchval(_ADD, login, outlet, sorted(roles), *password, blob, version)
    return number


async def end_shifts(driver: "asyncpg.Connection[Any]", staff: int, ending: Ending, now_ms: int) -> None:
    """End whatever shift somebody has open."""
    await driver.execute(_END, staff, instant(now_ms), ending)


async def begin_shift(
    driver: "asyncpg.Connection[Any]",
    token: str,
    staff: int,
    terminal: str,
    serial: str,
    outlet: str,
    now_ms: int,
    until_ms: int,
) -> int:
    """A shift, bound to a terminal's certificate."""
    number: int = await driver.fetchval(
        _BEGIN, token_digest(token), staff, terminal, serial, outlet, instant(now_ms), instant(until_ms)
    )
    return number


async def unlock(driver: "asyncpg.Connection[Any]", staff: int) -> None:
    """Give tries back."""
    await driver.execute(_UNLOCK, staff)
