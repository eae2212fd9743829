"""Who calls: by the certificate of the connection or, in plain text on loopback, by the caller's own word."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from services.common.errors import Code, DomainError
from services.common.peer import Peer, Subject

SUBJECT_KEY: Final = "x-onecard-subject"
MOST_REMEMBERED: Final = 20_000
FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer, and until when (Unix seconds) its certificate speaks for it. A connection may outlive that."""

    peer: Peer
    ends: float

    def check(self) -> None:
        """Raises DomainError when the certificate has ended."""
        if time.time() >= self.ends:
            raise DomainError(Code.UNAUTHENTICATED, "CERTIFICATE_EXPIRED", "the certificate has expired")


class Callers:
    """Recognises callers. Certificates are read once and remembered: reading one costs more than answering a call."""

    def __init__(self, *, plain_text: bool) -> None:
        self._plain_text = plain_text
        self._read: Callable[[bytes], Caller] = _believed if plain_text else _certified
        self._known: dict[bytes, Caller] = {}

    def caller_of(self, context: Any, subject: str) -> Caller:
        """Who makes this call; `subject` is what it says of itself, and counts in plain text only. Raises DomainError."""
        evidence = subject.encode() if self._plain_text else context.auth_context()["x509_pem_cert"][0]
        caller = self._known.get(evidence)
        if caller is None:
            caller = self._read(evidence)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[evidence] = caller
        return caller


def _believed(subject: bytes) -> Caller:
    try:
        return Caller(Peer(Subject.parse(subject.decode()), serial=""), FOREVER)
    except ValueError:
        message = f"in plain text the metadata {SUBJECT_KEY} must hold the caller's URI"
        raise DomainError(Code.UNAUTHENTICATED, "SUBJECT_UNKNOWN", message) from None


def _certified(pem: bytes) -> Caller:
    """Read a certificate, which the handshake has verified already."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        subject = Subject.parse(uri)
    except (x509.ExtensionNotFound, ValueError):
        message = "the certificate must name exactly one onecard:// subject"
        raise DomainError(Code.UNAUTHENTICATED, "SUBJECT_UNKNOWN", message) from None
    return Caller(Peer(subject, f"{certificate.serial_number:x}"), certificate.not_valid_after_utc.timestamp())
