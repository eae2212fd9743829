"""What requests may hold: amounts, identifiers, references. Whatever is wrong is named by its field."""

from datetime import date
from typing import Final

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.payments_pb2 import PaymentReference as PaymentReferenceMessage
from services.common.clock import LATEST_MS
from services.common.grpc.reading import bad, identifier, page_size, request_id
from services.payments.domain.operation import PaymentReference
from services.payments.domain.transfer import CNY, PLACES

__all__ = [
    "account_name",
    "bad",
    "card_identifier",
    "day",
    "fen",
    "fen_and_currency",
    "identifier",
    "instant_ms",
    "page_size",
    "payment_reference",
    "request_id",
]

_FIRST_DAY: Final = date(1970, 1, 2)
MOST_FEN: Final = 10**15
"""Ten trillion yuan: the sums of thousands of them stay within 63 bits."""
CODES: Final = {CNY: "CNY", 344: "HKD", 446: "MOP", PLACES: "XXX"}
"""ISO 4217. Cards hold CNY alone; HKD and MOP are for what crosses a border. XXX is its code of no currency: places."""
CURRENCIES: Final = {"": CNY, **{code: number for number, code in CODES.items()}}


def card_identifier(value: str) -> str:
    """Raises DomainError unless it is 1 to 32 visible ASCII characters."""
    return identifier("card_identifier", value, 32)


def account_name(value: str) -> str:
    """Raises DomainError unless it is 1 to 64 visible ASCII characters."""
    return identifier("name", value, 64)


def fen(money: Money, field: str = "amount") -> int:
    """An amount in CNY, at least 1 fen."""
    if money.currency not in ("", "CNY"):
        raise bad(field, "cards hold CNY")
    return _positive(money, field)


def fen_and_currency(money: Money, field: str) -> tuple[int, int]:
    """An amount of at least one hundredth, and its currency's number."""
    currency = CURRENCIES.get(money.currency)
    if currency is None:
        raise bad(field, f"the currencies are {', '.join(CODES.values())}")
    return _positive(money, field), currency


def _positive(money: Money, field: str) -> int:
    amount_fen: int = money.amount_fen
    if not 0 < amount_fen <= MOST_FEN:
        raise bad(field, f"1 to {MOST_FEN} fen are wanted")
    return amount_fen


def instant_ms(field: str, value: int) -> int:
    """Milliseconds since 1970; 0 where none is meant."""
    if not 0 <= value < LATEST_MS:
        raise bad(field, "milliseconds since 1970 are wanted, until the year 9999")
    return value


def day(field: str, value: str, latest: date = date.max) -> date:
    """A date like 2026-11-23. Raises DomainError for others: a day before 1970 can be stored and not be read again."""
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = date.min
    if not _FIRST_DAY <= found <= latest:
        raise bad(field, "a date like 2026-11-23 is wanted, after 1970-01-01")
    return found


def payment_reference(message: PaymentReferenceMessage) -> PaymentReference:
    """By id, or by the request id of its Authorize."""
    match message.WhichOneof("reference"):
        case "payment_id":
            try:
                payment = bytes.fromhex(message.payment_id)
            except ValueError:
                payment = b""
            if len(payment) != 16:
                raise bad("payment_id", "32 hexadecimal digits are wanted, as on the receipt")
            return PaymentReference(payment, "")
        case "authorize_request_id":
            return PaymentReference(None, identifier("authorize_request_id", message.authorize_request_id, 64))
        case _:
            raise bad("payment", "payment_id or authorize_request_id is wanted")
