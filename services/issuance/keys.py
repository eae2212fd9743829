"""The keys of the issuance service's own vault, by their labels. Those of chips are in the other one, a process of its own."""

from typing import Final

from services.common.keyvault.vault import Purpose

KEYS: Final = {
    "audit": Purpose.MAC,  # seals the audit
    "account": Purpose.WRAP,  # seals the bank accounts of blanks
    "journal": Purpose.MAC,  # stands over digests of commands: nobody finds out whose by trying names and numbers
    "owed": Purpose.WRAP,  # seals who took a card, until the card service was told
}
