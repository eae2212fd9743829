"""The card service's registry of one measured state: a fresh database, in which a clerk is signed in at a window."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import pyotp
from argon2 import PasswordHasher

from bench.api_process import tls_of
from bench.database import driver_url
from bench.people import OUTLET
from bench.stage import Stage, named, nothing_foreign
from cli.authority import Authority, read
from services.card.adapters.city_settings import read_city_settings
from services.card.adapters.passwords import Passwords
from services.card.adapters.sealing import Sealing
from services.card.config import settings_file
from services.card.domain.actor import Actor, Role
from services.card.handlers.migrate import migrate
from services.card.handlers.sign_in import Accounts, SignIn
from services.card.keys import KEYS
from services.common.clock import now_ms
from services.common.database import make_engine
from services.common.keyvault.software import Hardness, create_token
from services.common.peer import Peer, Subject

WINDOW: Final = Subject("CITY-HALL", "WINDOW-1").uri
_SERVICE: Final = "onecard://service/card"
REGISTRY: Final = "card"
"""The database of which every registry is a copy."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A database, and a connection of its owner."""

    application_url: str
    connection: "asyncpg.Connection[Any]"
    environment: Mapping[str, str]
    """What a card process reads."""


class CardOffice:
    """What all registries of a run share: the vault, the certificates, and the clerk who is signed in."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._pin = secrets.token_hex(16)
        self._vault = create_token(
            stage.folder / "card.token", "card", self._pin, secrets.token_hex(16), development=True, hardness=Hardness(1, 64, 1)
        )
        for label, purpose in KEYS.items():
            self._vault.add_version(label, purpose)
        self.sealing = Sealing(self._vault)
        self.settings = read_city_settings(settings_file({}))
        self.authority = Authority(stage.folder / "card-authority")
        self.window = self.authority.issue(WINDOW)
        self.clerk: Actor
        self.token = ""

    async def prepare(self) -> None:
        """Make the schema once, and sign a clerk in: every registry is a copy of that."""
        owner_url = self._stage.postgres.owner_url
        owner = await asyncpg.connect(named(driver_url(owner_url), "postgres"))
        await owner.execute(f"create database {REGISTRY}")
        await owner.close()
        await migrate(named(owner_url, REGISTRY))
        engine = make_engine(named(self._stage.postgres.url_of("card"), REGISTRY), "bench-seed", sessions=1)
        passwords = Passwords(self._vault, PasswordHasher())
        (account,) = await Accounts(engine, self._vault, passwords).create_for_show({"clerk-1": Role.CLERK}, OUTLET)
        signed_in = await SignIn(engine, self._vault, passwords, self.settings.staff)(
            account.login,
            account.password,
            pyotp.TOTP(account.totp_secret).now(),
            "",
            Peer(Subject.parse(WINDOW), read(self.window.certificate).serial),
            now_ms(),
        )
        self.clerk, self.token = signed_in.actor, signed_in.token
        passwords.close()
        await engine.dispose()

    @asynccontextmanager
    async def registry(self, template: str = REGISTRY) -> AsyncIterator[Registry]:
        """A registry without people, or a copy of `template`; gone when the block ends."""
        async with self._stage.copy_of(template) as name:
            application_url = named(self._stage.postgres.url_of("card"), name)
            owner = await asyncpg.connect(named(driver_url(self._stage.postgres.owner_url), name))
            try:
                yield Registry(application_url, owner, self._environment(application_url))
            finally:
                await owner.close()

    def _environment(self, application_url: str) -> dict[str, str]:
        return {
            **nothing_foreign(),
            "ONECARD_DATABASE_URL": application_url,
            "ONECARD_KAFKA": self._stage.broker.bootstrap,
            "ONECARD_VAULT": str(self._vault.file),
            "ONECARD_VAULT_PIN": self._pin,
            **tls_of(_SERVICE, self.authority),
        }
