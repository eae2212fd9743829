"""Requests in their lasting form: what is kept of an operation, and what two requests under one id are compared by.

It is ours, not the wire's: another order of fields on the wire, or a newer client, is still the same request.
"""

from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from services.payments.domain.account import AccountStatus, Purse
from services.payments.domain.book import Ruled
from services.payments.domain.operation import (
    Adjust,
    Admit,
    Authorize,
    Capture,
    Entry,
    Expire,
    Kind,
    OpenAccount,
    Operation,
    PaymentReference,
    Post,
    Refund,
    Request,
    Reserve,
    Ruling,
    SetAccountStatus,
    Token,
    TopUp,
    Void,
)
from services.payments.domain.places import Admission, Admitted, ReservationTerms, Slot
from services.payments.domain.ride import Adjusted
from services.payments.domain.tap import Scene, Terminal
from services.payments.domain.verdict import Reason

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Any]).decode
_AUTHORIZE: Final = int(Kind.AUTHORIZE)


def _request(caller: Terminal, request_id: str, kind: int, *facts: object, ours: tuple[object, ...] = ()) -> Request:
    """`ours` is kept with what was asked and is no part of it: settings and rights of the moment."""
    body = _encode([kind, *facts])
    digest = sha256(body).digest()
    return Request(caller, request_id, digest, _encode([kind, *facts, *ours]) if ours else body)


def authorize(
    caller: Terminal,
    request_id: str,
    card_identifier: str,
    amount_fen: int,
    *,
    capture: bool,
    hold_ms: int,
    asked_hold_ms: int = 0,
    token: Token | None = None,
) -> Authorize:
    """`hold_ms` is how long the hold lives, `asked_hold_ms` what was asked; both 0 where the money is taken at once.

    Where a token was shown, its number is what was asked; whose it is and until when is kept beside it.
    """
    if token is None:
        ours: tuple[object, ...] = () if hold_ms == asked_hold_ms else (hold_ms,)
        request = _request(caller, request_id, _AUTHORIZE, card_identifier, amount_fen, capture, asked_hold_ms, ours=ours)
    else:
        ours = (hold_ms, card_identifier, token.expire_time_ms)
        request = _request(caller, request_id, _AUTHORIZE, token.number, amount_fen, capture, asked_hold_ms, ours=ours)
    return Authorize(request, card_identifier, amount_fen, capture, hold_ms, token)


def capture(
    caller: Terminal, request_id: str, reference: PaymentReference, amount_fen: int | None, *, more_to_come: bool
) -> Capture:
    """None as amount: all that is held."""
    request = _request(caller, request_id, Kind.CAPTURE, *reference, amount_fen, more_to_come)
    return Capture(request, reference, amount_fen, more_to_come)


def void(caller: Terminal, request_id: str, reference: PaymentReference) -> Void:
    """Of a hold or a one-step payment."""
    return Void(_request(caller, request_id, Kind.VOID, *reference), reference)


def refund(caller: Terminal, request_id: str, reference: PaymentReference, amount_fen: int | None) -> Refund:
    """None as amount: all that is left."""
    return Refund(_request(caller, request_id, Kind.REFUND, *reference, amount_fen), reference, amount_fen)


def top_up(caller: Terminal, request_id: str, account_id: int, source_account: int, amount_fen: int) -> TopUp:
    """Of a holder's main purse."""
    request = _request(caller, request_id, Kind.TOP_UP, account_id, source_account, amount_fen)
    return TopUp(request, account_id, source_account, amount_fen)


def post(
    caller: Terminal, request_id: str, entries: tuple[Entry, ...], currency: int, *, event_time_ms: int, may_overdraw: bool
) -> Post:
    """`event_time_ms` is 0 where the entries belong to the day on which they are posted."""
    request = _request(caller, request_id, Kind.POST, entries, currency, event_time_ms, ours=(may_overdraw,))
    return Post(request, entries, currency, event_time_ms, may_overdraw)


def open_account(
    caller: Terminal,
    request_id: str,
    account_id: int,
    *,
    name: str,
    currency: int,
    guarded: bool,
    overdraft_fen: int,
    purse: Purse | None,
) -> OpenAccount:
    """The number that was allocated is no part of what was asked."""
    terms = purse and (purse.owner, purse.purpose, purse.void_after_ms, purse.fund_account)
    request = _request(caller, request_id, Kind.OPEN_ACCOUNT, name, currency, guarded, overdraft_fen, terms)
    return OpenAccount(request, account_id, name, currency, guarded, overdraft_fen, purse)


def new_purse(account_id: int, owner: int, purpose: str, void_after_ms: int, fund_account: int) -> Purse:
    """A purse to be opened, with nothing in it."""
    return Purse(
        account_id,
        0,
        0,
        AccountStatus.OPEN,
        owner=owner,
        purpose=purpose,
        void_after_ms=void_after_ms,
        fund_account=fund_account,
    )


def set_account_status(caller: Terminal, request_id: str, account_id: int, status: AccountStatus) -> SetAccountStatus:
    """Of a guarded account."""
    return SetAccountStatus(_request(caller, request_id, Kind.SET_ACCOUNT_STATUS, account_id, status), account_id, status)


def reserve(
    caller: Terminal, request_id: str, card_identifier: str, slot: Slot, places: int, terms: ReservationTerms
) -> Reserve:  # fmt: skip
    """Of a site's places: which slot, and how many. How long the slot is and how many it takes is the site's to say."""
    ours = (slot.ends_ms, slot.places, terms)
    request = _request(caller, request_id, Kind.RESERVE, card_identifier, *slot.key, places, ours=ours)
    return Reserve(request, card_identifier, slot, places, terms)


def expire(ledger: Terminal, payment: bytes) -> Expire:
    """The id is derived, so that two sweepers ask for the same."""
    reference = PaymentReference(payment, "")
    return Expire(_request(ledger, f"expire:{payment.hex()}", Kind.EXPIRE, *reference), reference)


def adjustment(adjusted: Adjusted) -> Ruled:
    """An adjustment as it stands in the journal, under (cause, tap). Blanks keep its name apart from what callers choose."""
    tap, fare = adjusted.tap, adjusted.fare
    number, sequence = tap.identity
    name = f"adjust {adjusted.cause.sequence} {number} {sequence}"
    body = _encode((Kind.ADJUST, number, sequence, adjusted.revision, *fare))
    request = Request(adjusted.cause.terminal, name, tap.digest, body)
    ruling = Ruling(
        tap.digest, Kind.ADJUST, Reason.NONE, fare.charged_fen, adjusted.moved_fen, adjusted.account_id, None, adjusted.batch,
        adjusted.row, adjusted.decide_time_ms,
    )  # fmt: skip
    return Ruled(Adjust(request, tap.terminal, sequence, adjusted.revision, fare.fare_fen, fare.charged_fen), ruling)


def admission(admitted: Admitted) -> Ruled:
    """Somebody who entered, as it stands in the journal beside the verdict of the tap, whose name it has."""
    tap, how = admitted.tap, admitted.admission
    body = _encode((Kind.ADMIT, *how))
    request = Request(tap.terminal, f"admit {tap.sequence}", tap.digest, body)
    ruling = Ruling(
        tap.digest, Kind.ADMIT, Reason.NONE, 0, how.places, admitted.account_id, how.payment, admitted.batch, admitted.row,
        admitted.decide_time_ms,
    )  # fmt: skip
    return Ruled(Admit(request, how), ruling)


def admission_of(body: bytes) -> Admission:
    """Read the body of a stored admission back."""
    return Admission(*_decode(body)[1:])


class AdjustmentFacts(NamedTuple):
    """What the body of a stored adjustment says."""

    kind: int
    terminal: int
    sequence: int
    revision: int
    fare_fen: int
    charged_fen: int
    shares: list[list[int]]


def adjustment_of(body: bytes) -> AdjustmentFacts:
    """Read it back."""
    return AdjustmentFacts(*_decode(body))


def again(caller: Terminal, request_id: str, body: bytes, opened_account: int) -> Operation:
    """The operation that is kept in the journal, to be decided again."""
    kind, *facts = _decode(body)
    match Kind(kind):
        case Kind.AUTHORIZE:
            card, fen, at_once, asked, *ours = facts
            token = None
            if isinstance(card, bytes):
                *ours, identifier, until_ms = ours
                token, card = Token(card, until_ms), identifier
            return authorize(
                caller, request_id, card, fen, capture=at_once, hold_ms=ours[0] if ours else asked, asked_hold_ms=asked,
                token=token,
            )  # fmt: skip
        case Kind.CAPTURE:
            payment, name, fen, more_to_come = facts
            return capture(caller, request_id, PaymentReference(payment, name), fen, more_to_come=more_to_come)
        case Kind.VOID:
            return void(caller, request_id, PaymentReference(*facts))
        case Kind.REFUND:
            payment, name, fen = facts
            return refund(caller, request_id, PaymentReference(payment, name), fen)
        case Kind.TOP_UP:
            return top_up(caller, request_id, *facts)
        case Kind.POST:
            entries, currency, event_time_ms, may_overdraw = facts
            sides = tuple(Entry(*entry) for entry in entries)
            return post(caller, request_id, sides, currency, event_time_ms=event_time_ms, may_overdraw=may_overdraw)
        case Kind.OPEN_ACCOUNT:
            name, currency, guarded, overdraft_fen, terms = facts
            return open_account(
                caller, request_id, opened_account, name=name, currency=currency, guarded=guarded, overdraft_fen=overdraft_fen,
                purse=new_purse(opened_account, *terms) if terms else None,
            )  # fmt: skip
        case Kind.SET_ACCOUNT_STATUS:
            account_id, status = facts
            return set_account_status(caller, request_id, account_id, AccountStatus(status))
        case Kind.EXPIRE:
            return expire(caller, facts[0])
        case Kind.RESERVE:
            card, merchant_id, begins_ms, places, ends_ms, most, (scene, *terms) = facts
            slot = Slot(merchant_id, begins_ms, ends_ms, most)
            return reserve(caller, request_id, card, slot, places, ReservationTerms(Scene(scene), *terms))
        case Kind.ADJUST | Kind.ADMIT:
            raise ValueError("it is decided with the tap that caused it")
