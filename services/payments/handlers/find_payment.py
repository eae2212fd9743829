"""A payment or a reservation as it is now, with what was answered when it was asked for."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_transaction
from services.payments.adapters.payments import read_payments, read_rulings
from services.payments.domain.operation import Kind, PaymentReference
from services.payments.domain.payment import Payment
from services.payments.domain.tap import Terminal
from services.payments.domain.verdict import Reason


@dataclass(frozen=True, slots=True)
class Found:
    """What became of it."""

    request_id: str
    reason: Reason
    amount_fen: int
    decide_time_ms: int
    payment: Payment | None
    """None when it was declined."""


async def find_payment(
    engine: AsyncEngine, caller: Terminal, reference: PaymentReference, kind: Kind = Kind.AUTHORIZE
) -> Found | None:
    """What an Authorize, or a Reserve, made. None when none is decided under this name, or the caller did not make it."""
    async with driver_transaction(engine) as driver:
        if reference.payment is not None:
            payment = (await read_payments(driver, [reference.payment])).get(reference.payment)
            if payment is None or not (payment.terminal == caller.number or caller.is_merchant_of(payment.merchant_id)):
                return None
            if payment.is_reservation is not (kind is Kind.RESERVE):
                return None
            return Found(payment.request_id, Reason.NONE, payment.amount_fen, payment.create_time_ms, payment)
        identity = caller.number, reference.authorize_request_id
        ruling = (await read_rulings(driver, [identity])).get(identity)
        if ruling is None or ruling.kind is not kind:
            return None
        payment = (await read_payments(driver, [ruling.payment]))[ruling.payment] if ruling.payment else None
    return Found(reference.authorize_request_id, ruling.reason, ruling.amount_fen, ruling.decide_time_ms, payment)
