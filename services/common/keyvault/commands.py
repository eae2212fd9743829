"""`vault …`: make a token, look at its keys, add and bring together keys. PINs and components are typed, never arguments."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from services.common.keyvault.software import (
    SoftwareVault,
    check_value,
    combine,
    create_token,
    open_token,
    unlock_token,
)
from services.common.keyvault.vault import Purpose, VaultError

out: Final = Console()

FileOption = Annotated[Path, typer.Option("--file", envvar="ONECARD_VAULT", help="the token's file")]
LabelArgument = Annotated[str, typer.Argument(help="the key's label: `vault show` lists them")]


def vault_commands(service: str, keys: Mapping[str, Purpose]) -> typer.Typer:
    """The commands for the token of a service that needs certain keys."""
    app = typer.Typer(no_args_is_help=True, help=f"The key vault of {service}: one file, opened with ONECARD_VAULT_PIN.")

    @app.command()
    def create(
        file: FileOption,
        development: Annotated[bool, typer.Option("--development", help="for one machine; refused off loopback")] = False,
    ) -> None:
        """Make the token with every key that the service needs.

        The PIN opens it at each start; the second PIN belongs to a security administrator, and opens it when it is locked.
        """
        pin, so_pin = _secret("ONECARD_VAULT_PIN", "PIN", again=True), _secret("ONECARD_VAULT_SO_PIN", "second PIN", again=True)
        vault = create_token(file, service, pin, so_pin, development=development)
        for label, purpose in keys.items():
            vault.add_version(label, purpose)
        _show(vault)
        out.print(f"{file} is made. Keep a copy of it apart from the database's backups, and both PINs apart from it.")

    @app.command()
    def show(file: FileOption) -> None:
        """List the keys with their check values, which tell a key without giving it away."""
        _show(_open(file))

    @app.command("add-version")
    def add_version(label: LabelArgument, file: FileOption) -> None:
        """Add a random version of a key. It waits until it is activated."""
        if label not in keys:
            raise VaultError(f"{service} has no key {label}: it has {', '.join(keys)}")
        version = _open(file).add_version(label, keys[label])
        out.print(f"{label} has version {version}. Restart every process, so that all know it; then `vault activate` it.")

    @app.command()
    def activate(label: LabelArgument, version: Annotated[int, typer.Argument()], file: FileOption) -> None:
        """Wrap with a version from the next start of each process on. Every process must have been restarted since it came."""
        _open(file).activate(label, version)
        out.print(f"{label} is wrapped with version {version}, once the processes are restarted. Then wrap anew what is older.")

    @app.command()
    def bring_together(label: LabelArgument, file: FileOption, custodians: Annotated[int, typer.Option(min=2)] = 2) -> None:
        """Add a version that custodians bring in components, each typed unseen and told by its check value."""
        if label not in keys:
            raise VaultError(f"{service} has no key {label}: it has {', '.join(keys)}")
        vault, components = _open(file), []
        for number in range(1, custodians + 1):
            typed = typer.prompt(f"component {number} of {custodians}, hexadecimal digits", hide_input=True)
            try:
                component = bytes.fromhex(typed)
            except ValueError:
                raise VaultError(f"component {number} does not consist of hexadecimal digits") from None
            out.print(f"component {number}: check value {check_value(keys[label], component)}")
            components.append(component)
        key = combine(components)
        typer.confirm(f"the key's check value is {check_value(keys[label], key)}: is that right?", abort=True)
        out.print(f"{label} has version {vault.add_version(label, keys[label], key)}")

    @app.command()
    def unlock(file: FileOption) -> None:
        """Give a locked token a new PIN, with the second PIN."""
        unlock_token(
            file, _secret("ONECARD_VAULT_SO_PIN", "second PIN"), _secret("ONECARD_VAULT_NEW_PIN", "new PIN", again=True)
        )
        out.print(f"{file} opens with the new PIN")

    return app


def _open(file: Path) -> SoftwareVault:
    return open_token(file, _secret("ONECARD_VAULT_PIN", "PIN"))


def _secret(variable: str, what: str, *, again: bool = False) -> str:
    typed: str = os.environ.get(variable) or typer.prompt(what, hide_input=True, confirmation_prompt=again)
    return typed


def _show(vault: SoftwareVault) -> None:
    table = Table("key", "version", "for", "check value", title=f"token {vault.label}")
    for label, version, purpose, value in vault.check_values():
        table.add_row(label, str(version), purpose.name.lower(), value)
    out.print(table)
    if vault.development:
        out.print("[yellow]a development token[/]: it is refused by a process that serves others than this machine")
