"""Who signs in has password and second factor, at one terminal, for one shift; guessing gets nobody anywhere."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from argon2 import PasswordHasher

from services.card.adapters.passwords import Passwords
from services.card.domain.actor import Role
from services.card.domain.staff import good_password, separate
from services.card.handlers.sign_in import Accounts, NewAccount, SignedIn, SignIn
from services.common.errors import DomainError
from services.common.peer import Peer, Subject
from tests.support.cardholders import CLERK, Registry
from tests.support.hall import Owner
from tests.support.town import now_ms

PEER = Peer(Subject("CITY-HALL", "WINDOW-1"), "abc")
OTHER = Peer(Subject("CITY-HALL", "WINDOW-2"), "def")
NEW = "a longer password"


class Staff:
    """Accounts and their way in, on a database of one's own."""

    def __init__(self, registry: Registry) -> None:
        self.passwords = Passwords(registry.vault, PasswordHasher(1, 64, 1))
        self.accounts = Accounts(registry.engine, registry.vault, self.passwords)
        self.signing = SignIn(registry.engine, registry.vault, self.passwords, registry.settings.staff)
        self.now = now_ms()

    def code(self, account: NewAccount, steps: int = 0) -> str:
        secret = parse_qs(urlsplit(account.totp_uri).query)["secret"][0]
        return pyotp.TOTP(secret).at(self.now // 1000 + 30 * steps)

    async def sign_in(
        self, account: NewAccount, password: str = "", code: str = "", new: str = "", peer: Peer = PEER, login: str = "k001"
    ) -> SignedIn:
        return await self.signing(login, password or account.password, code or self.code(account), new, peer, self.now)


@pytest.fixture
async def staff(registry: Registry) -> AsyncIterator[Staff]:
    made = Staff(registry)
    yield made
    made.passwords.close()


async def clerk(staff: Staff) -> NewAccount:
    return await staff.accounts.create("k001", "440703-01", frozenset({Role.CLERK}), CLERK)


async def reason(work: object) -> str:
    with pytest.raises(DomainError) as refused:
        await work  # type: ignore[misc]
    return refused.value.reason


async def test_the_first_sign_in_changes_the_password_and_later_ones_take_the_new_one(staff: Staff, owner: Owner) -> None:
    account = await clerk(staff)
    assert await reason(staff.sign_in(account)) == "PASSWORD_MUST_CHANGE"
    for weak in ("short", "k001 and more", "aaaaaaaaaaaa", account.password):
        assert await reason(staff.sign_in(account, new=weak)) == "PASSWORD_TOO_WEAK"
    signed = await staff.sign_in(account, new=NEW)
    assert signed.actor.roles == {Role.CLERK}
    assert (signed.actor.terminal, signed.actor.outlet) == (PEER.subject.uri, "440703-01")
    staff.now += 30_000
    assert await reason(staff.sign_in(account)) == "SIGN_IN_REFUSED"
    again = await staff.sign_in(account, NEW, peer=OTHER)
    assert again.token != signed.token
    ended = await owner.fetch("select ended_by from card.shift order by id")
    assert [row[0] for row in ended] == [2, None]  # one shift a person: the new one ended the old
    await staff.signing.sign_out(again.actor, staff.now)
    assert await owner.fetchval("select count(*) from card.shift where end_time is null") == 0
    acts = [row[0] for row in await owner.fetch("select act from card.audit order by id")]
    assert acts == [
        "staff.create", *["staff.password_not_changed"] * 5, "staff.sign_in", "staff.wrong_password", "staff.sign_in",
        "staff.sign_out",
    ]  # fmt: skip


async def test_64_guesses_at_once_get_no_more_tries_than_the_city_allows(
    staff: Staff, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await clerk(staff)
    await staff.sign_in(account, new=NEW)
    staff.now += 30_000
    looked_at = []
    matches = staff.passwords.matches

    async def watched(login: str, password: str, stored: object) -> bool:
        looked_at.append(stored is not None)
        return await matches(login, password, stored)  # type: ignore[arg-type]

    monkeypatch.setattr(staff.passwords, "matches", watched)
    guesses = [staff.sign_in(account, f"a guessed password {n}") for n in range(63)]
    heard = await asyncio.gather(*guesses, staff.sign_in(account, NEW, "000000"), return_exceptions=True)
    assert {getattr(one, "reason", one) for one in heard} <= {"SIGN_IN_REFUSED", "TOO_MANY_SIGN_INS"}
    assert sum(looked_at) == 6
    assert await reason(staff.sign_in(account, NEW)) == "SIGN_IN_REFUSED"  # also the right one, until somebody unlocks it
    assert await owner.fetchval("select failures from card.staff") == 6
    acts = [row[0] for row in await owner.fetch("select act from card.audit where detail ->> 'staff' is not null order by id")]
    assert sorted(acts[1:]) == ["staff.lock", *["staff.wrong_password"] * 6]  # behind staff.create


async def test_who_got_in_nowhere_is_written_down_by_number_and_never_by_what_was_typed(staff: Staff, owner: Owner) -> None:
    account = await clerk(staff)
    await staff.sign_in(account, new=NEW)
    await reason(staff.sign_in(account, NEW))  # the code was used
    staff.now += 30_000
    await reason(staff.sign_in(account, "a guessed password"))
    await reason(staff.sign_in(account, NEW, "000000"))
    await reason(staff.sign_in(account, NEW, login="zhangsan"))
    rows = await owner.fetch("select actor, act, terminal, detail::text from card.audit where id > 2 order by id")
    known, terminal = f'{{"staff": {account.staff}}}', PEER.subject.uri
    assert [tuple(row) for row in rows] == [
        (f"terminal:{terminal}", act, terminal, detail)
        for act, detail in (
            ("staff.wrong_code", known),
            ("staff.wrong_password", known),
            ("staff.wrong_code", known),
            ("staff.wrong_password", "{}"),
        )
    ]


async def test_a_code_is_good_once_and_at_most_a_step_away(staff: Staff) -> None:
    account = await clerk(staff)
    heard = await asyncio.gather(*(staff.sign_in(account, new=NEW) for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in heard) == ["DomainError", "SignedIn"]
    staff.now += 60_000
    for steps in (-2, 2):
        assert await reason(staff.sign_in(account, NEW, staff.code(account, steps))) == "SIGN_IN_REFUSED"
    await staff.sign_in(account, NEW, staff.code(account, 1))
    assert await reason(staff.sign_in(account, NEW, staff.code(account))) == "SIGN_IN_REFUSED"  # an older one is over, too


async def test_a_code_of_full_width_digits_is_read_and_one_of_other_characters_is_wrong(staff: Staff) -> None:
    account = await clerk(staff)
    for strange in ("١٢٣٤٥٦", "一二三四五六", "12345é"):
        assert await reason(staff.sign_in(account, code=strange, new=NEW)) == "SIGN_IN_REFUSED"
    full_width = staff.code(account).translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})
    assert (await staff.sign_in(account, code=full_width, new=NEW)).token


async def test_nobody_learns_whether_a_login_exists_and_an_empty_password_is_none(staff: Staff) -> None:
    account = await clerk(staff)
    assert await reason(staff.sign_in(account, login="k999")) == "SIGN_IN_REFUSED"
    assert await reason(staff.sign_in(account, "wrong")) == "SIGN_IN_REFUSED"
    assert await reason(staff.signing("k001", "", staff.code(account), "", PEER, staff.now)) == "SIGN_IN_REFUSED"
    assert await reason(staff.signing("k001", account.password, "", "", PEER, staff.now)) == "SIGN_IN_REFUSED"


async def test_there_is_one_first_administrator_however_many_try(staff: Staff, owner: Owner) -> None:
    tries = (staff.accounts.create_first(f"admin-{n}") for n in range(8))
    heard = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, NewAccount) for one in heard) == 1
    assert {getattr(one, "reason", "") for one in heard} == {"", "NOT_THE_FIRST"}
    assert await owner.fetchval("select roles from card.staff") == [Role.SECURITY_ADMINISTRATOR]


async def test_nobody_holds_two_administrations_whatever_is_asked(staff: Staff, owner: Owner) -> None:
    both = frozenset({Role.AUDITOR, Role.SECURITY_ADMINISTRATOR})
    assert await reason(staff.accounts.create("k002", "", both, CLERK)) == "ROLES_NOT_SEPARATE"
    account = await clerk(staff)
    with pytest.raises(Exception, match="administrators_are_separate"):
        await owner.execute("update card.staff set roles = '{6, 8}' where id = $1", account.staff)
    assert await reason(staff.accounts.create("k001", "", frozenset({Role.CLERK}), CLERK)) == "LOGIN_TAKEN"
    assert await reason(staff.accounts.create("张三", "", frozenset({Role.CLERK}), CLERK)) == "BAD_LOGIN"
    assert separate(frozenset({Role.CLERK, Role.AUDITOR}))


def test_a_password_is_long_and_not_the_login() -> None:
    assert good_password("k001", NEW)
    assert not good_password("k001", "k001 k001 k001")
    assert not good_password("k001", "abababababab")


async def test_neither_password_nor_secret_is_stored_or_shown(staff: Staff, owner: Owner) -> None:
    account = await clerk(staff)
    secret = parse_qs(urlsplit(account.totp_uri).query)["secret"][0]
    row = await owner.fetchval("select s::text from card.staff s")
    for told in (account.password, secret):
        assert told not in row
        assert told.encode().hex() not in row
        assert told not in repr(account)
