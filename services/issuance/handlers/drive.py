"""Drive a conversation with a chip: the terminal carries, the vault computes, the journal knows before the card does."""

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from typing import Final, NoReturn, TypeVar

from services.common.errors import Code, DomainError
from services.common.points import AtPoint
from services.issuance.domain.blank import Verb, decide
from services.issuance.domain.effects import (
    Answer,
    Answers,
    AskVault,
    Change,
    Effect,
    Outcome,
    Reached,
    Send,
    Trouble,
    VaultRefused,
    outcome,
)
from services.issuance.domain.journal import Entry, Move, Note, NoteClass, Owing
from services.issuance.domain.record import Debt, RecordState, Taken
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import Asked, GivenUp, Journal, Lease, Position, Run, Said, Terminal

R = TypeVar("R")
_ENDED: Final = frozenset({RecordState.RELEASED, RecordState.SPOILED})


class GaveUp(Exception):  # noqa: N818 - it is no error of anybody's
    """Somebody at the terminal does not go on."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


class Stream:
    """One stream with its place in the journal: whatever is written or asked goes through here."""

    def __init__(self, journal: Journal, terminal: Terminal | None, at: AtPoint) -> None:
        """Without a terminal nothing is asked."""
        self._journal = journal
        self._terminal = terminal
        self.at = at
        self._taken: Taken | None = None
        self._step = 0
        self._unwritten: Note | None = None
        """The outcome of the last change: it is written with what follows."""
        self.stage = Stage.CARD_READ
        self.commands = 0

    @property
    def taken(self) -> Taken:
        """The record that this stream has."""
        assert self._taken is not None, "a record was taken"
        return self._taken

    @property
    def serial(self) -> str:
        """Of the blank; empty while none is held."""
        return self._taken.blank.serial if self._taken else ""

    def take(self, taken: Taken) -> None:
        """From now on everything is written under this record and epoch."""
        self._taken = taken
        self.stage = max(taken.record.stage, Stage.BLANK_RESERVED)

    async def ask(self, what: Asked) -> Said:
        """The terminal's answer to this very step. Raises GaveUp, and DomainError."""
        self._step += 1
        record = self._taken.record if self._taken else None
        position = Position(record.id, record.epoch, self._step) if record else Position(0, 0, self._step)
        assert self._terminal, "there is somebody to ask"
        said = await self._terminal.ask(position, self.stage, what)
        if isinstance(said, GivenUp):
            raise GaveUp(said.reason)
        return said

    async def write(
        self,
        state: RecordState,
        *notes: Note,
        verb: Verb | None = None,
        stage: Stage | None = None,
        card: int = 0,
        reason: str = "",
        owes: Owing | None = None,
        paid: Debt | None = None,
        answer: str = "",
        tells: int = 0,
    ) -> int:
        """One entry. Raises DomainError when another stream has the record: whatever was heard meanwhile is evidence."""
        taken = self.taken
        self.stage = max(self.stage, stage or self.stage)
        moved, move = taken.blank, None
        if verb:
            after = decide(taken.blank, verb, taken.record.fence)
            if isinstance(after, Refusal):
                self._refuse(after)
            move = Move(taken.blank, verb, after, reason)
            moved = replace(taken.blank, state=after)
        all_notes = (self._unwritten, *notes) if self._unwritten else notes
        entry = Entry(taken.record, taken.actor, state, self.stage, card, reason, all_notes, move, owes, paid, answer, tells)
        number = await self._journal.write(entry)
        if number is None:
            if late := self._unwritten:
                await self._journal.keep_evidence(taken.record, replace(late, kind=NoteClass.EVIDENCE))
            self._refuse(Refusal.SUPERSEDED)
        self._unwritten = None
        record = replace(taken.record, state=state, stage=self.stage, card=card or taken.record.card)
        self._taken = replace(taken, record=record, blank=moved)
        await self.at(f"{state.name} written")
        return number

    async def settle(self) -> None:
        """What the last change came to is written, where nothing follows that would carry it."""
        if self._unwritten and self._taken and self.taken.record.state not in _ENDED:
            await self.write(self.taken.record.state)

    async def drive(self, conversation: Generator[Effect, Answer, R], lease: Lease | None = None) -> R:
        """Let it talk to its end."""
        answer: Answer = None
        try:
            while True:
                effect = conversation.send(answer)
                match effect:
                    case Send():
                        answer = await self._send(effect)
                    case AskVault():
                        answer = await lease.ask(effect, self._step + 1) if lease else VaultRefused()
                    case Reached():
                        self.stage, answer = max(self.stage, effect.stage), None
        except StopIteration as end:
            result: R = end.value
            return result
        except DomainError:
            with suppress(DomainError):  # what the chip has answered is known, whatever broke behind it
                await self.settle()
            raise
        finally:
            conversation.close()

    async def _send(self, send: Send) -> Answers:
        if send.change:
            await self._note(send, send.change)
        said = await self.ask(Run(send.commands))
        if not isinstance(said, Answers):
            return Answers((), Trouble.READER)
        self.commands += len(said.responses)
        if send.change:
            self._unwritten = Note(self._step, NoteClass.OUTCOME, send.change, send.digest, outcome(send, said))
            await self.at(f"{send.change.kind} answered")
        return said

    async def _note(self, send: Send, change: Change) -> None:
        """Before a byte of it is released."""
        note = Note(self._step + 1, NoteClass.INTENT, change, send.digest, Outcome.UNKNOWN)
        state = self.taken.record.state
        if state is RecordState.RESERVED:
            await self.write(RecordState.TOUCHED, note, verb=Verb.BEGIN)
        else:
            await self.write(state, note)
        await self.at(f"{change.kind} noted")

    def _refuse(self, reason: Refusal) -> NoReturn:
        code = Code.ABORTED if reason is Refusal.SUPERSEDED else Code.FAILED_PRECONDITION
        raise DomainError(code, reason.name, sentence(reason))
