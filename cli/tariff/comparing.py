"""Two tariffs over the same taps: who would pay how much more or less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.merchant.show import yuan
from cli.tariff.history import Rated, awaited, rate_history
from cli.tariff.reading import FUND_NAMES
from cli.tariff.taps import Advance, Taps
from cli.tariff.words import many
from services.payments.domain.calendar import age_on, service_date
from services.payments.domain.card import Card
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariff
from services.payments.domain.verdict import Reason

_AGES: Final = ((70, "70 and above"), (65, "65 to 69"), (60, "60 to 64"), (18, "18 to 59"), (6, "6 to 17"), (0, "up to 5"))
UNKNOWN_AGE: Final = "not known"


@dataclass(slots=True)
class Totals:
    """What all taps come to under one tariff."""

    paid_fen: int = 0
    """By the riders."""
    earned_fen: int = 0
    """By the merchants; always what riders and funds pay together."""
    shares_fen: Counter[int] = field(default_factory=Counter)
    """By the funds."""
    refused: Counter[Reason] = field(default_factory=Counter)
    without_price: int = 0
    unmatched: int = 0
    """Entries of which a later tap showed that no exit came."""
    awaited: int = 0
    """Entries whose exit may still come."""

    def add(self, rated: Sequence[Rated]) -> int:
        """Add a rider's taps; returns what he pays for them."""
        paid_fen = 0
        for one in rated:
            if one.reason is not None:
                self.refused[one.reason] += 1
            elif one.fare is None:
                self.without_price += 1
            else:
                fare_fen, charged_fen, shares = one.fare
                assert fare_fen == charged_fen + sum(fen for _, fen in shares)
                paid_fen += charged_fen
                self.earned_fen += fare_fen
                for payer, fen in shares:
                    self.shares_fen[payer] += fen
                self.unmatched += one.unmatched
        self.awaited += awaited(rated) is not None
        self.paid_fen += paid_fen
        return paid_fen


class Rider(NamedTuple):
    """What one rider pays under both; category and age are those of his last tap."""

    card: str
    category: str
    ages: str
    old_fen: int
    new_fen: int

    @property
    def change_fen(self) -> int:
        """How much more under the new tariff."""
        return self.new_fen - self.old_fen


@dataclass(slots=True)
class Comparison:
    """Both tariffs, and every rider."""

    old: Totals = field(default_factory=Totals)
    new: Totals = field(default_factory=Totals)
    riders: list[Rider] = field(default_factory=list)
    taps: int = 0


def compare(old: Tariff, new: Tariff, taps: Taps, advance: Advance = lambda _: None) -> Comparison:
    """Rate the same taps under both, whether or not these were in force. `advance` is told taps."""
    found = Comparison(taps=len(taps))
    for card, own in taps.riders():
        old_fen = found.old.add(rate_history(old, own))
        new_fen = found.new.add(rate_history(new, own))
        last, holder = own[-1]
        category = holder.category_at(last.event_time_ms).category
        found.riders.append(Rider(card, category, _ages(holder, last), old_fen, new_fen))
        advance(len(own))
    return found


def _ages(card: Card, tap: Tap) -> str:
    if card.birth_date is None:
        return UNKNOWN_AGE
    age = age_on(card.birth_date, service_date(tap.event_time_ms))
    return next((words for from_age, words in _AGES if age >= from_age), UNKNOWN_AGE)


def report(found: Comparison) -> Group:
    """For a rich console."""
    changes = [rider.change_fen for rider in found.riders]
    more, less = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    parts: list[RenderableType] = [
        Text(f"{many(found.taps, 'tap')} of {many(len(found.riders), 'rider')}; amounts in yuan"),
        Text(""),
        _totals(found),
        Text(""),
        Text(f"riders who pay more {more:,}, less {less:,}, the same {len(changes) - more - less:,}"),
        *_largest(found.riders),
        Text(""),
        _groups("category", found.riders, lambda rider: rider.category, sorted({r.category for r in found.riders})),
        Text(""),
        _groups("age", found.riders, lambda rider: rider.ages, [*(words for _, words in reversed(_AGES)), UNKNOWN_AGE]),
    ]
    return Group(*parts)


def _totals(found: Comparison) -> Table:
    old, new = found.old, found.new
    table = _table("", "old", "new", "change")
    _add_yuan(table, "riders pay", old.paid_fen, new.paid_fen)
    for payer, name in FUND_NAMES.items():
        _add_yuan(table, f"{name} pays", old.shares_fen[payer], new.shares_fen[payer])
    _add_yuan(table, "merchants get", old.earned_fen, new.earned_fen)
    _add_count(table, "refused taps", old.refused.total(), new.refused.total())
    for reason in sorted(old.refused.keys() | new.refused.keys()):
        _add_count(table, f"  {reason.name.lower().replace('_', '-')}", old.refused[reason], new.refused[reason])
    _add_count(table, "taps without a price", old.without_price, new.without_price)
    _add_count(table, "rides without their exit", old.unmatched, new.unmatched)
    _add_count(table, "rides whose exit is awaited", old.awaited, new.awaited)
    return table


def _largest(riders: Sequence[Rider]) -> Iterator[Text]:
    """The largest change up and down."""
    if not riders:
        return
    most, least = max(riders, key=lambda rider: rider.change_fen), min(riders, key=lambda rider: rider.change_fen)
    for rider, what in ((most, "more"), (least, "less")):
        if rider.change_fen * (1 if what == "more" else -1) > 0:
            amounts = f"{yuan(rider.old_fen)} becomes {yuan(rider.new_fen)}"
            yield Text(f"the largest change to {what}: card {rider.card}, {signed(rider.change_fen)} ({amounts})")


def _groups(title: str, riders: Iterable[Rider], key: Callable[[Rider], str], order: Sequence[str]) -> Table:
    by_group: dict[str, list[Rider]] = {}
    for rider in riders:
        by_group.setdefault(key(rider), []).append(rider)
    table = _table(title, "riders", "old", "new", "change", "more", "less", "same")
    for group in order:
        if own := by_group.get(group):
            old_fen, new_fen = sum(r.old_fen for r in own), sum(r.new_fen for r in own)
            more, less = sum(r.change_fen > 0 for r in own), sum(r.change_fen < 0 for r in own)
            counts = [f"{count:,}" for count in (more, less, len(own) - more - less)]
            amounts = (yuan(old_fen), yuan(new_fen), signed(new_fen - old_fen))
            table.add_row(escape(group), f"{len(own):,}", *amounts, *counts)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add_yuan(table: Table, what: str, old_fen: int, new_fen: int) -> None:
    table.add_row(what, yuan(old_fen), yuan(new_fen), signed(new_fen - old_fen))


def _add_count(table: Table, what: str, old: int, new: int) -> None:
    table.add_row(what, f"{old:,}", f"{new:,}", f"{new - old:+,}" if new != old else "0")


def signed(fen: int) -> str:
    """A change in yuan, exact."""
    return f"+{yuan(fen)}" if fen > 0 else yuan(fen)
