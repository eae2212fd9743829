"""Staff accounts and their shifts in PostgreSQL."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.passwords import StoredPassword
from services.card.adapters.shifts import token_digest
from services.card.domain.actor import Role
from services.card.domain.staff import Ending, StaffState
from services.common.clock import instant

_TRY: Final = """
update card.staff set failures = failures + 1 where login = $1 and state = 1 and failures < $2
returning id, outlet, roles, password, password_key_version, must_change, totp, totp_key_version, failures"""
_USED_UP: Final = "select failures >= $2 from card.staff where id = $1 for no key update"
_ACCEPT: Final = """
update card.staff set failures = 0, totp_step = $2 where id = $1 and totp_step < $2 and state = 1 and password = $3"""
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
_LOCK: Final = (
    "select id, login, outlet, roles, state from card.staff where id = any($1::bigint[]) order by id for no key update"
)
_STORE: Final = "update card.staff set state = $2, outlet = $3, roles = $4 where id = $1"
_UNLOCK: Final = "update card.staff set failures = 0 where id = $1"
_RESET: Final = """
update card.staff set password = $2, password_key_version = $3, must_change = true, totp = $4, totp_key_version = $5,
    totp_step = 0, failures = 0
where id = $1"""
_SELECT: Final = """
select t.id, t.login, t.outlet, t.roles, t.state, t.failures, coalesce(s.terminal, '')
from card.staff t left join card.shift s on s.staff = t.id and s.end_time is null and s.expire_time > now()"""
_LIST: Final = _SELECT + " where t.id > $1 order by t.id limit $2"
_BY_ID: Final = _SELECT + " where t.id = $1"


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
    tried: int
    """Tries in a row, with this one."""


class Member(NamedTuple):
    """Somebody of the staff, as their account says."""

    id: int
    login: str
    outlet: str
    roles: frozenset[Role]
    state: StaffState


class Seen(NamedTuple):
    """Somebody of the staff, and how things stand with them."""

    member: Member
    failures: int
    """Wrong passwords in a row."""
    at_terminal: str
    """Of the open shift; empty for none."""


async def take_try(driver: "asyncpg.Connection[Any]", login: str, most: int) -> Account | None:
    """Count a try, before anything is looked at; None: nobody of this name, or no try is left."""
    row = await driver.fetchrow(_TRY, login, most)
    if row is None:
        return None
    id_, outlet, roles, password, version, *rest = row
    return Account(id_, outlet, frozenset(map(Role, roles)), StoredPassword(password, version), *rest)


async def used_up(driver: "asyncpg.Connection[Any]", staff: int, most: int) -> bool:
    """Whether no try is left, with the account locked: nobody signs in meanwhile."""
    return bool(await driver.fetchval(_USED_UP, staff, most))


async def accept(driver: "asyncpg.Connection[Any]", account: Account, totp_step: int) -> bool:
    """The tries are forgotten. False when the step of the second factor, or a later one, was used before, or the account was
    changed since it was read."""
    return bool((await driver.execute(_ACCEPT, account.id, totp_step, account.password.encoded)) == "UPDATE 1")


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


async def lock_staff(driver: "asyncpg.Connection[Any]", numbers: Iterable[int]) -> dict[int, Member]:
    """Accounts by number, one lock after the other, so that two who change each other's do not stand in each other's way."""
    return {row[0]: _member(row) for row in await driver.fetch(_LOCK, list(numbers))}


async def store_staff(driver: "asyncpg.Connection[Any]", member: Member) -> None:
    """An account as it is now."""
    await driver.execute(_STORE, member.id, member.state, member.outlet, sorted(member.roles))


async def unlock(driver: "asyncpg.Connection[Any]", staff: int) -> None:
    """Give tries back."""
    await driver.execute(_UNLOCK, staff)


async def store_secrets(
    driver: "asyncpg.Connection[Any]", staff: int, password: StoredPassword, totp: tuple[int, bytes]
) -> None:
    """Another password, to be changed, and another second factor."""
    version, blob = totp
    await driver.execute(_RESET, staff, *password, blob, version)


async def list_staff(driver: "asyncpg.Connection[Any]", *, after: int, limit: int) -> list[Seen]:
    """Everybody behind a number."""
    return [_seen(row) for row in await driver.fetch(_LIST, after, limit)]


async def read_staff(driver: "asyncpg.Connection[Any]", number: int) -> Seen | None:
    """Somebody."""
    row = await driver.fetchrow(_BY_ID, number)
    return _seen(row) if row else None


def _member(row: Any) -> Member:
    id_, login, outlet, roles, state = row
    return Member(id_, login, outlet, frozenset(map(Role, roles)), StaffState(state))


def _seen(row: Any) -> Seen:
    *member, failures, terminal = row
    return Seen(_member(member), failures, terminal)
