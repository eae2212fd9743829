"""The keys of payments, by the labels that they have in its vault."""

from typing import Final

from services.common.keyvault.vault import Purpose

TERMINAL_ROOT: Final = "terminal-root"
KEYS: Final = {
    TERMINAL_ROOT: Purpose.TERMINAL,  # the keys of terminals' epochs are made of it
}
