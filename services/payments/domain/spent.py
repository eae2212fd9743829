"""What a holder has spent, by the service day, as `usage` keeps it: online under the city's limits, and a child at all."""

from collections.abc import Mapping
from typing import Any, Final

from services.payments.domain.account import SPENT_ONLINE, SPENT_WATCHED, HolderAccount, Usage
from services.payments.domain.calendar import service_day
from services.payments.domain.card import Card
from services.payments.domain.limits import BY_GUARDIAN, Spent
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason

# Under the one key usage counts what was paid online: [day, fen, payments, {scene: fen}]; under the other what a child spent
# while a guardian's limits were in force: {day: [fen, payments, {scene: fen}]}.
_DAYS: Final = 8
"""On which something was spent, and so many are kept: a validator that was away for a week is judged by its own days."""


def spent_online(usage: Usage, time_ms: int) -> Spent:
    """What was paid online on a day."""
    return _online(usage, service_day(time_ms))[1]


def count(usage: Usage, amount_fen: int, payments: int, scene: int, time_ms: int) -> Usage:
    """The usage after an online payment; with negative numbers, after one was let go. What another day counted is forgotten."""
    day, spent = _online(usage, service_day(time_ms))
    return {**usage, SPENT_ONLINE: [day, *spent.plus(amount_fen, payments, scene)]}


def spend(usage: Usage, card: Card, amount_fen: int, scene: Scene, time_ms: int) -> Usage | Reason:
    """The usage after what a child pays, in a tap or online; or why it is more than the guardian lets pass."""
    limits = card.spending_limits_at(time_ms)
    if limits is None or not amount_fen:
        return usage
    day = str(service_day(time_ms))
    days: Mapping[str, Any] = usage.get(SPENT_WATCHED, {})
    spent = Spent(*days.get(day, ()))
    if refusal := limits.refuse(spent, amount_fen, scene, BY_GUARDIAN):
        return refusal
    counted = {**days, day: list(spent.plus(amount_fen, 1, scene))}
    return {**usage, SPENT_WATCHED: {kept: counted[kept] for kept in sorted(counted, key=int)[-_DAYS:]}}


def make_room(account: HolderAccount, amount_fen: int, payments: int, scene: int, then_ms: int) -> Usage:
    """The usage after an online payment of `then_ms` was let go: that day's room comes back, another day's does not matter."""
    usage, day = account.usage, service_day(then_ms)
    counted = usage.get(SPENT_ONLINE)
    if counted is not None and counted[0] == day:
        usage = count(usage, -amount_fen, -payments, scene, then_ms)
    days: Mapping[str, Any] = usage.get(SPENT_WATCHED, {})
    # What was paid before a guardian set anything was never counted.
    if str(day) not in days or not any(card.spending_limits_at(then_ms) for card in account.cards):
        return usage
    spent = Spent(*days[str(day)]).plus(-amount_fen, -payments, scene)
    return {**usage, SPENT_WATCHED: {**days, str(day): list(spent)}}


def _online(usage: Usage, day: int) -> tuple[int, Spent]:
    """What is counted, and on which day: a clock that is still behind midnight does not open the day before again."""
    counted = usage.get(SPENT_ONLINE)
    if counted is None or counted[0] < day:
        return day, Spent()
    return counted[0], Spent(*counted[1:])
