"""An application for a card: from the counter to the card in hand, as a table of states and what leads from one to the next."""

from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Final

from services.card.domain.actor import ActorKind
from services.card.domain.card import LIVE, Card, CardKind, Underway
from services.card.domain.consent import ConsentKind, consentable
from services.card.domain.fee import FeeSource
from services.card.domain.life_cycle import Party, Verb, barred, by_party
from services.card.domain.person import Person, age_on
from services.card.domain.refusal import Refusal
from services.card.domain.settings import ApplicationRules, CitySettings, Fees


class ApplicationKind(IntEnum):
    """What is applied for."""

    FIRST = 1
    REISSUE = 2
    """补卡: another card in place of a lost one."""
    REPLACE = 3
    """换卡: another card in place of a damaged or ending one."""
    TEMPORARY = 4
    """A card for the time until the ordinary one is there."""


class Mode(IntEnum):
    """How the card is made."""

    ORDINARY = 1
    """At the maker's, with the bank's acceptance first."""
    INSTANT = 2
    """At the window."""
    ON_SITE = 3
    """At the holder's door, with a mobile kit."""


class Route(IntEnum):
    """Who brings the application."""

    SELF = 1
    GUARDIAN = 2
    PROXY = 3
    EMPLOYER = 4
    KIOSK = 5


ROUTES: Final = {
    ActorKind.STAFF: frozenset({Route.SELF, Route.GUARDIAN, Route.PROXY}),
    ActorKind.HOLDER: frozenset({Route.KIOSK}),
}
"""By which routes one application is brought, by who asks for it. Employers bring theirs in batches."""


class ApplicationState(IntEnum):
    """Where an application is."""

    AWAITING_PHOTO = 1
    APPLIED = 2
    AT_BANK = 3
    IN_PRODUCTION = 4
    AT_OUTLET = 5
    COLLECTED = 6
    """The card is in the applicant's hand, still sealed."""
    COMPLETED = 7
    WITHDRAWN = 8
    REFUSED = 9
    """It may be handed in again."""
    LAPSED = 10
    """It was refused, and not handed in again in time; or its card was over before it was enabled."""


class Step(IntEnum):
    """What happens to an application; each one stands on its timeline."""

    SUBMIT = 1
    ADD_PHOTO = 2
    SEND_TO_BANK = 3
    BANK_ACCEPT = 4
    BANK_REFUSE = 5
    START_INSTANT = 6
    PRODUCE = 7
    FAIL = 8
    """It could not be made, or was spoiled at its outlet; it waits to be made again."""
    COLLECT = 9
    ENABLE = 10
    WITHDRAW = 11
    REFUSE = 12
    RESUBMIT = 13
    LAPSE = 14
    CANCEL = 15
    """Its card was cancelled before it was enabled, or the one that the applicant had."""
    EXPIRE = 16
    """The time of its card was over before it was enabled."""
    BAR = 17
    """The bank accepted, and meanwhile there is no room for such a card."""


_S = ApplicationState
OPEN: Final = frozenset({_S.AWAITING_PHOTO, _S.APPLIED, _S.AT_BANK, _S.IN_PRODUCTION, _S.AT_OUTLET, _S.COLLECTED})
"""A person has at most one application in one of these."""
WAITING: Final = OPEN - {_S.AT_OUTLET, _S.COLLECTED}
"""For the card: in these it can be late."""
ENDED: Final = frozenset({_S.COMPLETED, _S.WITHDRAWN, _S.LAPSED})
UNDERWAY: Final = dict.fromkeys(OPEN, Underway.CAN_END) | {
    _S.AT_BANK: Underway.AT_BANK,
    _S.IN_PRODUCTION: Underway.IN_PRODUCTION,
}
"""What an open application means for the applicant's cards."""

STEPS: Final[dict[Step, tuple[frozenset[ApplicationState], ApplicationState]]] = {
    Step.ADD_PHOTO: (frozenset({_S.AWAITING_PHOTO}), _S.APPLIED),
    Step.SEND_TO_BANK: (frozenset({_S.APPLIED}), _S.AT_BANK),
    Step.BANK_ACCEPT: (frozenset({_S.AT_BANK}), _S.IN_PRODUCTION),
    Step.BANK_REFUSE: (frozenset({_S.AT_BANK}), _S.REFUSED),
    Step.START_INSTANT: (frozenset({_S.APPLIED}), _S.IN_PRODUCTION),
    Step.PRODUCE: (frozenset({_S.IN_PRODUCTION}), _S.AT_OUTLET),
    Step.FAIL: (frozenset({_S.IN_PRODUCTION, _S.AT_OUTLET}), _S.APPLIED),
    Step.COLLECT: (frozenset({_S.AT_OUTLET}), _S.COLLECTED),
    Step.ENABLE: (frozenset({_S.COLLECTED}), _S.COMPLETED),
    Step.WITHDRAW: (frozenset({_S.AWAITING_PHOTO, _S.APPLIED, _S.REFUSED}), _S.WITHDRAWN),
    Step.REFUSE: (frozenset({_S.AWAITING_PHOTO, _S.APPLIED}), _S.REFUSED),
    Step.RESUBMIT: (frozenset({_S.REFUSED}), _S.APPLIED),
    Step.LAPSE: (frozenset({_S.REFUSED}), _S.LAPSED),
    Step.CANCEL: (
        frozenset({_S.AWAITING_PHOTO, _S.APPLIED, _S.AT_OUTLET, _S.COLLECTED, _S.REFUSED}),
        _S.WITHDRAWN,
    ),
    Step.EXPIRE: (frozenset({_S.AT_OUTLET, _S.COLLECTED}), _S.LAPSED),
    Step.BAR: (frozenset({_S.AT_BANK}), _S.WITHDRAWN),
}
"""From where, and to where; submitting makes an application and comes from nowhere."""


def advance(state: ApplicationState, step: Step) -> ApplicationState | Refusal:
    """Where a step leads, or why it is not taken."""
    froms, to = STEPS[step]
    if state in froms:
        return to
    if state in ENDED:
        return Refusal.APPLICATION_ENDED
    match step, state:
        case Step.WITHDRAW | Step.REFUSE, _S.AT_BANK:
            return Refusal.APPLICATION_AT_BANK
        case Step.WITHDRAW | Step.REFUSE, _:
            return Refusal.APPLICATION_BEYOND_RECALL
        case Step.RESUBMIT, _:
            return Refusal.NOT_REFUSED
        case _, _S.REFUSED:
            return Refusal.APPLICATION_REFUSED
        case _, _S.AWAITING_PHOTO:
            return Refusal.PHOTO_AWAITED
    return Refusal.NOT_AT_THIS_STEP


class Relation(IntEnum):
    """What somebody who acts for the applicant is to them."""

    PARENT = 1
    OTHER_GUARDIAN = 2
    SPOUSE = 3
    CHILD = 4
    OTHER_RELATIVE = 5
    AGENT = 6
    """Anybody with a written mandate."""
    EMPLOYER = 7


GUARDIANS: Final = frozenset({Relation.PARENT, Relation.OTHER_GUARDIAN})


@dataclass(frozen=True, slots=True)
class Papers:
    """Who acts for the applicant, and the papers that were shown; sealed with the application."""

    relation: Relation
    name: str = field(repr=False)
    document_kind: int
    document_number: str = field(repr=False)
    papers: tuple[str, ...] = ()
    """What was shown, in words: 户口簿, 委托书, …"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is applied for, how, and by whom."""

    kind: ApplicationKind
    mode: Mode
    route: Route
    outlet: str
    """The outlet where the card is to be collected."""
    papers: Papers | None = None
    fee: FeeSource | None = None
    """How the applicant pays what it costs; None: not yet."""
    waiver_approved: bool = False
    """A second person agreed that nothing is paid."""
    consents: frozenset[ConsentKind] = frozenset()
    """Given on the form."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """What is known of somebody who applies."""

    person: Person
    cards: tuple[Card, ...] = ()
    open_application: int | None = None
    consents: frozenset[ConsentKind] = frozenset()
    """That were given before, and stand."""

    def live_card(self, kind: CardKind = CardKind.ORDINARY) -> Card | None:
        """The one card of a kind that counts."""
        return next((card for card in self.cards if card.kind is kind and card.social in LIVE), None)


def judge(settings: CitySettings, wanted: Wanted, applicant: Applicant, today: date) -> Refusal | None:
    """Why an application is not accepted: who brings it, what is open, which card there is, what it costs."""
    age = age_on(applicant.person.birth_date, today)
    return (
        _by_route(settings.application, wanted, age)
        or _by_consent(settings.application, wanted, applicant, age)
        or in_the_way(wanted.kind, wanted.route, applicant)
        or (_by_fee(wanted, applicant) if fee_fen(settings.fee, wanted.kind) else None)
    )


def _by_route(rules: ApplicationRules, wanted: Wanted, age: int) -> Refusal | None:
    minor = age < rules.guardian_below_years
    match wanted.route:
        case Route.GUARDIAN if wanted.papers is None or not wanted.papers.papers:
            return Refusal.PAPERS_MISSING
        case Route.GUARDIAN if not minor:
            return Refusal.NOT_A_MINOR
        case Route.GUARDIAN:
            return None if wanted.papers and wanted.papers.relation in GUARDIANS else Refusal.GUARDIAN_NEEDED
        case _ if minor:
            return Refusal.GUARDIAN_NEEDED
        case Route.PROXY if wanted.papers is None or not wanted.papers.papers:
            return Refusal.PAPERS_MISSING
    return None


def _by_consent(rules: ApplicationRules, wanted: Wanted, applicant: Applicant, age: int) -> Refusal | None:
    """Whoever acts for somebody else consents to nothing, but for a guardian; and nobody applies for a child without one's."""
    acting = wanted.route not in (Route.SELF, Route.KIOSK)
    guardian = wanted.route is Route.GUARDIAN and wanted.papers is not None and wanted.papers.relation in GUARDIANS
    for kind in sorted(wanted.consents):
        if refusal := consentable(kind, age, rules.consent_below_years, guardian if acting else None):
            return refusal
    needed = age < rules.consent_below_years and ConsentKind.MINOR not in wanted.consents | applicant.consents
    return Refusal.CONSENT_NEEDED if needed else None


def _by_fee(wanted: Wanted, applicant: Applicant) -> Refusal | None:
    match wanted.fee:
        case None:
            return Refusal.FEE_NOT_SETTLED
        case FeeSource.PURSE if not applicant.cards:  # the account begins with the first card
            return Refusal.NO_PURSE_YET
        case FeeSource.WAIVED if not wanted.waiver_approved:
            return Refusal.SECOND_PERSON_NEEDED
    return None


_VERBS: Final = {ApplicationKind.REISSUE: Verb.REISSUE, ApplicationKind.REPLACE: Verb.REPLACE}
_PARTIES: Final = {
    Route.SELF: Party.HOLDER_IN_PERSON,
    Route.GUARDIAN: Party.GUARDIAN,
    Route.PROXY: Party.PROXY,
    Route.EMPLOYER: Party.PROXY,
    Route.KIOSK: Party.HOLDER_REMOTE,
}


def in_the_way(kind: ApplicationKind, route: Route, applicant: Applicant) -> Refusal | None:
    """What the applicant has that bars another card: looked at again when a refused application is handed in again."""
    if applicant.open_application is not None:
        return Refusal.APPLICATION_OPEN
    if refusal := no_room(kind, applicant):
        return refusal
    card, verb = applicant.live_card(), _VERBS.get(kind)
    return by_party(verb, _PARTIES[route]) or barred(card, verb) if card and verb else None


NO_ROOM: Final = frozenset({Refusal.LIVE_CARD_EXISTS, Refusal.NO_CARD_TO_REISSUE})
"""Why there is no room for a card."""


def no_room(kind: ApplicationKind, applicant: Applicant) -> Refusal | None:
    """What the applicant has, or has no more, that leaves no room for such a card: looked at again before it is made.

    A loss that was reported meanwhile changes nothing.
    """
    match kind:
        case ApplicationKind.FIRST:
            return Refusal.LIVE_CARD_EXISTS if applicant.live_card() else None
        case ApplicationKind.TEMPORARY:
            return Refusal.LIVE_CARD_EXISTS if applicant.live_card(CardKind.TEMPORARY) else None
    return None if applicant.live_card() else Refusal.NO_CARD_TO_REISSUE


def fee_fen(fees: Fees, kind: ApplicationKind) -> int:
    """What the applicant pays."""
    match kind:
        case ApplicationKind.REISSUE:
            return fees.reissue_fen
        case ApplicationKind.REPLACE:
            return fees.replace_fen
    return fees.first_fen
