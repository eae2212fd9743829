"""The tables of a tariff file that name a price, and what the domain makes of them."""

import msgspec

from services.payments.adapters.tariff_schema import MINUTE_MS, CityParts, Fen, Positive, WrongError
from services.payments.domain.rating.price import Band, Brackets, Flat, Journey, Marginal, NamedPrice, Price, Stretch, Tickets


class FlatTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="flat"):
    amount_fen: Fen

    def build(self, city: CityParts) -> Price:
        return Flat(self.amount_fen)


class NamedPriceTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="named-price"):
    limit_fen: Positive

    def build(self, city: CityParts) -> Price:
        return NamedPrice(self.limit_fen)


class TicketsTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="tickets"):
    prices_fen: dict[str, Fen]

    def build(self, city: CityParts) -> Price:
        return Tickets(self.prices_fen)


class BandTable(msgspec.Struct, forbid_unknown_fields=True):
    to_metres: Positive
    fen: Fen


class StretchTable(msgspec.Struct, forbid_unknown_fields=True):
    from_metres: Fen
    every_metres: Positive
    fen: Fen


class DistanceTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="distance"):
    most_minutes: Positive
    bands: list[BandTable]
    then_every_metres: Fen = 0
    then_fen: Fen = 0
    maximum_fen: Fen | None = None

    def build(self, city: CityParts) -> Price:
        if not self.bands or [b.to_metres for b in self.bands] != sorted({b.to_metres for b in self.bands}):
            raise WrongError("bands", "must be one or more, each to a longer distance than the one before")
        bands = tuple(Band(band.to_metres, band.fen) for band in self.bands)
        return _journey(Brackets(bands, self.then_every_metres, self.then_fen), self.most_minutes, self.maximum_fen, city)


class MarginalTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="marginal"):
    most_minutes: Positive
    base_fen: Fen
    stretches: list[StretchTable]
    maximum_fen: Fen | None = None

    def build(self, city: CityParts) -> Price:
        if [s.from_metres for s in self.stretches] != sorted({s.from_metres for s in self.stretches}):
            raise WrongError("stretches", "must begin one after the other")
        stretches = tuple(Stretch(part.from_metres, part.every_metres, part.fen) for part in self.stretches)
        return _journey(Marginal(self.base_fen, stretches), self.most_minutes, self.maximum_fen, city)


def _journey(by_distance: Brackets | Marginal, most_minutes: int, maximum_fen: int | None, city: CityParts) -> Journey:
    """Where the file does not say what an unmatched tap costs, it is what the longest way costs."""
    longest = city.network.longest_metres()
    if not longest:
        raise WrongError("", "a price by distance needs [[track]] tables with stops and metres")
    most = by_distance.fare_fen(longest) if maximum_fen is None else maximum_fen
    return Journey(by_distance, city.network, most_minutes * MINUTE_MS, most)


AnyPrice = FlatTable | NamedPriceTable | TicketsTable | DistanceTable | MarginalTable
