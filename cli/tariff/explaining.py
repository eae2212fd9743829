"""Trips of one rider, each with how its fare came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.merchant.show import yuan
from cli.tariff.history import Rated, awaited, rate_history
from cli.tariff.reading import Person, TariffFile
from cli.tariff.words import (
    concession_words,
    payer_name,
    price_words,
    reason_words,
    remembered,
    rule_words,
    time_words,
    validity,
)
from services.payments.domain.calendar import age_on, service_date
from services.payments.domain.rating.concession import Concessions
from services.payments.domain.rating.price import JOURNEY, Flat, Journey, NamedPrice, Price, Tickets
from services.payments.domain.rating.rule import Fare, Rule
from services.payments.domain.tap import Side, Tap
from services.payments.domain.tariff import Step, Tariff


def explain_trips(file: TariffFile, person: Person, taps: Iterable[Tap]) -> Group:
    """All trips in the order of their times, and what they come to."""
    tariff = file.tariff
    in_order = sorted(taps, key=lambda tap: tap.event_time_ms)
    rated = rate_history(tariff, [(tap, person.card) for tap in in_order])
    waiting = awaited(rated)
    parts: list[RenderableType] = [_plain(f"{file.city}, {tariff.scene.name.lower()}, {validity(tariff)}; amounts in yuan")]
    if person.card.birth_date is None:
        parts.append(_plain("no birth date is known: no concession is given"))
    for number, one in enumerate(rated, 1):
        parts += [_plain(""), *_trip(tariff, number, one, waits=one.tap.identity == waiting)]
    parts += [_plain(""), _plain(_together(rated))]
    return Group(*parts)


def _trip(tariff: Tariff, number: int, one: Rated, *, waits: bool) -> Iterator[RenderableType]:
    tap = one.tap
    yield _plain(f"{number}  {time_words(tap.event_time_ms)}  {_told(tap)}".rstrip())
    if not tariff.valid_from_ms <= tap.event_time_ms < tariff.valid_to_ms:
        yield _indented("at this time the tariff is not in force; it is rated as if it were")
    if one.reason:
        yield _indented(f"refused: {reason_words(one.reason)}")
    elif one.fare is None:
        yield _indented(f"no price: {_why_unknown(tariff, tap)}")
    else:
        yield Padding(_steps(tariff, one), (0, 0, 0, 3), expand=False)
        yield _indented(_outcome(one, one.fare, waits=waits))
    for name, kept in remembered(tariff, one.after):
        yield _indented(f"remembered: {name}: {kept}")


def _steps(tariff: Tariff, one: Rated) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("step", max_width=28)
    table.add_column("rider pays", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    steps = list(tariff.explain(one.tap, one.card, one.before, unmatched=one.unmatched))
    for step, rule in zip(steps, (None, *tariff.rules), strict=True):
        name, why = _why_price(tariff, one) if rule is None else _why(rule, step, one)
        table.add_row(escape(name), yuan(step.after.charged_fen), escape(why))
    return table


def _why_price(tariff: Tariff, one: Rated) -> tuple[str, str]:
    tap = one.tap
    price = _price_of(tariff, tap)
    more = f"; each of {tap.facts.riders} riders, for companions no rule counts" if tap.facts.riders > 1 else ""
    match price:
        case Flat():
            why = price_words(price)
        case NamedPrice():
            why = "named by the merchant"
        case Tickets():
            why = f"ticket {tap.facts.ticket}" if tap.facts.ticket else "ordinary ticket"
        case Journey():
            why = _why_journey(price, one)
    return "price", why + more


def _why_journey(price: Journey, one: Rated) -> str:
    facts = one.tap.facts
    if facts.side is Side.ENTRY:
        return "no exit of this ride came: the highest price" if one.unmatched else "an entry; the exit pays"
    began = one.before.get(JOURNEY)
    if began is None:
        return "an exit without an entry: the highest price"
    if one.tap.event_time_ms - began[1] > price.most_ms:
        return f"too late for the entry at {time_words(began[1])}: the highest price"
    metres = price.network.metres(began[0], facts.stop)
    way = "no way leads there: the highest price" if metres is None else f"{metres / 1000:g} km"
    return f"{began[0]} to {facts.stop}, {way}"


def _why(rule: Rule, step: Step, one: Rated) -> tuple[str, str]:
    """Name of the step, and what it did."""
    name, words = step.name, rule_words(rule) if not isinstance(rule, Concessions) else ""
    if isinstance(rule, Concessions) and (born := one.card.birth_date):
        time_ms = one.tap.event_time_ms
        age = age_on(born, service_date(time_ms))
        found = next((c for c in rule.among if c.applies(one.card, age, time_ms, one.tap.form)), None)
        if found:
            name, words = found.name, concession_words(found)
    if step.before == step.after:
        return name, "changes nothing"
    less = step.before.charged_fen - step.after.charged_fen
    return name, f"{'−' if less > 0 else '+'}{yuan(abs(less))}: {words}"


def _outcome(one: Rated, fare: Fare, *, waits: bool) -> str:
    if waits:
        return "exit awaited: 0.00 so far"
    funds = "".join(f", {payer_name(payer)} pays {yuan(fen)}" for payer, fen in fare.shares)
    return f"= the rider pays {yuan(fare.charged_fen)}{funds}; the merchant gets {yuan(fare.fare_fen)}"


def _together(rated: Sequence[Rated]) -> str:
    fares = [one.fare for one in rated if one.fare is not None]
    funds: Counter[int] = Counter()
    for fare in fares:
        funds.update(dict(fare.shares))
    parts = [f"the rider pays {yuan(sum(fare.charged_fen for fare in fares))}"]
    parts += [f"{payer_name(payer)} pays {yuan(fen)}" for payer, fen in sorted(funds.items())]
    parts.append(f"merchants get {yuan(sum(fare.fare_fen for fare in fares))}")
    refused = sum(one.reason is not None for one in rated)
    return f"together: {', '.join(parts)}" + (f"; {refused} refused" if refused else "")


def _why_unknown(tariff: Tariff, tap: Tap) -> str:
    merchant, facts = tap.terminal.merchant_id, tap.facts
    if tariff.merchants and merchant and merchant not in tariff.merchants:
        return f"the tariff is for {', '.join(sorted(tariff.merchants))}"
    match _price_of(tariff, tap):
        case Journey() if facts.side is Side.SINGLE:
            return "a ride of this line is an entry and an exit: say side=entry or side=exit"
        case Journey():
            return f"the stop {facts.stop!r} is on no track"
        case Tickets(prices_fen):
            known = ", ".join(ticket or "the ordinary one" for ticket in prices_fen)
            return f"there is no ticket {facts.ticket!r}; there are {known}"
        case _:
            return f"one tap is a ride here: no side={facts.side.name.lower()}"


def _price_of(tariff: Tariff, tap: Tap) -> Price:
    line = tariff.lines.get(tap.facts.line)
    return (line.price if line else None) or tariff.price


def _told(tap: Tap) -> str:
    """What the terminal told, as the option writes it."""
    facts = tap.facts
    told = {"merchant": tap.terminal.merchant_id, **facts._asdict()}
    told["side"] = "" if facts.side is Side.SINGLE else facts.side.name.lower()
    told["riders"] = facts.riders if facts.riders > 1 else ""
    words = [f"{key} {value}" for key, value in told.items() if value and key != "returned"]
    named = [] if tap.price_fen is None else [f"price {yuan(tap.price_fen)}"]
    return ", ".join(words + named + ["returned"] * facts.returned)


def _plain(text: str) -> Text:
    return Text(text)


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 3), expand=False)
