"""The journal in memory, by the rules of the domain: what PostgreSQL's triggers say, said by the tables that they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import UNFINISHED, Blank, BlankState, Verb, decide, place_after
from services.issuance.domain.effects import Past
from services.issuance.domain.journal import Due, Entry, Note, NoteClass, past_of
from services.issuance.domain.record import NEXT, OPEN, Debt, Record, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage

HELD = UNFINISHED | {BlankState.PRINTED}


@dataclass(slots=True)
class Owed:
    """What the card service has to be told."""

    record: int
    debt: Debt
    what: bytes
    actor: Actor
    done: bool = False


class MemoryJournal:
    """One process, one thread: each of its methods is a transaction."""

    def __init__(self, blanks: Sequence[Blank] = ()) -> None:
        self.blanks = {blank.serial: blank for blank in blanks}
        self.records: dict[int, Record] = {}
        self.actors: dict[int, Actor] = {}
        self.notes: dict[int, list[tuple[int, Note]]] = {}
        self.moves: list[tuple[str, Verb]] = []
        self.owed: list[Owed] = []
        self.told: list[tuple[int, int]] = []

    async def find(self, card_identifier: str) -> Blank | None:
        return next((blank for blank in self.blanks.values() if blank.card_identifier == card_identifier), None)

    async def record(self, number: int) -> Record | None:
        return self.records.get(number)

    async def open_of(self, application: int) -> Record | None:
        found = (one for one in self.records.values() if one.application == application and one.state in OPEN)
        return next(found, None)

    async def reserve(self, blank: Blank, application: int, actor: Actor) -> Taken | Refusal | None:
        after = decide(self.blanks[blank.serial], Verb.RESERVE, at=actor.terminal)
        if isinstance(after, Refusal):
            return after
        if await self.open_of(application):
            return None
        number = len(self.records) + 1
        record = Record(number, 1, RecordState.RESERVED, application, blank.serial, Stage.BLANK_RESERVED)
        self.records[number], self.actors[number], self.notes[number] = record, actor, []
        attempts = blank.attempts + 1
        held = replace(blank, state=after, record=number, epoch=1, application=application, attempts=attempts)
        self._move(held, Verb.RESERVE)
        return Taken(record, held, Past(), actor)

    async def take(self, record: Record, actor: Actor) -> Taken | Refusal | None:
        if self.records[record.id].epoch != record.epoch or record.state not in OPEN | {RecordState.ISSUED}:
            return None
        taken = replace(self.records[record.id], epoch=record.epoch + 1)
        blank = self.blanks[record.serial]
        if blank.state in HELD:
            after = decide(blank, Verb.RESUME, taken.fence)
            if isinstance(after, Refusal):
                return after
            blank = replace(blank, epoch=taken.epoch, place=actor.terminal, attempts=blank.attempts + 1)
            self._move(blank, Verb.RESUME)
        self.records[record.id], self.actors[record.id] = taken, actor
        rows = [replace(note, step=note.step + epoch * 1_000_000) for epoch, note in self.notes[record.id]]
        return Taken(taken, blank, past_of(rows), actor)

    async def write(self, entry: Entry) -> int | None:
        present = self.records[entry.record.id]
        if present.epoch != entry.record.epoch:
            return None
        assert entry.state is present.state or entry.state in NEXT[present.state], (present.state, entry.state)
        if move := entry.move:
            blank = self.blanks[move.blank.serial]
            if blank != move.blank:
                return None
            place = place_after(blank, move.verb)
            assert decide(blank, move.verb, present.fence) is move.to
            released = {"record": 0, "epoch": 0, "application": 0} if move.verb is Verb.RELEASE else {}
            self._move(replace(blank, state=move.to, place=place, **released), move.verb)  # type: ignore[arg-type]
        self.records[present.id] = replace(
            present,
            state=entry.state,
            stage=max(present.stage, entry.stage),
            card=entry.card or present.card,
            spoiled_because=entry.reason or present.spoiled_because,
        )
        for note in entry.notes:
            assert all(
                (epoch, one.step, one.kind) != (present.epoch, note.step, note.kind) for epoch, one in self.notes[present.id]
            )
            self.notes[present.id].append((present.epoch, note))
        for owed in self._open(present.id):
            owed.done = owed.done or owed.debt is entry.paid
        if entry.tells:
            self.told.append((present.id, entry.tells))
        if entry.owes is None:
            return 0
        assert entry.owes.debt not in {owed.debt for owed in self._open(present.id)}
        self.owed.append(Owed(present.id, entry.owes.debt, entry.owes.what, entry.actor))
        return len(self.owed)

    async def note_check(self, record: Record, actor: Actor) -> bool:
        return True

    async def keep_evidence(self, record: Record, note: Note) -> None:
        assert note.kind is NoteClass.EVIDENCE
        self.notes[record.id].append((record.epoch, replace(note, step=-note.step)))

    async def owed_completion(self, record: Record) -> tuple[int, bytes] | None:
        found = ((number, owed) for number, owed in enumerate(self.owed, 1) if owed.record == record.id and not owed.done)
        return next(((number, owed.what) for number, owed in found if owed.debt is Debt.COMPLETE), None)

    async def due(self) -> Sequence[Due]:
        return [
            Due(self._taken(owed.record, owed.actor), owed.debt, number, owed.what)
            for number, owed in enumerate(self.owed, 1)
            if not owed.done
        ]

    async def abandoned(self, seconds: float) -> Sequence[Taken]:
        """Nobody comes back to anything here."""
        reserved = [one.id for one in self.records.values() if one.state is RecordState.RESERVED]
        return [self._taken(number, self.actors[number]) for number in reserved]

    async def lying(self, after: int, seconds: float) -> Sequence[Taken]:
        found = [one.id for one in self.records.values() if one.state is RecordState.PRINTED and one.id > after]
        return [self._taken(number, self.actors[number]) for number in found if not self._open(number)]

    async def account_of(self, serial: str) -> str:
        return ""

    def _taken(self, number: int, actor: Actor) -> Taken:
        record = self.records[number]
        return Taken(record, self.blanks[record.serial], Past(), actor)

    def _open(self, number: int) -> list[Owed]:
        return [owed for owed in self.owed if owed.record == number and not owed.done]

    def _move(self, after: Blank, verb: Verb) -> None:
        self.blanks[after.serial] = after
        self.moves.append((after.serial, verb))
