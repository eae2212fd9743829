"""How the issuance service asks the vault: over its socket, connected again whenever the vault was started again."""

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import structlog

from services.common.errors import Code, DomainError
from services.issuance.domain.effects import AskVault, Cryptogram, Operation, Proof, VaultRefused
from services.issuance.domain.product import Product
from services.issuance.domain.record import Record, Taken
from services.issuance.vault.protocol import (
    Answer,
    Ask,
    CheckIdentifiers,
    Close,
    GarbageError,
    Hello,
    Message,
    Open,
    Purpose,
    VaultRefusal,
    answer_of,
    frame,
    read_body,
)

_PAUSE_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
_IDENTIFIERS: Final = 1000
"""In one message."""
log = structlog.get_logger()


class VaultAwayError(DomainError):
    """Nothing was given; the same may be asked again later."""

    def __init__(self) -> None:
        super().__init__(Code.UNAVAILABLE, "VAULT_AWAY", "密钥服务暂时没有应答,请稍后把同一张卡再放入读卡器。")


class _LinkBrokenError(Exception):
    """The connection is gone; what was asked may or may not have been computed, which changes nothing."""


class _Link:
    """One connection, with what waits for an answer on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def broken(self) -> bool:
        return self._reading.done()

    async def ask(self, message: Message) -> Answer:
        if self.broken:
            raise _LinkBrokenError
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[message.id] = waiting
        try:
            self._writer.write(frame(message))
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await waiting
        except TimeoutError:
            self._reading.cancel()
            raise _LinkBrokenError from None
        except OSError:
            raise _LinkBrokenError from None
        finally:
            self._waiting.pop(message.id, None)

    async def _read(self) -> None:
        try:
            while True:
                answer = answer_of(await read_body(self._reader))
                waiting = self._waiting.get(answer.id)
                if waiting and not waiting.done():
                    waiting.set_result(answer)
        except (EOFError, OSError, GarbageError):
            return
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_LinkBrokenError())
            self._writer.close()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])


class VaultClient:
    """Many may ask at once. A vault that is away is waited for, `patience` seconds long."""

    def __init__(self, path: Path, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._ids = count(1)

    async def ask(self, message: Message, *, patiently: bool = True) -> Answer:
        """The answer to a message, whose id is chosen here. Raises VaultAwayError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (self._patience if patiently else 0)
        while True:
            try:
                link = await self._connected()
                answer = await link.ask(msgspec.structs.replace(message, id=next(self._ids)))
            except (_LinkBrokenError, OSError):
                answer = None
            if answer and answer.refusal is not VaultRefusal.UNAVAILABLE:
                return answer
            if loop.time() >= end:
                log.warning("vault_away")
                raise VaultAwayError
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _connected(self) -> _Link:
        async with self._connecting:
            if self._link is None or self._link.broken:
                self._link = _Link(*await asyncio.open_unix_connection(self._path))
            return self._link

    async def development(self) -> bool:
        """Whether its keys are for one machine alone. Raises VaultAwayError."""
        return (await self.ask(Hello(0))).development

    async def check_identifiers(self, product: str, identifiers: Sequence[str]) -> list[bool]:
        """Whether each was made with our key. Raises VaultAwayError."""
        genuine: list[bool] = []
        for at in range(0, len(identifiers), _IDENTIFIERS):
            part = list(identifiers[at : at + _IDENTIFIERS])
            answer = await self.ask(CheckIdentifiers(0, product, part))
            genuine += answer.genuine if len(answer.genuine) == len(part) else [False] * len(part)
        return genuine

    async def close(self) -> None:
        """Hang up."""
        if self._link:
            await self._link.close()


class ChipLease:
    """For one blank; opened again by itself when the vault was started again."""

    def __init__(self, client: VaultClient, opened: Open) -> None:
        self._client = client
        self._opened = opened
        self._number = 0

    async def open(self) -> VaultRefusal | None:
        """Raises VaultAwayError."""
        answer = await self._client.ask(self._opened)
        self._number = answer.lease
        return answer.refusal

    async def ask(self, question: AskVault, step: int) -> Cryptogram | Proof | VaultRefused:
        """One cryptogram, or one judgement. Raises VaultAwayError."""
        answer = await self._client.ask(self._message(question))
        if answer.refusal is VaultRefusal.NO_LEASE and not (refusal := await self.open()):
            answer = await self._client.ask(self._message(question))
        elif answer.refusal is VaultRefusal.NO_LEASE:
            answer = Answer(0, refusal)
        if answer.refusal:
            log.warning("vault_gave_nothing", reason=answer.refusal, record=self._opened.record, step=step)
            return VaultRefused()
        return Proof(answer.genuine == [True]) if question.operation is Operation.VERIFY_CARD else Cryptogram(answer.data)

    def _message(self, question: AskVault) -> Ask:
        return Ask(
            0,
            self._number,
            question.operation,
            question.key.address,
            question.key.generation,
            question.challenge,
            question.loads,
            question.header,
            question.data,
        )

    async def close(self) -> None:
        """Nothing more is wanted; a vault that is away has forgotten it anyway."""
        try:
            await self._client.ask(Close(0, self._number), patiently=False)
        except VaultAwayError:
            return


class ChipVault:
    """The keys of chips, as the issuance service sees them."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client

    async def open(self, taken: Taken, product: Product) -> ChipLease | VaultRefused:
        """To make a card of the blank that a record holds, and no other. Raises VaultAwayError."""
        record, actor = taken.record, taken.actor
        return await self._open(
            Open(
                0,
                Purpose.PERSONALISE,
                record.id,
                record.epoch,
                taken.blank.card_identifier,
                record.application,
                actor.staff,
                actor.terminal,
                product.code,
            )
        )

    async def open_issued(
        self, record: Record, card_identifier: str, product: Product, staff: int, terminal: str, approval: int = 0
    ) -> ChipLease | VaultRefused:
        """Of a card that was made: to check it; with a countersignature's number to update it. Raises VaultAwayError."""
        purpose = Purpose.UPDATE if approval else Purpose.CHECK
        return await self._open(
            Open(
                0,
                purpose,
                record.id,
                record.epoch,
                card_identifier,
                record.application,
                staff,
                terminal,
                product.code,
                approval,
            )
        )

    async def _open(self, asked: Open) -> ChipLease | VaultRefused:
        lease = ChipLease(self._client, asked)
        if refusal := await lease.open():
            log.warning("vault_gave_nothing", reason=refusal, record=asked.record, step=0)
            return VaultRefused()
        return lease
