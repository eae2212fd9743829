"""Tell the card service what it is owed, and write what it answered: by the stream itself, or by the duty that repeats it.

Each raises Away while it does not answer; what was written before stays owed then.
"""

from typing import Final

from onecard.card.v1.production_pb2 import CompleteIssueRequest
from services.issuance.adapters.card_service import Declined
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.record import Debt, RecordState
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import CardService, IssueOutcome
from services.issuance.handlers.drive import Stream

_GONE: Final = frozenset({BlankState.MISSING, BlankState.SPOILED, BlankState.RETURNED, BlankState.DESTROYED})
"""By another way, meanwhile: its ledger has said so."""
_HERE_NO_MORE: Final = _GONE | {BlankState.HANDED_OVER}
_ENABLED_ALREADY: Final = "ALREADY_ENABLED"
"""At a window of the card service's own, while the card lay at the outlet."""


async def tell_made(stream: Stream, card: CardService, bank_account: str) -> Declined | None:
    """It lies at its outlet; that it was told is written with what follows, as the stream's debt that is paid."""
    record, identifier = stream.taken.record, stream.taken.blank.card_identifier
    return await card.end(f"end-{record.id}-made", record.application, identifier, made=True, bank_account=bank_account)


async def tell_failed(stream: Stream, card: CardService) -> IssueOutcome:
    """Nothing comes of the blank: its numbers are retired. One that was never written goes back, if it was never begun."""
    record, identifier = stream.taken.record, stream.taken.blank.card_identifier
    declined = await card.end(f"end-{record.id}-failed", record.application, identifier, made=False)
    answer = declined.reason if declined else ""
    if record.state is RecordState.SPOILING:
        await stream.write(RecordState.SPOILED, paid=Debt.FAILED, answer=answer)
        return IssueOutcome.SPOILED
    gone = stream.taken.blank.state in _GONE
    if declined is None:  # the registry has used its identifier, and uses none twice
        spoiled, verb = IssueOutcome.SPOILED, None if gone else Verb.SPOIL
        await stream.write(RecordState.SPOILED, verb=verb, reason=Refusal.NUMBER_USED, paid=Debt.FAILED, tells=spoiled)
        return spoiled
    released, verb = IssueOutcome.RELEASED, None if gone else Verb.RELEASE
    await stream.write(RecordState.RELEASED, verb=verb, paid=Debt.FAILED, answer=answer, tells=released)
    return released


async def tell_completed(
    stream: Stream, card: CardService, number: int, said: CompleteIssueRequest
) -> tuple[IssueOutcome, Declined | None]:
    """The holder has it; that it was made was told before. `number`: of what is owed, for the same question has the same id."""
    taken = stream.taken
    declined = await card.complete(f"complete-{number}", taken.record.application, taken.actor, said.presented, said.new_pin)
    await stream.at("issue completed")
    if declined is None or declined.reason == _ENABLED_ALREADY:
        issued = IssueOutcome.ISSUED
        verb = None if taken.blank.state in _HERE_NO_MORE else Verb.HAND_OVER
        await stream.write(RecordState.ISSUED, verb=verb, stage=Stage.ENABLED, paid=Debt.COMPLETE, tells=issued)
        return issued, None
    if taken.record.state is RecordState.COMPLETING:
        await stream.write(RecordState.PRINTED, paid=Debt.COMPLETE, answer=declined.reason)
        return IssueOutcome.LYING, declined
    # The holder has left with it: the work list of the card service has it as one that lies at its outlet.
    await stream.write(RecordState.WAITING, paid=Debt.COMPLETE, answer=declined.reason)
    return IssueOutcome.WAITING_TO_BE_ENABLED, declined


async def tell_later(stream: Stream) -> None:
    """The holder has it, and the card service is away: the card is nobody's here any more, and what is owed stays."""
    taken = stream.taken
    if taken.record.state is RecordState.COMPLETING:
        verb = None if taken.blank.state in _HERE_NO_MORE else Verb.HAND_OVER
        await stream.write(RecordState.WAITING, verb=verb, tells=IssueOutcome.WAITING_TO_BE_ENABLED)
