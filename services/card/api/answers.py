"""Answers for people and programs: refusals with their sentences, applications without anything personal."""

from collections.abc import Iterable

from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1 import cards_pb2 as cards
from services.card.adapters.applications import Application, TimelineStep
from services.card.domain.application import WAITING
from services.card.domain.bank_cause import BANK_CAUSES, GUIDANCE, WAYS, BankCause
from services.card.domain.card import Card, CardKind
from services.card.domain.consent import Consent
from services.card.domain.document import REGION_IN_DOUBT, Document
from services.card.domain.electronic import use_of
from services.card.domain.names import Carrier
from services.card.domain.photo import PhotoFault
from services.card.domain.refusal import Refusal, sentence


def refusal_of(
    refusal: Refusal, *, field: str = "", message: str = "", faults: Iterable[PhotoFault] = (), approval: int = 0
) -> messages.Refusal:
    """A rule's no."""
    return messages.Refusal(
        reason=refusal.name,
        message=message or sentence(refusal),
        field=field,
        approval_id=approval,
        photo_faults=[
            messages.PhotoFault(
                point=fault.point,
                measured=fault.measured,
                demanded=fault.demanded,
                message=fault.sentence,
                overridable=fault.overridable,
            )
            for fault in faults
        ],
    )


def cause_of(cause: int, remark: str = "") -> messages.Refusal:
    """Why an application was sent back: a rule of ours, or what the bank said, with the way forward."""
    if cause in BANK_CAUSES:
        guidance = GUIDANCE[BankCause(cause)]
        return messages.Refusal(reason=BankCause(cause).name, message=guidance.sentence + WAYS[guidance.way])
    return refusal_of(Refusal(cause), message=remark)


def summary_of(application: Application, now_ms: int) -> messages.ApplicationSummary:
    """An application as it is now."""
    return messages.ApplicationSummary(
        application_id=application.id,
        holder_id=application.holder,
        kind=application.kind,  # type: ignore[arg-type]  # numbers agree, a test holds it
        mode=application.mode,  # type: ignore[arg-type]
        route=application.route,  # type: ignore[arg-type]
        state=application.state,  # type: ignore[arg-type]
        outlet=application.outlet,
        create_time_ms=application.create_time_ms,
        due_time_ms=application.due_time_ms,
        overdue=application.state in WAITING and application.due_time_ms < now_ms,
        fee_fen=application.fee_fen,
        cause=cause_of(application.cause, application.remark) if application.cause else None,
        card_id=application.card or 0,
        not_carried_by=carriers_of(application.not_carried),
    )


def carriers_of(not_carried: int) -> list[str]:
    """What cannot carry a name, by its bits."""
    return [carrier.name for carrier in Carrier if not_carried & 1 << carrier]


def hints_of(document: Document) -> list[str]:
    """What of a document is worth a second look, and holds nothing back."""
    return [REGION_IN_DOUBT] if document.region_in_doubt else []


def consent_of(consent: Consent) -> messages.Consent:
    """The newest word on a purpose."""
    return messages.Consent(
        kind=consent.kind,  # type: ignore[arg-type]  # numbers agree, a test holds it
        given=consent.given,
        time_ms=consent.time_ms,
        by_guardian=consent.by_guardian,
        actor=consent.actor,
        outlet=consent.outlet,
    )


def step_of(step: TimelineStep) -> messages.TimelineStep:
    """One step of a timeline."""
    return messages.TimelineStep(
        step=step.step.name,
        state=step.state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        time_ms=step.time_ms,
        actor=step.actor,
        outlet=step.outlet,
        cause=cause_of(step.cause) if step.cause else None,
    )


def card_summary(card: Card) -> cards.CardSummary:
    """A card as it is now."""
    return cards.CardSummary(
        card_id=card.id,
        holder_id=card.holder,
        card_identifier=card.card_identifier,
        social=cards.SocialStatus.Name(card.social + 1),
        financial=card.financial,  # type: ignore[arg-type]  # numbers agree, a test holds it
        production=card.production,
        temporary_card=card.kind is CardKind.TEMPORARY,
        valid_until=card.valid_until.isoformat() if card.valid_until else "",
        loss_until_ms=card.loss_until_ms,
        successor_card_id=card.successor or 0,
        version=card.version,
        electronic=_electronic(card) if card.electronic else None,
    )


def _electronic(card: Card) -> cards.ElectronicCard:
    return cards.ElectronicCard(
        level=card.electronic,  # type: ignore[arg-type]  # numbers agree, a test holds it
        locked=card.electronic_locked,
        outlives_loss=card.electronic_outlives_loss,
        use=use_of(card),  # type: ignore[arg-type]
    )
