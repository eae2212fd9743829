"""A card's making from end to end: what it takes, and what must hold afterwards."""

from pathlib import Path

from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from services.issuance.keys import KEYS


def open_vault(folder: Path) -> SoftwareVault:
    """The service's own."""
    vault = create_token(folder / "issuance.token", "issuance", "pin of a test", "pin of another", hardness=Hardness(1, 64, 1))
    for label, purpose in KEYS.items():
        vault.add_version(label, purpose)
    return vault
