"""What a conversation with a chip asks of the outside, and what comes back.

A conversation is a generator: it yields an effect and is sent the answer to it, and returns a result. It touches neither card
nor vault nor journal; whoever drives it does, and may drop it at any effect, which is what a cut is.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

from cryptography.hazmat.primitives.hashes import SM3, Hash

from services.issuance.domain.apdu import NO_STATUS, Command, Response, response_of
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage


class Generation(IntEnum):
    """Whose key it is."""

    TRANSPORT = 1
    """The factory's, replaced last."""
    FINAL = 2


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key of this card, by its place on the chip; the vault derives it from the roots."""

    address: int
    generation: Generation


class ChangeKind(StrEnum):
    """What a run of commands changes on the card."""

    RECORDS = "RECORDS"
    """Records of one file: writing them again does no harm."""
    KEY_LOAD = "KEY_LOAD"
    ATTEMPT = "ATTEMPT"
    """An authentication with a key of which nobody knows whether it is on the card: it may cost a try."""
    PIN_RELOAD = "PIN_RELOAD"


@dataclass(frozen=True, slots=True)
class Change:
    """A row of the journal, without its outcome."""

    kind: ChangeKind
    address: int
    """Of the key, of the file for records."""
    generation: Generation | None = None
    """Of the key that an attempt is made with."""


@dataclass(frozen=True, slots=True)
class Send:
    """Commands for the chip, in their order: the terminal stops behind the first answer whose status word is not expected.

    Where `change` is set, its row (step, kind, address, generation, digest) is in the journal before a byte is released.
    What changes the card comes first in the run.
    """

    step: int
    """Counted from 1 in this conversation."""
    commands: tuple[Command, ...]
    change: Change | None = None

    @property
    def digest(self) -> bytes:
        """SM3 of the commands: the journal has this and never their data."""
        digest = Hash(SM3())
        for command in self.commands:
            digest.update(len(command.apdu).to_bytes(2) + command.apdu)
        return digest.finalize()


class Trouble(IntEnum):
    """Why a chip answered nothing; as in the messages."""

    CARD_GONE = 1
    SILENT = 2
    READER = 3


@dataclass(frozen=True, slots=True)
class Answers:
    """To Send: an answer for each command that was transmitted."""

    responses: tuple[Response, ...]
    trouble: Trouble | None = None


def answers_of(raw: Iterable[bytes], trouble: Trouble | None = None) -> Answers:
    """From what the terminal sent; what is too short to be an answer has no status word, and nothing expects that."""
    return Answers(tuple(response_of(one) or Response(b"", NO_STATUS) for one in raw), trouble)


class Operation(StrEnum):
    """What the vault computes. No operation gives a key."""

    EXTERNAL_AUTHENTICATE = "EXTERNAL_AUTHENTICATE"
    """The cryptogram of the card's challenge. `key`: of either generation."""
    LOAD_KEY = "LOAD_KEY"
    """The final key of the place `loads`, enciphered under `key` and with the MAC of the command `header` ‖ data."""
    RELOAD_PIN = "RELOAD_PIN"
    """The PIN `data`, enciphered under `key` and with the MAC of the command `header` ‖ data."""
    VERIFY_CARD = "VERIFY_CARD"
    """Whether `data` is what a card with `key` answers to our `challenge`."""


@dataclass(frozen=True, slots=True)
class AskVault:
    """For the card identifier of the lease, and no other."""

    operation: Operation
    key: KeyUse
    challenge: bytes
    loads: int | None = None
    header: bytes = b""
    """CLA INS P1 P2 Lc."""
    data: bytes = b""

    def __repr__(self) -> str:
        return f"AskVault({self.operation}, {self.key})"


@dataclass(frozen=True, slots=True)
class Cryptogram:
    """To AskVault: the data of the command."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """To AskVault(VERIFY_CARD)."""

    genuine: bool


@dataclass(frozen=True, slots=True)
class VaultRefused:
    """To AskVault: it gives nothing for this card now."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage was reached; the answer is None."""

    stage: Stage


class Outcome(IntEnum):
    """What is known of a change that was journalled."""

    UNKNOWN = 0
    """No answer came."""
    DONE = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal of this card's record says, oldest first: all rows of all streams."""

    rows: tuple[tuple[Change, Outcome], ...] = ()


def outcome(send: Send, answers: Answers) -> Outcome:
    """Of a change. It is journalled with the row that follows, or earlier."""
    if send.change and send.change.kind is not ChangeKind.RECORDS:
        first = answers.responses[:1]
        return Outcome.UNKNOWN if not first else Outcome.DONE if first[0].ok else Outcome.REFUSED
    if any(not command.expects(response) for command, response in zip(send.commands, answers.responses, strict=False)):
        return Outcome.REFUSED
    return Outcome.DONE if len(answers.responses) == len(send.commands) else Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Verified:
    """Everything is on the chip and was read back, and it answers to the final keys."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not done. The card in the reader may be tried again, or another one belongs there: the reason says it."""

    reason: Refusal
    place: str = ""
    """EF06/02 …, where one record is meant."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """Not done, and this card will never do."""

    reason: Refusal
    place: str = ""


Effect: TypeAlias = Send | AskVault | Reached
Answer: TypeAlias = Answers | Cryptogram | Proof | VaultRefused | None
Result: TypeAlias = Verified | Refused | Spoil
Personalisation: TypeAlias = Generator[Effect, Answer, Result]
"""Started with next(), or send(None)."""
