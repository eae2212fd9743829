"""Somebody who rides by a tariff file: taps in order, and what they cost."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from services.payments.adapters.tariff_file import read_tariff
from services.payments.domain.card import Card, CategoryPeriod
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.tap import CardForm, Facts, Tap, Terminal
from services.payments.domain.tariff import Tariff
from services.payments.domain.verdict import Reason

TARIFFS = Path(__file__).parents[4] / "tariffs"
FUND = 2
FUNDS = {"concession_fund": FUND}
SHANGHAI = timezone(timedelta(hours=8))


def read(file: str) -> Tariff:
    return read_tariff(TARIFFS / file, FUNDS)


def at(time: str) -> int:
    """Milliseconds of a time in the city: 2026-03-01 08:00, with seconds or without."""
    return int(datetime.fromisoformat(time).replace(tzinfo=SHANGHAI).timestamp() * 1000)


@dataclass
class Rider:
    tariff: Tariff
    born: date = date(1990, 1, 1)
    category: str = "ordinary"
    form: CardForm = CardForm.UNSPECIFIED
    state: State = field(default_factory=dict)
    taps: int = 0

    def tap(self, time: str | int, price_fen: int | None = None, merchant: str = "M", **facts: object) -> Reason | Fare:
        """The fare, or why it was refused."""
        self.taps += 1
        terminal = Terminal(1, merchant, "T", self.tariff.scene, 1000, retired=False)
        time_ms = time if isinstance(time, int) else at(time)
        tap = Tap(terminal, self.taps, b"", "C", time_ms, price_fen, Facts(**facts), self.form)  # type: ignore[arg-type]
        card = Card("C", self.born, (), (CategoryPeriod(self.category, resident=True, valid_from_ms=0),), 1, 1)
        assert self.tariff.knows(tap)
        refusal = self.tariff.refuse(tap)
        fare, after = self.tariff.rate(tap, card, self.state)
        for limit in self.tariff.limits:
            refusal = refusal or limit.refuse(tap, self.state, self.state, after)
        if refusal:
            return refusal
        self.state = after
        assert fare.fare_fen == fare.charged_fen + sum(share for _, share in fare.shares)
        return fare

    def pay(self, time: str | int, price_fen: int | None = None, merchant: str = "M", **facts: object) -> int:
        """What the rider pays."""
        fare = self.tap(time, price_fen, merchant, **facts)
        assert isinstance(fare, Fare), fare
        return fare.charged_fen
