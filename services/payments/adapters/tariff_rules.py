"""The tables of a tariff file that are rules, and what the domain makes of them."""

from typing import Literal

import msgspec

from services.payments.adapters.tariff_schema import (
    DAY_MS,
    MINUTE_MS,
    OPERATOR,
    Age,
    CityParts,
    Fen,
    Name,
    Percent,
    Positive,
    TimeOfDay,
    WrongError,
    minutes_of,
)
from services.payments.domain.rating.concession import Concession
from services.payments.domain.rating.cumulative import Cap, Measure, Tier, Tiers
from services.payments.domain.rating.limit import Block, Each, Limit
from services.payments.domain.rating.loans import Loans
from services.payments.domain.rating.meals import Meal, Meals
from services.payments.domain.rating.passes import Pass
from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.rule import Rule, Scope
from services.payments.domain.rating.transfer import CountedFrom, Transfer
from services.payments.domain.tap import CardForm


class ConcessionTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="concession"):
    name: Name
    pays_percent: Percent
    payer: str
    from_age: Age = 0
    to_age: Age = 200
    category: str = ""
    residents_only: bool = False
    forms: list[Literal["second-generation", "third-generation", "electronic"]] = []

    def build_one(self, city: CityParts) -> Concession:
        if self.from_age > self.to_age:
            raise WrongError("from_age", "is above to_age")
        forms = frozenset(CardForm[form.replace("-", "_").upper()] for form in self.forms)
        if CardForm.THIRD_GENERATION in forms:
            forms |= {CardForm.UNSPECIFIED}  # what a terminal that does not tell reads
        payer = city.payer(self.payer)
        return Concession(
            self.name, self.pays_percent, payer, self.from_age, self.to_age, self.category, self.residents_only, forms
        )


class TransferTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="transfer"):
    name: Name
    within_minutes: Positive
    payer: str
    from_minutes: Fen = 0
    inclusive: bool = True
    counted_from: CountedFrom = CountedFrom.LAST_BOARDING
    transfers: Positive = 1
    same_line: bool = False
    modes: list[tuple[str, str]] = []
    pays_percent: Percent = 0
    most_off_fen: Fen | None = None

    def build(self, city: CityParts) -> Rule:
        return Transfer(
            self.name,
            most_ms=self.within_minutes * MINUTE_MS,
            least_ms=self.from_minutes * MINUTE_MS,
            inclusive=self.inclusive,
            counted_from=self.counted_from,
            transfers=self.transfers,
            same_line=self.same_line,
            modes=tuple(self.modes),
            pays_percent=self.pays_percent,
            most_off_fen=self.most_off_fen,
            payer=city.payer(self.payer),
            rounding=city.rounding,
        )


class CountingTable(msgspec.Struct, forbid_unknown_fields=True):
    """What counts in a period."""

    name: Name
    period: PeriodKind
    day_starts: TimeOfDay = "00:00"
    rolling_minutes: Fen = 0

    def build_period(self) -> Period:
        rolls = self.period is PeriodKind.ROLLING
        if rolls != bool(self.rolling_minutes):
            raise WrongError("rolling_minutes", 'is how long a period = "rolling" is, and belongs to no other')
        return Period(self.period, minutes_of(self.day_starts), self.rolling_minutes * MINUTE_MS)


class TierTable(msgspec.Struct, forbid_unknown_fields=True):
    begins: Fen
    pays_percent: Percent


class TiersTable(CountingTable, forbid_unknown_fields=True, tag_field="kind", tag="tiers", kw_only=True):
    measure: Measure
    tiers: list[TierTable]
    payer: str
    judged: Literal["before", "on-excess"] = "before"
    modes: list[str] = []
    lines: list[str] = []

    def build(self, city: CityParts) -> Rule:
        begins = [tier.begins for tier in self.tiers]
        if not begins or begins[0] != 0 or begins != sorted(set(begins)):
            raise WrongError("tiers", "must begin at 0, and then one above the other")
        if self.judged == "on-excess" and self.measure is Measure.RIDES:
            raise WrongError("judged", "a ride has no excess: rides are judged before")
        return Tiers(
            self.name,
            period=self.build_period(),
            measure=self.measure,
            on_excess=self.judged == "on-excess",
            tiers=tuple(Tier(tier.begins, tier.pays_percent) for tier in self.tiers),
            scope=Scope(frozenset(self.modes), frozenset(self.lines)),
            payer=city.payer(self.payer),
            rounding=city.rounding,
        )


class CapTable(CountingTable, forbid_unknown_fields=True, tag_field="kind", tag="cap", kw_only=True):
    payer: str
    most_fen: Fen | None = None
    most_rides: Fen | None = None
    modes: list[str] = []
    lines: list[str] = []

    def build(self, city: CityParts) -> Rule:
        if (self.most_fen is None) == (self.most_rides is None):
            raise WrongError("", "a cap has most_fen or most_rides, one of the two")
        return Cap(
            self.name,
            period=self.build_period(),
            most_fen=self.most_fen,
            most_rides=self.most_rides,
            scope=Scope(frozenset(self.modes), frozenset(self.lines)),
            payer=city.payer(self.payer),
        )


class LimitTable(CountingTable, forbid_unknown_fields=True, tag_field="kind", tag="limit", kw_only=True):
    most_taps: Fen | None = None
    most_fen: Fen | None = None
    each: Each = Each.ALL

    def build(self, city: CityParts) -> Rule:
        if self.most_fen is None and self.most_taps is None:
            raise WrongError("", "a limit has most_taps, most_fen or both")
        return Limit(self.name, self.build_period(), self.most_taps, self.most_fen, self.each)


class BlockTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="block"):
    name: Name
    for_minutes: Positive
    each: Each = Each.PLACE

    def build(self, city: CityParts) -> Rule:
        return Block(self.name, self.for_minutes * MINUTE_MS, self.each)


class PassTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="pass"):
    name: Name
    ticket: Name
    price_fen: Fen
    valid_days: Positive
    visits: Positive | None = None
    required: bool = False

    def build(self, city: CityParts) -> Rule:
        return Pass(self.name, self.ticket, self.price_fen, self.valid_days * DAY_MS, self.visits, self.required)


class MealTable(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    begins: TimeOfDay
    ends: TimeOfDay
    most_taps: Fen | None = None
    subsidy_fen: Fen = 0


class MealsTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="meals"):
    name: Name
    meal: list[MealTable]
    payer: str = OPERATOR
    category: str = ""
    closed_between: bool = False

    def build(self, city: CityParts) -> Rule:
        meals = tuple(Meal(m.name, minutes_of(m.begins), minutes_of(m.ends), m.most_taps, m.subsidy_fen) for m in self.meal)
        for at, meal in enumerate(meals):
            if meal.begins_minutes >= meal.ends_minutes:
                raise WrongError(f"meal[{at}].ends", "is not after begins")
        return Meals(self.name, meals, self.closed_between, self.category, city.payer(self.payer))


class LoansTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="loans"):
    name: Name
    most_items: Positive
    for_days: Positive

    def build(self, city: CityParts) -> Rule:
        return Loans(self.name, self.most_items, self.for_days * DAY_MS)


AnyRule = (
    ConcessionTable | TransferTable | TiersTable | CapTable | LimitTable | BlockTable | PassTable | MealsTable | LoansTable
)
