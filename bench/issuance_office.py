"""Where cards are made: applications that wait, boxes of blanks at the window, and the processes that it takes."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg
import msgspec

from bench.api_process import serving, tls_of
from bench.cardholders import apply_for
from bench.database import driver_url
from bench.errors import BenchError, NotReconciledError
from bench.people import OUTLET
from bench.programs.issue import KIND, Script, Work
from bench.registry import REGISTRY, WINDOW, CardOffice, Registry
from bench.stage import Stage, named, nothing_foreign
from cli.servers.ports import HOST, free_port
from services.card.handlers.once import transact
from services.common.database import driver_session, driver_transaction, make_engine
from services.common.keyvault.software import Hardness, create_token
from services.issuance.adapters.blanks import Signed, add_place, enter, find_blanks
from services.issuance.adapters.boxes import Accounts, add_box
from services.issuance.adapters.delivery_file import read_delivery
from services.issuance.adapters.entries import unsound
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.record import RecordState
from services.issuance.handlers.migrate import migrate
from services.issuance.keys import KEYS
from simulation.chips.factory import Factory, delivery_file
from simulation.chips.kind import read_kinds

TEMPLATE: Final = "issuance"
_SERVICE: Final = "onecard://service/issuance"
_SIDE_BY_SIDE: Final = 8
_SOCKET_SECONDS: Final = 30.0
_SETTLED_SECONDS: Final = 60.0
"""In which the card service is told what it was not told by the streams."""
_PHOTO_BYTES: Final = 20_000
_SOCIAL_NORMAL: Final = 1
_MADE: Final = """
select count(*), count(distinct r.card), count(distinct r.application), count(distinct r.serial),
    count(*) filter (where r.state = $1 and b.state = $2 and c.social = $3 and c.application = r.application)
from issuance.record r join issuance.blank b on b.serial = r.serial
left join card.card c on c.card_identifier = b.card_identifier and c.id = r.card"""
_OWED: Final = "select count(*) from issuance.owed where done_time is null"


@dataclass(frozen=True, slots=True)
class Processes:
    """That make a card, by name."""

    address: str
    """Of issuance."""
    pids: Mapping[str, Sequence[int]]


class IssuanceOffice:
    """What all rounds share: two vaults, a factory, and a registry in which everybody has applied."""

    def __init__(self, stage: Stage, office: CardOffice) -> None:
        self._stage = stage
        self._office = office
        self._pin = secrets.token_hex(16)
        self._vault = create_token(
            stage.folder / "issuance.token",
            "issuance",
            self._pin,
            secrets.token_hex(16),
            development=True,
            hardness=Hardness(1, 64, 1),
        )
        for label, purpose in KEYS.items():
            self._vault.add_version(label, purpose)
        self._keys = stage.folder / "factory.json"
        self._socket = stage.folder / "chips.sock"
        self._applications: list[int] = []

    async def prepare(self, count: int) -> None:
        """Make both schemas once, with so many applications and blanks: every round is a copy of that."""
        chips = ("chip-vault", "create", "--development", "--keys-from", str(self._keys))
        city = self._office.settings.city.code
        factory = Factory.keep(self._keys, city)
        second = {"ONECARD_VAULT_SO_PIN": secrets.token_hex(16)}
        await self._stage.run("chip-vault", "services.issuance", *chips, env={**self._of_vault(TEMPLATE), **second})
        owner_url = self._stage.postgres.owner_url
        owner = await asyncpg.connect(named(driver_url(owner_url), "postgres"))
        await owner.execute(f"create database {TEMPLATE} template {REGISTRY}")
        await owner.close()
        await migrate(named(owner_url, TEMPLATE))
        await self._apply(count)
        blanks = list(factory.make(read_kinds()[KIND], 1, count))
        delivery, faults = read_delivery(delivery_file("BENCH-1", KIND, "BENCH", blanks), {KIND}, city)
        assert delivery is not None, f"the factory's file is right: {faults}"
        keeper = Signed(self._office.clerk.number, self._office.clerk.shift or 0, WINDOW)
        engine = make_engine(self._url("issuance", TEMPLATE), "bench-seed", sessions=1, patient=True)
        async with driver_transaction(engine) as driver:
            await add_box(driver, delivery, b"", Accounts(self._vault), keeper)
            await add_place(driver, WINDOW, OUTLET)
            boxed = await find_blanks(driver, sorted(blank.serial for blank in blanks))
            assigned = [(blank, BlankState.ASSIGNED) for blank in boxed]
            await enter(driver, assigned, Verb.ASSIGN, keeper, to=WINDOW)
        await engine.dispose()

    async def _apply(self, count: int) -> None:
        engine = make_engine(self._url("card", TEMPLATE), "bench-seed", sessions=_SIDE_BY_SIDE)
        numbers, found = iter(range(count)), dict[int, int]()
        photo = secrets.token_bytes(_PHOTO_BYTES)

        async def lane() -> None:
            for number in numbers:
                made = await apply_for(self._office, partial(transact, engine), number, photo)
                found[number] = made.application

        await asyncio.gather(*(lane() for _ in range(_SIDE_BY_SIDE)))
        await engine.dispose()
        self._applications = [found[number] for number in range(count)]

    def work(self, first: int, count: int, chip_seconds: float = 0.0, script: Script | None = None) -> Work:
        """So many cards, from the first-th application and blank on; `script`: for the empty stream, which knows none."""
        applications = list(range(count)) if script else self._applications[first : first + count]
        assert len(applications) == count, "as many have applied"
        city, token = self._office.settings.city.code, self._office.token
        return Work(str(self._keys), city, token, first + 1, applications, chip_seconds, script)

    @asynccontextmanager
    async def serving(self, registry: Registry) -> AsyncIterator[Processes]:
        """The card service, the vault of chips' keys, and issuance, each a process, for the time of the block."""
        stage, database = self._stage, registry.application_url.rsplit("/", 1)[1]
        card, ours = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
        env = {
            **nothing_foreign(),
            "ONECARD_DATABASE_URL": self._url("issuance", database),
            "ONECARD_KAFKA": stage.broker.bootstrap,
            "ONECARD_CARD": card,
            "ONECARD_VAULT": str(self._vault.file),
            "ONECARD_VAULT_PIN": self._pin,
            "ONECARD_VAULT_SOCKET": str(self._socket),
            **tls_of(_SERVICE, self._office.authority),
        }
        async with AsyncExitStack() as stack:
            vault = stack.enter_context(
                stage.process("chips-vault", "services.issuance", "vault-serve", env=self._of_vault(database))
            )
            async with asyncio.timeout(_SOCKET_SECONDS):
                while not self._socket.is_socket():
                    if not vault.alive:
                        raise BenchError(f"the vault of chips ended\n{vault.last_lines()}")
                    await asyncio.sleep(0.05)
            registered = serving(stage, "card-api", card, "services.card", "serve", env=registry.environment)
            desk = await stack.enter_async_context(registered)
            issuing = serving(stage, "issuance-api", ours, "services.issuance", "serve", env=env)
            api = await stack.enter_async_context(issuing)
            pids = {"issuance": [api.pid], "card": [desk.pid], "vault": [vault.pid]}
            yield Processes(ours, pids | {"postgresql": [stage.postgres.child.pid]})

    @asynccontextmanager
    async def empty_stream(self, script: Script) -> AsyncIterator[Processes]:
        """What answers without doing anything."""
        told, address = self._stage.folder / "script.msgpack", f"{HOST}:{free_port()}"
        told.write_bytes(msgspec.msgpack.encode(script))
        env = {**nothing_foreign(), **tls_of(_SERVICE, self._office.authority)}
        program = ("bench.programs.empty_stream", str(told))
        async with serving(self._stage, "empty-stream", address, *program, env=env) as child:
            yield Processes(address, {"issuance": [child.pid]})

    async def reconcile(self, registry: Registry, counted: int) -> None:
        """Every card that was counted is issued, one number on one card, and the ledger of blanks is sound."""
        end = time.monotonic() + _SETTLED_SECONDS
        while owed := await registry.connection.fetchval(_OWED):
            if time.monotonic() > end:
                raise NotReconciledError(f"of {counted} cards {owed} things were not told the card service")
            await asyncio.sleep(0.1)
        row = await registry.connection.fetchrow(_MADE, RecordState.ISSUED, BlankState.HANDED_OVER, _SOCIAL_NORMAL)
        assert row is not None
        if set(row) != {counted}:
            raise NotReconciledError(f"{counted} cards were made; records, cards, applications, blanks, issued: {tuple(row)}")
        engine = make_engine(self._url("issuance", registry.application_url.rsplit("/", 1)[1]), "bench", sessions=1)
        async with driver_session(engine) as driver:
            wrong = await unsound(driver)
        await engine.dispose()
        if wrong:
            raise NotReconciledError(f"blanks are not where the ledger put them: {wrong}")

    def _url(self, service: str, database: str) -> str:
        return named(self._stage.postgres.url_of(service), database)

    def _of_vault(self, database: str) -> dict[str, str]:
        return {
            **nothing_foreign(),
            "ONECARD_VAULT": str(self._stage.folder / "chips.token"),
            "ONECARD_VAULT_PIN": self._pin,
            "ONECARD_VAULT_SOCKET": str(self._socket),
            "ONECARD_VAULT_DATABASE_URL": self._url("issuance-vault", database),
        }
