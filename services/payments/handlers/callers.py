"""Rights of services, and certificates that are refused: given and taken by the database's owner alone."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.handlers.register_merchants import ensure_service

RIGHTS: Final = ("back_office", "overdraft", "operator")
_GRANT: Final = text(
    "insert into payments.caller_right (terminal, caller_right) values (:terminal, :held) on conflict do nothing"
)
_TAKE: Final = text("delete from payments.caller_right where terminal = :terminal and caller_right = :held")
_REVOKE: Final = text(
    "insert into payments.revoked_certificate (serial, reason) values (:serial, :reason) on conflict do nothing"
)


async def grant(engine: AsyncEngine, service: str, right: str) -> bool:
    """Register a service and give it a right; False when it held the right already."""
    async with engine.begin() as connection:
        terminal = await ensure_service(connection, service)
        return (await connection.execute(_GRANT, {"terminal": terminal.number, "held": right})).rowcount > 0


async def take(engine: AsyncEngine, service: str, right: str) -> bool:
    """Take a right from a service; False when it did not hold it. Processes hear of it within seconds."""
    async with engine.begin() as connection:
        terminal = await ensure_service(connection, service)
        return (await connection.execute(_TAKE, {"terminal": terminal.number, "held": right})).rowcount > 0


async def revoke(engine: AsyncEngine, serial: str, reason: str) -> bool:
    """Refuse a certificate from now on; False when it was refused already. Processes hear of it within seconds."""
    async with engine.begin() as connection:
        return (await connection.execute(_REVOKE, {"serial": serial.lower(), "reason": reason})).rowcount > 0
