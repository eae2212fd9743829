"""Tokens with roots of chips' keys, in a file and in SoftHSM2."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from services.common.keyvault.hardware import HardwareVault, open_hardware
from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from services.issuance.domain.product import Product
from services.issuance.vault.operations import roots_for

PIN: Final = "pin of the roots"
SO_PIN: Final = "pin of who unlocks"
_LIBRARIES: Final = [Path(folder) / "softhsm/libsofthsm2.so" for folder in ("/usr/lib", "/usr/local/lib", "/usr/lib64")]


def software_token(folder: Path, products: tuple[Product, ...], secrets: dict[str, bytes]) -> SoftwareVault:
    """With these roots, and random ones for what is not named."""
    vault = create_token(folder / "chips.token", "issuance-chips", PIN, SO_PIN, development=True, hardness=Hardness(1, 64, 1))
    for label, purpose in roots_for(products).items():
        vault.add_version(label, purpose, secrets.get(label))
    return vault


def softhsm() -> Path:
    """The library, or the test is left out; ONECARD_SOFTHSM=required: it fails."""
    missing = ""
    library = next((one for one in _LIBRARIES if one.exists()), None)
    if library is None:
        missing = "SoftHSM2 is not installed"
    try:
        import pkcs11  # noqa: F401, PLC0415
    except ImportError:
        missing = "python-pkcs11 is not installed"
    if missing or library is None:
        if os.environ.get("ONECARD_SOFTHSM") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return library


def hardware_token(folder: Path, label: str, products: tuple[Product, ...], secrets: dict[str, bytes]) -> HardwareVault:
    """Set up before the library is loaded anew: it sees no token that came later."""
    library = softhsm()
    set_up_token(folder, label)
    unload(library)
    vault = open_hardware(str(library), label, PIN)
    for root, purpose in roots_for(products).items():
        vault.add_version(root, purpose, secrets.get(root))
    return vault


def set_up_token(folder: Path, label: str) -> None:
    """As its maker's tool does. SOFTHSM2_CONF is set for this process."""
    tokens = folder / "tokens"
    tokens.mkdir(exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
    subprocess.run(command, check=True, capture_output=True)


def unload(library: Path) -> None:
    import pkcs11  # noqa: PLC0415

    pkcs11.unload(str(library))
