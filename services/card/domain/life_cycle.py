"""The life of a card: one table of verbs, with from where, by whom, on what condition and to where.

The states are the official ones; the table follows the social security card's rules (see docs/glossary.md for the words).
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum
from typing import Final

from services.card.domain.card import (
    LIVE,
    LOST,
    Card,
    CardKind,
    ElectronicLevel,
    FinancialStatus,
    Production,
    SocialStatus,
    Underway,
)
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
    REFUSE_ACCOUNT = 19
    """The bank opens no account for a card that was made without waiting for it; its social side stays."""
    ASK_BANK_AGAIN = 20
    """What the bank objected to is settled; the next batch carries the card."""
    SIGN_UP = 30
    """签发 the electronic card, to query and to show who one is."""
    RAISE_LEVEL = 31
    """The electronic card may pay, too."""
    RESET_PASSWORD = 32
    """Of the electronic card; it is not locked any more."""
    LOCK_ELECTRONIC = 33
    CANCEL_ELECTRONIC = 34
    """The electronic card ends; the physical one stays."""


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
    FINANCE_CONSENT = 7
    """The holder's, to the bank's side of the card."""


MISSING: Final = {
    Need.IDENTITY_VERIFIED: Refusal.IDENTITY_NOT_VERIFIED,
    Need.PAPERS: Refusal.PAPERS_MISSING,
    Need.FEE_SETTLED: Refusal.FEE_NOT_SETTLED,
    Need.OLD_CARD_RETURNED: Refusal.OLD_CARD_NOT_RETURNED,
    Need.BALANCE_SETTLED: Refusal.BALANCE_NOT_SETTLED,
    Need.SECOND_PERSON: Refusal.SECOND_PERSON_NEEDED,
    Need.FINANCE_CONSENT: Refusal.CONSENT_NEEDED,
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
IN_PERSON: Final = frozenset({_P.HOLDER_IN_PERSON, _P.GUARDIAN})
_ANYHOW = IN_PERSON | {_P.HOLDER_REMOTE}
_VERIFIED = frozenset({_N.IDENTITY_VERIFIED})

TABLE: Final[dict[Verb, Rule]] = {
    Verb.COLLECT: Rule(frozenset({_S.SEALED}), IN_PERSON, _VERIFIED),
    Verb.ENABLE: Rule(frozenset({_S.SEALED}), _ANYHOW, _VERIFIED, _S.NORMAL),
    Verb.ACTIVATE: Rule(frozenset({_S.NORMAL}), IN_PERSON | {_P.BANK}, _VERIFIED | {_N.FINANCE_CONSENT}),
    Verb.REPORT_TEMPORARY_LOSS: Rule(frozenset({_S.NORMAL}), _ANYHOW, to=_S.TEMPORARILY_LOST),
    Verb.EXPIRE_TEMPORARY_LOSS: Rule(frozenset({_S.TEMPORARILY_LOST}), frozenset({_P.TIMER}), to=_S.NORMAL),
    Verb.RELEASE: Rule(frozenset({_S.TEMPORARILY_LOST}), _ANYHOW, _VERIFIED, _S.NORMAL),
    # A locked card can be lost, too; nobody should have to unlock it first.
    Verb.REPORT_FORMAL_LOSS: Rule(
        frozenset({_S.NORMAL, _S.TEMPORARILY_LOST, _S.LOCKED}), IN_PERSON | {_P.PROXY}, _VERIFIED, _S.FORMALLY_LOST
    ),
    Verb.REISSUE: Rule(frozenset({_S.FORMALLY_LOST}), IN_PERSON, _VERIFIED | {_N.FEE_SETTLED}),
    # The old card works until the switch; it is given back when the new one is collected.
    Verb.REPLACE: Rule(frozenset({_S.NORMAL, _S.FORMALLY_LOST}), IN_PERSON, _VERIFIED | {_N.FEE_SETTLED}),
    Verb.LOCK: Rule(frozenset({_S.NORMAL}), frozenset({_P.SYSTEM}), to=_S.LOCKED),
    Verb.UNLOCK: Rule(frozenset({_S.LOCKED}), frozenset({_P.HOLDER_IN_PERSON}), _VERIFIED, _S.NORMAL),
    Verb.RESET_PIN: Rule(frozenset({_S.NORMAL, _S.LOCKED}), frozenset({_P.HOLDER_IN_PERSON}), _VERIFIED, _S.NORMAL),
    # Also a card that lies at its outlet: its holder may have died meanwhile.
    Verb.CANCEL: Rule(
        LIVE | {_S.SEALED}, IN_PERSON | {_P.HEIR}, _VERIFIED | {_N.BALANCE_SETTLED, _N.SECOND_PERSON}, _S.CANCELLED
    ),
    Verb.SUPERSEDE: Rule(LIVE, frozenset({_P.SYSTEM}), to=_S.CANCELLED),
    Verb.ABANDON: Rule(frozenset({_S.SEALED}), frozenset({_P.ISSUANCE, _P.SYSTEM}), to=_S.CANCELLED),
    Verb.PRODUCE: Rule(frozenset({_S.SEALED}), frozenset({_P.ISSUANCE})),
    Verb.EXTEND: Rule(frozenset({_S.NORMAL}), IN_PERSON, _VERIFIED),
    Verb.REFUSE_ACCOUNT: Rule(LIVE | {_S.SEALED}, frozenset({_P.BANK})),
    Verb.ASK_BANK_AGAIN: Rule(LIVE | {_S.SEALED}, IN_PERSON, _VERIFIED),
    Verb.SIGN_UP: Rule(frozenset({_S.NORMAL}), _ANYHOW, _VERIFIED),
    Verb.RAISE_LEVEL: Rule(frozenset({_S.NORMAL}), IN_PERSON, _VERIFIED),
    Verb.RESET_PASSWORD: Rule(LIVE, frozenset({_P.HOLDER_IN_PERSON}), _VERIFIED),
    Verb.LOCK_ELECTRONIC: Rule(LIVE, frozenset({_P.SYSTEM})),
    Verb.CANCEL_ELECTRONIC: Rule(LIVE, _ANYHOW, _VERIFIED),
    Verb.EXPIRE_CARD: Rule(LIVE | {_S.SEALED}, frozenset({_P.TIMER}), to=_S.CANCELLED),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown or done for one verb at one moment."""

    party: Party
    now_ms: int
    today: date
    needs_met: frozenset[Need] = frozenset()
    without_document: bool = False
    """The holder stands there without a document that can be read; who it is was found out otherwise."""
    electronic_outlives_loss: bool = False
    """With a report of temporary loss: the holder lets the electronic card be used meanwhile."""


@dataclass(frozen=True, slots=True)
class LifeRules:
    """City settings that the life of a card depends on."""

    temporary_loss_days: int
    temporary_loss_cancels: bool
    """What a temporary loss ends in by itself: the card is normal again, or cancelled."""
    temporary_card_days: int
    temporary_card_longest_days: int


_MADE: Final = {Production.AT_OUTLET: Refusal.NOT_COLLECTED, Production.ISSUED: Refusal.NOT_ENABLED}
"""Where a card lies once it is made, and what is to be done first with it then."""
_ELECTRONIC: Final = frozenset({Verb.RAISE_LEVEL, Verb.RESET_PASSWORD, Verb.LOCK_ELECTRONIC, Verb.CANCEL_ELECTRONIC})
_DAY_MS: Final = 24 * 3600 * 1000


def decide(rules: LifeRules, card: Card, verb: Verb, shown: Shown) -> Card | Refusal:
    """The card after a verb, one version later, or why not: its state, the party, what is missing, the time."""
    refusal = (
        barred(card, verb) or by_party(verb, shown.party) or missing(card, verb, shown) or _untimely(rules, card, verb, shown)
    )
    return _moved(rules, card, verb, shown) if refusal is None else refusal


def allowed(rules: LifeRules, card: Card, party: Party | None = None) -> Iterator[tuple[Verb, Refusal | None]]:
    """Each verb that a person, or this party, may ask for, and why it is out of the question now; None: it may be done."""
    for verb, rule in TABLE.items():
        if rule.parties - {Party.TIMER, Party.SYSTEM, Party.ISSUANCE, Party.BANK}:
            yield verb, barred(card, verb) or (by_party(verb, party) if party else None) or _beyond_term(rules, card, verb)


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
    # The bank has verified it by law, and asks for consent itself.
    return needs - {Need.IDENTITY_VERIFIED, Need.FINANCE_CONSENT} if party is Party.BANK else needs


def missing(card: Card, verb: Verb, shown: Shown) -> Refusal | None:
    """The first thing that is missing."""
    needs = needs_of(card, verb, shown.party)
    if verb is Verb.RESET_PIN and shown.without_document:
        needs = needs - {Need.IDENTITY_VERIFIED} | {Need.SECOND_PERSON}
    return _first(needs - shown.needs_met)


def may_take(party: Party, needs_met: frozenset[Need]) -> Refusal | None:
    """Why somebody is not handed a holder's money: whoever may have a card cancelled may take what was left."""
    needs = {Need.IDENTITY_VERIFIED} | ({Need.PAPERS} if party in REPRESENTATIVES else set())
    return by_party(Verb.CANCEL, party) or _first(needs - needs_met)


def _first(lacking: Set[Need]) -> Refusal | None:
    return MISSING[min(lacking)] if lacking else None


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
            return _MADE.get(card.production, Refusal.STILL_IN_PRODUCTION)
        case Verb.UNLOCK, _:
            return Refusal.NOT_LOCKED
        case Verb.REISSUE, _:
            return Refusal.FORMAL_LOSS_FIRST
        case _, SocialStatus.LOCKED:
            return Refusal.LOCKED
        case Verb.SIGN_UP | Verb.RAISE_LEVEL, lost if lost in LOST:
            return Refusal.CARD_IS_LOST
        case _:
            return Refusal.ALREADY_LOST


def _wrong_axis(card: Card, verb: Verb) -> Refusal | None:
    """The production, financial and electronic sides, and what hangs on a successor."""
    match verb:
        case Verb.SIGN_UP if card.kind is CardKind.TEMPORARY:
            return Refusal.NOT_FOR_TEMPORARY_CARDS
        case Verb.SIGN_UP if card.electronic is not ElectronicLevel.NONE:
            return Refusal.ELECTRONIC_CARD_EXISTS
        case verb if verb in _ELECTRONIC and card.electronic is ElectronicLevel.NONE:
            return Refusal.NO_ELECTRONIC_CARD
        case Verb.RAISE_LEVEL if card.electronic_locked:
            return Refusal.ELECTRONIC_LOCKED
        case Verb.RAISE_LEVEL if card.electronic is ElectronicLevel.PAYMENT:
            return Refusal.ELECTRONIC_LEVEL_REACHED
        case Verb.RAISE_LEVEL if card.financial is not FinancialStatus.ACTIVE:
            return Refusal.ACCOUNT_NOT_ACTIVE
        case Verb.PRODUCE if card.production in _MADE:
            return Refusal.ALREADY_MADE
        case Verb.ABANDON if card.production is Production.ISSUED:
            return Refusal.ALREADY_COLLECTED
        case Verb.COLLECT if card.production is Production.ISSUED:
            return Refusal.ALREADY_COLLECTED
        case Verb.COLLECT if card.production is not Production.AT_OUTLET:
            return Refusal.NOT_AT_OUTLET
        case Verb.ENABLE if card.production is not Production.ISSUED:
            return Refusal.NOT_COLLECTED
        case Verb.ACTIVATE | Verb.REFUSE_ACCOUNT if card.kind is CardKind.TEMPORARY:
            return Refusal.NO_FINANCIAL_FUNCTION
        case Verb.ACTIVATE | Verb.REFUSE_ACCOUNT if card.financial is FinancialStatus.ACTIVE:
            return Refusal.ALREADY_ACTIVE
        case Verb.ACTIVATE if card.financial is FinancialStatus.BANK_REFUSED:
            return Refusal.REFUSED_BY_BANK
        case Verb.ASK_BANK_AGAIN if card.financial is not FinancialStatus.BANK_REFUSED:
            return Refusal.NOT_REFUSED
        case Verb.ACTIVATE if not card.has_bank_account:
            return Refusal.NO_BANK_ACCOUNT
        case Verb.CANCEL | Verb.EXPIRE_CARD if card.social is SocialStatus.SEALED and card.production not in _MADE:
            return Refusal.STILL_IN_PRODUCTION
        case Verb.CANCEL if takes_along(card) and card.underway is Underway.AT_BANK:
            return Refusal.APPLICATION_AT_BANK
        case Verb.CANCEL if takes_along(card) and card.underway is Underway.IN_PRODUCTION:
            return Refusal.SUCCESSOR_IN_PRODUCTION
        case Verb.REISSUE | Verb.REPLACE if card.kind is CardKind.TEMPORARY:
            return Refusal.NO_SUCCESSOR_OF_TEMPORARY_CARDS
        case Verb.REISSUE | Verb.REPLACE if card.underway:
            return Refusal.APPLICATION_OPEN
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
    return _beyond_term(rules, card, verb)


def _beyond_term(rules: LifeRules, card: Card, verb: Verb) -> Refusal | None:
    over = verb is Verb.EXTEND and _longest(rules, card) <= (card.valid_until or date.min)
    return Refusal.LONGEST_TERM_REACHED if over else None


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
        case Verb.REFUSE_ACCOUNT:
            after = replace(after, financial=FinancialStatus.BANK_REFUSED)
        case Verb.ASK_BANK_AGAIN:
            after = replace(after, financial=FinancialStatus.INACTIVE)
        case Verb.REPORT_TEMPORARY_LOSS:
            until_ms = shown.now_ms + rules.temporary_loss_days * _DAY_MS
            after = replace(after, loss_until_ms=until_ms, electronic_outlives_loss=shown.electronic_outlives_loss)
        case Verb.SIGN_UP:
            after = replace(after, electronic=ElectronicLevel.QUERY)
        case Verb.RAISE_LEVEL:
            after = replace(after, electronic=ElectronicLevel.PAYMENT)
        case Verb.RESET_PASSWORD:
            after = replace(after, electronic_locked=False)
        case Verb.LOCK_ELECTRONIC:
            after = replace(after, electronic_locked=True)
        case Verb.CANCEL_ELECTRONIC:
            after = _without_electronic(after)
        case Verb.EXPIRE_TEMPORARY_LOSS:
            after = replace(after, social=SocialStatus.CANCELLED if rules.temporary_loss_cancels else after.social)
        case Verb.EXTEND:
            longer = (card.valid_until or shown.today) + timedelta(rules.temporary_card_days)
            after = replace(after, valid_until=min(longer, _longest(rules, card)))
    return _consistent(after)


def takes_along(card: Card) -> bool:
    """Whether whatever its holder has applied for ends when a card is cancelled: who gives up the one wants no other."""
    return card.kind is CardKind.ORDINARY and card.social in LIVE


def ended(card: Card) -> Card:
    """A card that ends with its holder's data, whatever state a backup brought back."""
    return _consistent(replace(card, version=card.version + 1, social=SocialStatus.CANCELLED))


_STRICTNESS: Final = {
    SocialStatus.TEMPORARILY_LOST: 1,
    SocialStatus.LOCKED: 2,
    SocialStatus.FORMALLY_LOST: 3,
    SocialStatus.CANCELLED: 4,
}
BARRED_BY: Final = {
    SocialStatus.TEMPORARILY_LOST: Verb.REPORT_TEMPORARY_LOSS,
    SocialStatus.LOCKED: Verb.LOCK,
    SocialStatus.FORMALLY_LOST: Verb.REPORT_FORMAL_LOSS,
    SocialStatus.CANCELLED: Verb.CANCEL,
}


def barred_again(rules: LifeRules, card: Card, published: SocialStatus, since_ms: int) -> Card | None:
    """A card as it was published since the moment that the registry went back to, one version later; None: not barred more.

    What bars a card is done again without asking. What lets it be used is not: its holder comes once more.
    """
    if _STRICTNESS.get(published, 0) <= _STRICTNESS.get(card.social, 0):
        return None
    until_ms = since_ms + rules.temporary_loss_days * _DAY_MS if published is SocialStatus.TEMPORARILY_LOST else 0
    return _consistent(replace(card, version=card.version + 1, social=published, loss_until_ms=until_ms))


def _consistent(after: Card) -> Card:
    """What hangs on the social side follows it."""
    if after.social is not SocialStatus.TEMPORARILY_LOST:
        after = replace(after, loss_until_ms=0, electronic_outlives_loss=False)
    if after.social is SocialStatus.CANCELLED:
        after = _without_electronic(after)
    if after.social is SocialStatus.CANCELLED and after.financial is not FinancialStatus.NONE:
        after = replace(after, financial=FinancialStatus.CLOSED)
    return after


def _without_electronic(card: Card) -> Card:
    return replace(card, electronic=ElectronicLevel.NONE, electronic_locked=False)


def _longest(rules: LifeRules, card: Card) -> date:
    """The last day that a temporary card may ever have."""
    return (card.issue_date or date.min) + timedelta(rules.temporary_card_longest_days)
