"""Answers for people and programs: refusals with their sentences, applications without anything personal."""

from collections.abc import Iterable

from onecard.card.v1 import applications_pb2 as messages
from services.card.adapters.applications import Application, TimelineStep
from services.card.domain.application import WAITING
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
        cause=refusal_of(Refusal(application.cause), message=application.remark) if application.cause else None,
        card_id=application.card or 0,
    )


def step_of(step: TimelineStep) -> messages.TimelineStep:
    """One step of a timeline."""
    return messages.TimelineStep(
        step=step.step.name,
        state=step.state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        time_ms=step.time_ms,
        actor=step.actor,
        outlet=step.outlet,
        cause=refusal_of(Refusal(step.cause)) if step.cause else None,
    )
