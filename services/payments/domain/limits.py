"""How much may be paid online: for one payment, for one day, and for one day at one kind of merchant."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.payments.domain.account import Usage
from services.payments.domain.calendar import service_day
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason

_KEY = "online"
"""Under which usage counts the day: [day, fen, payments, {scene: fen}]."""


@dataclass(frozen=True, slots=True)
class Limits:
    """City settings. A limit counts the payment that is asked for, of all cards of one holder and of nobody else."""

    payment_fen: int
    day_fen: int
    day_payments: int
    scene_day_fen: Mapping[Scene, int] = field(default_factory=dict)
    """By the kind of merchant; where none is named, only the day's limit counts."""

    def refuse(self, usage: Usage, amount_fen: int, scene: Scene, time_ms: int) -> Reason | None:
        """Why a payment is too much, if it is."""
        if amount_fen > self.payment_fen:
            return Reason.OVER_PAYMENT_LIMIT
        _, fen, payments, scenes = _of_day(usage, service_day(time_ms))
        if fen + amount_fen > self.day_fen:
            return Reason.OVER_DAY_LIMIT
        if payments + 1 > self.day_payments:
            return Reason.OVER_DAY_COUNT
        limit = self.scene_day_fen.get(scene)
        if limit is not None and scenes.get(str(int(scene)), 0) + amount_fen > limit:
            return Reason.OVER_CATEGORY_LIMIT
        return None


def count(usage: Usage, amount_fen: int, payments: int, scene: int, time_ms: int) -> Usage:
    """The usage after a payment; with negative numbers, after one was let go. What another day counted is forgotten."""
    day, fen, number, scenes = _of_day(usage, service_day(time_ms))
    key = str(int(scene))
    spent = [day, fen + amount_fen, number + payments, {**scenes, key: scenes.get(key, 0) + amount_fen}]
    return {**usage, _KEY: spent}


def uncount(usage: Usage, amount_fen: int, payments: int, scene: int, then_ms: int) -> Usage:
    """The usage after a payment of `then_ms` was let go: the same day's room comes back, another day's does not matter."""
    counted = usage.get(_KEY)
    if counted is None or counted[0] != service_day(then_ms):
        return usage
    return count(usage, -amount_fen, -payments, scene, then_ms)


def _of_day(usage: Usage, day: int) -> tuple[int, int, int, Mapping[str, int]]:
    """What is counted, and on which day: a clock that is still behind midnight does not open the day before again."""
    counted = usage.get(_KEY)
    if counted is None or counted[0] < day:
        return day, 0, 0, {}
    return counted[0], counted[1], counted[2], counted[3]
