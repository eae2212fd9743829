"""`TerminalKeyService`: a terminal is given what it signs with, and nobody is given another merchant's."""

from typing import Any, Final

import structlog

from onecard.payments.v1 import terminal_keys_pb2 as messages
from onecard.payments.v1.terminal_keys_pb2_grpc import TerminalKeyServiceServicer
from services.common.clock import now_ms
from services.common.errors import Code, DomainError
from services.payments.adapters.epochs import EpochKeys
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import terminal_key
from services.payments.api import reading
from services.payments.api.desk import Desk
from services.payments.domain.epoch import current
from services.payments.domain.tap import ITSELF, Terminal
from services.payments.domain.verdict import Cause

log = structlog.get_logger()

_FRESH_SECONDS: Final = 2.0


class TerminalKeyService(TerminalKeyServiceServicer):
    """Gives keys of epochs that count; each giving is in the log, by ids alone."""

    def __init__(self, desk: Desk, registry: Registry, keys: EpochKeys) -> None:
        self._desk = desk
        self._registry = registry
        self._keys = keys

    async def GetTerminalKeys(  # noqa: N802 - gRPC's name
        self, request: messages.GetTerminalKeysRequest, context: Any
    ) -> messages.GetTerminalKeysResponse:
        """All that a terminal may sign with now, or soon. Raises DomainError."""
        caller = (await self._desk.caller()).terminal
        terminal = self._terminal(caller, request.terminal_id)
        if self._keys.age_seconds > _FRESH_SECONDS:
            await self._keys.refresh()
        live = self._keys.live
        log.info(
            "terminal_keys_given",
            merchant=terminal.merchant_id,
            terminal=terminal.terminal_id,
            asked_by=caller.terminal_id,
            epochs=[epoch.number for epoch in live],
        )
        now = current(live, now_ms())
        return messages.GetTerminalKeysResponse(
            current_epoch=now.number if now else 0,
            keys=[
                messages.TerminalKey(
                    epoch=epoch.number,
                    key=terminal_key(self._keys.of(epoch.number), terminal.merchant_id, terminal.terminal_id),
                    valid_from_ms=epoch.valid_from_ms,
                )
                for epoch in live
            ],
        )

    def _terminal(self, caller: Terminal, asked: str) -> Terminal:
        if caller.is_service:
            raise DomainError(Code.PERMISSION_DENIED, "NOT_A_MERCHANT", "only merchants and their terminals have keys")
        if caller.terminal_id != ITSELF:
            if asked not in ("", caller.terminal_id):
                raise DomainError(Code.PERMISSION_DENIED, "NOT_YOUR_TERMINAL", "a terminal is given its own keys alone")
            return caller
        if asked in ("", ITSELF):
            raise reading.bad("terminal_id", "a merchant itself has no keys: one of its terminals is wanted")
        found = self._registry.find(caller.merchant_id, asked)
        if isinstance(found, Cause):
            raise DomainError(Code.NOT_FOUND, found.name, "this merchant has no such terminal, or it was retired")
        return found
