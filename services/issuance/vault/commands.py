"""`vault-serve`, and `chip-vault …`: the ceremonies of the roots of chips' keys."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import typer

from services.common.build import show_build
from services.common.database import make_engine
from services.common.keyvault.commands import open_vault, vault_commands
from services.common.keyvault.process import harden
from services.common.keyvault.vault import Purpose, VaultError
from services.common.logs import set_up_logs
from services.issuance.adapters.products import PRODUCTS, read_products
from services.issuance.migrations import SCHEMA
from services.issuance.vault.config import VaultConfig
from services.issuance.vault.operations import IRK, roots_for


def vault_app() -> typer.Typer:
    """Commands for the issuance service's command line, all beside its own."""
    app = typer.Typer()
    app.command("vault-serve")(vault_serve)
    app.add_typer(vault_commands("issuance-chips", _roots, _needed_by), name="chip-vault")
    return app


def vault_serve() -> None:
    """Compute what chips want to hear, for blanks that records hold, until SIGTERM. It alone has the roots of their keys."""
    from services.issuance.vault.serve import run_vault  # noqa: PLC0415 - it takes its time to import

    harden()
    set_up_logs("issuance-vault")
    show_build()
    config = VaultConfig.from_environment()
    run_vault(config, open_vault(config.vault, config.pin))


def _roots() -> Mapping[str, Purpose]:
    return roots_for(read_products(Path(os.environ.get("ONECARD_PRODUCTS") or PRODUCTS)))


def _needed_by(label: str, version: int) -> str:
    """Asked of the database, so that nobody destroys what people carry in their pockets."""
    if label.endswith(f".{IRK}"):
        return "the identifiers that were made with it: they are not genuine any more"
    from services.issuance.vault.blanks import BlankTable  # noqa: PLC0415

    url = os.environ.get("ONECARD_VAULT_DATABASE_URL")
    if not url:
        raise VaultError("ONECARD_VAULT_DATABASE_URL is not set: it tells which chips still have keys of a root")

    async def ask() -> int:
        engine = make_engine(url, SCHEMA.session("issuance-vault"), sessions=1)
        try:
            return await BlankTable(engine).needed(label, version)
        finally:
            await engine.dispose()

    chips = asyncio.run(ask())
    return f"{chips} chips that have keys of it" if chips else ""
