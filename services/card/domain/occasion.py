"""Which act is an occasion to tell somebody, and what."""

from services.card.domain.application import Mode, Step
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.notification import NotificationKind


def of_step(step: Step, mode: Mode, cause: int = 0) -> NotificationKind | None:
    """What an applicant is told of a step; an application without its photo is not accepted yet."""
    match step:
        case Step.ADD_PHOTO | Step.RESUBMIT:
            return NotificationKind.ACCEPTED
        case Step.REFUSE | Step.BANK_REFUSE:
            return NotificationKind.REFUSED
        case Step.WITHDRAW | Step.BAR if cause:  # it was taken back by us
            return NotificationKind.REFUSED
        case Step.PRODUCE if mode is Mode.ORDINARY:  # otherwise the holder stands beside it
            return NotificationKind.READY
    return None


def of_verb(verb: Verb, party: Party, to: SocialStatus) -> NotificationKind | None:
    """What a holder is told of a verb; the switch is told once, as the new card."""
    match verb:
        case Verb.REPORT_TEMPORARY_LOSS | Verb.REPORT_FORMAL_LOSS:
            return NotificationKind.LOST
        case Verb.RELEASE:
            return NotificationKind.RELEASED
        case Verb.EXPIRE_TEMPORARY_LOSS if to is SocialStatus.NORMAL:
            return NotificationKind.RELEASED
        case Verb.ENABLE:
            return NotificationKind.NEW_CARD
        case Verb.CANCEL if party is Party.HEIR:  # nobody is told of their own death
            return None
        case Verb.CANCEL | Verb.EXPIRE_CARD | Verb.EXPIRE_TEMPORARY_LOSS:
            return NotificationKind.CANCELLED
    return None
