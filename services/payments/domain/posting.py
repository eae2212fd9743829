"""Deciding a batch: taps here, online operations in `online`. Refusals first, the ordinary case last.

Pure; runs under the locks of its accounts.
"""

from collections.abc import Sequence

from services.payments.domain.account import HolderAccount
from services.payments.domain.book import Book, Decided, Journal, Rules
from services.payments.domain.card import LOST, Card, CardStatus
from services.payments.domain.online import REASON_OF_ACCOUNT, decide_operation
from services.payments.domain.operation import Operation
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariff
from services.payments.domain.transfer import Code, Leg
from services.payments.domain.verdict import Answer, Cause, Reason, Verdict


def decide(taps: Sequence[Tap], operations: Sequence[Operation], book: Book, rules: Rules, batch: int, now_ms: int) -> Journal:
    """Decide taps and operations in order. A known identity is answered before anything is rated."""
    journal = Journal()
    for operation in operations:
        journal.answered.append(decide_operation(operation, book, rules, journal, batch, now_ms))
    for tap in taps:
        identity = tap.identity
        known = book.verdicts.get(identity)
        if known is not None:
            journal.answers.append(_answer_again(known, tap))
            continue
        account = book.accounts.get(tap.card_identifier)
        if account is None:
            journal.answers.append(Answer(None, Cause.UNKNOWN_CARD))
            continue
        tariff = rules.tariffs.in_force(tap)
        if tariff is None or not tariff.knows(tap):
            journal.answers.append(Answer(None, Cause.NO_TARIFF))
            continue
        row = journal.row
        reason, fare = _accept(tap, account, tariff, rules, now_ms, row, journal.legs)
        verdict = Verdict(tap.digest, reason, fare.fare_fen, fare.charged_fen, batch, row, now_ms)
        book.verdicts[identity] = verdict
        journal.decided.append(Decided(tap, account.id, verdict))
        journal.answers.append(Answer(verdict))
    return journal


def _answer_again(known: Verdict, tap: Tap) -> Answer:
    if known.digest != tap.digest:
        return Answer(None, Cause.IDENTITY_CONFLICT)
    return Answer(known, repeated=True)


_NO_FARE = Fare(0, 0)
_NOTHING: State = {}
_REASON_OF_STATUS = {
    CardStatus.SEALED: Reason.CARD_SEALED,
    CardStatus.LOCKED: Reason.CARD_LOCKED,
    CardStatus.CANCELLED: Reason.CARD_CANCELLED,
}


def _accept(
    tap: Tap, account: HolderAccount, tariff: Tariff, rules: Rules, now_ms: int, row: int, legs: list[Leg]
) -> tuple[Reason, Fare]:
    """Refuse with a reason, or add the legs that pay the merchant."""
    if tap.event_time_ms > now_ms + rules.clock_tolerance_ms:
        return Reason.BAD_TIME, _NO_FARE
    if tap.event_time_ms < now_ms - rules.acceptance_horizon_ms or tap.sequence <= tap.terminal.mark:
        return Reason.TOO_LATE, _NO_FARE
    if refusal := tariff.refuse(tap):
        return refusal, _NO_FARE
    card = account.card(tap.card_identifier)
    period = card.status_at(tap.event_time_ms)
    if refusal := _REASON_OF_STATUS.get(period.status):
        return refusal, _NO_FARE
    if period.status in LOST:
        published_ms = period.hotlist_published_ms
        if published_ms and tap.event_time_ms >= published_ms + rules.hotlist_grace_ms:
            return Reason.HOTLISTED, _NO_FARE
        return Reason.NONE, _pay_from_hotlist_losses(tap, account, card, tariff, rules, row, legs)
    if refusal := REASON_OF_ACCOUNT.get(account.status):
        return refusal, _NO_FARE
    state = account.usage.get(tariff.key, _NOTHING)
    for limit in tariff.limits:
        if refusal := limit.refuse(tap, state):
            return refusal, _NO_FARE
    fare, after = tariff.rate(tap, card, state)
    if not _pay(tap, account, fare, rules, row, legs):
        return Reason.INSUFFICIENT_FUNDS, _NO_FARE
    if tariff.remembers:
        account.use({**account.usage, tariff.key: after})
    return Reason.NONE, fare


def _pay(tap: Tap, account: HolderAccount, fare: Fare, rules: Rules, row: int, legs: list[Leg]) -> bool:
    """Pay the merchant out of the purses that may, and a fund what the holder does not; False when they do not bear it."""
    number, payee, event_ms = tap.terminal.number, tap.terminal.payable_account, tap.event_time_ms
    leg = 0
    if account.purses:
        shares = account.split(fare.charged_fen, tap.terminal, rules.purposes, event_ms, overdraft=True)
        if shares is None:
            return False
        for purse, share in shares:
            purse.take(share)
            legs.append(Leg(number, tap.sequence, event_ms, row, leg, Code.CHARGE, purse.id, payee, share, account.id))
            leg += 1
    elif fare.charged_fen:
        if not account.can_pay(fare.charged_fen):
            return False
        account.take(fare.charged_fen)
        legs.append(Leg(number, tap.sequence, event_ms, row, 0, Code.CHARGE, account.id, payee, fare.charged_fen, account.id))
        leg = 1
    for fund, share in fare.shares:
        legs.append(Leg(number, tap.sequence, event_ms, row, leg, Code.CONCESSION, fund, payee, share, account.id))
        leg += 1
    return True


def _pay_from_hotlist_losses(
    tap: Tap, account: HolderAccount, card: Card, tariff: Tariff, rules: Rules, row: int, legs: list[Leg]
) -> Fare:
    """After the report and before the hotlist took effect the merchant is paid, and never from the purse."""
    fare_fen = tariff.rate(tap, card, account.usage.get(tariff.key, _NOTHING))[0].fare_fen
    losses = rules.hotlist_losses_account
    if fare_fen:
        payee, number = tap.terminal.payable_account, tap.terminal.number
        legs.append(
            Leg(number, tap.sequence, tap.event_time_ms, row, 0, Code.HOTLIST_LOSS, losses, payee, fare_fen, account.id)
        )
    return Fare(fare_fen, 0)
