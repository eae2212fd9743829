"""Deciding what is asked online: refusals first, the ordinary case last. Pure; runs under the locks of its accounts."""

from collections.abc import Callable
from typing import Any, Final

from services.payments.domain import back_office
from services.payments.domain.account import Account, AccountStatus, HolderAccount, Purse
from services.payments.domain.book import Barred, Book, Journal, Ruled, Rules
from services.payments.domain.card import Card, CardStatus, ElectronicUse, switch_in_progress
from services.payments.domain.operation import (
    KIND,
    NO_DIGEST,
    Answered,
    Authorize,
    Capture,
    Expire,
    Kind,
    OpenAccount,
    Operation,
    PaymentReference,
    Post,
    Problem,
    Refund,
    Reserve,
    Ruling,
    SetAccountStatus,
    Token,
    TopUp,
    Void,
)
from services.payments.domain.payment import Part, Payment, PaymentStatus
from services.payments.domain.places import MOST_RESERVATIONS, Reserved, forget, remember, reservations
from services.payments.domain.spent import count, make_room, spend, spent_online
from services.payments.domain.transfer import Code, payment_id
from services.payments.domain.turn import Finding, Turn
from services.payments.domain.verdict import Reason


def decide_operation(operation: Operation, book: Book, rules: Rules, journal: Journal, batch: int, now_ms: int) -> Answered:
    """Decide one operation. A known identity is answered before anything is judged."""
    request = operation.request
    known = book.rulings.get(request.identity)
    if known is not None:
        if known.digest == request.digest or known.digest == NO_DIGEST:
            return Answered(known, repeated=True)
        return Answered(None, Problem.CONFLICT)
    turn = Turn(request, book, rules, journal, batch, journal.row, now_ms)
    found = _JUDGES[type(operation)](operation, turn)
    if isinstance(found, Problem):
        return Answered(None, found)
    reason, amount_fen, account_id, payment = found
    ruling = Ruling(
        request.digest, KIND[type(operation)], reason, amount_fen, turn.moved_fen, account_id, payment, batch, turn.row, now_ms
    )
    book.rulings[request.identity] = ruling
    journal.ruled.append(Ruled(operation, ruling))
    return Answered(ruling)


# Payments

_MAKING: Final = (Kind.AUTHORIZE, Kind.RESERVE)
"""Kinds that make a payment, under their names."""
_REASON_OF_STATUS: Final = {
    CardStatus.SEALED: Reason.CARD_SEALED,
    CardStatus.FORMALLY_LOST: Reason.CARD_LOST,
    CardStatus.TEMPORARILY_LOST: Reason.CARD_LOST,
    CardStatus.LOCKED: Reason.CARD_LOCKED,
    CardStatus.CANCELLED: Reason.CARD_CANCELLED,
}
REASON_OF_ACCOUNT: Final = {AccountStatus.FROZEN: Reason.ACCOUNT_FROZEN, AccountStatus.CLOSED: Reason.ACCOUNT_CLOSED}


def _authorize(asked: Authorize, turn: Turn) -> Finding | Problem:
    caller, amount_fen, token = asked.request.caller, asked.amount_fen, asked.token
    if token is not None and token.expire_time_ms <= turn.now_ms:
        return Finding(Reason.TOKEN_UNKNOWN, amount_fen)
    shown = _shown(asked.card_identifier, turn)
    if isinstance(shown, Problem):
        return shown
    account, card = shown
    status = card.status_at(turn.now_ms).status
    refusal = _spend(token, card, status, turn) if token else _REASON_OF_STATUS.get(status)
    if refusal := refusal or REASON_OF_ACCOUNT.get(account.status):
        return Finding(refusal, amount_fen, account.id)
    limits = turn.rules.limits.get(card.category_at(turn.now_ms).category) or turn.rules.limits.get("")
    if limits and (refusal := limits.refuse(spent_online(account.usage, turn.now_ms), amount_fen, caller.scene)):
        return Finding(refusal, amount_fen, account.id)
    usage = spend(account.usage, card, amount_fen, caller.scene, turn.now_ms)
    if isinstance(usage, Reason):
        return Finding(usage, amount_fen, account.id)
    shares = account.split(amount_fen, caller, turn.rules.purposes, turn.now_ms, overdraft=False)
    if shares is None:
        return Finding(Reason.INSUFFICIENT_FUNDS, amount_fen, account.id)
    payment = Payment(
        id=payment_id(turn.now_ms, turn.batch, turn.row),
        terminal=caller.number,
        merchant_id=caller.merchant_id,
        scene=caller.scene,
        request_id=asked.request.request_id,
        account_id=account.id,
        payee=caller.payable_account,
        one_step=asked.capture,
        status=PaymentStatus.HELD,
        parts=[Part(purse.id, share) for purse, share in shares],
        create_time_ms=turn.now_ms,
        expire_time_ms=turn.now_ms + asked.hold_ms,
        changed=not asked.capture,
    )
    for purse, share in shares:
        if asked.capture:
            turn.move(Code.PAYMENT, purse.id, payment.payee, share, account.id)
        else:
            purse.hold(share)
            turn.journal.promise(payment.payee, share)
    if asked.capture:
        payment.status = PaymentStatus.CAPTURED
        for part in payment.parts:
            part.captured_fen = part.held_fen
    account.use(count(usage, amount_fen, 1, caller.scene, turn.now_ms))
    turn.book.payments[payment.id] = payment
    return Finding(Reason.NONE, amount_fen, account.id, payment.id)


def _shown(card_identifier: str, turn: Turn) -> tuple[HolderAccount, Card] | Problem:
    """The card that was shown, and its holder."""
    account = turn.book.accounts.get(card_identifier)
    if account is None:
        return Problem.UNKNOWN_CARD
    card = account.card(card_identifier)
    return Problem.SWITCH_IN_PROGRESS if switch_in_progress(card, account.cards) else (account, card)


def _spend(token: Token, card: Card, status: CardStatus, turn: Turn) -> Reason | None:
    """Whatever becomes of the payment, the token is used. The registry knows whether an electronic card outlives a loss."""
    if token.number in turn.book.spent:
        return Reason.TOKEN_SPENT
    turn.book.spent.add(token.number)
    turn.journal.spent.append(token)
    if card.electronic_use_at(turn.now_ms) is ElectronicUse.PAY and status in (CardStatus.NORMAL, CardStatus.TEMPORARILY_LOST):
        return None
    return _REASON_OF_STATUS.get(status, Reason.ELECTRONIC_CARD_BARRED)


def _capture(asked: Capture, turn: Turn) -> Finding | Problem:
    payment = _find(asked.reference, turn)
    if payment is None:
        return Problem.UNKNOWN_PAYMENT
    amount_fen = payment.held_fen if asked.amount_fen is None else asked.amount_fen
    if payment.status is not PaymentStatus.HELD or payment.is_reservation:
        return _refused(Reason.NOT_HELD, amount_fen, payment)
    if amount_fen > payment.held_fen:
        return _refused(Reason.EXCEEDS_HOLD, amount_fen, payment)
    for part, share in payment.capture(amount_fen):
        _purse(part, turn).hold(-share)
        turn.journal.promise(payment.payee, -share)
        turn.move(Code.PAYMENT, part.account_id, payment.payee, share, payment.account_id)
    if not asked.more_to_come or not payment.held_fen:
        _let_go(payment, PaymentStatus.CAPTURED, turn)
    return Finding(Reason.NONE, amount_fen, payment.account_id, payment.id)


def _void(asked: Void, turn: Turn) -> Finding | Problem:
    payment = _find(asked.reference, turn)
    if payment is None:
        return _bar_the_way(asked, turn)
    if payment.status is PaymentStatus.HELD:
        amount_fen = _held_money_fen(payment)
        _let_go(payment, PaymentStatus.CAPTURED if payment.captured_fen else PaymentStatus.VOIDED, turn)
        return Finding(Reason.NONE, amount_fen, payment.account_id, payment.id)
    if not payment.one_step or payment.refunded_fen:
        return _refused(Reason.NOT_HELD, 0, payment)
    amount_fen = payment.paid_fen
    taken_back = _give_back(payment, amount_fen, Code.REVERSAL, turn)
    if taken_back.reason is Reason.NONE:
        _make_room(payment, amount_fen, 1, turn)
    return taken_back


def _bar_the_way(asked: Void, turn: Turn) -> Finding | Problem:
    """A payment that never arrived: whatever comes under its name later is refused (冲正 after a time-out)."""
    caller, request_id = asked.request.caller, asked.reference.authorize_request_id
    if not request_id:
        return Problem.UNKNOWN_PAYMENT
    known = turn.book.rulings.get((caller.number, request_id))
    if known is not None and known.kind not in _MAKING:
        return Problem.UNKNOWN_PAYMENT
    if known is None:
        # It stands in the journal behind the Void itself.
        barred = Ruling(
            NO_DIGEST, Kind.AUTHORIZE, Reason.VOIDED, 0, 0, 0, None, turn.batch, turn.row + 1, turn.now_ms
        )  # fmt: skip
        turn.book.rulings[caller.number, request_id] = barred
        turn.journal.barred.append(Barred(caller.number, request_id, barred))
    return Finding(Reason.NONE, 0)


def _refund(asked: Refund, turn: Turn) -> Finding | Problem:
    payment = _find(asked.reference, turn)
    if payment is None:
        return Problem.UNKNOWN_PAYMENT
    amount_fen = payment.paid_fen if asked.amount_fen is None else asked.amount_fen
    if not 0 < amount_fen <= payment.paid_fen or payment.is_reservation:
        return _refused(Reason.EXCEEDS_PAID, amount_fen, payment)
    return _give_back(payment, amount_fen, Code.REFUND, turn)


def _expire(asked: Expire, turn: Turn) -> Finding | Problem:
    payment = turn.book.payments.get(asked.reference.payment or b"")
    if payment is None:
        return Problem.UNKNOWN_PAYMENT
    if payment.status is not PaymentStatus.HELD:
        return _refused(Reason.NOT_HELD, 0, payment)
    if payment.expire_time_ms > turn.now_ms:
        # No verdict: the name is derived, and whoever asks in time finds it free.
        return Problem.NOT_DUE
    amount_fen = _held_money_fen(payment)
    _let_go(payment, PaymentStatus.CAPTURED if payment.captured_fen else PaymentStatus.EXPIRED, turn)
    return Finding(Reason.NONE, amount_fen, payment.account_id, payment.id)


def _find(reference: PaymentReference, turn: Turn) -> Payment | None:
    """The payment, if the caller made it: a terminal its own, a merchant those of its terminals."""
    caller = turn.request.caller
    if reference.payment is not None:
        payment = turn.book.payments.get(reference.payment)
    else:
        ruling = turn.book.rulings.get((caller.number, reference.authorize_request_id))
        made = ruling is not None and ruling.kind in _MAKING and ruling.payment
        payment = turn.book.payments.get(made) if made else None
    if payment is None or not (payment.terminal == caller.number or caller.is_merchant_of(payment.merchant_id)):
        return None
    return payment


def _refused(reason: Reason, amount_fen: int, payment: Payment) -> Finding:
    return Finding(reason, amount_fen, payment.account_id, payment.id)


def _held_money_fen(payment: Payment) -> int:
    """What a ruling names as held: a reservation's places are no money."""
    return 0 if payment.is_reservation else payment.held_fen


def _purse(part: Part, turn: Turn) -> Account:
    return turn.book.locked[part.account_id]


def _let_go(payment: Payment, status: PaymentStatus, turn: Turn) -> None:
    """End a payment: what is still held comes back, and so does the room in that day's limits; a reservation is forgotten."""
    left_fen = 0
    for part in payment.parts:
        if part.open_fen:
            _purse(part, turn).hold(-part.open_fen)
            left_fen += part.open_fen
    if left_fen:
        turn.journal.promise(payment.payee, -left_fen)
        _make_room(payment, left_fen, 0 if payment.captured_fen else 1, turn)
    payment.end(status)


def _make_room(payment: Payment, amount_fen: int, payments: int, turn: Turn) -> None:
    """In the limits of its day. What is refunded leaves none: it was paid all the same."""
    holder = turn.book.locked[payment.account_id]
    assert isinstance(holder, HolderAccount)
    if payment.is_reservation:
        return holder.use(forget(holder.usage, payment.id))
    return holder.use(make_room(holder, amount_fen, payments, payment.scene, payment.create_time_ms))


def _give_back(payment: Payment, amount_fen: int, code: Code, turn: Turn) -> Finding:
    if turn.book.locked[payment.account_id].status is AccountStatus.CLOSED:
        return _refused(Reason.ACCOUNT_CLOSED, amount_fen, payment)
    for part, share in payment.refund(amount_fen):
        purse = _purse(part, turn)
        void = isinstance(purse, Purse) and (purse.void_at(turn.now_ms) or purse.status is AccountStatus.CLOSED)
        # What a void purse had paid goes back to where it came from.
        target = purse.fund_account if void and isinstance(purse, Purse) else purse.id
        turn.move(code, payment.payee, target, share, payment.account_id)
    return Finding(Reason.NONE, amount_fen, payment.account_id, payment.id)


# Reservations


def _reserve(asked: Reserve, turn: Turn) -> Finding | Problem:
    slot, places, terms = asked.slot, asked.places, asked.terms
    shown = _shown(asked.card_identifier, turn)
    if isinstance(shown, Problem):
        return shown
    account, card = shown
    if refusal := _REASON_OF_STATUS.get(card.status_at(turn.now_ms).status) or REASON_OF_ACCOUNT.get(account.status):
        return Finding(refusal, 0, account.id)
    if turn.now_ms < terms.reservable_from_ms:
        return Finding(Reason.NOT_YET_RESERVABLE, 0, account.id)
    if turn.now_ms >= slot.ends_ms:
        return Finding(Reason.OUTSIDE_HOURS, 0, account.id)
    if places > terms.most_places:
        return Finding(Reason.TOO_MANY_RIDERS, 0, account.id)
    held = reservations(account.usage)
    again = any((other.merchant_id, other.begins_ms) == slot.key for other in held)
    if (again and terms.once) or len(held) >= MOST_RESERVATIONS:
        return Finding(Reason.ALREADY_RESERVED, 0, account.id)
    quota = turn.book.locked[terms.places_account]
    if not quota.gives(places):
        return Finding(Reason.QUOTA_FULL, 0, account.id)
    caller = asked.request.caller
    payment = Payment(
        id=payment_id(turn.now_ms, turn.batch, turn.row),
        terminal=caller.number,
        merchant_id=slot.merchant_id,
        scene=terms.scene,
        request_id=asked.request.request_id,
        account_id=account.id,
        payee=turn.rules.places_taken_account,
        one_step=False,
        status=PaymentStatus.HELD,
        parts=[Part(quota.id, places)],
        create_time_ms=turn.now_ms,
        expire_time_ms=terms.expire_time_ms,
        changed=True,
    )
    quota.hold(places)
    turn.journal.promise(payment.payee, places)
    account.use(remember(account.usage, Reserved(slot.merchant_id, slot.begins_ms, slot.ends_ms, places, payment.id.hex())))
    turn.book.payments[payment.id] = payment
    return Finding(Reason.NONE, 0, account.id, payment.id)


_JUDGES: Final[dict[type, Callable[[Any, Turn], Finding | Problem]]] = {
    Authorize: _authorize,
    Capture: _capture,
    Void: _void,
    Refund: _refund,
    TopUp: back_office.top_up,
    Post: back_office.post,
    OpenAccount: back_office.open_account,
    SetAccountStatus: back_office.set_status,
    Expire: _expire,
    Reserve: _reserve,
}
