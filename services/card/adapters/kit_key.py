"""What mobile kits seal without a network, opened with the key of the vault that they sealed it to."""

from typing import Final

from services.common.keyvault.vault import KeyVault, Sealed, UnknownKeyError, VaultError

KIT_KEY: Final = "kit"
_INFO: Final = b"onecard kit queue 1"


class KitKey:
    """The key, by its versions: the current one is given out, and each one opens what was sealed to it."""

    def __init__(self, vault: KeyVault) -> None:
        self._vault = vault

    def public(self) -> tuple[int, bytes] | None:
        """Version and point; None: the vault has none yet."""
        try:
            version = self._vault.current(KIT_KEY)
        except UnknownKeyError:
            return None
        return version, self._vault.public_key(KIT_KEY, version)

    def open(self, terminal: str, item: str, sealed: Sealed) -> bytes | None:
        """What a kit sealed under an id; None: it was not sealed for this kit, this id and this key."""
        try:
            return self._vault.unseal(KIT_KEY, sealed, _INFO, bound_to(terminal, item, sealed.version))
        except VaultError:
            return None


def bound_to(terminal: str, item: str, version: int) -> bytes:
    """What an item cannot be taken away from."""
    parts = (terminal.encode(), item.encode(), str(version).encode())
    return b"".join(len(part).to_bytes(4) + part for part in parts)
