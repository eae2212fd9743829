"""Our certificate and the authority of callers, read again when their files change."""

from pathlib import Path
from typing import Any

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.common.grpc.listen import ListenError, Tls

log = structlog.get_logger()


def reloading_credentials(tls: Tls) -> grpc.ServerCredentials:
    """Credentials of a server whose callers must have a certificate; raises ListenError when the files do not hold together.

    A certificate is renewed by replacing the files, key first. A connection keeps the certificates that it was made with.
    """
    files = _Files(tls)
    fetch: Any = files.read_if_changed  # None says that nothing changed, which the stubs do not know
    return grpc.dynamic_ssl_server_credentials(files.read(), fetch, require_client_authentication=True)


class _Files:
    """The three files, and which version of them is in use. gRPC asks from a thread of its own, before each handshake."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._versions: tuple[tuple[int, int, int], ...] = ()
        self._complained_of: tuple[tuple[int, int, int], ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        versions = self._look()
        certificate, key, authority = (_content(file) for file in (tls.certificate, tls.key, tls.authority))
        ends = _check(tls, certificate, key, authority)
        self._versions = versions
        log.info("certificate_in_use", file=str(tls.certificate), ends=ends)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        versions = self._look()
        try:
            return self.read() if versions != self._versions else None
        except ListenError as unusable:
            # Half of the files are new, or one is missing: what we have stays until they hold together.
            if versions != self._complained_of:
                self._complained_of = versions
                log.warning("certificate_unusable", what=str(unusable))
            return None

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_version(file) for file in (self._tls.certificate, self._tls.key, self._tls.authority))


def _version(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ListenError(f"{file} cannot be read: {error.strerror}") from None


def _check(tls: Tls, certificate: bytes, key: bytes, authority: bytes) -> str:
    """When our certificate ends; raises ListenError for files that no handshake would succeed with."""
    try:
        ours = x509.load_pem_x509_certificates(certificate)[0]
    except (ValueError, IndexError):
        raise ListenError(f"{tls.certificate} holds no certificate") from None
    try:
        public_key = load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError):
        raise ListenError(f"{tls.key} holds no private key without a password") from None
    if public_key != ours.public_key():
        raise ListenError(f"{tls.key} is not the key of {tls.certificate}")
    try:
        x509.load_pem_x509_certificates(authority)
    except ValueError:
        raise ListenError(f"{tls.authority} holds no certificate") from None
    return ours.not_valid_after_utc.isoformat()
