"""Who calls: the subject that a certificate names, and the certificate's serial number."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

SCHEME: Final = "onecard"

_URI = re.compile(r"(?:(?![?#])[\x21-\x7e]){1,512}")
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,64}")
_ACCOUNT_NAME: Final = 59
"""Characters that the name of an account may have."""
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Subject:
    """A merchant, one terminal of a merchant, or a service; as a URI it stands in the caller's certificate.

    onecard://merchant/M · onecard://merchant/M/terminal/T · onecard://service/S, identifiers percent-encoded. A terminal across
    the border says so: onecard://merchant/M/terminal/T/abroad.
    """

    merchant_id: str = ""
    """1 to 64 visible ASCII characters; empty for a service."""
    terminal_id: str = ""
    """Empty when the whole merchant speaks."""
    service: str = ""
    """Lower-case letters, digits and hyphens."""
    abroad: bool = False
    """The terminal stands across the border: nothing unmasked ever goes there."""

    @classmethod
    def parse(cls, uri: str) -> "Subject":
        """Read a subject's URI; raises ValueError for anything else."""
        parts = urlsplit(uri)
        if not _URI.fullmatch(uri) or parts.scheme != SCHEME:
            raise ValueError(f"no subject: {uri!r}")
        match [parts.netloc, *map(unquote, parts.path.split("/")[1:])]:
            case ["merchant", merchant] if _is_merchant(merchant):
                return cls(merchant_id=merchant)
            case ["merchant", merchant, "terminal", terminal] if _is_merchant(merchant) and _is_terminal(terminal):
                return cls(merchant_id=merchant, terminal_id=terminal)
            case ["merchant", merchant, "terminal", terminal, "abroad"] if _is_merchant(merchant) and _is_terminal(terminal):
                return cls(merchant_id=merchant, terminal_id=terminal, abroad=True)
            case ["service", service] if _SERVICE.fullmatch(service):
                return cls(service=service)
        raise ValueError(f"no subject: {uri!r}")

    @property
    def uri(self) -> str:
        """As it stands in a certificate."""
        if self.service:
            return f"{SCHEME}://service/{self.service}"
        merchant = f"{SCHEME}://merchant/{quote(self.merchant_id, safe='')}"
        if not self.terminal_id:
            return merchant
        return f"{merchant}/terminal/{quote(self.terminal_id, safe='')}" + ("/abroad" if self.abroad else "")

    @property
    def kafka_user(self) -> str:
        """As Kafka knows it: a service by its name, a merchant and all its terminals as `merchant.M`.

        No service's name has a dot.
        """
        return self.service or f"merchant.{quote(self.merchant_id, safe='')}"

    @property
    def cash_account(self) -> str:
        """The name of the account of the cash in a terminal's till: what it has taken in it owes."""
        return f"cash:{self.merchant_id}/{self.terminal_id}"[:_ACCOUNT_NAME]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection."""

    subject: Subject
    serial: str
    """Serial number of its certificate in lower-case hexadecimal digits; empty in plain text."""


def _is_merchant(text: str) -> bool:
    # In the ledger the caller `service x` is the merchant `service:x`: no certificate of a merchant may name that.
    return _IDENTIFIER.fullmatch(text) is not None and not text.startswith("service:")


def _is_terminal(text: str) -> bool:
    # `*` is the merchant itself among its terminals.
    return _IDENTIFIER.fullmatch(text) is not None and text != "*"
