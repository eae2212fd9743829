"""Send applications to the bank as files, and take its returns: each step may be cut off and run again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card import metrics
from services.card.adapters import audit, bank_batches
from services.card.adapters.bank_batches import Candidate, StoredBatch, StoredRow
from services.card.adapters.online_bank import OnlineBank
from services.card.adapters.people import Holder, open_number, read_documents, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import NO_ROOM, Step
from services.card.domain.bank_cause import BankCause, ReturnFault, RowFault
from services.card.domain.bank_file import Batch, NotCarried, OutgoingRow, Product, Rendering, encode_outgoing
from services.card.domain.bank_return import (
    AccountOpened,
    AccountRefused,
    Answer,
    ReturnRefused,
    SentBatch,
    SentRow,
    decode_return,
    match_return,
)
from services.card.domain.document import DocumentKind
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.person import Field
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.handle_application import handle_application
from services.card.handlers.once import transact
from services.card.handlers.produce import begin_production
from services.common.clock import day_of
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by

MOST_ROWS: Final = 1000
"""Of one file; their holders are locked while it is gathered."""
_AT_ONCE: Final = 200
"""Rows of a return in one transaction."""
_OPENED: Final = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out."""

    files: list[Path]
    rows: int
    not_carried: Mapping[int, NotCarried]
    """By application: what a file cannot carry; these wait for somebody to look at them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a return."""

    batch: int
    opened: int
    refused: int
    repeats: int
    faults: Mapping[int, RowFault]
    """By row: they had no effect."""
    waiting: int
    """Rows of the batch that still have no answer."""


class Bank:
    """The files of one bank, as the city has agreed with it."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        online: OnlineBank | None = None,
        at: AtPoint = pass_by,
    ) -> None:
        self._engine = engine
        self._online = online
        self._at = at
        self._sealing = sealing
        self._settings = settings
        self._rendering = Rendering[settings.bank.rendering.upper()]

    async def send(self, folder: Path, actor: Actor, now_ms: int) -> Sent:
        """Gather what waits into batches, and write their files; what an earlier run left unwritten is written first."""
        async with bank_batches.exclusive(self._engine):
            files, rows, left = await self._write_unwritten(folder), 0, dict[int, NotCarried]()
            after = 0
            while gathered := await self._gather(after, left, actor, now_ms):
                after, batch = gathered
                files += await self._write_unwritten(folder)
                rows += batch
        metrics.BANK_ROWS.labels("SENT").inc(rows)
        return Sent(files, rows, left)

    async def take(self, data: bytes, actor: Actor, now_ms: int) -> Taken | ReturnFault:
        """Hold a return against its batch and carry its rows out; a fault: nothing of it was taken."""
        async with bank_batches.exclusive(self._engine):
            taken = await self._take(data, actor, now_ms)
        if isinstance(taken, ReturnFault):
            metrics.BANK_RETURNS.labels(taken.name).inc()
            return taken
        metrics.BANK_RETURNS.labels("TAKEN").inc()
        for outcome, rows in (("OPENED", taken.opened), ("REFUSED", taken.refused), ("FAULT", len(taken.faults))):
            metrics.BANK_ROWS.labels(outcome).inc(rows)
        return taken

    async def _take(self, data: bytes, actor: Actor, now_ms: int) -> Taken | ReturnFault:
        returned = decode_return(data, self._rendering)
        if isinstance(returned, ReturnRefused):
            return await self._refused(returned.fault, 0, actor)
        async with driver_session(self._engine) as driver:
            batch = await bank_batches.read_batch(driver, returned.batch)
            rows = await bank_batches.read_rows(driver, returned.batch) if batch else []
            sent = await self._sent(driver, batch, rows) if batch else None
        verdicts = match_return(sent, returned)
        if isinstance(verdicts, ReturnRefused):
            return await self._refused(verdicts.fault, returned.batch, actor)
        by_row = {row.row: row for row in rows}
        opened = refused = 0
        for part in _parts(sorted(verdicts.answers)):
            done = await self._answer(returned.batch, [by_row[n] for n in part], verdicts.answers, actor, now_ms)
            opened += sum(isinstance(verdicts.answers[n], AccountOpened) for n in done)
            refused += sum(isinstance(verdicts.answers[n], AccountRefused) for n in done)
            await self._at("return rows committed")

        async def note(driver: "asyncpg.Connection[Any]") -> None:
            known = {row: fault for row, fault in verdicts.refused.items() if row in by_row}
            await bank_batches.add_faults(driver, returned.batch, known)
            detail: dict[str, str | int] = {
                "batch": returned.batch,
                "opened": opened,
                "refused": refused,
                "repeats": len(verdicts.repeats),
                "faults": len(verdicts.refused),
            }
            await audit.record(driver, actor, "bank.return", detail=detail)

        await transact(self._engine, note)
        return Taken(returned.batch, opened, refused, len(verdicts.repeats), verdicts.refused, len(verdicts.waiting))

    # While the applicant waits

    async def ask_online(self, application: int) -> Answer | None:
        """What the bank says of a card that is made at once, where the city asks it then; None: the next batch carries it."""
        if self._online is None or self._settings.bank.instant != "online":
            return None
        async with driver_session(self._engine) as driver:
            candidate = await bank_batches.instant_candidate(driver, application)
            rows = await self._outgoing(driver, [candidate] if candidate else [])
        return await self._online.open_account(f"application-{application}", rows[0]) if rows else None

    async def keep_online(
        self, driver: "asyncpg.Connection[Any]", application: int, answer: Answer, actor: Actor, now_ms: int
    ) -> None:
        """Such an answer stands as a batch of one, that was answered at once."""
        candidate = await bank_batches.instant_candidate(driver, application)
        assert candidate is not None, "it was made in this transaction"
        today = day_of(now_ms)
        batch = await bank_batches.add_batch(driver, self._settings.bank.code, today, [candidate], now_ms)
        await bank_batches.mark_written(driver, batch.number)
        (row,) = await bank_batches.read_rows(driver, batch.number)
        holders = await read_holders(driver, self._sealing, [row.holder])
        await self._carry_out(driver, batch.number, row, answer, holders[row.holder], actor, now_ms)

    # Out

    async def _gather(self, after: int, left: dict[int, NotCarried], actor: Actor, now_ms: int) -> tuple[int, int] | None:
        """One batch of what waits behind an application; answers the last one that was looked at, and how many go out."""
        today = day_of(now_ms)

        async def act(driver: "asyncpg.Connection[Any]") -> tuple[int, int] | None:
            found = await bank_batches.candidates(driver, after, MOST_ROWS)
            if not found:
                return None
            rows = await self._outgoing(driver, found)
            faults = encode_outgoing(Batch("0" * 6, "", 1, today, tuple(rows)), self._rendering)
            beyond = (
                {fault.row: fault for fault in faults if isinstance(fault, NotCarried)} if isinstance(faults, tuple) else {}
            )
            left.update({found[row - 1].application: fault for row, fault in beyond.items()})
            going = [one for place, one in enumerate(found, 1) if place not in beyond]
            if going:
                batch = await bank_batches.add_batch(driver, self._settings.bank.code, today, going, now_ms)
                for one in going:
                    if one.card is None:
                        number = one.application
                        handled = await handle_application(driver, self._sealing, number, Step.SEND_TO_BANK, actor, now_ms)
                        assert handled.refusal is None, "its holder is locked, and it waits"
                await audit.record(driver, actor, "bank.send", detail={"batch": batch.number, "rows": len(going)})
            return found[-1].application, len(going)

        return await transact(self._engine, act)

    async def _write_unwritten(self, folder: Path) -> list[Path]:
        async with driver_session(self._engine) as driver:
            batches = await bank_batches.unwritten_batches(driver)
        return [await self._write(folder, batch) for batch in batches]

    async def _write(self, folder: Path, batch: StoredBatch) -> Path:
        async with driver_session(self._engine) as driver:
            rows = await bank_batches.read_rows(driver, batch.number)
            outgoing = await self._outgoing(driver, [row.candidate for row in rows])
            city = self._settings.city.code
            data = encode_outgoing(Batch(city, batch.bank, batch.number, batch.day, tuple(outgoing)), self._rendering)
            if isinstance(data, tuple):
                message = f"batch {batch.number}: row {data[0].row} can no longer be written, field {data[0].field_name}"
                raise DomainError(Code.FAILED_PRECONDITION, "NOT_CARRIED", message)
            path = folder / f"{batch.bank}-{batch.number:010}.txt"
            _put(path, data)
            await bank_batches.mark_written(driver, batch.number)
        return path

    async def _outgoing(self, driver: "asyncpg.Connection[Any]", found: Sequence[Candidate]) -> list[OutgoingRow]:
        holders = await read_holders(driver, self._sealing, [one.holder for one in found])
        documents = await read_documents(driver, [one.holder for one in found])
        rows = []
        for one in found:
            holder, document = holders[one.holder], documents[one.holder][0]
            person = holder.person()
            _, number = open_number(holder.cipher, document.number, document.sealed)
            account = holder.cipher.open(Field.BANK_ACCOUNT, one.account).decode() if one.account else ""
            rows.append(
                OutgoingRow(
                    one.application,
                    DocumentKind(document.kind),
                    number,
                    person.name,
                    person.sex,
                    person.birth_date,
                    person.phone,
                    Product(one.product),
                    account,
                )
            )
        return rows

    # In

    async def _sent(self, driver: "asyncpg.Connection[Any]", batch: StoredBatch, rows: Sequence[StoredRow]) -> SentBatch:
        outgoing = await self._outgoing(driver, [row.candidate for row in rows])
        holders = await read_holders(driver, self._sealing, [row.holder for row in rows])
        sent: dict[int, SentRow] = {}
        for row, out in zip(rows, outgoing, strict=True):
            answer: Answer | None = None
            if row.answer == _OPENED and row.account:
                answer = AccountOpened(holders[row.holder].cipher.open(Field.BANK_ACCOUNT, row.account).decode())
            elif row.answer:
                answer = AccountRefused(BankCause(row.cause))
            sent[row.row] = SentRow(row.application, out.document_number, out.name, answer, out.account)
        return SentBatch(self._settings.city.code, batch.bank, batch.number, sent)

    async def _answer(
        self, batch: int, rows: Sequence[StoredRow], answers: Mapping[int, Answer], actor: Actor, now_ms: int
    ) -> set[int]:
        """Some rows in one transaction; those that somebody has answered meanwhile are left alone."""

        async def act(driver: "asyncpg.Connection[Any]") -> set[int]:
            await bank_batches.lock_holders(driver, [row.holder for row in rows])
            open_rows = await bank_batches.lock_unanswered(driver, batch, [row.row for row in rows])
            holders = await read_holders(driver, self._sealing, [row.holder for row in rows])
            for row in rows:
                if row.row not in open_rows:
                    continue
                await self._carry_out(driver, batch, row, answers[row.row], holders[row.holder], actor, now_ms)
            return open_rows

        return await transact(self._engine, act)

    async def _carry_out(
        self,
        driver: "asyncpg.Connection[Any]",
        batch: int,
        row: StoredRow,
        answer: Answer,
        holder: Holder,
        actor: Actor,
        now_ms: int,
    ) -> None:
        match answer:
            case AccountOpened(account):
                sealed = holder.cipher.seal(Field.BANK_ACCOUNT, account.encode())
                await bank_batches.store_answer(driver, batch, row.row, sealed, 0, now_ms)
                await self._open(driver, row, sealed, actor, now_ms)
            case AccountRefused(cause):
                await bank_batches.store_answer(driver, batch, row.row, None, cause.value, now_ms)
                await self._refuse(driver, row, cause.value, actor, now_ms)

    async def _open(self, driver: "asyncpg.Connection[Any]", row: StoredRow, sealed: bytes, actor: Actor, now_ms: int) -> None:
        """An ordinary card is made from now on, if there is room for it; an instant one, which is there, has its account."""
        card = row.card
        if card is None:
            step = Step.BANK_ACCEPT
            handled = await begin_production(driver, self._sealing, self._settings, row.application, step, actor, now_ms)
            if handled.refusal in NO_ROOM:  # the application has ended, and what was paid goes back
                return
            assert handled.refusal is None, "it is at the bank, and was paid for before it went there"
            card = await driver.fetchval("select card from card.application where id = $1", row.application)
            assert card is not None, "its making has begun"
        await bank_batches.give_account(driver, card, sealed)

    async def _refuse(self, driver: "asyncpg.Connection[Any]", row: StoredRow, cause: int, actor: Actor, now_ms: int) -> None:
        """The applicant hears why; the social side of an instant card stays as it is."""
        if row.card is None:
            await handle_application(
                driver, self._sealing, row.application, Step.BANK_REFUSE, actor, now_ms, cause=cause
            )  # fmt: skip
            return
        change = Change(row.card, Verb.REFUSE_ACCOUNT, Party.BANK, reason=cause)
        await change_card(driver, self._sealing, self._settings, change, actor, now_ms)

    async def _refused(self, fault: ReturnFault, batch: int, actor: Actor) -> ReturnFault:
        async def act(driver: "asyncpg.Connection[Any]") -> None:
            await audit.record(driver, actor, "bank.return_refused", detail={"fault": fault.name, "batch": batch})

        await transact(self._engine, act)
        return fault


def _parts(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(rows), _AT_ONCE):
        yield rows[begin : begin + _AT_ONCE]


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all, and for its owner alone: names and numbers of people are in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_suffix(".part")
    hidden.unlink(missing_ok=True)
    with open(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    hidden.replace(path)
