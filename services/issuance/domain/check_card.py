"""What is on a chip, record by record, against what the registry says. What it says itself is never shown."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from services.issuance.domain.card_data import CardData, Content, identifier_bytes, records_of
from services.issuance.domain.conversation import Conversation, ConversationEnded, Part, identify, reading
from services.issuance.domain.effects import Answer, Effect, Generation, Past, Refused
from services.issuance.domain.product import Product


class RecordState(IntEnum):
    """How a record stands; as in the messages."""

    AGREES = 1
    DIFFERS = 2
    MISSING = 3
    NOT_COMPARED = 4
    """It cannot be read without a key."""


class Proof(IntEnum):
    """Whether the card proved itself with its final key; as in the messages. One that fails to is refused."""

    PROVED = 1
    NOT_ASKED = 2
    """The vault gave no key for it."""
    IMPOSSIBLE = 3
    """Its product has no such command: the terminal's answers are trusted."""


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """One record of the chip."""

    place: str
    state: RecordState


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole chip, in the product's order."""

    records: tuple[CheckedRecord, ...]
    proof: Proof

    @property
    def agrees(self) -> bool:
        """Every record was compared and agrees, and the card is genuine as far as its product can show."""
        return self.proof is not Proof.NOT_ASKED and all(one.state is RecordState.AGREES for one in self.records)


Check: TypeAlias = Generator[Effect, Answer, Checked | Refused]


def check_card(product: Product, data: CardData, past: Past, own_challenge: bytes, *, with_keys: bool = False) -> Check:
    """`with_keys`: a card that was issued, and the vault lets its keys be used for reading; else what anybody may read."""
    contents = records_of(product, data)
    if isinstance(contents, Refused):
        return contents
    talk = Conversation(product, past)
    try:
        yield from identify(talk, identifier_bytes(data.card_identifier))
        return (yield from _check(talk, contents, own_challenge, with_keys=with_keys))
    except ConversationEnded as ended:
        return ended.refused


def _check(talk: Conversation, contents: Sequence[Content], own_challenge: bytes, *, with_keys: bool) -> Part[Checked]:
    needed = {file.identifier: file.read_with for file in talk.product.files}
    if with_keys:
        for key in talk.product.keys:
            if key.name in needed.values():
                yield from talk.authenticate(key, only=Generation.FINAL, journalled=True)
    read = reading(one for one in contents if with_keys or not needed[one.file])
    found = talk.found(read, (yield from talk.send(read.commands)))
    proof = Proof.NOT_ASKED if talk.product.internal else Proof.IMPOSSIBLE
    if with_keys and (internal := talk.product.internal):
        yield from talk.prove_card(internal, own_challenge, Generation.FINAL)
        proof = Proof.PROVED
    return Checked(tuple(CheckedRecord(one.place, _state(one, found)) for one in contents), proof)


def _state(content: Content, found: Mapping[str, bytes | None]) -> RecordState:
    if content.place not in found:
        return RecordState.NOT_COMPARED
    read = found[content.place]
    if read is None:
        return RecordState.MISSING
    return RecordState.AGREES if read == content.content else RecordState.DIFFERS
