"""The keys of the card service, by the labels that they have in its vault."""

from typing import Final

from services.common.keyvault.vault import Purpose

KEYS: Final = {
    "data": Purpose.WRAP,  # wraps the data keys of holders
    "index": Purpose.MAC,  # finds holders by their numbers
    "pin": Purpose.MAC,  # stands before argon2 on card PINs and passwords
    "audit": Purpose.MAC,  # seals the audit
    "kit": Purpose.AGREE,  # opens what mobile kits queued without a network
    "identifier": Purpose.MAC,  # the last four bytes of a card identifier
}
