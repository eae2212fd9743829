"""Prices, rules, reasons, and what is remembered of a rider, in words for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from cli.merchant.show import yuan
from cli.tariff.reading import FUND_NAMES
from services.common.clock import SHANGHAI, day_of, instant
from services.payments.domain.places import Quota, Reservations
from services.payments.domain.rating.concession import Concession, Concessions
from services.payments.domain.rating.cumulative import Cap, Measure, Tiers
from services.payments.domain.rating.limit import Block, Each, Limit
from services.payments.domain.rating.loans import Loans
from services.payments.domain.rating.meals import Meals
from services.payments.domain.rating.passes import Pass
from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.price import JOURNEY, Brackets, Flat, Journey, Marginal, NamedPrice, Price, Tickets
from services.payments.domain.rating.rule import Rule, Scope, State
from services.payments.domain.rating.transfer import CountedFrom, Transfer
from services.payments.domain.tap import CardForm
from services.payments.domain.tariff import Tariff
from services.payments.domain.verdict import Reason

_MINUTE_MS: Final = 60_000
_DAY_MINUTES: Final = 24 * 60
_DAY_MS: Final = _DAY_MINUTES * _MINUTE_MS
_FOR_EVER: Final = 2**63
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_OLDEST: Final = 200
REASONS: Final = {
    Reason.PRICE_NOT_ALLOWED: "it names a price, and this tariff sets the price itself",
    Reason.BAD_PRICE: "it names no price, or one that is above the limit of a purchase",
    Reason.TOO_MANY_RIDERS: "more ride on the card than the tariff allows",
    Reason.OVER_PERIOD_COUNT: "as often as this period allows it was accepted already",
    Reason.OVER_PERIOD_LIMIT: "it would be more money than this period allows",
    Reason.SAME_PLACE_TOO_SOON: "it was accepted at the same place a moment ago",
    Reason.PASS_USED_UP: "all visits of the pass are used up",
    Reason.PASS_STILL_VALID: "the pass that was bought before is still valid",
    Reason.NO_PASS: "nobody enters without a pass, and there is none",
    Reason.OUTSIDE_HOURS: "no meal is served at this time",
    Reason.TOO_MANY_LOANS: "as many things as one may have are on loan already",
    Reason.LOAN_OVERDUE: "something on loan is overdue",
}


def payer_name(payer: int) -> str:
    """A fund by its name; 0 is the merchant."""
    return FUND_NAMES.get(payer, "the merchant")


def many(count: int, what: str) -> str:
    """So many of something."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def time_words(time_ms: int) -> str:
    """A time in the city; seconds where there are any."""
    at = instant(time_ms).astimezone(SHANGHAI)
    return at.strftime("%Y-%m-%d %H:%M:%S" if at.second else "%Y-%m-%d %H:%M")


def validity(tariff: Tariff) -> str:
    """From when to when a tariff is in force."""
    begins = f"from {day_of(tariff.valid_from_ms)}"
    return f"{begins} on" if tariff.valid_to_ms >= _FOR_EVER else f"{begins} to {day_of(tariff.valid_to_ms - 1)}"


def reason_words(reason: Reason) -> str:
    """Why a tap was refused."""
    return f"{reason.name.lower().replace('_', '-')}: {REASONS[reason]}"


def price_words(price: Price) -> str:
    """What everybody would pay."""
    match price:
        case Flat(amount_fen):
            return f"{yuan(amount_fen)} for every tap" if amount_fen else "free"
        case NamedPrice(limit_fen):
            return f"the merchant names it, {yuan(limit_fen)} at most"
        case Tickets(prices_fen):
            return ", ".join(f"{ticket or 'ordinary'} {yuan(fen)}" for ticket, fen in prices_fen.items())
        case Journey(by_distance, _, most_ms, maximum_fen):
            within = f"at the exit, within {_length(most_ms)} of the entry"
            return f"by distance, {within}: {_distances(by_distance)}; where entry or exit is missing {yuan(maximum_fen)}"


def _distances(by_distance: Brackets | Marginal) -> str:
    if isinstance(by_distance, Marginal):
        parts = [f"{yuan(by_distance.base_fen)} to begin with"]
        parts += [
            f"beyond {_km(part.from_metres)} {yuan(part.fen)} for each {_km(part.every_metres)} begun"
            for part in by_distance.stretches
        ]
        return ", ".join(parts)
    parts = [f"up to {_km(band.to_metres)} {yuan(band.fen)}" for band in by_distance.bands]
    if by_distance.then_every_metres:
        parts.append(f"beyond it {yuan(by_distance.then_fen)} more for each {_km(by_distance.then_every_metres)} begun")
    return ", ".join(parts)


def quota_words(quota: Quota) -> str:
    """How many a site takes, and who gets in."""
    if [(one.begins, one.ends) for one in quota.windows] == [(0, _DAY_MINUTES)]:
        how_many = f"{quota.windows[0].places:,} visitors a day"
    else:
        how_many = ", ".join(f"{one.places:,} from {_clock(one.begins)} to {_clock(one.ends)}" for one in quota.windows)
    if quota.reservations is Reservations.NONE:
        return how_many
    who = (
        "with a reservation alone"
        if quota.reservations is Reservations.REQUIRED
        else "with a reservation, or while there is room"
    )
    own = ", everybody with a card of one's own" if quota.real_name else ""
    return f"{how_many}; {who}{own}; reserved {many(quota.days_ahead, 'day')} ahead"


def rules_words(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """Name and meaning of each rule, in their order; concessions one by one."""
    for rule in tariff.rules:
        if isinstance(rule, Concessions):
            yield from ((one.name, concession_words(one)) for one in rule.among)
        else:
            yield rule.name, rule_words(rule)


def concession_words(one: Concession) -> str:
    """Who pays how much."""
    who = [_ages(one), f"category {one.category}" if one.category else "", "residents only" if one.residents_only else ""]
    if one.forms:
        forms = sorted(one.forms - {CardForm.UNSPECIFIED})
        who.append(f"with a {' or '.join(form.name.lower().replace('_', '-') for form in forms)} card")
    return f"{', '.join(filter(None, who)) or 'everybody'}: pays {one.pays_percent} %, {_bears(one.payer)}"


def rule_words(rule: Rule) -> str:
    """What a rule does."""
    match rule:
        case Transfer():
            return _transfer(rule)
        case Tiers():
            money = rule.measure is not Measure.RIDES
            steps = [f"from {yuan(t.begins) if money else t.begins} {t.pays_percent} %" for t in rule.tiers]
            judged = "each part of the fare by its own" if rule.on_excess else "the total before the ride says which"
            what = f"by the {_MEASURES[rule.measure]} in {_period(rule.period)}{_scope(rule.scope)}"
            return f"{what}: {', '.join(steps)}; {judged}; {_bears(rule.payer)}"
        case Cap():
            most = f"{rule.most_rides} rides" if rule.most_rides is not None else f"{yuan(rule.most_fen or 0)}"
            return f"above {most} in {_period(rule.period)}{_scope(rule.scope)} rides are free; {_bears(rule.payer)}"
        case Limit():
            taps = [] if rule.most_taps is None else [f"{rule.most_taps} tap{'s' * (rule.most_taps != 1)}"]
            money_most = [] if rule.most_fen is None else [yuan(rule.most_fen)]
            return f"at most {' and '.join(taps + money_most)} in {_period(rule.period)}{_EACH[rule.each]}; more is refused"
        case Block():
            where = "" if rule.each is Each.ALL else f" at the same {rule.each}"
            return f"again{where} within {_length(rule.for_ms)} is refused"
        case Pass():
            visits = "as often as one likes" if rule.visits is None else f"{rule.visits} visits"
            needed = "; nobody enters without one" if rule.required else ""
            bought = f"ticket {rule.ticket} for {yuan(rule.price_fen)}"
            return f"{bought}: then {_length(rule.valid_ms)} without paying, {visits}{needed}"
        case Meals():
            return _meals(rule)
        case Loans():
            many = f"at most {rule.most_items} things on loan, {_length(rule.for_ms)} each"
            return f"{many}; while one is overdue nothing is lent"
    return "a rule that has no words yet"


def _transfer(rule: Transfer) -> str:
    since = {
        CountedFrom.FIRST_BOARDING: "the first boarding",
        CountedFrom.LAST_BOARDING: "the last boarding",
        CountedFrom.LAST_EXIT: "the last exit",
    }[rule.counted_from]
    least = f"{_length(rule.least_ms)} to " if rule.least_ms else "within "
    edge = "" if rule.inclusive else " (that instant no longer)"
    who = f"who boards again {least}{_length(rule.most_ms)}{edge} after {since}"
    if not rule.same_line:
        who += " on another line"
    if rule.modes:
        who += " (" + ", ".join(f"{first} to {then}" for first, then in rule.modes) + ")"
    most = "" if rule.most_off_fen is None else f", {yuan(rule.most_off_fen)} off at most"
    chain = "once" if rule.transfers == 1 else f"{rule.transfers} times in a chain"
    return f"{who} pays {rule.pays_percent} %{most}, {chain}; {_bears(rule.payer)}"


def _meals(rule: Meals) -> str:
    parts = []
    for meal in rule.meals:
        most = "" if meal.most_taps is None else f", at most {many(meal.most_taps, 'purchase')}"
        adds = f", {payer_name(rule.payer)} adds up to {yuan(meal.subsidy_fen)}" if meal.subsidy_fen else ""
        parts.append(f"{meal.name} {_clock(meal.begins_minutes)}–{_clock(meal.ends_minutes)}{most}{adds}")
    whose = f"; for category {rule.category}" if rule.category else ""
    closed = "; closed between" if rule.closed_between else ""
    return "; ".join(parts) + whose + closed


def remembered(tariff: Tariff, state: State) -> Iterator[tuple[str, str]]:
    """Name and meaning of everything that is remembered of a rider."""
    if JOURNEY in state:
        stop, time_ms, *_, unmatched = state[JOURNEY]
        exit_ = "no exit came" if unmatched else "exit awaited"
        yield "ride", f"entered at {stop}, {time_words(time_ms)}; {exit_}"
    for rule in tariff.rules:
        if rule.name in state:
            yield rule.name, _kept(rule, state[rule.name])


def _kept(rule: Rule, held: Any) -> str:
    match rule:
        case Transfer():
            _, boarded, _, line, mode, used, pending = held
            on = f" on line {line}" if line else ""
            by = f" ({mode})" if mode else ""
            going = "; the ride that goes on is one" if pending else ""
            return f"last boarded {time_words(boarded)}{on}{by}; {used} of {many(rule.transfers, 'transfer')} used{going}"
        case Tiers():
            total = many(held[1], "ride") if rule.measure is Measure.RIDES else f"{yuan(held[1])} {_MEASURES[rule.measure]}"
            return f"{_anchor(rule.period, held[0])}: {total}"
        case Cap():
            return f"{_anchor(rule.period, held[0])}: {yuan(held[1])} paid, {many(held[2], 'ride')}"
        case Limit():
            places = [f"{place.strip() + ' ' if place.strip() else ''}{many(taps, 'tap')}, {yuan(fen)}"
                      for place, (taps, fen) in held[1].items()]  # fmt: skip
            return f"{_anchor(rule.period, held[0])}: {'; '.join(places)}"
        case Block():
            return f"last at {held[0].strip() or 'a place without a name'}, {time_words(held[1])}"
        case Pass():
            of = "" if rule.visits is None else f" of {rule.visits}"
            return f"bought {time_words(held[0])}, valid until {time_words(held[0] + rule.valid_ms)}, {held[1]}{of} visits"
        case Meals():
            eaten = [f"{name} {many(taps, 'purchase')}, {yuan(fen)} added" for name, (taps, fen) in held[1].items()]
            return f"{date.fromordinal(_UNIX_DAY + held[0])}: {'; '.join(eaten)}"
        case Loans():
            return (
                "; ".join(f"{item} until {time_words(since + rule.for_ms)}" for item, since in held.items())
                or "nothing on loan"
            )
    return str(held)


_MEASURES: Final = {Measure.PAID: "sum paid", Measure.FARE: "sum of the fares", Measure.RIDES: "number of rides"}
_EACH: Final = {Each.ALL: "", Each.MERCHANT: " at each merchant", Each.PLACE: " at each place"}


def _bears(payer: int) -> str:
    return f"{payer_name(payer)} pays the rest" if payer else "the merchant earns less"


def _ages(one: Concession) -> str:
    if one.from_age and one.to_age < _OLDEST:
        return f"age {one.from_age} to {one.to_age}"
    if one.from_age:
        return f"age {one.from_age} and above"
    return f"up to age {one.to_age}" if one.to_age < _OLDEST else ""


def _scope(scope: Scope) -> str:
    parts = [f"mode {', '.join(sorted(scope.modes))}"] * bool(scope.modes) + [f"line {', '.join(sorted(scope.lines))}"] * bool(
        scope.lines
    )
    return f" ({'; '.join(parts)})" if parts else ""


def _period(period: Period) -> str:
    if period.kind is PeriodKind.ROLLING:
        return f"{_length(period.length_ms)} from the first tap"
    starts = f" that begins at {_clock(period.starts_minutes)}" if period.starts_minutes else ""
    return f"a {period.kind}{starts}"


def _anchor(period: Period, anchor: int) -> str:
    """Which period it is."""
    match period.kind:
        case PeriodKind.ROLLING:
            return f"{_length(period.length_ms)} from {time_words(anchor)}"
        case PeriodKind.DAY:
            return str(date.fromordinal(_UNIX_DAY + anchor))
        case PeriodKind.WEEK:
            return f"week from {date.fromordinal(_UNIX_DAY + anchor * 7 - 3)}"
        case PeriodKind.MONTH:
            return f"{anchor // 12}-{anchor % 12 + 1:02d}"
        case PeriodKind.YEAR:
            return str(anchor)


def _length(ms: int) -> str:
    if ms % _DAY_MS == 0:
        return many(ms // _DAY_MS, "day")
    return f"{ms // _MINUTE_MS} min"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _km(metres: int) -> str:
    return f"{metres / 1000:g} km"
