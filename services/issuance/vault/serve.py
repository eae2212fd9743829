"""The vault's process is put together here."""

from typing import Final

import uvloop

from services.common.database import make_engine
from services.common.keyvault.hardware import HardwareVault
from services.common.keyvault.software import SoftwareVault
from services.common.metrics_endpoint import show_metrics
from services.issuance.adapters.products import read_products
from services.issuance.migrations import SCHEMA
from services.issuance.vault.answering import Answering, at_once, in_thread
from services.issuance.vault.blanks import BlankTable
from services.issuance.vault.config import VaultConfig
from services.issuance.vault.leases import Leases
from services.issuance.vault.server import VaultServer

_SESSIONS: Final = 8


async def _serve(config: VaultConfig, roots: SoftwareVault | HardwareVault) -> None:
    engine = make_engine(config.database_url, SCHEMA.session("issuance-vault"), sessions=_SESSIONS, looked_at=True)
    leases = Leases(BlankTable(engine), read_products(config.products), roots.current)
    run = in_thread if isinstance(roots, HardwareVault) else at_once
    try:
        await VaultServer(Answering(roots, leases, run), leases, config.allowed).serve(config.socket)
    finally:
        await engine.dispose()


def run_vault(config: VaultConfig, roots: SoftwareVault | HardwareVault) -> None:
    """Until SIGTERM or SIGINT."""
    show_metrics(config.metrics_port)
    uvloop.run(_serve(config, roots))
