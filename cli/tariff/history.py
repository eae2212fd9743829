"""The taps of one rider, rated one after the other as the ledger would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.payments.domain.card import Card
from services.payments.domain.rating.price import JOURNEY, Identity
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariff
from services.payments.domain.verdict import Reason


class Rated(NamedTuple):
    """What became of a tap: a fare, or a reason why it was refused, or neither: the tariff has no price for it."""

    tap: Tap
    card: Card
    before: State
    after: State
    fare: Fare | None = None
    reason: Reason | None = None
    unmatched: bool = False
    """Of an entry: a later tap showed that no exit of it came."""


def rate_history(tariff: Tariff, taps: Iterable[tuple[Tap, Card]]) -> list[Rated]:
    """Accept or refuse, then rate; `taps` are one rider's in the order of their times. Validity dates are not looked at."""
    rated: list[Rated] = []
    state: State = {}
    for tap, card in taps:
        if not _has_price(tariff, tap):
            rated.append(Rated(tap, card, state, state))
            continue
        if reason := _refusal(tariff, tap, card, state):
            rated.append(Rated(tap, card, state, state, reason=reason))
            continue
        if found := tariff.looks_back(tap, state):
            state = _rate_again(tariff, rated, *found)
        fare, after = tariff.rate(tap, card, state)
        rated.append(Rated(tap, card, state, after, fare))
        state = after
    return rated


def awaited(rated: Sequence[Rated]) -> Identity | None:
    """The entry whose exit may still come."""
    began = rated[-1].after.get(JOURNEY) if rated else None
    return None if began is None or began[4] else (began[2], began[3])


def _has_price(tariff: Tariff, tap: Tap) -> bool:
    merchant = tap.terminal.merchant_id
    return (not tariff.merchants or not merchant or merchant in tariff.merchants) and tariff.knows(tap)


def _refusal(tariff: Tariff, tap: Tap, card: Card, state: State) -> Reason | None:
    reason = tariff.refuse(tap)
    _, after = tariff.rate(tap, card, state)
    for limit in tariff.limits:
        reason = reason or limit.refuse(tap, state, state, after)
    return reason


def _rate_again(tariff: Tariff, rated: list[Rated], entry: Identity, unmatched: bool) -> State:
    """From the entry whose price has changed, through all that was accepted since; what was refused stays refused."""
    at = next(at for at in reversed(range(len(rated))) if rated[at].tap.identity == entry)
    rated[at] = rated[at]._replace(unmatched=unmatched)
    state = rated[at].before
    for later in range(at, len(rated)):
        one = rated[later]
        fare, after = one.fare, state
        if fare is not None:
            fare, after = tariff.rate(one.tap, one.card, state, unmatched=one.unmatched)
        rated[later] = one._replace(before=state, after=after, fare=fare)
        state = after
    return state
