"""Deciding a batch of taps: refusals first, the ordinary case last. Pure; runs under the locks of its accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.payments.domain.account import AccountStatus, HolderAccount
from services.payments.domain.card import LOST, Card, CardStatus
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Fare, NamedPrice, Tariff, Tariffs
from services.payments.domain.transfer import Code, Leg
from services.payments.domain.verdict import Answer, Cause, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """City settings that decide whether a tap is accepted."""

    tariffs: Tariffs
    hotlist_losses_account: int
    acceptance_horizon_ms: int
    """Older taps post nothing, for ever."""
    clock_tolerance_ms: int
    """How far ahead of our clock a terminal's may be."""
    hotlist_grace_ms: int
    """How long after the hotlist's publication the city still pays for a lost card's taps."""


class Decided(NamedTuple):
    """A verdict to be stored."""

    tap: Tap
    account_id: int
    verdict: Verdict


@dataclass(slots=True)
class Book:
    """What a batch is decided on, all of it read after the accounts were locked.

    `decide` changes the accounts and adds the verdicts it gives, so that later taps of the batch see both.
    """

    accounts: Mapping[str, HolderAccount]
    """By card identifier; two cards of one holder share an account."""
    verdicts: dict[tuple[int, int], Verdict] = field(default_factory=dict)
    """Known identities."""


@dataclass(slots=True)
class Journal:
    """What `decide` returns: an answer for each tap, in order, and the rows to write."""

    answers: list[Answer] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)


def decide(taps: Sequence[Tap], book: Book, rules: Rules, batch: int, now_ms: int) -> Journal:
    """Decide taps in order. A known identity is answered before anything is rated."""
    journal = Journal()
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
        tariff = rules.tariffs.in_force(tap.terminal.scene, tap.event_time_ms)
        if tariff is None:
            journal.answers.append(Answer(None, Cause.NO_TARIFF))
            continue
        row = len(journal.decided)
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


_NO_FARE = Fare(0, 0, 0)
_REASON_OF_STATUS = {
    CardStatus.SEALED: Reason.CARD_SEALED,
    CardStatus.LOCKED: Reason.CARD_LOCKED,
    CardStatus.CANCELLED: Reason.CARD_CANCELLED,
}
_REASON_OF_ACCOUNT = {AccountStatus.FROZEN: Reason.ACCOUNT_FROZEN, AccountStatus.CLOSED: Reason.ACCOUNT_CLOSED}


def _accept(
    tap: Tap, account: HolderAccount, tariff: Tariff, rules: Rules, now_ms: int, row: int, legs: list[Leg]
) -> tuple[Reason, Fare]:
    """Refuse with a reason, or add the legs that pay the merchant."""
    if tap.event_time_ms > now_ms + rules.clock_tolerance_ms:
        return Reason.BAD_TIME, _NO_FARE
    if tap.event_time_ms < now_ms - rules.acceptance_horizon_ms:
        return Reason.TOO_LATE, _NO_FARE
    if refusal := _refuse_price(tap, tariff):
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
    if refusal := _REASON_OF_ACCOUNT.get(account.status):
        return refusal, _NO_FARE
    fare, usage = tariff.rate(tap, card, account.usage)
    if not account.can_pay(fare.charged_fen):
        return Reason.INSUFFICIENT_FUNDS, _NO_FARE
    if usage is not account.usage:
        account.usage = usage
        account.usage_changed = True
    _pay(tap, account, fare, row, legs)
    return Reason.NONE, fare


def _refuse_price(tap: Tap, tariff: Tariff) -> Reason | None:
    """A price belongs to purchases only: rides and entries are the tariff's to rate."""
    if not isinstance(tariff.price, NamedPrice):
        return None if tap.price_fen is None else Reason.PRICE_NOT_ALLOWED
    if tap.price_fen is None or not 1 <= tap.price_fen <= tariff.price.limit_fen:
        return Reason.BAD_PRICE
    return None


def _pay(tap: Tap, account: HolderAccount, fare: Fare, row: int, legs: list[Leg]) -> None:
    payee = tap.terminal.payable_account
    leg = 0
    if fare.charged_fen:
        account.pay(fare.charged_fen)
        legs.append(Leg(tap, row, leg, Code.CHARGE, account.id, payee, fare.charged_fen, account.id))
        leg += 1
    if concession_fen := fare.fare_fen - fare.charged_fen:
        legs.append(Leg(tap, row, leg, Code.CONCESSION, fare.fund_account, payee, concession_fen, account.id))


def _pay_from_hotlist_losses(
    tap: Tap, account: HolderAccount, card: Card, tariff: Tariff, rules: Rules, row: int, legs: list[Leg]
) -> Fare:
    """After the report and before the hotlist took effect the merchant is paid, and never from the purse."""
    fare_fen = tariff.rate(tap, card, account.usage)[0].fare_fen
    if fare_fen:
        payee = tap.terminal.payable_account
        legs.append(Leg(tap, row, 0, Code.HOTLIST_LOSS, rules.hotlist_losses_account, payee, fare_fen, account.id))
    return Fare(fare_fen, 0, rules.hotlist_losses_account)
