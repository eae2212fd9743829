"""The life of a card: one table of verbs, with from where, by whom, on what condition and to where.

The states are the official ones; the table follows the social security card's rules (see docs/glossary.md for the words).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum
from typing import Final

from services.card.domain.card import LIVE, Card, CardKind, FinancialStatus, Production, SocialStatus
from services.card.domain.refusal import Refusal


class Verb(IntEnum):
    """What can be done to a card. The numbers are stored and travel: never changed, never used again."""

    COLLECT = 1
    ENABLE = 2
    ACTIVATE = 3
    REPORT_TEMPORARY_LOSS = 4
    EXPIRE_TEMPORARY_LOSS = 5
    RELEASE = 6
    REPORT_FORMAL_LOSS = 7
    REISSUE = 8
    REPLACE = 9
    LOCK = 10
    UNLOCK = 11
    RESET_PIN = 12
    CANCEL = 13
    SUPERSEDE = 14
    """The switch: a successor takes its place."""
    ABANDON = 15
    """It was never finished: its number is retired."""
    EXTEND = 16
    """A temporary card lives on."""
    EXPIRE_CARD = 17
    """A temporary card's life is over."""
    PRODUCE = 18
    """It is made, read back, and at its outlet."""


class Party(IntEnum):
    """On whose word something is done."""

    HOLDER_IN_PERSON = 1
    HOLDER_REMOTE = 2
    """By telephone, online or at a kiosk."""
    GUARDIAN = 3
    PROXY = 4
    HEIR = 5
    BANK = 6
    ISSUANCE = 7
    TIMER = 8
    SYSTEM = 9
    """A rule of ours, as after too many wrong PINs."""


class Need(IntEnum):
    """What must be shown or done before a verb; each missing one has its refusal."""

    IDENTITY_VERIFIED = 1
    PAPERS = 2
    """Of a guardian, a proxy or an heir."""
    FEE_SETTLED = 3
    OLD_CARD_RETURNED = 4
    BALANCE_SETTLED = 5
    SECOND_PERSON = 6


MISSING: Final = {
    Need.IDENTITY_VERIFIED: Refusal.IDENTITY_NOT_VERIFIED,
    Need.PAPERS: Refusal.PAPERS_MISSING,
    Need.FEE_SETTLED: Refusal.FEE_NOT_SETTLED,
    Need.OLD_CARD_RETURNED: Refusal.OLD_CARD_NOT_RETURNED,
    Need.BALANCE_SETTLED: Refusal.BALANCE_NOT_SETTLED,
    Need.SECOND_PERSON: Refusal.SECOND_PERSON_NEEDED,
}
REPRESENTATIVES: Final = frozenset({Party.GUARDIAN, Party.PROXY, Party.HEIR})


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    social: frozenset[SocialStatus]
    parties: frozenset[Party]
    needs: frozenset[Need] = frozenset()
    to: SocialStatus | None = None
    """None: the social side stays as it is."""


_S, _P, _N = SocialStatus, Party, Need
_IN_PERSON = frozenset({_P.HOLDER_IN_PERSON, _P.GUARDIAN})
_ANYHOW = _IN_PERSON | {_P.HOLDER_REMOTE}
_VERIFIED = frozenset({_N.IDENTITY_VERIFIED})

TABLE: Final[dict[Verb, Rule]] = {
    Verb.COLLECT: Rule(frozenset({_S.SEALED}), _IN_PERSON, _VERIFIED),
    Verb.ENABLE: Rule(frozenset({_S.SEALED}), _ANYHOW, _VERIFIED, _S.NORMAL),
    Verb.ACTIVATE: Rule(frozenset({_S.NORMAL}), _IN_PERSON | {_P.BANK}, _VERIFIED),
    Verb.REPORT_TEMPORARY_LOSS: Rule(frozenset({_S.NORMAL}), _ANYHOW, to=_S.TEMPORARILY_LOST),
    Verb.EXPIRE_TEMPORARY_LOSS: Rule(frozenset({_S.TEMPORARILY_LOST}), frozenset({_P.TIMER}), to=_S.NORMAL),
    Verb.RELEASE: Rule(frozenset({_S.TEMPORARILY_LOST}), _ANYHOW, _VERIFIED, _S.NORMAL),
    # A locked card can be lost, too; nobody should have to unlock it first.
    Verb.REPORT_FORMAL_LOSS: Rule(
        frozenset({_S.NORMAL, _S.TEMPORARILY_LOST, _S.LOCKED}), _IN_PERSON | {_P.PROXY}, _VERIFIED, _S.FORMALLY_LOST
    ),
    Verb.REISSUE: Rule(frozenset({_S.FORMALLY_LOST}), _IN_PERSON, _VERIFIED | {_N.FEE_SETTLED}),
    # The old card works until the switch; it is given back when the new one is collected.
    Verb.REPLACE: Rule(frozenset({_S.NORMAL, _S.FORMALLY_LOST}), _IN_PERSON, _VERIFIED | {_N.FEE_SETTLED}),
    Verb.LOCK: Rule(frozenset({_S.NORMAL}), frozenset({_P.SYSTEM}), to=_S.LOCKED),
    Verb.UNLOCK: Rule(frozenset({_S.LOCKED}), frozenset({_P.HOLDER_IN_PERSON}), _VERIFIED, _S.NORMAL),
    Verb.RESET_PIN: Rule(frozenset({_S.NORMAL, _S.LOCKED}), frozenset({_P.HOLDER_IN_PERSON}), _VERIFIED, _S.NORMAL),
    Verb.CANCEL: Rule(LIVE, _IN_PERSON | {_P.HEIR}, _VERIFIED | {_N.BALANCE_SETTLED, _N.SECOND_PERSON}, _S.CANCELLED),
    Verb.SUPERSEDE: Rule(LIVE, frozenset({_P.SYSTEM}), to=_S.CANCELLED),
    Verb.ABANDON: Rule(frozenset({_S.SEALED}), frozenset({_P.ISSUANCE, _P.SYSTEM}), to=_S.CANCELLED),
    Verb.PRODUCE: Rule(frozenset({_S.SEALED}), frozenset({_P.ISSUANCE})),
    Verb.EXTEND: Rule(frozenset({_S.NORMAL}), _IN_PERSON, _VERIFIED),
    Verb.EXPIRE_CARD: Rule(LIVE | {_S.SEALED}, frozenset({_P.TIMER}), to=_S.CANCELLED),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown or done for one verb at one moment."""

    party: Party
    now_ms: int
    today: date
    needs_met: frozenset[Need] = frozenset()


@dataclass(frozen=True, slots=True)
class LifeRules:
    """City settings that the life of a card depends on."""

    temporary_loss_days: int
    temporary_loss_cancels: bool
    """What a temporary loss ends in by itself: the card is normal again, or cancelled."""
    temporary_card_days: int
    temporary_card_longest_days: int


_DAY_MS: Final = 24 * 3600 * 1000


def decide(rules: LifeRules, card: Card, verb: Verb, shown: Shown) -> Card | Refusal:
    """The card after a verb, one version later, or why not: its state, the party, what is missing, the time."""
    refusal = (
        barred(card, verb) or by_party(verb, shown.party) or missing(card, verb, shown) or _untimely(rules, card, verb, shown)
    )
    return _moved(rules, card, verb, shown) if refusal is None else refusal


def allowed(card: Card) -> Iterator[tuple[Verb, Refusal | None]]:
    """Each verb that a person may ask for, and why it is out of the question now; None: it may be done."""
    for verb, rule in TABLE.items():
        if rule.parties - {Party.TIMER, Party.SYSTEM, Party.ISSUANCE}:
            yield verb, barred(card, verb)


def barred(card: Card, verb: Verb) -> Refusal | None:
    """Why the card's own state does not let a verb happen, whoever asks."""
    if card.social is SocialStatus.CANCELLED:
        return Refusal.CANCELLED
    if card.social not in TABLE[verb].social:
        return _wrong_state(card, verb)
    return _wrong_axis(card, verb)


def by_party(verb: Verb, party: Party) -> Refusal | None:
    """Why this party cannot have a verb done."""
    if party in TABLE[verb].parties:
        return None
    return Refusal.PROXY_MAY_NOT if party is Party.PROXY else Refusal.NOT_BY_THIS_PARTY


def needs_of(card: Card, verb: Verb, party: Party) -> frozenset[Need]:
    """What must be shown or done when this party asks."""
    needs = TABLE[verb].needs
    if party in REPRESENTATIVES:
        needs |= {Need.PAPERS}
    if verb is Verb.COLLECT and card.predecessor_in_hand:
        needs |= {Need.OLD_CARD_RETURNED}
    return needs - {Need.IDENTITY_VERIFIED} if party is Party.BANK else needs  # the bank has verified it by law


def missing(card: Card, verb: Verb, shown: Shown) -> Refusal | None:
    """The first thing that is missing."""
    lacking = sorted(needs_of(card, verb, shown.party) - shown.needs_met)
    return MISSING[lacking[0]] if lacking else None


def _wrong_state(card: Card, verb: Verb) -> Refusal:
    match verb, card.social:
        case Verb.RELEASE, SocialStatus.FORMALLY_LOST:
            return Refusal.FORMAL_LOSS_IS_FINAL
        case Verb.RELEASE | Verb.EXPIRE_TEMPORARY_LOSS, _:
            return Refusal.NOT_LOST
        case Verb.COLLECT | Verb.ENABLE, _:
            return Refusal.ALREADY_ENABLED
        case Verb.PRODUCE | Verb.ABANDON, _:
            return Refusal.ALREADY_MADE
        case _, SocialStatus.SEALED:
            return Refusal.NOT_ENABLED if card.production is Production.ISSUED else Refusal.STILL_IN_PRODUCTION
        case Verb.UNLOCK, _:
            return Refusal.NOT_LOCKED
        case Verb.REISSUE, _:
            return Refusal.FORMAL_LOSS_FIRST
        case _, SocialStatus.LOCKED:
            return Refusal.LOCKED
        case _:
            return Refusal.ALREADY_LOST


def _wrong_axis(card: Card, verb: Verb) -> Refusal | None:
    """The production and financial sides, and what hangs on a successor."""
    match verb:
        case Verb.PRODUCE | Verb.ABANDON if card.production in (Production.AT_OUTLET, Production.ISSUED):
            return Refusal.ALREADY_MADE
        case Verb.COLLECT if card.production is Production.ISSUED:
            return Refusal.ALREADY_COLLECTED
        case Verb.COLLECT if card.production is not Production.AT_OUTLET:
            return Refusal.NOT_AT_OUTLET
        case Verb.ENABLE if card.production is not Production.ISSUED:
            return Refusal.NOT_COLLECTED
        case Verb.ACTIVATE if card.kind is CardKind.TEMPORARY:
            return Refusal.NO_FINANCIAL_FUNCTION
        case Verb.ACTIVATE if card.financial is FinancialStatus.ACTIVE:
            return Refusal.ALREADY_ACTIVE
        case Verb.ACTIVATE if not card.has_bank_account:
            return Refusal.NO_BANK_ACCOUNT
        case Verb.REISSUE | Verb.REPLACE | Verb.CANCEL if card.successor_in_production:
            return Refusal.SUCCESSOR_IN_PRODUCTION
        case Verb.EXTEND | Verb.EXPIRE_CARD if card.kind is not CardKind.TEMPORARY:
            return Refusal.NOT_TEMPORARY
    return None


def _untimely(rules: LifeRules, card: Card, verb: Verb, shown: Shown) -> Refusal | None:
    """A timer that looked before it had the lock may come for a state that is over; and nothing lives beyond its term."""
    match verb:
        case Verb.EXPIRE_TEMPORARY_LOSS if shown.now_ms < card.loss_until_ms:
            return Refusal.NOT_DUE
        case Verb.EXPIRE_CARD if shown.today <= (card.valid_until or date.max):
            return Refusal.NOT_DUE
        case Verb.EXTEND if _longest(rules, card) <= (card.valid_until or date.min):
            return Refusal.LONGEST_TERM_REACHED
    return None


def _moved(rules: LifeRules, card: Card, verb: Verb, shown: Shown) -> Card:
    to = TABLE[verb].to
    after = replace(card, version=card.version + 1, social=card.social if to is None else to)
    match verb:
        case Verb.PRODUCE:
            after = replace(after, production=Production.AT_OUTLET)
        case Verb.COLLECT:
            after = replace(after, production=Production.ISSUED)
        case Verb.ACTIVATE:
            after = replace(after, financial=FinancialStatus.ACTIVE)
        case Verb.REPORT_TEMPORARY_LOSS:
            after = replace(after, loss_until_ms=shown.now_ms + rules.temporary_loss_days * _DAY_MS)
        case Verb.EXPIRE_TEMPORARY_LOSS:
            after = replace(after, social=SocialStatus.CANCELLED if rules.temporary_loss_cancels else after.social)
        case Verb.EXTEND:
            longer = (card.valid_until or shown.today) + timedelta(rules.temporary_card_days)
            after = replace(after, valid_until=min(longer, _longest(rules, card)))
    if after.social is not SocialStatus.TEMPORARILY_LOST:
        after = replace(after, loss_until_ms=0)
    if after.social is SocialStatus.CANCELLED and after.financial is not FinancialStatus.NONE:
        after = replace(after, financial=FinancialStatus.CLOSED)
    return after


def _longest(rules: LifeRules, card: Card) -> date:
    """The last day that a temporary card may ever have."""
    return (card.issue_date or date.min) + timedelta(rules.temporary_card_longest_days)
