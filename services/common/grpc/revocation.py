"""Certificates that are no longer believed, though their time is not over."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Set
from typing import Final, NoReturn

import structlog

from services.common.database import DatabaseError, sqlstate_of
from services.common.errors import Code, DomainError
from services.common.grpc.metrics import REVOCATIONS_READ

log = structlog.get_logger()

EVERY_SECONDS: Final = 2.0
READ_SECONDS: Final = 2.0
"""How long one reading may take: with the pause before it, a list is at most 4 s old while its source answers."""
MOST_SECONDS: Final = 60.0
"""An older list might lack a certificate that was stolen meanwhile: nobody is believed any more."""


class RevocationList:
    """Serial numbers of revoked certificates, read again and again from their source.

    `load` answers all of them in lower-case hexadecimal digits; it may fail as a database does.
    """

    def __init__(self, load: Callable[[], Awaitable[Set[str]]], *, every_seconds: float = EVERY_SECONDS) -> None:
        self._load = load
        self._every_seconds = every_seconds
        self._serials: Set[str] = frozenset()
        self._good_until = float("-inf")
        self._read_well = True

    @property
    def age_seconds(self) -> float:
        """Since the last successful reading began; infinite before the first."""
        return time.monotonic() - (self._good_until - MOST_SECONDS)

    def check(self, serial: str) -> None:
        """Raises DomainError for a revoked certificate, and for everybody when the list is too old to say."""
        if time.monotonic() > self._good_until:
            _refuse_everybody()
        if serial in self._serials:
            raise DomainError(Code.UNAUTHENTICATED, "CERTIFICATE_REVOKED", "the certificate was revoked")

    async def read(self) -> None:
        """Read the list once; when that fails the old one counts on."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(READ_SECONDS):
                # Without leading zeros, as a number is written: other programs print them.
                self._serials = frozenset(serial.lstrip("0") for serial in await self._load())
        except DatabaseError as error:
            if self._read_well:
                log.warning("revocations_unread", error=type(error).__name__, sqlstate=sqlstate_of(error))
            self._read_well = False
            return
        self._good_until = began + MOST_SECONDS
        self._read_well = True
        REVOCATIONS_READ.set_to_current_time()

    async def keep_reading(self, then: Callable[[], None]) -> NoReturn:
        """Read for ever, and do something after each reading, also after one that failed."""
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.read()
            then()


def _refuse_everybody() -> NoReturn:
    raise DomainError(
        Code.UNAVAILABLE, "REVOCATION_LIST_STALE", "certificates cannot be checked at the moment; try again later"
    )
