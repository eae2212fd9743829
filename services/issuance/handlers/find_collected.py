"""Cards that lay at their outlet, and what became of them at the card service: issuance hears of it by asking."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from onecard.card.v1.cards_pb2 import SOCIAL_STATUS_CANCELLED
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by
from services.issuance.adapters.card_service import Away
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.record import RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import IssueOutcome, Journal, Registry
from services.issuance.handlers.drive import Stream

_LYING_SECONDS: Final = 60.0
_ISSUED: Final = 70
"""The field's code of production: the holder has it."""


class FindCollected:
    """A duty: some of them each time, round and round."""

    def __init__(
        self, journal: Journal, registry: Registry, lying_seconds: float = _LYING_SECONDS, at: AtPoint = pass_by
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._lying_seconds = lying_seconds
        self._at = at
        self._after = 0

    async def __call__(self, _: AsyncConnection | None = None) -> None:
        """One round; it ends where the card service does not answer."""
        lying = await self._journal.lying(self._after, self._lying_seconds)
        self._after = lying[-1].record.id if lying else 0
        for taken in lying:
            try:
                card = await self._registry.summary_by(taken.blank.card_identifier, taken.actor)
                if card and card.production == _ISSUED:
                    await self._collected(taken)
                elif card and card.social == SOCIAL_STATUS_CANCELLED and taken.record.state is RecordState.PRINTED:
                    await self._cancelled(taken)
            except Away:
                return
            except DomainError as error:
                if error.code is not Code.ABORTED:
                    raise

    async def _collected(self, taken: Taken) -> None:
        verb = None if taken.blank.state is BlankState.HANDED_OVER else Verb.HAND_OVER
        await self._stream(taken).write(RecordState.ISSUED, verb=verb, stage=Stage.HANDED_OVER, tells=IssueOutcome.ISSUED)

    async def _cancelled(self, taken: Taken) -> None:
        """Its numbers are retired already; the plastic goes the way of spoiled blanks, and whoever takes it back signs, too."""
        verb = Verb.SPOIL if taken.blank.state is BlankState.PRINTED else None
        reason = Refusal.CARD_CANCELLED
        await self._stream(taken).write(RecordState.SPOILED, verb=verb, reason=reason, tells=IssueOutcome.SPOILED)

    def _stream(self, taken: Taken) -> Stream:
        stream = Stream(self._journal, None, self._at)
        stream.take(taken)
        return stream
