"""A TLS context of a client whose PEM files may be renewed while it runs: the next connection takes what is there by then."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()


def tls_of(authority: Path, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Trusts that authority alone, checks the server's name, and shows the certificate if there is one.

    Raises OSError (of which SSLError is one) when the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(authority)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class RenewedTls(ssl.SSLContext):
    """Wraps each connection with a context made of the files as they are; while half of them are new, with the one before."""

    def __new__(cls, *_: Path | None) -> "RenewedTls":
        """An SSLContext, for the libraries that insist on one."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, authority: Path, certificate: Path | None, key: Path | None) -> None:
        """Raises OSError when the files cannot be used."""
        self._files = (authority, certificate, key)
        self._versions = self._complained_of = self._look()
        self._now = tls_of(*self._files)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As kafka-python connects."""
        return self._current().wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As aiokafka connects."""
        return self._current().wrap_bio(*args, **kwargs)

    def _current(self) -> ssl.SSLContext:
        versions = self._look()
        if versions != self._versions:
            try:
                self._now, self._versions = tls_of(*self._files), versions
            except OSError as unusable:
                if versions != self._complained_of:
                    self._complained_of = versions
                    log.warning("certificate_unusable", what=f"{self._files[1] or self._files[0]}: {unusable}")
            else:
                log.info("certificate_in_use", file=str(self._files[1] or self._files[0]))
        return self._now

    def _look(self) -> Sequence[tuple[int, int, int]]:
        return [_version(file) for file in self._files if file is not None]


def _version(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)
