"""Who enters a site with a quota: found before a tap is rated, done when it is accepted. Pure; under the accounts' locks."""

from services.payments.domain.account import Account, HolderAccount
from services.payments.domain.book import Sitting
from services.payments.domain.payment import Payment, PaymentStatus
from services.payments.domain.places import Admission, Admitted, Quota, Reservations, forget, reserved_for
from services.payments.domain.tap import Tap
from services.payments.domain.transfer import PLACES, Code, Leg
from services.payments.domain.verdict import Reason


def find_admission(tap: Tap, account: HolderAccount, quota: Quota, sitting: Sitting) -> Admission | Reason | None:
    """What lets a visitor in, or why nothing does; None where nobody enters."""
    if not quota.takes_place(tap):
        return None
    if quota.real_name and tap.facts.riders > 1:
        return Reason.TOO_MANY_RIDERS
    book = sitting.book
    if held := reserved_for(account, quota, tap, book.places):
        payment = book.payments[bytes.fromhex(held.payment)]
        return Admission(payment.parts[0].account_id, tap.facts.riders, payment.id)
    if quota.reservations is Reservations.REQUIRED:
        return Reason.NO_RESERVATION
    slot = quota.slot_at(tap.terminal.merchant_id, tap.event_time_ms)
    if slot is None:
        return Reason.OUTSIDE_HOURS
    places = book.locked[book.places[slot.key]]
    return Admission(places.id, tap.facts.riders, None) if places.gives(tap.facts.riders) else Reason.QUOTA_FULL


def admit(admission: Admission, tap: Tap, account: HolderAccount, sitting: Sitting) -> None:
    """Take the places. What was reserved beyond them is free for others."""
    book, rules, journal, batch, now_ms = sitting
    places = book.locked[admission.places_account]
    if admission.payment is not None:
        payment = book.payments[admission.payment]
        journal.promise(payment.payee, -redeem(payment, admission.places, places, account))
    places.take(admission.places)
    leg = Leg(
        tap.terminal.number, 0, tap.event_time_ms, journal.row, 0, Code.ADMISSION, places.id, rules.places_taken_account,
        admission.places, places.id, PLACES,
    )  # fmt: skip
    journal.legs.append(leg)
    journal.admitted.append(Admitted(tap, account.id, admission, batch, journal.row, now_ms))


def redeem(payment: Payment, taken: int, places: Account, account: HolderAccount) -> int:
    """End a reservation, because so many of its places are taken now; answers how many it held."""
    held = payment.held_fen
    places.hold(-held)
    for part, share in payment.capture(taken):
        assert part.account_id == places.id, "a reservation holds places of one slot"
        assert share == taken
    payment.end(PaymentStatus.CAPTURED)
    account.use(forget(account.usage, payment.id))
    return held
