"""Concessions: a reduced share for some riders, by age, category, residence and form of the card."""

from dataclasses import dataclass
from typing import Any

from services.payments.domain.calendar import age_on, service_date
from services.payments.domain.card import Card
from services.payments.domain.rating.rounding import TO_THE_FEN, Rounding
from services.payments.domain.rating.rule import Rating, Rule
from services.payments.domain.tap import CardForm


@dataclass(frozen=True, slots=True)
class Concession:
    """Who pays how much of the fare, and who pays the rest. Limits are inclusive."""

    name: str
    pays_percent: int
    payer: int
    """The account of a fund, or 0: the merchant earns less."""
    from_age: int = 0
    to_age: int = 200
    category: str = ""
    """Empty: every category."""
    residents_only: bool = False
    forms: frozenset[CardForm] = frozenset()
    """Empty: every form."""

    def applies(self, card: Card, age: int, time_ms: int, form: CardForm) -> bool:
        """Whether the rider has it: by age on the ride's date, by category and residence at its instant."""
        if not self.from_age <= age <= self.to_age:
            return False
        if self.forms and form not in self.forms:
            return False
        if not self.category and not self.residents_only:
            return True
        period = card.category_at(time_ms)
        return (not self.category or period.category == self.category) and (period.resident or not self.residents_only)


@dataclass(frozen=True, slots=True)
class Concessions(Rule):
    """The first that applies counts. Who has no birth date any more, because the data were deleted, has none."""

    remembers = False

    among: tuple[Concession, ...] = ()
    rounding: Rounding = TO_THE_FEN

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        birth_date = rating.card.birth_date
        if birth_date is None or not rating.due_fen:
            return
        time_ms = rating.time_ms
        age = age_on(birth_date, service_date(time_ms))
        for concession in self.among:
            if concession.applies(rating.card, age, time_ms, rating.tap.form):
                rating.reduce_to(self.rounding.percent_of(rating.due_fen, concession.pays_percent), concession.payer)
                return
