"""What the elected process does about cards whose streams are gone: tells the card service, and leaves nothing open."""

from collections.abc import Awaitable
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from onecard.card.v1.production_pb2 import CompleteIssueRequest
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by
from services.issuance.adapters.card_service import Away, Declined
from services.issuance.domain.blank import UNFINISHED, BlankState, Verb
from services.issuance.domain.journal import Due, Owing
from services.issuance.domain.record import Debt, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.dialogue import CardService, IssueOutcome, Journal
from services.issuance.handlers.drive import Stream
from services.issuance.handlers.tell import tell_completed, tell_failed, tell_later, tell_made

log = structlog.get_logger()

ABANDONED_SECONDS: Final = 900.0
"""A blank that was reserved, and nothing written, goes back after so long without a stream."""


class Settle:
    """A duty. Whoever takes a record meanwhile is not disturbed: everything is written under the epoch that was read."""

    def __init__(
        self, journal: Journal, card: CardService, abandoned_seconds: float = ABANDONED_SECONDS, at: AtPoint = pass_by
    ) -> None:
        self._journal = journal
        self._card = card
        self._abandoned_seconds = abandoned_seconds
        self._at = at

    async def __call__(self, _: AsyncConnection | None = None) -> None:
        """One round; it ends where nobody answers. What cannot be settled keeps nothing else waiting."""
        try:
            for due in await self._journal.due():
                await self._unless_taken(due.taken, self._tell(due))
            for taken in await self._journal.abandoned(self._abandoned_seconds):
                await self._unless_taken(taken, self._let_go(taken))
        except Away:
            return

    async def _unless_taken(self, taken: Taken, work: Awaitable[None]) -> None:
        try:
            await work
        except Away as away:
            if not away.alone:
                raise
            log.warning("card_issue_unsettled", record=taken.record.id, reason="CARD_SERVICE")
        except DomainError as error:
            if error.code is not Code.ABORTED:
                log.warning("card_issue_unsettled", record=taken.record.id, reason=error.reason)

    async def _tell(self, due: Due) -> None:
        stream = self._stream(due.taken)
        record = due.taken.record
        match due.debt:
            case Debt.MADE:
                declined = await self._made(stream)
                await stream.write(record.state, paid=Debt.MADE, answer=declined.reason if declined else "")
                outcome = "MADE"
            case Debt.FAILED:
                outcome = (await tell_failed(stream, self._card)).name
            case Debt.COMPLETE:
                outcome = await self._completed(stream, due)
        log.info("card_issue_settled", outcome=outcome, record=record.id)

    async def _completed(self, stream: Stream, due: Due) -> str:
        try:
            await self._made(stream)
            what = CompleteIssueRequest.FromString(due.what)
            return (await tell_completed(stream, self._card, due.number, what))[0].name
        except Away:
            await tell_later(stream)
            raise

    async def _made(self, stream: Stream) -> Declined | None:
        return await tell_made(stream, self._card, await self._journal.account_of(stream.serial))

    async def _let_go(self, taken: Taken) -> None:
        """Nobody has come back: the blank is given back, or was spoiled or lost meanwhile."""
        stream = self._stream(taken)
        record, blank, failed = taken.record, taken.blank, Owing(Debt.FAILED)
        spoiled = IssueOutcome.SPOILED
        if blank.state is BlankState.IN_TRANSFER:
            return
        if blank.state not in UNFINISHED:
            await stream.write(RecordState.SPOILING, reason=blank.state.name, owes=failed, tells=spoiled)
        elif blank.barred:
            reason = Refusal.BLANK_BARRED
            await stream.write(RecordState.SPOILING, verb=Verb.SPOIL, reason=reason, owes=failed, tells=spoiled)
        else:
            await stream.write(RecordState.WITHDRAWING, owes=failed)
        await tell_failed(stream, self._card)
        log.info("card_issue_settled", outcome="LET_GO", record=record.id)

    def _stream(self, taken: Taken) -> Stream:
        stream = Stream(self._journal, None, self._at)
        stream.take(taken)
        return stream
