"""Who may ask for what: subjects of certificates as terminals of the ledger, with their rights."""

import asyncio
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import DatabaseError, sqlstate_of
from services.common.errors import Code, DomainError
from services.common.peer import Subject
from services.payments.adapters.registry import Registry
from services.payments.domain.tap import ITSELF, SERVICES, Terminal
from services.payments.domain.verdict import Cause

log = structlog.get_logger()

BACK_OFFICE: Final = "back_office"
OVERDRAFT: Final = "overdraft"
OPERATOR: Final = "operator"
_RIGHTS: Final = text("select terminal, caller_right from payments.caller_right")
_MERCHANT: Final = text("select id from payments.merchant where merchant_id = :merchant_id and retired_time is null")
_ITSELF: Final = text(
    "insert into payments.terminal (merchant, terminal_id) values (:merchant, :itself) on conflict do nothing"
)
_REFRESH_SECONDS: Final = 2.0


def merchant_of_service(name: str) -> str:
    """The merchant id under which a service acts."""
    return SERVICES + name


@dataclass(frozen=True, slots=True)
class Caller:
    """A registered terminal, merchant or service, and what it may do beyond its own payments."""

    terminal: Terminal
    rights: frozenset[str]

    def needs_window(self) -> None:
        """Raises DomainError unless it serves the city's desks."""
        if not (self.terminal.is_window or BACK_OFFICE in self.rights):
            raise DomainError(Code.PERMISSION_DENIED, "WINDOW_RIGHT_NEEDED", "only the city's own windows may do that")

    def needs(self, right: str) -> None:
        """Raises DomainError unless it holds the right."""
        if right not in self.rights:
            raise DomainError(Code.PERMISSION_DENIED, f"{right.upper()}_RIGHT_NEEDED", f"only who holds the right {right} may")


class Callers:
    """Look-up without I/O for callers that are known; rights are at most a few seconds old."""

    def __init__(self, engine: AsyncEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._known: dict[Subject, Caller] = {}
        self._rights: dict[int, frozenset[str]] = {}

    async def admit(self, subject: Subject) -> Caller:
        """The caller that a certificate names. Raises DomainError for one that is not registered, or retired."""
        return self._known.get(subject) or await self._look_up(subject)

    async def keep_fresh(self) -> NoReturn:
        """Read registry and rights again for ever; what was retired is unknown from then on."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await self.refresh()
            except DatabaseError as error:
                log.warning("callers_unread", error=type(error).__name__, sqlstate=sqlstate_of(error))

    async def refresh(self) -> None:
        """Read registry and rights: who was retired may not ask for long."""
        await self._registry.refresh()
        async with self._engine.connect() as connection:
            rights: dict[int, set[str]] = {}
            for terminal, right in await connection.execute(_RIGHTS):
                rights.setdefault(terminal, set()).add(right)
        self._rights = {terminal: frozenset(held) for terminal, held in rights.items()}
        self._known = {subject: caller for subject in self._known if (caller := self._find(subject)) is not None}

    async def _look_up(self, subject: Subject) -> Caller:
        merchant_id, terminal_id = _names(subject)
        if terminal_id == ITSELF and not merchant_id.startswith(SERVICES) and self._find(subject) is None:
            await self._add_itself(merchant_id)
        if (caller := self._find(subject)) is None:
            await self._registry.refresh_if_due()  # at most once a second, whoever asks
            caller = self._find(subject)
        if caller is None:
            raise DomainError(
                Code.PERMISSION_DENIED, "UNKNOWN_CALLER", "the certificate names nobody who is registered, or somebody retired"
            )
        self._known[subject] = caller
        return caller

    async def _add_itself(self, merchant_id: str) -> None:
        """A merchant that asks for itself gets a row of its own, and is known by it at once."""
        async with self._engine.begin() as connection:
            merchant = await connection.scalar(_MERCHANT, {"merchant_id": merchant_id})
            if merchant is None:
                return
            await connection.execute(_ITSELF, {"merchant": merchant, "itself": ITSELF})
        await self._registry.refresh()

    def _find(self, subject: Subject) -> Caller | None:
        if subject.merchant_id.startswith(SERVICES):
            return None  # no merchant speaks for a service
        terminal = self._registry.find(*_names(subject))
        if isinstance(terminal, Cause):
            return None
        return Caller(terminal, self._rights.get(terminal.number, frozenset()))


def _names(subject: Subject) -> tuple[str, str]:
    if subject.service:
        return merchant_of_service(subject.service), ITSELF
    return subject.merchant_id, subject.terminal_id or ITSELF
