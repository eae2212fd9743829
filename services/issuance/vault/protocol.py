"""What goes over the vault's socket: a length of four bytes, and a message in MessagePack. No message can carry a key."""

import asyncio
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from services.issuance.domain.effects import Generation, Operation

LONGEST: Final = 64 * 1024
"""Bytes of a message."""
_LENGTH_BYTES: Final = 4
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_REST_SECONDS: Final = 30.0
"""For the rest of a message whose length has come."""


class Purpose(StrEnum):
    """What a lease is for; each gives cryptograms of its own kind alone."""

    PERSONALISE = "PERSONALISE"
    UPDATE = "UPDATE"
    """PIN and validity of a card that was handed over; a second person has signed."""
    CHECK = "CHECK"
    """What is on a chip whose making has ended."""


class VaultRefusal(StrEnum):
    """Why nothing is given."""

    NO_LEASE = "NO_LEASE"
    BARRED = "BARRED"
    NOT_THIS_BLANK = "NOT_THIS_BLANK"
    """The record does not hold it, or not for this application, clerk and terminal."""
    COUNT_EXCEEDED = "COUNT_EXCEEDED"
    SUPERSEDED = "SUPERSEDED"
    """Another stream has taken the record."""
    WRONG_PURPOSE = "WRONG_PURPOSE"
    """Not in this state, not approved, or not of the lease's kind."""
    MALFORMED = "MALFORMED"
    """No card of the product is asked like that."""
    UNAVAILABLE = "UNAVAILABLE"
    """The database or the token does not answer; ask again."""


class Hello(msgspec.Struct, frozen=True, tag=True):
    """Who is there?"""

    id: int


class Open(msgspec.Struct, frozen=True, tag=True):
    """A lease, for this blank and no other."""

    id: int
    purpose: Purpose
    record: _Number
    epoch: int
    identifier: str
    application: int
    clerk: int
    terminal: str
    """The subject of its certificate."""
    product: str
    approval: _Number = 0
    """The countersignature of an update."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """One cryptogram or judgement."""

    id: int
    lease: int
    operation: Operation
    address: int
    generation: Generation
    challenge: bytes
    loads: int | None = None
    header: bytes = b""
    data: bytes = b""


class Close(msgspec.Struct, frozen=True, tag=True):
    """Nothing more is wanted."""

    id: int
    lease: int


class CheckIdentifiers(msgspec.Struct, frozen=True, tag=True):
    """Whether card identifiers were made with our key."""

    id: int
    product: str
    identifiers: list[str]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """To the message of that id."""

    id: int
    refusal: VaultRefusal | None = None
    lease: int = 0
    data: bytes = b""
    genuine: list[bool] = []
    development: bool = False


Message = Hello | Open | Ask | Close | CheckIdentifiers
_message: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)
_answer: Final = msgspec.msgpack.Decoder(Answer)
_encoder: Final = msgspec.msgpack.Encoder()


class GarbageError(Exception):
    """Who sends this speaks something else."""


def frame(message: Message | Answer) -> bytes:
    """As it is sent. Raises GarbageError when it is too long."""
    body = _encoder.encode(message)
    if len(body) > LONGEST:
        raise GarbageError("a message is too long")
    return len(body).to_bytes(_LENGTH_BYTES) + body


def message_of(body: bytes) -> Message:
    """Raises GarbageError."""
    try:
        return _message.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GarbageError("no message") from None


def answer_of(body: bytes) -> Answer:
    """Raises GarbageError."""
    try:
        return _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GarbageError("no answer") from None


async def read_body(reader: asyncio.StreamReader) -> bytes:
    """Of the next message. Raises GarbageError, EOFError at the end."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if not 0 < length <= LONGEST:
        raise GarbageError("a message is too long")
    try:
        async with asyncio.timeout(_REST_SECONDS):
            return await reader.readexactly(length)
    except TimeoutError:
        raise GarbageError("a message has no end") from None
