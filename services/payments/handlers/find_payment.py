"""A payment as it is now, with what its Authorize was answered."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import milliseconds
from services.payments.adapters.ledger import PAYMENT_FACTS, payment_of
from services.payments.domain.operation import Kind, PaymentReference
from services.payments.domain.payment import Payment
from services.payments.domain.tap import Terminal
from services.payments.domain.verdict import Reason

_RULING: Final = text("""
select o.kind, o.reason, o.amount_fen, o.payment, b.now
from payments.operation o join payments.batch b on b.number = o.batch
where o.terminal = :terminal and o.request_id = :request_id""")
_PAYMENT: Final = text(f"select {PAYMENT_FACTS} from payments.payment where id = :id")  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class Found:
    """What became of an Authorize."""

    request_id: str
    reason: Reason
    amount_fen: int
    decide_time_ms: int
    payment: Payment | None
    """None when it was declined."""


async def find_payment(engine: AsyncEngine, caller: Terminal, reference: PaymentReference) -> Found | None:
    """None when nothing is decided under this name, or the caller did not make it."""
    async with engine.connect() as connection:
        if reference.payment is not None:
            row = (await connection.execute(_PAYMENT, {"id": UUID(bytes=reference.payment)})).first()
            if row is None:
                return None
            found = payment_of(row)
            if not (found.terminal == caller.number or caller.is_merchant_of(found.merchant_id)):
                return None
            return Found(found.request_id, Reason.NONE, found.amount_fen, found.create_time_ms, found)
        asked = {"terminal": caller.number, "request_id": reference.authorize_request_id}
        ruled = (await connection.execute(_RULING, asked)).first()
        if ruled is None or ruled.kind != Kind.AUTHORIZE:
            return None
        row = (await connection.execute(_PAYMENT, {"id": ruled.payment})).one() if ruled.payment is not None else None
    payment = payment_of(row) if row is not None else None
    return Found(
        reference.authorize_request_id, Reason(ruled.reason), ruled.amount_fen, milliseconds(ruled.now), payment
    )  # fmt: skip
