"""The vault ends, rather than serve without looking or without its token; nobody waits for an answer that never comes."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.common.keyvault.vault import BlockKey, TokenGoneError, VaultError
from services.issuance.domain.effects import AskVault, Cryptogram, Generation, KeyUse, Operation
from services.issuance.domain.product import Product
from services.issuance.vault.answering import Answering
from services.issuance.vault.blanks import Held
from services.issuance.vault.client import ChipLease, VaultAwayError, VaultClient
from services.issuance.vault.leases import Leases
from services.issuance.vault.server import VaultServer
from tests.support.tokens_of_chips import software_token
from tests.support.waiting import until
from tests.unit.issuance.vault.test_leases import HELD, OPEN, PRODUCT, UPDATE, Table

ASKED = AskVault(Operation.EXTERNAL_AUTHENTICATE, KeyUse(UPDATE.address, Generation.FINAL), bytes(16))


class Broken(Table):
    """A table that is not what it was."""

    broken = False

    async def held(self, records: Sequence[int]) -> Mapping[int, Held]:
        if self.broken:
            raise ValueError("99 is no state of a record")
        return await super().held(records)


class Pulled:
    """A token that was pulled out."""

    development = False

    @contextmanager
    def use(self, label: str, version: int, factor: bytes = b"") -> Iterator[BlockKey]:
        raise TokenGoneError("the token did not do it")
        yield

    def current(self, label: str) -> int:
        return 1

    def versions(self, label: str) -> tuple[int, ...]:
        return (1,)


@dataclass
class Running:
    client: VaultClient
    serving: asyncio.Task[None]
    table: Broken


@asynccontextmanager
async def running(folder: Path, *, pulled: bool = False, products: tuple[Product, ...] = (PRODUCT,)) -> AsyncIterator[Running]:
    roots = Pulled() if pulled else software_token(folder, products, {})
    table = Broken({7: HELD})
    leases = Leases(table, products, roots.current)
    path = folder / "vault.sock"
    serving = asyncio.create_task(VaultServer(Answering(roots, leases), leases).serve(path))
    await until("it serves", lambda: path.exists() or serving.done())
    client = VaultClient(path, patience=0)
    yield Running(client, serving, table)
    await client.close()
    serving.cancel()
    await asyncio.wait([serving])


async def test_a_vault_whose_token_was_pulled_out_ends_so_that_it_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, pulled=True) as vault:
        lease = ChipLease(vault.client, OPEN)
        assert await lease.open() is None
        with pytest.raises(VaultAwayError):
            await lease.ask(ASKED, 1)
        with pytest.raises(VaultError, match="has gone"):
            await vault.serving
        assert not (tmp_path / "vault.sock").exists()


async def test_a_vault_that_cannot_look_at_its_leases_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as vault:
        lease = ChipLease(vault.client, OPEN)
        assert await lease.open() is None
        assert isinstance(await lease.ask(ASKED, 1), Cryptogram)
        vault.table.broken = True
        with pytest.raises(ValueError, match="no state"):
            await vault.serving
        with pytest.raises(VaultAwayError):
            await lease.ask(ASKED, 2)


async def test_many_ask_at_once_on_one_connection_and_each_hears_its_own_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as vault:
        lease = ChipLease(vault.client, OPEN)
        assert await lease.open() is None
        asked = [
            AskVault(Operation.EXTERNAL_AUTHENTICATE, KeyUse(UPDATE.address, Generation.FINAL), bytes([n]) * 16)
            for n in range(16)
        ]
        heard = await asyncio.gather(*(lease.ask(question, 1) for question in asked))
        assert len({answer.data for answer in heard if isinstance(answer, Cryptogram)}) == 16
        again = await asyncio.gather(*(lease.ask(question, 1) for question in asked))
        assert not any(isinstance(answer, Cryptogram) for answer in again)  # counted


async def test_a_fault_while_answering_ends_the_connection_and_not_the_vault(tmp_path: Path) -> None:
    async with running(tmp_path) as vault:
        assert not (await vault.client.check_identifiers("ssc3", ["00" * 16]))[0]
        vault.table.broken = True
        with pytest.raises(VaultAwayError):
            await ChipLease(vault.client, OPEN).open()
        vault.table.broken = False
        assert await ChipLease(vault.client, OPEN).open() is None
