"""How much may be spent: for one payment, for one day, and for one day at one kind of merchant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason


class Spent(NamedTuple):
    """What counts on one service day."""

    fen: int = 0
    payments: int = 0
    scenes: Mapping[str, int] = {}
    """Fen by the kind of merchant, whose number is text: it comes out of JSON."""

    def plus(self, amount_fen: int, payments: int, scene: int) -> "Spent":
        """After a payment; with negative numbers, after one was let go."""
        key = str(int(scene))
        scenes = {**self.scenes, key: self.scenes.get(key, 0) + amount_fen}
        return Spent(self.fen + amount_fen, self.payments + payments, scenes)


class Refusals(NamedTuple):
    """How a refusal is called, by what is exceeded."""

    payment: Reason
    day: Reason
    payments: Reason
    scene: Reason


BY_CITY: Final = Refusals(
    Reason.OVER_PAYMENT_LIMIT, Reason.OVER_DAY_LIMIT, Reason.OVER_DAY_COUNT, Reason.OVER_CATEGORY_LIMIT
)  # fmt: skip
BY_GUARDIAN: Final = Refusals(
    Reason.OVER_GUARDIAN_PAYMENT, Reason.OVER_GUARDIAN_DAY, Reason.OVER_GUARDIAN_COUNT, Reason.OVER_GUARDIAN_SCENE
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The city's, of online payments, or a guardian's. A limit counts what is asked for, of all cards of one holder."""

    payment_fen: int | None = None
    """None: there is no such limit."""
    day_fen: int | None = None
    day_payments: int | None = None
    scene_day_fen: Mapping[Scene, int] = field(default_factory=dict)
    """By the kind of merchant; where none is named, only the day's limit counts."""

    def refuse(self, spent: Spent, amount_fen: int, scene: Scene, called: Refusals = BY_CITY) -> Reason | None:
        """Why a payment is too much on a day on which so much was spent before, if it is."""
        if _over(self.payment_fen, amount_fen):
            return called.payment
        if _over(self.day_fen, spent.fen + amount_fen):
            return called.day
        if _over(self.day_payments, spent.payments + 1):
            return called.payments
        if _over(self.scene_day_fen.get(scene), spent.scenes.get(str(int(scene)), 0) + amount_fen):
            return called.scene
        return None


def _over(limit: int | None, value: int) -> bool:
    return limit is not None and value > limit
