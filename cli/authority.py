"""The development authority: certificates for one machine. A city in earnest takes its own, from files."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from services.common.certificates import DEVELOPMENT, host_name, sign_authority, sign_caller
from services.common.peer import SCHEME, Subject

LIFE: Final = timedelta(days=30)
AUTHORITY_LIFE: Final = timedelta(days=3650)
RENEWED_BEHIND: Final = 2 / 3
"""A certificate with less than a third of its life left is issued anew."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


class Authority:
    """An authority in a folder that only its owner may enter; made when the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "authority.pem"
        """What every party trusts."""
        self._key = folder / "authority.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            if not _usable(self.certificate, self._key):
                self._begin()

    def issue(self, subject: str, *, hosts: Sequence[str] = ()) -> Issued:
        """A certificate for a subject's URI; one with `hosts` (names or addresses) may also serve.

        One that was issued before is taken while it is good. Raises ValueError for what is no subject.
        """
        parsed = Subject.parse(subject)
        name = _file_name(parsed.uri)
        issued = Issued(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        with self._alone():
            if not self._good(issued, hosts):
                self._sign(issued, parsed.uri, parsed.kafka_user, hosts)
        return issued

    def _begin(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # A name of its own: two authorities are never mistaken for each other.
        certificate = sign_authority(f"{DEVELOPMENT} {secrets.token_hex(4)}", key, AUTHORITY_LIFE)
        _write(self._key, _pem(key))
        _write(self.certificate, certificate.public_bytes(Encoding.PEM))

    def _sign(self, issued: Issued, subject: str, kafka_user: str, hosts: Sequence[str]) -> None:
        authority, authority_key = _load(self.certificate), _load_key(self._key)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = sign_caller(subject, kafka_user, key.public_key(), authority, authority_key, LIFE, hosts)
        _write(issued.key, _pem(key))
        _write(issued.certificate, certificate.public_bytes(Encoding.PEM))

    def _good(self, issued: Issued, hosts: Sequence[str]) -> bool:
        if not _usable(issued.certificate, issued.key):
            return False
        certificate = _load(issued.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return certificate.issuer == _load(self.certificate).subject and set(map(host_name, hosts)) == {
            name for name in names if not isinstance(name, x509.UniformResourceIdentifier)
        }

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No two processes issue at once."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says, for people and for the revocation list."""

    subject: str
    serial: str
    """Lower-case hexadecimal digits."""
    hosts: tuple[str, ...]
    begins: datetime
    ends: datetime


def read(file: Path) -> Shown:
    """The first certificate of a PEM file; raises ValueError when it holds none or names no subject."""
    certificate = _load(file)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError(f"the certificate in {file} names no subject") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return Shown(
        subject=", ".join(uris),
        serial=f"{certificate.serial_number:x}",
        hosts=(*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
    )


def _usable(certificate: Path, key: Path) -> bool:
    """Is there a pair that fits, with a third of its life left? A crash may have left half of one."""
    try:
        read_certificate, read_key = _load(certificate), _load_key(key)
    except (FileNotFoundError, ValueError):
        return False
    begins, ends = read_certificate.not_valid_before_utc, read_certificate.not_valid_after_utc
    good_until = begins + (ends - begins) * RENEWED_BEHIND
    return read_certificate.public_key() == read_key.public_key() and begins <= datetime.now(UTC) < good_until


def _file_name(subject: str) -> str:
    """A subject as a file's name: `+` never stands in an encoded identifier, so no two subjects share one."""
    name = subject.removeprefix(f"{SCHEME}://").replace("/", "+")
    return name if len(name) <= 200 else hashlib.sha256(subject.encode()).hexdigest()


def _load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file} holds another kind of key")  # noqa: TRY004 - the file is wrong, not the caller
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone."""
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
    partial.rename(file)
