"""A box as the simulated factory makes it, held against the vault's own process: genuine to the last byte, or not taken."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.issuance.vault.client import VaultClient
from simulation.chips.factory import Factory, delivery_file
from simulation.chips.kind import read_kinds
from tests.support.blank_desk import open_desk
from tests.support.edge import reason_of
from tests.support.town import Database
from tests.support.vault_process import VaultProcess


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    return Factory.keep(tmp_path / "factory.json", "440700")


@pytest.fixture
async def vault(tmp_path: Path, factory: Factory, database: Database) -> AsyncIterator[VaultProcess]:
    process = VaultProcess(tmp_path, database)
    done = process.run("chip-vault", "create", "--development", "--keys-from", str(tmp_path / "factory.json"))
    assert done.returncode == 0, done.stderr
    await process.start()
    yield process
    process.end()


async def test_what_the_factory_made_is_taken_and_what_it_did_not_is_named(
    vault: VaultProcess, factory: Factory, issuance_engine: AsyncEngine, tmp_path: Path
) -> None:
    kind = read_kinds()["ssc3"]
    stranger = Factory.keep(tmp_path / "stranger.json", "440700")
    box = list(factory.make(kind, 1, 30))
    chips = VaultClient(vault.socket, patience=60)
    async with open_desk(issuance_engine, check=chips.check_identifiers) as desk:
        keeper = desk.keeper()
        (forged,) = stranger.make(kind, 7, 1)
        mixed = [*box[:6], forged, *box[7:]]
        refused = await keeper.deliver(delivery_file("BOX-1", "ssc3", "FACTORY", mixed))
        assert [(fault.line, fault.reason, fault.serial) for fault in refused.faults] == [
            (8, "IDENTIFIER_NOT_GENUINE", forged.serial)
        ]
        taken = await keeper.deliver(delivery_file("BOX-1", "ssc3", "FACTORY", box))
        assert (taken.moved.count, list(taken.faults)) == (30, [])
    await chips.close()


async def test_without_the_vault_no_delivery_is_taken(issuance_engine: AsyncEngine, tmp_path: Path, factory: Factory) -> None:
    chips = VaultClient(tmp_path / "nobody.sock", patience=0.1)
    box = delivery_file("BOX-1", "ssc3", "FACTORY", list(factory.make(read_kinds()["ssc3"], 1, 2)))
    async with open_desk(issuance_engine, check=chips.check_identifiers) as desk:
        with pytest.raises(grpc.aio.AioRpcError) as away:
            await desk.keeper().deliver(box)
    assert (away.value.code(), reason_of(away.value)) == (grpc.StatusCode.UNAVAILABLE, "VAULT_AWAY")
