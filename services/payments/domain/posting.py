"""Deciding a batch: taps here, online operations in `online`. Refusals first, the ordinary case last.

Pure; runs under the locks of its accounts.
"""

from collections.abc import Sequence

from services.payments.domain.account import AccountStatus, HolderAccount, Usage
from services.payments.domain.admission import admit, find_admission
from services.payments.domain.book import Book, Decided, Journal, Rules, Sitting
from services.payments.domain.card import LOST, Card, CardStatus
from services.payments.domain.online import REASON_OF_ACCOUNT, decide_operation
from services.payments.domain.operation import Operation
from services.payments.domain.rating.price import Identity
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.ride import Adjusted, Held, History, Parts, Ride, adjust, state_of, wanted_since
from services.payments.domain.spent import spend
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariff
from services.payments.domain.transfer import Code, Leg
from services.payments.domain.verdict import Answer, Cause, Reason, Verdict


def decide(taps: Sequence[Tap], operations: Sequence[Operation], book: Book, rules: Rules, batch: int, now_ms: int) -> Journal:
    """Decide taps and operations in order. A known identity is answered before anything is rated."""
    journal = Journal()
    sitting = Sitting(book, rules, journal, batch, now_ms)
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
        accepted = _accept(tap, account, tariff, sitting)
        fare = accepted if isinstance(accepted, Fare) else _NO_FARE
        reason = _ACCEPTED if isinstance(accepted, Fare) else accepted
        verdict = Verdict(tap.digest, reason, fare.fare_fen, fare.charged_fen, batch, row, now_ms)
        book.verdicts[identity] = verdict
        journal.decided.append(Decided(tap, account.id, verdict))
        if journal.admission is not None:
            if not reason:
                admit(journal.admission, tap, account, sitting)
            journal.admission = None
        if journal.disturbed is None:
            journal.answers.append(Answer(verdict))
            continue
        history, at = journal.disturbed
        journal.disturbed = None
        adjusted = _rate_again(history, at, tap, account, sitting)
        journal.answers.append(Answer(verdict, adjusted=tuple(one.revised for one in adjusted), late=True))
    return journal


def histories_wanted(taps: Sequence[Tap], book: Book, rules: Rules) -> dict[tuple[int, str], int]:
    """Whose rides must be at hand to decide these taps, and since when: by account and key of the tariff, in milliseconds.

    Those of taps that come late, and of taps that say something about a ride that is under way.
    """
    wanted: dict[tuple[int, str], int] = {}
    for tap in taps:
        account = book.accounts.get(tap.card_identifier)
        if account is None or not account.usage or tap.identity in book.verdicts:
            continue
        tariff = rules.tariffs.in_force(tap)
        if tariff is None or not tariff.remembers:
            continue
        since = wanted_since(tap, tap.place, tariff, account.usage.get(tariff.key))
        if since is not None:
            place = account.id, tariff.key
            wanted[place] = min(since, wanted.get(place, since))
    return wanted


def end_ride(history: History, entry: Identity, account: HolderAccount, sitting: Sitting) -> None:
    """No exit of an entry came in time: it counts as one without, until the exit comes after all."""
    at = history.entry(entry)
    ride = history.rides[at]
    ride.unmatched = ride.changed = True
    _rate_again(history, at, ride.tap, account, sitting)


def _rate_again(history: History, at: int, cause: Tap, account: HolderAccount, sitting: Sitting) -> tuple[Adjusted, ...]:
    """Rate rides again from one on, because of a tap, and adjust those whose fares have changed."""
    book, rules, journal, batch, now_ms = sitting
    adjusted = []
    for place, fare in sorted(history.rate_from(at, account, rules.tariffs).items()):
        ride = history.rides[place]
        if fare == ride.fare:
            continue
        row = journal.row
        moved_fen = adjust(
            ride, fare, account, book.locked, rules.purposes, rules.fare_shortfalls_account, row, journal.legs
        )  # fmt: skip
        one = Adjusted(cause, ride.tap, account.id, ride.revision, fare, moved_fen, batch, row, now_ms)
        journal.adjusted.append(one)
        adjusted.append(one)
    return tuple(adjusted)


def _answer_again(known: Verdict, tap: Tap) -> Answer:
    if known.digest != tap.digest:
        return Answer(None, Cause.IDENTITY_CONFLICT)
    return Answer(known, repeated=True)


_NO_FARE = Fare(0, 0)
# Looking a member up in its enumeration costs a tenth of a microsecond, for each tap.
_ACCEPTED, _NORMAL, _OPEN, _CHARGE = Reason.NONE, CardStatus.NORMAL, AccountStatus.OPEN, Code.CHARGE
_NOTHING: State = {}
_REASON_OF_STATUS = {
    CardStatus.SEALED: Reason.CARD_SEALED,
    CardStatus.LOCKED: Reason.CARD_LOCKED,
    CardStatus.CANCELLED: Reason.CARD_CANCELLED,
}


def _accept(tap: Tap, account: HolderAccount, tariff: Tariff, sitting: Sitting) -> Reason | Fare:
    """Refuse with a reason, or add the legs that pay the merchant."""
    rules, now_ms = sitting.rules, sitting.now_ms
    if tap.event_time_ms > now_ms + rules.clock_tolerance_ms:
        return Reason.BAD_TIME
    if tap.event_time_ms < now_ms - rules.acceptance_horizon_ms or tap.sequence <= tap.terminal.mark:
        return Reason.TOO_LATE
    if refusal := tariff.refuse(tap):
        return refusal
    card = account.card(tap.card_identifier)
    period = card.status_at(tap.event_time_ms)
    if period.status is not _NORMAL:
        if period.status not in LOST:
            return _REASON_OF_STATUS[period.status]
        published_ms = period.hotlist_published_ms
        if published_ms and tap.event_time_ms >= published_ms + rules.hotlist_grace_ms:
            return Reason.HOTLISTED
        return _pay_from_hotlist_losses(tap, account, card, tariff, sitting)
    if account.status is not _OPEN:
        return REASON_OF_ACCOUNT[account.status]
    if tariff.quota is not None:
        admission = find_admission(tap, account, tariff.quota, sitting)
        if isinstance(admission, Reason):
            return admission
        sitting.journal.admission = admission
    if tariff.remembers:
        return _ride(tap, account, card, tariff, sitting)
    fare, _ = tariff.rate(tap, card, _NOTHING)
    parts = _pay(tap, account, card, fare, sitting)
    return fare if isinstance(parts, tuple) else parts


def _ride(tap: Tap, account: HolderAccount, card: Card, tariff: Tariff, sitting: Sitting) -> Reason | Fare:
    """Accept a tap among the other rides of its holder. Limits and funds are judged once, on what is accepted by now."""
    book, journal = sitting.book, sitting.journal
    key = tariff.key
    held: Held | None = account.usage.get(key)
    place = tap.place
    history = book.histories.get((account.id, key)) if book.histories else None
    if history is None and wanted_since(tap, place, tariff, held) is not None:
        # Nothing was read, so what it disturbs came with this batch, and in order until now.
        history = History([ride for ride in journal.rides if ride.account_id == account.id and ride.key == key])
        book.histories[account.id, key] = history
    before = latest = _NOTHING if held is None else state_of(held)
    at = 0
    if history is not None:
        at = history.position(place)
        if at < len(history.rides):
            before = history.rides[at].before
    fare, after = tariff.rate(tap, card, before)
    for limit in tariff.limits:
        counted = latest if history is None else history.counted(limit, tap, at, before, latest)
        if refusal := limit.refuse(tap, counted, before, after):
            return refusal
    parts = _pay(tap, account, card, fare, sitting)
    if not isinstance(parts, tuple):  # asking an enumeration takes longer, and each tap asks
        return parts
    ride = Ride(tap, account.id, key, before, fare, parts)
    journal.rides.append(ride)
    if history is not None:
        history.rides.insert(at, ride)
        if at < len(history.rides) - 1 or tariff.looks_back(tap, before) is not None:
            journal.disturbed = history, at
            return fare
    account.use({**account.usage, key: [*place, after]})
    return fare


def _pay(tap: Tap, account: HolderAccount, card: Card, fare: Fare, sitting: Sitting) -> Parts | Reason:
    """Pay the merchant out of the purses that may, and funds what the holder does not; or why the holder cannot, or may not."""
    usage: Usage | None = None
    if card.spending_limit_periods:
        within = spend(account.usage, card, fare.charged_fen, tap.terminal.scene, tap.event_time_ms)
        if isinstance(within, Reason):
            return within
        usage = within
    row, legs = sitting.journal.row, sitting.journal.legs
    number, payee, event_ms = tap.terminal.number, tap.terminal.payable_account, tap.event_time_ms
    leg = 0
    parts: Parts = ()
    if account.purses:
        shares = account.split(fare.charged_fen, tap.terminal, sitting.rules.purposes, event_ms, overdraft=True)
        if shares is None:
            return Reason.INSUFFICIENT_FUNDS
        for purse, share in shares:
            purse.take(share)
            legs.append(Leg(number, tap.sequence, event_ms, row, leg, _CHARGE, purse.id, payee, share, account.id))
            leg += 1
        parts = tuple((purse.id, share) for purse, share in shares)
    elif fare.charged_fen:
        if not account.can_pay(fare.charged_fen):
            return Reason.INSUFFICIENT_FUNDS
        account.take(fare.charged_fen)
        legs.append(Leg(number, tap.sequence, event_ms, row, 0, _CHARGE, account.id, payee, fare.charged_fen, account.id))
        leg = 1
        parts = ((account.id, fare.charged_fen),)
    for fund, share in fare.shares:
        legs.append(Leg(number, tap.sequence, event_ms, row, leg, Code.CONCESSION, fund, payee, share, account.id))
        leg += 1
    if usage is not None:
        account.use(usage)
    return parts


def _pay_from_hotlist_losses(tap: Tap, account: HolderAccount, card: Card, tariff: Tariff, sitting: Sitting) -> Fare:
    """After the report and before the hotlist took effect the merchant is paid, and never from the purse.

    It is rated by what is remembered of the holder, and nothing is remembered of it: it was not the holder's.
    """
    held: Held | None = account.usage.get(tariff.key)
    fare_fen = tariff.rate(tap, card, _NOTHING if held is None else state_of(held))[0].fare_fen
    if fare_fen:
        payee, number, losses = tap.terminal.payable_account, tap.terminal.number, sitting.rules.hotlist_losses_account
        row = sitting.journal.row
        sitting.journal.legs.append(
            Leg(number, tap.sequence, tap.event_time_ms, row, 0, Code.HOTLIST_LOSS, losses, payee, fare_fen, account.id)
        )
    return Fare(fare_fen, 0)
