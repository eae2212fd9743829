"""A tariff file: readable TOML, one city and scene. What is wrong is named with file, line and key."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec

from services.common.clock import midnight_ms
from services.payments.adapters.toml_places import line_of
from services.payments.domain.rating.concession import Concession, Concessions
from services.payments.domain.rating.cumulative import Cap, Measure, Tier, Tiers
from services.payments.domain.rating.limit import Block, Each, Limit
from services.payments.domain.rating.loans import Loans
from services.payments.domain.rating.meals import Meal, Meals
from services.payments.domain.rating.network import Network, Track
from services.payments.domain.rating.passes import Pass
from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.price import Band, Brackets, Flat, Journey, Marginal, NamedPrice, Price, Stretch, Tickets
from services.payments.domain.rating.rounding import Direction, Rounding
from services.payments.domain.rating.rule import Rule, Scope
from services.payments.domain.rating.transfer import CountedFrom, Transfer
from services.payments.domain.tap import CardForm, Scene
from services.payments.domain.tariff import Line, Tariff

OPERATOR: Final = "operator"
"""As a payer: the merchant earns less."""
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 60 * _MINUTE_MS
_FOR_EVER: Final = 2**63
_Fen = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Age = Annotated[int, msgspec.Meta(ge=0, le=200)]
_Time = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class TariffError(Exception):
    """A tariff file cannot be used; the message names the file, the line and the key."""


class _WrongError(Exception):
    """A value that does not fit the others; `key` is where it stands below what is being read."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class _City:
    """What the parts of a file need of the rest of it."""

    funds: Mapping[str, int]
    rounding: Rounding
    network: Network

    def payer(self, name: str) -> int:
        if name == OPERATOR:
            return 0
        if name not in self.funds:
            raise _WrongError("payer", f"{name!r} is no fund; there are {sorted(self.funds)}, and {OPERATOR!r} who earns less")
        return self.funds[name]


class _Flat(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="flat"):
    amount_fen: _Fen

    def build(self, city: _City) -> Price:
        return Flat(self.amount_fen)


class _Named(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="named-price"):
    limit_fen: _Positive

    def build(self, city: _City) -> Price:
        return NamedPrice(self.limit_fen)


class _Tickets(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="tickets"):
    prices_fen: dict[str, _Fen]

    def build(self, city: _City) -> Price:
        return Tickets(self.prices_fen)


class _Band(msgspec.Struct, forbid_unknown_fields=True):
    to_metres: _Positive
    fen: _Fen


class _Stretch(msgspec.Struct, forbid_unknown_fields=True):
    from_metres: _Fen
    every_metres: _Positive
    fen: _Fen


class _Distance(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="distance"):
    most_minutes: _Positive
    bands: list[_Band]
    then_every_metres: _Fen = 0
    then_fen: _Fen = 0
    maximum_fen: _Fen | None = None

    def build(self, city: _City) -> Price:
        if not self.bands or [b.to_metres for b in self.bands] != sorted({b.to_metres for b in self.bands}):
            raise _WrongError("bands", "must be one or more, each to a longer distance than the one before")
        bands = tuple(Band(band.to_metres, band.fen) for band in self.bands)
        return _journey(Brackets(bands, self.then_every_metres, self.then_fen), self.most_minutes, self.maximum_fen, city)


class _Marginal(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="marginal"):
    most_minutes: _Positive
    base_fen: _Fen
    stretches: list[_Stretch]
    maximum_fen: _Fen | None = None

    def build(self, city: _City) -> Price:
        if [s.from_metres for s in self.stretches] != sorted({s.from_metres for s in self.stretches}):
            raise _WrongError("stretches", "must begin one after the other")
        stretches = tuple(Stretch(part.from_metres, part.every_metres, part.fen) for part in self.stretches)
        return _journey(Marginal(self.base_fen, stretches), self.most_minutes, self.maximum_fen, city)


def _journey(by_distance: Brackets | Marginal, most_minutes: int, maximum_fen: int | None, city: _City) -> Journey:
    """Where the file does not say what an unmatched tap costs, it is what the longest way costs."""
    longest = city.network.longest_metres()
    if not longest:
        raise _WrongError("", "a price by distance needs [[track]] tables with stops and metres")
    most = by_distance.fare_fen(longest) if maximum_fen is None else maximum_fen
    return Journey(by_distance, city.network, most_minutes * _MINUTE_MS, most)


_AnyPrice = _Flat | _Named | _Tickets | _Distance | _Marginal


class _Concession(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="concession"):
    name: _Name
    pays_percent: _Percent
    payer: str
    from_age: _Age = 0
    to_age: _Age = 200
    category: str = ""
    residents_only: bool = False
    forms: list[Literal["second-generation", "third-generation", "electronic"]] = []

    def build_one(self, city: _City) -> Concession:
        if self.from_age > self.to_age:
            raise _WrongError("from_age", "is above to_age")
        forms = frozenset(CardForm[form.replace("-", "_").upper()] for form in self.forms)
        if CardForm.THIRD_GENERATION in forms:
            forms |= {CardForm.UNSPECIFIED}  # what a terminal that does not tell reads
        payer = city.payer(self.payer)
        return Concession(
            self.name, self.pays_percent, payer, self.from_age, self.to_age, self.category, self.residents_only, forms
        )


class _Transfer(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="transfer"):
    name: _Name
    within_minutes: _Positive
    payer: str
    from_minutes: _Fen = 0
    inclusive: bool = True
    counted_from: CountedFrom = CountedFrom.LAST_BOARDING
    transfers: _Positive = 1
    same_line: bool = False
    modes: list[tuple[str, str]] = []
    pays_percent: _Percent = 0
    most_off_fen: _Fen | None = None

    def build(self, city: _City) -> Rule:
        return Transfer(
            self.name,
            most_ms=self.within_minutes * _MINUTE_MS,
            least_ms=self.from_minutes * _MINUTE_MS,
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


class _Counting(msgspec.Struct, forbid_unknown_fields=True):
    """What counts in a period."""

    name: _Name
    period: PeriodKind
    day_starts: _Time = "00:00"
    rolling_minutes: _Fen = 0

    def build_period(self) -> Period:
        rolls = self.period is PeriodKind.ROLLING
        if rolls != bool(self.rolling_minutes):
            raise _WrongError("rolling_minutes", 'is how long a period = "rolling" is, and belongs to no other')
        return Period(self.period, _minutes(self.day_starts), self.rolling_minutes * _MINUTE_MS)


class _Tier(msgspec.Struct, forbid_unknown_fields=True):
    begins: _Fen
    pays_percent: _Percent


class _Tiers(_Counting, forbid_unknown_fields=True, tag_field="kind", tag="tiers", kw_only=True):
    measure: Measure
    tiers: list[_Tier]
    payer: str
    judged: Literal["before", "on-excess"] = "before"
    modes: list[str] = []
    lines: list[str] = []

    def build(self, city: _City) -> Rule:
        begins = [tier.begins for tier in self.tiers]
        if not begins or begins[0] != 0 or begins != sorted(set(begins)):
            raise _WrongError("tiers", "must begin at 0, and then one above the other")
        if self.judged == "on-excess" and self.measure is Measure.RIDES:
            raise _WrongError("judged", "a ride has no excess: rides are judged before")
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


class _Cap(_Counting, forbid_unknown_fields=True, tag_field="kind", tag="cap", kw_only=True):
    payer: str
    most_fen: _Fen | None = None
    most_rides: _Fen | None = None
    modes: list[str] = []
    lines: list[str] = []

    def build(self, city: _City) -> Rule:
        if (self.most_fen is None) == (self.most_rides is None):
            raise _WrongError("", "a cap has most_fen or most_rides, one of the two")
        return Cap(
            self.name,
            period=self.build_period(),
            most_fen=self.most_fen,
            most_rides=self.most_rides,
            scope=Scope(frozenset(self.modes), frozenset(self.lines)),
            payer=city.payer(self.payer),
        )


class _Limit(_Counting, forbid_unknown_fields=True, tag_field="kind", tag="limit", kw_only=True):
    most_taps: _Fen | None = None
    most_fen: _Fen | None = None
    each: Each = Each.ALL

    def build(self, city: _City) -> Rule:
        if self.most_fen is None and self.most_taps is None:
            raise _WrongError("", "a limit has most_taps, most_fen or both")
        return Limit(self.name, self.build_period(), self.most_taps, self.most_fen, self.each)


class _Block(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="block"):
    name: _Name
    for_minutes: _Positive
    each: Each = Each.PLACE

    def build(self, city: _City) -> Rule:
        return Block(self.name, self.for_minutes * _MINUTE_MS, self.each)


class _Pass(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="pass"):
    name: _Name
    ticket: _Name
    price_fen: _Fen
    valid_days: _Positive
    visits: _Positive | None = None
    required: bool = False

    def build(self, city: _City) -> Rule:
        return Pass(self.name, self.ticket, self.price_fen, self.valid_days * _DAY_MS, self.visits, self.required)


class _Meal(msgspec.Struct, forbid_unknown_fields=True):
    name: _Name
    begins: _Time
    ends: _Time
    most_taps: _Fen | None = None
    subsidy_fen: _Fen = 0


class _Meals(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="meals"):
    name: _Name
    meal: list[_Meal]
    payer: str = OPERATOR
    category: str = ""
    closed_between: bool = False

    def build(self, city: _City) -> Rule:
        meals = tuple(Meal(m.name, _minutes(m.begins), _minutes(m.ends), m.most_taps, m.subsidy_fen) for m in self.meal)
        for at, meal in enumerate(meals):
            if meal.begins_minutes >= meal.ends_minutes:
                raise _WrongError(f"meal[{at}].ends", "is not after begins")
        return Meals(self.name, meals, self.closed_between, self.category, city.payer(self.payer))


class _Loans(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="loans"):
    name: _Name
    most_items: _Positive
    for_days: _Positive

    def build(self, city: _City) -> Rule:
        return Loans(self.name, self.most_items, self.for_days * _DAY_MS)


_AnyRule = _Concession | _Transfer | _Tiers | _Cap | _Limit | _Block | _Pass | _Meals | _Loans


class _Rounding(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    direction: Direction = Direction.DOWN
    unit_fen: _Positive = 1


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: _Name
    mode: str = ""
    price: _AnyPrice | None = None


class _Track(msgspec.Struct, forbid_unknown_fields=True):
    stops: list[_Name]
    metres: list[_Positive]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    scene: Literal["bus", "campus", "scenic"]
    source: str
    valid_from: date
    price: _AnyPrice
    currency: Literal["CNY"] = "CNY"
    valid_to: date | None = None
    key: str = ""
    merchants: list[_Name] = []
    mode: str = ""
    most_riders: _Positive = 1
    rounding: _Rounding = _Rounding()
    line: list[_Line] = []
    track: list[_Track] = []
    rule: list[_AnyRule] = []


def read_tariff(path: Path, funds: Mapping[str, int]) -> Tariff:
    """Read one file. `funds` gives the account of each payer by name. Raises TariffError."""
    try:
        content = path.read_text(encoding="utf-8")
        file = msgspec.convert(tomllib.loads(content), _File)
    except OSError as error:
        raise TariffError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TariffError(f"{path}: is not UTF-8 from byte {error.start} on") from None
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        _complain(path, content, place.rstrip("`"), message)
    try:
        return _build(file, funds)
    except _WrongError as error:
        _complain(path, content, error.key, str(error))


def _complain(path: Path, content: str, key: str, message: str) -> NoReturn:
    key = key.removeprefix("$").strip(".")
    raise TariffError(f"{path}:{line_of(content, key)}: {key or 'the file'}: {message}") from None


def _build(file: _File, funds: Mapping[str, int]) -> Tariff:
    for at, track in enumerate(file.track):
        if len(track.metres) != len(track.stops) - 1:
            raise _WrongError(f"track[{at}].metres", "must be one fewer than the stops: from each stop to the next")
    if file.valid_to is not None and file.valid_to < file.valid_from:
        raise _WrongError("valid_to", "is before valid_from")
    if file.merchants and not file.key:
        raise _WrongError("merchants", "a tariff for some merchants needs a key: what it counts is remembered under it")
    network = Network(Track(tuple(track.stops), tuple(track.metres)) for track in file.track)
    city = _City(funds, Rounding(file.rounding.direction, file.rounding.unit_fen), network)
    return Tariff(
        scene=Scene[file.scene.upper()],
        valid_from_ms=midnight_ms(file.valid_from),
        valid_to_ms=midnight_ms(file.valid_to + timedelta(days=1)) if file.valid_to else _FOR_EVER,
        price=_at("price", file.price, city),
        rules=tuple(_rules(file.rule, city)),
        merchants=frozenset(file.merchants),
        key=file.key or file.scene,
        mode=file.mode,
        lines={
            line.id: Line(line.mode or file.mode, None if line.price is None else _at(f"line[{at}].price", line.price, city))
            for at, line in enumerate(file.line)
        },
        most_riders=file.most_riders,
    )


def _rules(rules: list[_AnyRule], city: _City) -> list[Rule]:
    """In their order; of concessions that follow each other the first that applies counts."""
    built: list[Rule] = []
    names: set[str] = set()
    for at, rule in enumerate(rules):
        if rule.name in names or rule.name in ("journey", "at"):
            raise _WrongError(f"rule[{at}].name", f"{rule.name!r} is taken: what a rule counts is remembered under its name")
        names.add(rule.name)
        if not isinstance(rule, _Concession):
            built.append(_at(f"rule[{at}]", rule, city))
            continue
        try:
            concession = rule.build_one(city)
        except _WrongError as error:
            raise _WrongError(f"rule[{at}].{error.key}", str(error)) from None
        if built and isinstance(built[-1], Concessions):
            built[-1] = Concessions(built[-1].name, (*built[-1].among, concession), city.rounding)
        else:
            built.append(Concessions("concessions", (concession,), city.rounding))
    return built


def _at(place: str, part: Any, city: _City) -> Any:
    """What a part of the file is built to; an error in it is named with its place."""
    try:
        return part.build(city)
    except _WrongError as error:
        raise _WrongError(f"{place}.{error.key}", str(error)) from None


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
