"""Sign in: password and second factor, at one terminal, for one shift. And the accounts with which that can be done."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg
import pyotp
from pyotp.utils import strings_equal
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit, staff
from services.card.adapters.passwords import Passwords, StoredPassword
from services.card.domain.actor import Actor, ActorKind, Role
from services.card.domain.refusal import Refusal
from services.card.domain.settings import StaffRules
from services.card.domain.staff import LEAST_PASSWORD, Ending, StaffVerb, good_password
from services.card.handlers.manage_staff import check_roles, manage_staff, unknown_staff
from services.card.handlers.once import transact
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.keyvault.vault import KeyVault
from services.common.peer import Peer

_STEP_SECONDS: Final = 30
_HOUR_MS: Final = 3_600_000
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,31}")
WRAP_KEY: Final = "data"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody is signed in."""

    token: str = field(repr=False)
    expire_time_ms: int
    actor: Actor


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What its owner is told once, and nobody again."""

    staff: int
    password: str = field(repr=False)
    totp_uri: str = field(repr=False)
    """For an authenticator; it holds the secret."""


@dataclass(frozen=True, slots=True)
class ShownAccount:
    """Everything that it takes to sign in with an account that is for show."""

    login: str
    role: str
    outlet: str
    password: str = field(repr=False)
    totp_secret: str = field(repr=False)


class SignIn:
    """Every failure is answered alike, whoever it was and whatever was wrong."""

    def __init__(self, engine: AsyncEngine, vault: KeyVault, passwords: Passwords, rules: StaffRules) -> None:
        self._engine = engine
        self._vault = vault
        self._passwords = passwords
        self._rules = rules

    async def __call__(self, login: str, password: str, code: str, new_password: str, peer: Peer, now_ms: int) -> SignedIn:
        """A token for a shift. Raises DomainError; a try is counted, and committed, before anything is looked at."""
        async with driver_session(self._engine) as driver:
            account = await staff.take_try(driver, login, self._rules.wrong_passwords)
        right = await self._passwords.matches(login, password, account.password if account else None)
        step = self._step(account, login, code, now_ms) if account else None
        if not (account and right and step):
            await self._failed(account, "staff.wrong_code" if right else "staff.wrong_password", peer)
            raise _refused()
        if account.must_change and not new_password:
            await self._failed(account, "staff.password_not_changed", peer)
            message = f"首次登录须修改密码，新密码至少 {LEAST_PASSWORD} 位"
            raise DomainError(Code.FAILED_PRECONDITION, "PASSWORD_MUST_CHANGE", message)
        if new_password and (not good_password(login, new_password) or new_password == password):
            await self._failed(account, "staff.password_not_changed", peer)
            message = f"新密码至少 {LEAST_PASSWORD} 位，不能包含工号，也不能与原密码相同"
            raise DomainError(Code.INVALID_ARGUMENT, "PASSWORD_TOO_WEAK", message)
        stored = await self._passwords.store(login, new_password) if new_password else None
        token, until_ms = secrets.token_urlsafe(32), now_ms + self._rules.shift_hours * _HOUR_MS

        async def act(driver: "asyncpg.Connection[Any]") -> Actor | None:
            if not await staff.accept(driver, account, step):
                return None  # this code was used before, or the account was changed meanwhile
            if stored:
                await staff.change_password(driver, account.id, stored)
            await staff.end_shifts(driver, account.id, Ending.SIGNED_IN_ELSEWHERE, now_ms)
            shift = await staff.begin_shift(
                driver, token, account.id, peer.subject.uri, peer.serial, account.outlet, now_ms, until_ms
            )
            actor = Actor(ActorKind.STAFF, account.id, account.roles, shift, peer.subject.uri, account.outlet)
            await audit.record(driver, actor, "staff.sign_in", detail={"password_changed": int(stored is not None)})
            return actor

        actor = await transact(self._engine, act)
        if actor is None:
            await self._failed(account, "staff.wrong_code", peer)
            raise _refused()
        return SignedIn(token, until_ms, actor)

    async def sign_out(self, actor: Actor, now_ms: int) -> None:
        """End the shift."""

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            await staff.end_shifts(driver, actor.number, Ending.SIGNED_OUT, now_ms)
            await audit.record(driver, actor, "staff.sign_out")

        await transact(self._engine, act)

    async def _failed(self, account: staff.Account | None, act: str, peer: Peer) -> None:
        """Write down a try that got nobody in, and that it was the last one; whose account it was, never what was typed."""
        nobody = Actor(ActorKind.TERMINAL, terminal=peer.subject.uri)
        most = self._rules.wrong_passwords

        async def note(driver: "asyncpg.Connection[Any]") -> None:
            await audit.record(driver, nobody, act, detail={"staff": account.id} if account else None)
            if account and account.tried == most and await staff.used_up(driver, account.id, most):
                await audit.record(driver, nobody, "staff.lock", detail={"staff": account.id})

        await transact(self._engine, note)

    def _step(self, account: staff.Account, login: str, code: str, now_ms: int) -> int | None:
        """Which time step a code is of, also one of full-width digits; clocks may differ by one."""
        secret = self._vault.unwrap(WRAP_KEY, account.totp_key_version, account.totp, _bound_to(login)).decode()
        totp, now = pyotp.TOTP(secret, interval=_STEP_SECONDS), now_ms // 1000 // _STEP_SECONDS
        return next((s for s in (now, now - 1, now + 1) if strings_equal(totp.generate_otp(s), code)), None)


class Accounts:
    """Makes accounts; each is told its first password and its second factor once."""

    def __init__(self, engine: AsyncEngine, vault: KeyVault, passwords: Passwords) -> None:
        self._engine = engine
        self._vault = vault
        self._passwords = passwords

    async def create_first(self, login: str) -> NewAccount:
        """The first administrator of an installation. Raises DomainError when there is anybody already."""
        return await self._create(login, "", frozenset({Role.SECURITY_ADMINISTRATOR}), None)

    async def create(self, login: str, outlet: str, roles: frozenset[Role], actor: Actor) -> NewAccount:
        """An account, made by somebody who may. Raises DomainError."""
        return await self._create(login, outlet, roles, actor)

    async def reset(self, number: int, actor: Actor, now_ms: int) -> NewAccount | Refusal:
        """Another password and another second factor; the first ones are worth nothing any more. Raises DomainError."""
        async with driver_session(self._engine) as driver:
            seen = await staff.read_staff(driver, number)
        if seen is None:
            raise unknown_staff()
        told, stored, wrapped = await self._secrets(seen.member.login)

        async def act(driver: "asyncpg.Connection[Any]") -> NewAccount | Refusal:
            managed = await manage_staff(driver, number, StaffVerb.RESET, actor, now_ms)
            if managed.refusal:
                return managed.refusal
            await staff.store_secrets(driver, number, stored, wrapped)
            return replace(told, staff=number)

        return await transact(self._engine, act)

    async def create_for_show(self, wanted: Mapping[str, Role], outlet: str) -> list[ShownAccount]:
        """Accounts for an installation that shows itself on one machine, ready to sign in. Those that exist are left alone."""
        shown = []
        async with driver_session(self._engine) as driver:
            known = await staff.logins(driver)
        for login, role in wanted.items():
            if login not in known:
                made = await self._create(login, outlet, frozenset({role}), Actor(ActorKind.TIMER))
                async with driver_session(self._engine) as driver:
                    await staff.change_password(driver, made.staff, await self._passwords.store(login, made.password))
                shown.append(ShownAccount(login, role.name, outlet, made.password, pyotp.parse_uri(made.totp_uri).secret))
        return shown

    async def _create(self, login: str, outlet: str, roles: frozenset[Role], actor: Actor | None) -> NewAccount:
        if not _LOGIN.fullmatch(login):
            message = "工号由 2 至 32 位小写字母、数字和连字符组成"
            raise DomainError(Code.INVALID_ARGUMENT, "BAD_LOGIN", message)
        check_roles(roles)
        told, stored, wrapped = await self._secrets(login)

        async def act(driver: "asyncpg.Connection[Any]") -> int:
            if actor is None:
                await driver.execute("select pg_advisory_xact_lock(hashtext('card.first_administrator'))")
                if await staff.anybody(driver):
                    raise DomainError(Code.FAILED_PRECONDITION, "NOT_THE_FIRST", "there is an administrator already")
            number = await staff.add_staff(driver, login, outlet, roles, stored, wrapped)
            if number is None:
                raise DomainError(Code.ALREADY_EXISTS, "LOGIN_TAKEN", "该工号已存在")
            who = actor or Actor(ActorKind.STAFF, number)
            await audit.record(driver, who, "staff.create", detail={"staff": number, "roles": ",".join(r.name for r in roles)})
            return number

        return replace(told, staff=await transact(self._engine, act))

    async def _secrets(self, login: str) -> tuple[NewAccount, StoredPassword, tuple[int, bytes]]:
        """What its owner is told, and what is stored of it."""
        password, secret = secrets.token_urlsafe(12), pyotp.random_base32()
        uri = pyotp.TOTP(secret, interval=_STEP_SECONDS).provisioning_uri(name=login, issuer_name="onecard")
        wrapped = self._vault.wrap(WRAP_KEY, secret.encode(), _bound_to(login))
        return NewAccount(0, password, uri), await self._passwords.store(login, password), wrapped


def _refused() -> DomainError:
    return DomainError(Code.UNAUTHENTICATED, "SIGN_IN_REFUSED", "工号、密码或动态口令有误，或账号已锁定")


def _bound_to(login: str) -> bytes:
    return b"totp\n" + login.encode()
