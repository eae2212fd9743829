"""Certificates of terminals: a signing request is read and distrusted, and the issuing authority signs."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from services.common.certificates import DEVELOPMENT, sign_caller
from services.common.errors import Code, DomainError
from services.common.peer import Subject

LONGEST_REQUEST: Final = 8 * 1024
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_DIGESTS: Final = (SHA256, SHA384, SHA512)


class IssuerError(Exception):
    """The files of the issuing authority do not hold together; the message names one."""


class SigningRequest(NamedTuple):
    """What a terminal asks a certificate for; it has proved that it holds the key."""

    pem: str
    subject: str
    key: ec.EllipticCurvePublicKey
    key_digest: bytes


class Issued(NamedTuple):
    """A certificate."""

    pem: str
    serial: str
    not_after: datetime


class Issuer:
    """The authority that signs for terminals."""

    def __init__(self, certificate: Path, key: Path, password: str = "") -> None:
        """PEM files. Raises IssuerError."""
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = load_pem_private_key(key.read_bytes(), password.encode() or None)
            constraints = self._certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound):
            raise IssuerError(f"{certificate} and {key} do not hold an authority and its key") from None
        if not (constraints.ca and isinstance(loaded, ec.EllipticCurvePrivateKey)):
            raise IssuerError(f"{certificate} is no authority, or {key} no key on an elliptic curve")
        if loaded.public_key() != self._certificate.public_key():
            raise IssuerError(f"{key} is not the key of {certificate}")
        self._key = loaded

    @property
    def development(self) -> bool:
        """Whether it is for one machine."""
        names = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return any(str(name.value).startswith(DEVELOPMENT) for name in names)

    def issue(self, request: SigningRequest, life: timedelta) -> Issued:
        """A certificate of the terminal. It does not outlive the authority."""
        left = self._certificate.not_valid_after_utc - datetime.now(UTC)
        user = Subject.parse(request.subject).kafka_user
        signed = sign_caller(request.subject, user, request.key, self._certificate, self._key, min(life, left))
        return Issued(
            signed.public_bytes(Encoding.PEM).decode(), f"{signed.serial_number:x}", signed.not_valid_after_utc
        )  # fmt: skip


def make_issuer(certificate: Path | None, key: Path | None, password: str) -> Issuer | None:
    """The authority that an installation names; None when it names none. Raises IssuerError for half of one."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise IssuerError("ONECARD_ISSUER_CERTIFICATE and ONECARD_ISSUER_KEY belong together: set both, or neither")
    return Issuer(certificate, key, password)


def read_signing_request(pem: str) -> SigningRequest:
    """A terminal's request. Raises DomainError for a key that it does not hold, another kind of key, or another subject."""
    if len(pem) > LONGEST_REQUEST:
        raise _bad("at most 8 KB are read")
    try:
        read = x509.load_pem_x509_csr(pem.encode())
        key, holds_key = read.public_key(), read.is_signature_valid
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise _bad("it names no subject") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _bad("it cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise _bad("the key must be on P-256 or P-384")
    if not holds_key or not isinstance(read.signature_hash_algorithm, _DIGESTS):
        raise _bad("it is not signed with its key, over SHA-256 or longer")
    if len(read.extensions) != 1:
        raise _bad("it asks for more than a name")
    return SigningRequest(pem, _terminal(names), key, _digest(key))


def _terminal(names: x509.SubjectAlternativeName) -> str:
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    try:
        (uri,) = uris if len(list(names)) == 1 else []
        subject = Subject.parse(uri)
    except ValueError:
        raise _bad("it must name one onecard:// subject and nothing else") from None
    if not subject.terminal_id or subject.uri != uri:
        raise _bad("its subject must be a terminal of a merchant, as onecard://merchant/M/terminal/T")
    return uri


def _digest(key: ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _bad(what: str) -> DomainError:
    return DomainError(Code.INVALID_ARGUMENT, "BAD_SIGNING_REQUEST", f"signing_request: {what}")
