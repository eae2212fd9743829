"""限流与预约: a site's places by the slot, shared by its gates; a reservation is a hold on them, and each visitor takes one.

Places are counted like money: a slot's are a guarded account, and whoever enters moves one to the places that were taken.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from services.payments.domain.account import RESERVED, HolderAccount, Usage
from services.payments.domain.calendar import begin_of_day_ms, minute_of_day, service_date, service_day
from services.payments.domain.tap import Scene, Tap

MOST_RESERVATIONS: Final = 20
"""Of one holder at a time: they are kept on the row that every tap locks."""
_MINUTE_MS: Final = 60_000
_DAY_MINUTES: Final = 24 * 60


class Reservations(StrEnum):
    """Whether one may reserve, or has to."""

    NONE = "none"
    POSSIBLE = "possible"
    REQUIRED = "required"


class Window(NamedTuple):
    """Visitors of one slot of each day, in minutes after midnight: from `begins` on, before `ends`."""

    begins: int
    ends: int
    places: int


class Slot(NamedTuple):
    """A window of one day at one site."""

    merchant_id: str
    begins_ms: int
    ends_ms: int
    places: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from others."""
        return self.merchant_id, self.begins_ms

    @property
    def name(self) -> str:
        """Of its account. Blanks keep it apart from names that anybody may choose."""
        minutes = minute_of_day(self.begins_ms)
        return f"places {self.merchant_id} {service_date(self.begins_ms)} {minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class Quota:
    """How many visitors a site takes. What differs from site to site stands in its tariff file."""

    windows: tuple[Window, ...]
    """In their order; they do not overlap."""
    reservations: Reservations = Reservations.NONE
    real_name: bool = False
    """实名制: everybody enters with a card of one's own, and reserves one place a slot."""
    days_ahead: int = 7
    """How long before its day a slot may be reserved."""
    grace_ms: int = 0
    """How much earlier or later than the slot a reservation still lets its holder in."""
    kept_ms: int = 7 * 24 * 3_600_000
    """How long after its slot a reservation nobody came for is kept: a gate may tell late who came."""
    other_tickets: frozenset[str] = frozenset()
    """Tickets whose tap is no entry: a pass that is bought."""

    def takes_place(self, tap: Tap) -> bool:
        """Whether somebody enters."""
        return tap.facts.ticket not in self.other_tickets

    def slot_at(self, merchant_id: str, time_ms: int) -> Slot | None:
        """The slot that is open at an instant."""
        today = self.day(merchant_id, service_day(time_ms))
        return next((slot for slot in today if slot.begins_ms <= time_ms < slot.ends_ms), None)

    def near(self, merchant_id: str, time_ms: int) -> Iterator[Slot]:
        """The slots whose reservations let in at an instant."""
        days = dict.fromkeys(service_day(time_ms + shift) for shift in (-self.grace_ms, 0, self.grace_ms))
        for slot in (slot for day in days for slot in self.day(merchant_id, day)):
            if slot.begins_ms - self.grace_ms <= time_ms < slot.ends_ms + self.grace_ms:
                yield slot

    def day(self, merchant_id: str, day: int) -> Iterator[Slot]:
        """The slots of a service day."""
        midnight_ms = begin_of_day_ms(day)
        for begins, ends, places in self.windows:
            yield Slot(merchant_id, midnight_ms + begins * _MINUTE_MS, midnight_ms + ends * _MINUTE_MS, places)

    def reservable_from_ms(self, slot: Slot) -> int:
        """From when on a slot may be reserved."""
        return begin_of_day_ms(service_day(slot.begins_ms) - self.days_ahead)


class ReservationTerms(NamedTuple):
    """What a site's rules say of a reservation at the moment it is asked for."""

    scene: Scene
    places_account: int
    reservable_from_ms: int
    most_places: int
    once: bool
    """Whether a holder reserves a slot once."""
    expire_time_ms: int
    """From then on a reservation nobody came for is let go."""


class Reserved(NamedTuple):
    """A reservation, as its holder's account remembers it."""

    merchant_id: str
    begins_ms: int
    ends_ms: int
    places: int
    payment: str
    """The hold, by its id in hexadecimal digits."""


def reservations(usage: Usage) -> list[Reserved]:
    """What a holder has reserved and not used yet."""
    return [Reserved(*held) for held in usage.get(RESERVED, ())]


def remember(usage: Usage, reserved: Reserved) -> Usage:
    """The usage with one more."""
    return {**usage, RESERVED: [*usage.get(RESERVED, ()), list(reserved)]}


def forget(usage: Usage, payment: bytes) -> Usage:
    """The usage without it: it was used, let go, or has run out."""
    left = [list(held) for held in reservations(usage) if held.payment != payment.hex()]
    rest = {key: value for key, value in usage.items() if key != RESERVED}
    return {**rest, RESERVED: left} if left else rest


def reserved_for(
    account: HolderAccount, quota: Quota, tap: Tap, slots: Container[tuple[str, int]]
) -> Reserved | None:  # fmt: skip
    """The holder's reservation of one of these slots that lets in everybody who comes with a tap; the soonest."""
    fitting = [
        held
        for held in reservations(account.usage)
        if (held.merchant_id, held.begins_ms) in slots
        and held.merchant_id == tap.terminal.merchant_id
        and held.begins_ms - quota.grace_ms <= tap.event_time_ms < held.ends_ms + quota.grace_ms
        and held.places >= tap.facts.riders
    ]
    return min(fitting, key=lambda held: held.begins_ms, default=None)


class Admission(NamedTuple):
    """What lets somebody in: places of an account, or those that a hold keeps for them."""

    places_account: int
    places: int
    payment: bytes | None


class Admitted(NamedTuple):
    """Somebody who entered, to be stored beside the tap's verdict."""

    tap: Tap
    account_id: int
    admission: Admission
    batch: int
    row: int
    decide_time_ms: int
