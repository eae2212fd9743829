"""`vault …`: make a token, look at its keys, add and bring together keys. PINs and components are typed, never arguments.

A token is a file, or lies in a hardware module: ONECARD_PKCS11_MODULE names its library, ONECARD_PKCS11_TOKEN its label there.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.common.keyvault.hardware import HardwareVault, open_hardware
from services.common.keyvault.software import (
    SoftwareVault,
    check_value,
    combine,
    create_token,
    open_token,
    unlock_token,
)
from services.common.keyvault.vault import Purpose, Token, VaultError

out: Final = Console()

FileOption = Annotated[
    Path | None, typer.Option("--file", envvar="ONECARD_VAULT", help="the token's file, where no hardware module has it")
]
KeysFromOption = Annotated[
    Path | None,
    typer.Option("--keys-from", envvar="ONECARD_DEVELOPMENT_KEYS", help="with --development: JSON, a key by label"),
]
LabelArgument = Annotated[str, typer.Argument(help="the key's label: `vault show` lists them")]


Needs = Callable[[str, int], str]
"""What still needs a version of a key, in words; empty: nothing that is known."""


def vault_commands(
    service: str, keys: Mapping[str, Purpose] | Callable[[], Mapping[str, Purpose]], needs: Needs | None = None
) -> typer.Typer:
    """The commands for the token of a service that needs certain keys."""
    app = typer.Typer(no_args_is_help=True, help=f"The key vault of {service}: one file, opened with ONECARD_VAULT_PIN.")

    def purpose_of(label: str) -> Purpose:
        known = _known(keys)
        if label not in known:
            raise VaultError(f"{service} has no key {label}: it has {', '.join(known)}")
        return known[label]

    @app.command()
    def create(
        file: FileOption = None,
        development: Annotated[bool, typer.Option("--development", help="for one machine; refused off loopback")] = False,
        keys_from: KeysFromOption = None,
    ) -> None:
        """Make the token with every key that the service needs.

        The PIN opens it at each start; the second PIN belongs to a security administrator, and opens it when it is locked. In a
        hardware module the token is there already, set up with its maker's tool, and gets the keys that it lacks.
        """
        brought = _development_keys(keys_from, development=development)
        if _module():
            vault: Token = _open(None)
            present = {label for label, *_ in vault.check_values()}
        else:
            if file is None:
                raise VaultError("ONECARD_VAULT is not set; it must hold the token's file")
            pin = _secret("ONECARD_VAULT_PIN", "PIN", again=True)
            so_pin = _secret("ONECARD_VAULT_SO_PIN", "second PIN", again=True)
            vault, present = create_token(file, service, pin, so_pin, development=development), set()
        for label, purpose in _known(keys).items():
            if not vault.keeps(purpose):
                out.print(f"[yellow]this module keeps no {label}[/]: what needs it cannot be done with it")
            elif label not in present:
                vault.add_version(label, purpose, brought.get(label) or brought.get(label.rpartition(".")[2]))
        _show(vault)
        if not _module():
            out.print(f"{file} is made. Keep a copy of it apart from the database's backups, and both PINs apart from it.")

    @app.command()
    def show(file: FileOption = None) -> None:
        """List the keys with their check values, which tell a key without giving it away."""
        _show(_open(file))

    @app.command("add-version")
    def add_version(label: LabelArgument, file: FileOption = None) -> None:
        """Add a random version of a key. It waits until it is activated."""
        version = _open(file).add_version(label, purpose_of(label))
        out.print(f"{label} has version {version}. Restart every process, so that all know it; then `vault activate` it.")

    @app.command()
    def activate(label: LabelArgument, version: Annotated[int, typer.Argument()], file: FileOption = None) -> None:
        """Wrap with a version from the next start of each process on. Every process must have been restarted since it came."""
        _open(file).activate(label, version)
        out.print(f"{label} is wrapped with version {version}, once the processes are restarted. Then wrap anew what is older.")

    @app.command()
    def destroy(label: LabelArgument, version: Annotated[int, typer.Argument()], file: FileOption = None) -> None:
        """Destroy a version of a key for ever, when it is not the current one. What still needs it is named first."""
        purpose_of(label)
        vault = _open(file)
        found = [value for name, number, _, value in vault.check_values() if (name, number) == (label, version)]
        if not found:
            raise VaultError(f"the token {vault.label} has no key {label} of version {version}")
        needed = needs(label, version) if needs else "whatever it has wrapped"
        out.print(f"{label} version {version}, check value {found[0]}")
        out.print(f"it is needed by: {needed or 'nothing that is known'}", soft_wrap=True)
        if typer.prompt("its check value, to destroy it for ever").strip().upper() != found[0]:
            raise VaultError(f"that is another check value: {label} version {version} stays")
        vault.destroy_version(label, version)
        out.print(f"{label} version {version} is destroyed here. Destroy it in the copies of the token, too.")

    @app.command()
    def bring_together(
        label: LabelArgument, file: FileOption = None, custodians: Annotated[int, typer.Option(min=2)] = 2
    ) -> None:
        """Add a version that custodians bring in components, each typed unseen and told by its check value."""
        purpose = purpose_of(label)
        vault, components = _open(file), []
        for number in range(1, custodians + 1):
            typed = typer.prompt(f"component {number} of {custodians}, hexadecimal digits", hide_input=True)
            try:
                component = bytes.fromhex(typed)
            except ValueError:
                raise VaultError(f"component {number} does not consist of hexadecimal digits") from None
            out.print(f"component {number}: check value {check_value(purpose, component)}")
            components.append(component)
        key = combine(components)
        typer.confirm(f"the key's check value is {check_value(purpose, key)}: is that right?", abort=True)
        out.print(f"{label} has version {vault.add_version(label, purpose, key)}")

    @app.command()
    def unlock(file: FileOption = None) -> None:
        """Give a locked token a new PIN, with the second PIN."""
        if file is None or _module():
            raise VaultError("a token in a hardware module is unlocked with its maker's tool")
        unlock_token(
            file, _secret("ONECARD_VAULT_SO_PIN", "second PIN"), _secret("ONECARD_VAULT_NEW_PIN", "new PIN", again=True)
        )
        out.print(f"{file} opens with the new PIN")

    return app


def open_vault(file: Path | None, pin: str) -> SoftwareVault | HardwareVault:
    """The token that the environment names: in a hardware module, or in a file. Raises VaultError."""
    if module := _module():
        label = os.environ.get("ONECARD_PKCS11_TOKEN")
        if not label:
            raise VaultError("ONECARD_PKCS11_TOKEN is not set; it must hold the label of the token in the hardware module")
        return open_hardware(module, label, pin)
    if file is None:
        raise VaultError("ONECARD_VAULT is not set; it must hold the token's file")
    return open_token(file, pin)


def _open(file: Path | None) -> Token:
    return open_vault(file, _secret("ONECARD_VAULT_PIN", "PIN"))


def _module() -> str:
    return os.environ.get("ONECARD_PKCS11_MODULE", "")


def _known(keys: Mapping[str, Purpose] | Callable[[], Mapping[str, Purpose]]) -> Mapping[str, Purpose]:
    return keys() if callable(keys) else keys


def _development_keys(file: Path | None, *, development: bool) -> Mapping[str, bytes]:
    """Keys that a factory on the same machine has too. Anywhere else they come in components. Raises VaultError."""
    if file is None:
        return {}
    if not development or _module():
        raise VaultError("keys come from a file with --development alone; otherwise custodians bring them together")
    try:
        held = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        return {label: bytes.fromhex(key) for label, key in held.items()}
    except (OSError, ValueError):
        raise VaultError(f"{file} is no JSON object of keys in hexadecimal digits by their labels") from None


def _secret(variable: str, what: str, *, again: bool = False) -> str:
    typed: str = os.environ.get(variable) or typer.prompt(what, hide_input=True, confirmation_prompt=again)
    return typed


def _show(vault: Token) -> None:
    table = Table("key", "version", "for", "check value", title=f"token {vault.label}")
    for label, version, purpose, value in vault.check_values():
        table.add_row(label, str(version), purpose.name.lower(), value)
    out.print(table)
    if vault.development:
        out.print("[yellow]a development token[/]: it is refused by a process that serves others than this machine")
