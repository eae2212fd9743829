"""The live windows: how many ride and what is taken at this moment, and what looks wrong. Approximate, and deciding nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.payments.domain.alert import Alert, AlertKind
from services.payments.domain.calendar import service_day
from services.payments.domain.place import Place, distance_km, is_impossible_travel
from services.payments.domain.tap import Scene, Side, Tap
from services.payments.domain.whereabouts import Seen, Whereabouts
from services.payments.domain.windows import Windows

RIDERS_MINUTES: Final = 60
BURST_MINUTES: Final = 5
"""Bursts are looked for among taps that are at most so old: whoever was offline for longer tells them all at once."""
TAKINGS_DAYS: Final = 2
SEEN_MINUTES: Final = 60
"""Within an hour everybody can have come from anywhere in the province."""
_MINUTE_MS: Final = 60_000
_MOST_RIDERS: Final = 100
"""On one card: whoever tells more is refused by every tariff, and would bend the figure."""


@dataclass(frozen=True, slots=True)
class LiveRules:
    """City settings."""

    fastest_km_h: float = 300.0
    nearest_km: float = 5.0
    """What is nearer may be the same place, entered inaccurately."""
    card_taps: int = 10
    """More within a minute are a burst."""
    terminal_taps: int = 200
    largest_price_fen: int = 20_000
    """Whoever names more is refused, and would bend the figure."""
    clock_tolerance_ms: int = 600_000
    """How far ahead of ours a terminal's clock may be."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """By merchant; one that moves has none."""


def minute_of(time_ms: int) -> int:
    """Minutes since 1970."""
    return time_ms // _MINUTE_MS


class LiveWindows:
    """Counts taps. Time decides: what is older than a window is not counted in it, nor is what is ahead of every clock."""

    def __init__(self, rules: LiveRules) -> None:
        self._rules = rules
        self.riders = Windows()
        """By line and minute."""
        self.takings = Windows()
        """Fen by merchant and day: prices that the merchants named. A ride has none before it is rated."""
        self.taps = Windows()
        """By merchant and day."""
        self.cards = Windows(worth_keeping=rules.card_taps // 2)
        self.terminals = Windows(worth_keeping=rules.terminal_taps // 2)
        self.whereabouts = Whereabouts()
        self._told: dict[tuple[AlertKind, str, int], None] = {}

    def count(self, tap: Tap, card: bytes, now_ms: int) -> list[Alert]:
        """Count a tap of the card with that digest; answers what shows with it."""
        at = tap.event_time_ms
        if at > now_ms + self._rules.clock_tolerance_ms:
            return []
        self._count_takings(tap, now_ms)
        age_minutes = minute_of(now_ms) - minute_of(at)
        if tap.terminal.scene is Scene.BUS and tap.facts.side is not Side.EXIT and age_minutes <= RIDERS_MINUTES:
            self.riders.add(minute_of(at), tap.facts.line, min(tap.facts.riders, _MOST_RIDERS))
        kinds = []
        if age_minutes <= SEEN_MINUTES and self._travelled_impossibly(tap, card):
            kinds.append(AlertKind.IMPOSSIBLE_TRAVEL)
        if age_minutes <= BURST_MINUTES:
            if self.cards.add(minute_of(at), card.hex()) == self._rules.card_taps:
                kinds.append(AlertKind.CARD_BURST)
            terminal = f"{tap.terminal.merchant_id} {tap.terminal.terminal_id}"
            if self.terminals.add(minute_of(at), terminal) == self._rules.terminal_taps:
                kinds.append(AlertKind.TERMINAL_BURST)
        return [alert for kind in kinds if (alert := self._tell(kind, tap, card)) is not None]

    def _count_takings(self, tap: Tap, now_ms: int) -> None:
        day = service_day(tap.event_time_ms)
        if day <= service_day(now_ms) - TAKINGS_DAYS:
            return
        self.taps.add(day, tap.terminal.merchant_id)
        price_fen = tap.price_fen if tap.terminal.scene is Scene.CAMPUS else None
        if price_fen is not None and 0 < price_fen <= self._rules.largest_price_fen:
            self.takings.add(day, tap.terminal.merchant_id, price_fen)

    def _travelled_impossibly(self, tap: Tap, card: bytes) -> bool:
        merchant_id = tap.terminal.merchant_id
        place = self._rules.places.get(merchant_id)
        if place is None:
            return False
        before = self.whereabouts.see(card.hex(), Seen(tap.event_time_ms, merchant_id))
        if before is None or (place_before := self._rules.places.get(before.merchant_id)) is None:
            return False
        return is_impossible_travel(
            distance_km(place_before, place),
            tap.event_time_ms - before.event_time_ms,
            fastest_km_h=self._rules.fastest_km_h,
            nearest_km=self._rules.nearest_km,
        )

    def _tell(self, kind: AlertKind, tap: Tap, card: bytes) -> Alert | None:
        """An alert, unless the same was told of this minute."""
        merchant_id, terminal_id = tap.terminal.merchant_id, tap.terminal.terminal_id
        about_terminal = kind is AlertKind.TERMINAL_BURST
        subject = f"{merchant_id} {terminal_id}" if about_terminal else card.hex()
        told = (kind, subject, minute_of(tap.event_time_ms))
        if told in self._told:
            return None
        self._told[told] = None
        return Alert(kind, merchant_id, terminal_id, tap.event_time_ms, b"" if about_terminal else card)

    def forget(self, now_ms: int) -> None:
        """Drop what is older than the windows."""
        minute, day = minute_of(now_ms), service_day(now_ms)
        self.riders.forget_before(minute - RIDERS_MINUTES)
        self.takings.forget_before(day - TAKINGS_DAYS + 1)
        self.taps.forget_before(day - TAKINGS_DAYS + 1)
        self.cards.forget_before(minute - BURST_MINUTES)
        self.terminals.forget_before(minute - BURST_MINUTES)
        self.whereabouts.forget_before(now_ms - SEEN_MINUTES * _MINUTE_MS)
        for told in [told for told in self._told if told[2] < minute - SEEN_MINUTES]:
            del self._told[told]
