"""Rides of one holder whose fares depend on each other, and how a late one changes those that follow it.

A charge is a function of the accepted taps in the order of (event time, terminal, sequence), whenever they came.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

from services.payments.domain.account import Account, AccountStatus, HolderAccount, Purpose, Purse
from services.payments.domain.rating.price import JOURNEY, Identity
from services.payments.domain.rating.rule import Fare, Rule, State
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariff, Tariffs
from services.payments.domain.transfer import Code, Leg
from services.payments.domain.verdict import Revised

Place = tuple[int, int, int]
"""(event time, terminal number, sequence): the order of rides."""
Parts = tuple[tuple[int, int], ...]
"""Which purses paid how much, in their order."""
Held = Sequence[Any]
"""What an account's usage keeps under the key of a tariff: the place of its last ride, and the state after it."""


@dataclass(slots=True)
class Ride:
    """An accepted tap of a tariff that remembers. Working state: what it moved stands in the journal."""

    tap: Tap
    account_id: int
    key: str
    """Of the tariff: rides of one key follow each other."""
    before: State
    """What was remembered before it."""
    fare: Fare
    """As it is posted so far."""
    parts: Parts = ()
    short_fen: int = 0
    """What of the charge the city bears, because nobody could pay it any more."""
    unmatched: bool = False
    """Of an entry: that it counts as one without an exit."""
    revision: int = 0
    stored: bool = False
    """Whether it was there before this batch."""
    changed: bool = False

    @property
    def place(self) -> Place:
        """Where it stands among the rides of its holder."""
        return self.tap.place


_place: Final = attrgetter("place")


class Adjusted(NamedTuple):
    """A fare that another tap has changed, to be stored and told."""

    cause: Tap
    """That changed it; the tap itself where no other one did."""
    tap: Tap
    account_id: int
    revision: int
    fare: Fare
    moved_fen: int
    """The sum of its transfers."""
    batch: int
    row: int
    decide_time_ms: int

    @property
    def revised(self) -> Revised:
        """What is told of it."""
        tap, fare = self.tap, self.fare
        return Revised(
            tap.terminal, tap.sequence, tap.digest, self.revision, fare.fare_fen, fare.charged_fen, self.batch, self.row,
            self.decide_time_ms,
        )  # fmt: skip


class History:
    """The rides of one account and key that are at hand: those from some time on, up to the last one."""

    def __init__(self, rides: Sequence[Ride] = ()) -> None:
        self.rides = list(rides)

    def position(self, place: Place) -> int:
        """Where a place is among them, or would be."""
        return bisect_left(self.rides, place, key=_place)

    def has(self, place: Place) -> bool:
        """Whether a ride is there already."""
        at = self.position(place)
        return at < len(self.rides) and self.rides[at].place == place

    def counted(self, limit: Rule, tap: Tap, at: int, before: State, latest: State) -> State:
        """What a limit counts a tap with: everything accepted in the tap's period, also what came later in it."""
        for ride in self.rides[at:]:
            if not limit.counts_together(before, tap.event_time_ms, ride.tap.event_time_ms):
                return ride.before
        return latest

    def entry(self, identity: Identity) -> int:
        """Where a tap is that must be at hand."""
        for at in range(len(self.rides) - 1, -1, -1):
            if self.rides[at].tap.identity == identity:
                return at
        raise AssertionError("an entry that a later tap looks back at was not read")

    def rate_from(self, at: int, account: HolderAccount, tariffs: Tariffs) -> dict[int, Fare]:
        """Rate again from a ride on, until nothing changes any more. Keeps the states, and answers the fares by position.

        Where the last ride was reached, the account remembers the state after it.
        """
        rides = self.rides
        fares: dict[int, Fare] = {}
        state, surely, turns = rides[at].before, at, 0
        while at < len(rides):
            ride = rides[at]
            if ride.before != state:
                ride.before = state
                ride.changed = True
            elif at > surely:
                return fares
            tariff = tariffs.in_force(ride.tap)
            if tariff is not None:
                if (back := tariff.looks_back(ride.tap, state)) is not None:
                    identity, unmatched = back
                    turns += 1
                    assert turns <= len(rides), "an entry has one next tap, which says once whether it has an exit"
                    surely, at = max(surely, at), self.entry(identity)
                    rides[at].unmatched = unmatched
                    rides[at].changed = True
                    state = rides[at].before
                    continue
                card = account.card(ride.tap.card_identifier)
                fares[at], state = tariff.rate(ride.tap, card, state, unmatched=ride.unmatched)
            at += 1
        account.use({**account.usage, rides[-1].key: [*rides[-1].place, state]})
        return fares

    def disagreement(self, account: HolderAccount, key: str, tariffs: Tariffs) -> str:
        """What of these rides, which reach to the last one, does not follow from the others; empty: nothing."""
        held: Held | None = account.usage.get(key)
        if held is None or self.rides[-1].place != (held[0], held[1], held[2]):
            return f"account {account.id}, {key}: what is remembered is not of its last ride"
        state = self.rides[0].before
        for ride in self.rides:
            number, sequence = ride.tap.identity
            if ride.before != state:
                return f"tap {number}/{sequence}: {ride.before} was remembered before it, and it is {state}"
            tariff = tariffs.in_force(ride.tap)
            if tariff is None:
                continue
            if tariff.looks_back(ride.tap, state) is not None:
                return f"tap {number}/{sequence}: the entry before it is not told that this is its next tap"
            fare, state = tariff.rate(ride.tap, account.card(ride.tap.card_identifier), state, unmatched=ride.unmatched)
            if fare != ride.fare:
                return f"tap {number}/{sequence}: {ride.fare} is posted, and it costs {fare}"
        if state != state_of(held):
            return f"account {account.id}, {key}: what is remembered does not follow from its last ride"
        return ""


def state_of(held: Held) -> State:
    """The state after the last ride."""
    state: State = held[3]
    return state


def under_way(held: Held | None) -> Identity | None:
    """The entry whose exit is awaited; None: there is none, or it was found to be without one."""
    began = None if held is None else state_of(held).get(JOURNEY)
    return (began[2], began[3]) if began is not None and not began[4] else None


def wanted_since(tap: Tap, place: Place, tariff: Tariff, held: Held | None) -> int | None:
    """From when on earlier rides must be at hand to decide a tap, in milliseconds; None: no other ride matters."""
    if held is None:
        return None
    since = place[0] if (held[0], held[1], held[2]) >= place else None
    if tariff.longest_journey_ms:
        state = state_of(held)
        began = state.get(JOURNEY)
        if began is not None and (since is not None or tariff.looks_back(tap, state) is not None):
            return min(int(began[1]), place[0])
    return since


def adjust(
    ride: Ride,
    fare: Fare,
    account: HolderAccount,
    locked: Mapping[int, Account],
    purposes: Mapping[str, Purpose],
    shortfalls: int,
    row: int,
    legs: list[Leg],
) -> int:
    """Post what a fare is now, less what was posted so far; never refused. Answers the sum of the transfers.

    What purse and overdraft do not bear is paid by the city (`shortfalls`), which is given back first.
    """
    terminal, time_ms = ride.tap.terminal, ride.tap.event_time_ms
    payee, first = terminal.payable_account, len(legs)

    def move(debit: int, credit: int, amount_fen: int) -> None:
        leg = len(legs) - first
        legs.append(Leg(terminal.number, 0, time_ms, row, leg, Code.ADJUSTMENT, debit, credit, amount_fen, account.id))

    was, now = dict(ride.fare.shares), dict(fare.shares)
    for fund in sorted({*was, *now}):
        more = now.get(fund, 0) - was.get(fund, 0)
        if more > 0:
            move(fund, payee, more)
        elif more < 0:
            move(payee, fund, -more)
    more = fare.charged_fen - ride.fare.charged_fen
    if more > 0:
        paid, short_fen = account.bear(more, terminal, purposes, time_ms)
        for purse, share in paid:
            purse.take(share)
            move(purse.id, payee, share)
        ride.parts = _together(ride.parts, [(purse.id, share) for purse, share in paid])
        if short_fen:
            move(shortfalls, payee, short_fen)
            ride.short_fen += short_fen
    elif more < 0:
        back = -more
        given = min(back, ride.short_fen)
        if given:
            move(payee, shortfalls, given)
            ride.short_fen -= given
            back -= given
        parts = list(ride.parts)
        for at in range(len(parts) - 1, -1, -1):
            purse_id, paid_fen = parts[at]
            given = min(back, paid_fen)
            if not given:
                continue
            _give_back(account if purse_id == account.id else locked[purse_id], given, payee, shortfalls, time_ms, move)
            parts[at] = purse_id, paid_fen - given
            back -= given
        ride.parts = tuple(part for part in parts if part[1])
    ride.fare = fare
    ride.revision += 1
    ride.changed = True
    return sum(leg.amount_fen for leg in legs[first:])


def _give_back(
    purse: Account, amount_fen: int, payee: int, shortfalls: int, time_ms: int, move: Callable[[int, int, int], None]
) -> None:
    """Into the purse that paid; where that is over, to its fund; where the account is closed, to the city."""
    if isinstance(purse, Purse) and (purse.status is AccountStatus.CLOSED or purse.void_at(time_ms)):
        move(payee, purse.fund_account, amount_fen)
    elif purse.status is AccountStatus.CLOSED:
        move(payee, shortfalls, amount_fen)
    else:
        purse.give(amount_fen)
        move(payee, purse.id, amount_fen)


def _together(parts: Parts, more: Sequence[tuple[int, int]]) -> Parts:
    """Each purse once, in the order in which they paid first."""
    sums = dict(parts)
    for purse_id, fen in more:
        sums[purse_id] = sums.get(purse_id, 0) + fen
    return tuple(sums.items())
