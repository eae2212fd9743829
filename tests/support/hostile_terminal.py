"""A terminal between the service and a chip, without a network: it answers as it should, until it answers what it likes."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from hypothesis import strategies as st

from onecard.issuance.v1 import issuance_pb2 as messages
from services.issuance.domain.apdu import Command
from services.issuance.handlers.dialogue import Run
from tests.support.issuance_room import PRESENTED, ChipTerminal, Plastic

Request: TypeAlias = messages.PersonaliseRequest
MOST_MESSAGES: Final = 100
"""From the service, in one stream; more is a loop."""


def answer_to(terminal: ChipTerminal, message: messages.PersonaliseResponse) -> Request:
    """The truth."""
    match message.WhichOneof("what"):
        case "commands":
            run = Run(tuple(Command(one.apdu, tuple(one.expected)) for one in message.commands.commands))
            said: Any = terminal._do(run)
            raw = [one.data + one.status.to_bytes(2) for one in said.responses]
            return Request(at=message.at, responses=messages.ChipResponses(responses=raw))
        case "print":
            terminal.card.printed += 1
            terminal.card.plastic = Plastic.PRINTED
            return Request(at=message.at, printed=messages.Printed(outcome=messages.PRINT_OUTCOME_DONE))
        case "look_at_card":
            printed = terminal.card.plastic is Plastic.PRINTED
            looks = messages.CARD_LOOKS_GOOD if printed else messages.CARD_LOOKS_BLANK
            return Request(at=message.at, appearance=messages.Appearance(looks=looks))
        case _:
            return Request(at=message.at, handed_over=messages.HandedOver(presented=PRESENTED))


@dataclass(slots=True)
class Said:
    """What a lie is made of."""

    answer: Request
    """The truth."""
    mine: list[Request]
    """Said before in this stream."""
    foreign: list[Request]
    """Of a stream of another card."""


Lie: TypeAlias = Callable[[Said], "list[Request]"]
"""What is said instead, in this order; nothing: the stream ends here."""


class Wire:
    """What a handler of gRPC is given, with the terminal at the other end."""

    def __init__(
        self,
        terminal: ChipTerminal,
        begin: Request,
        lies: Mapping[int, Lie] | None = None,
        foreign: "list[Request] | None" = None,
    ) -> None:
        """`lies`: by the number of the answer, from 1."""
        self.heard: list[messages.PersonaliseResponse] = []
        self.checked = messages.Checked()
        self.said = [begin]
        self._terminal = terminal
        self._lies = lies or {}
        self._foreign = foreign or []
        self._on_its_way: deque[Request] = deque([begin])

    async def read(self) -> Any:
        """What the terminal says next; it hangs up where it says nothing."""
        if not self._on_its_way:
            return grpc.aio.EOF
        return self._on_its_way.popleft()

    async def write(self, message: messages.PersonaliseResponse) -> None:
        """A message to the terminal."""
        assert len(self.heard) < MOST_MESSAGES, "the stream does not end"
        self.heard.append(message)
        if message.WhichOneof("what") == "finished":
            return
        truth = answer_to(self._terminal, message)
        lie = self._lies.get(len(self.heard))
        told = lie(Said(truth, self.said, self._foreign)) if lie else [truth]
        self.said += told
        self._on_its_way += told


class CheckWire(Wire):
    """The same for a stream that checks a card: its messages are a part of the others."""

    async def read(self) -> Any:
        said = await super().read()
        if said is grpc.aio.EOF:
            return said
        if said.WhichOneof("what") == "begin":
            return messages.CheckCardRequest(
                begin=messages.BeginCheck(atr=said.begin.atr), at=said.at if said.HasField("at") else None
            )
        return messages.CheckCardRequest(at=said.at, responses=said.responses if said.HasField("responses") else None)

    async def write(self, message: Any) -> None:
        if message.HasField("checked"):
            self.checked = message.checked
            await super().write(messages.PersonaliseResponse(at=message.at, finished=messages.Finished()))
        else:
            await super().write(messages.PersonaliseResponse(at=message.at, commands=message.commands))


def parsed(raw: bytes) -> "list[Request]":
    """Bytes that are no message end a stream before we see them."""
    try:
        return [Request.FromString(raw)]
    except DecodeError:
        return []


def changed(answer: Request, **what: Any) -> Request:
    """In its place, something else."""
    return Request(at=answer.at, **what)


def at_another_position(answer: Request, field: str, by: int) -> Request:
    """Of another record, epoch or step."""
    other = Request()
    other.CopyFrom(answer)
    setattr(other.at, field, min(max(getattr(other.at, field) + by, -(2**31)), 2**31 - 1))
    return other


def with_bytes(raw: bytes, edits: "list[tuple[int, int, bytes]]") -> bytes:
    """Some of them replaced, removed or put between."""
    body = bytearray(raw)
    for at, length, instead in edits:
        begin = at % (len(body) + 1)
        body[begin : begin + length] = instead
    return bytes(body)


def spliced(said: Said, number: int, *, foreign: bool, moved: bool) -> "list[Request]":
    """A message from elsewhere; `moved`: under the position of this step."""
    source = said.foreign if foreign else said.mine
    if not source:
        return []
    old = Request()
    old.CopyFrom(source[number % len(source)])
    if moved:
        old.at.CopyFrom(said.answer.at)
    return [old]


def named_as(answer: Request, identifier: bytes, other: bytes) -> Request:
    """Another card's identifier, wherever the chip says its own."""
    if answer.WhichOneof("what") != "responses":
        return answer
    raw = [one.replace(identifier, other) for one in answer.responses.responses]
    return changed(answer, responses=messages.ChipResponses(responses=raw))


_statuses: Final = st.sampled_from((0x9000, 0x6110, 0x6282, 0x63C1, 0x6700, 0x6982, 0x6983, 0x6988, 0x6A82, 0x6A83))
_responses: Final = st.lists(
    st.binary(max_size=300) | st.builds(lambda data, status: data + status.to_bytes(2), st.binary(max_size=40), _statuses),
    max_size=30,
)
_edits: Final = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4)
_position: Final = st.builds(
    lambda field, by: lambda said: [at_another_position(said.answer, field, by)],
    st.sampled_from(("record_id", "epoch", "step")),
    st.integers(-(2**31), 2**31 - 1).filter(bool) | st.sampled_from((-1, 1)),
)
_elsewhere: Final = st.builds(
    lambda number, foreign, moved: lambda said: spliced(said, number, foreign=foreign, moved=moved),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
)
_bytes: Final = st.builds(lambda edits: lambda said: parsed(with_bytes(said.answer.SerializeToString(), edits)), _edits)
_chip: Final = st.builds(
    lambda responses, trouble: (
        lambda said: [changed(said.answer, responses=messages.ChipResponses(responses=responses, trouble=trouble))]
    ),
    _responses,
    st.integers(0, 9),
)
_other_kind: Final = st.builds(
    lambda what: lambda said: [changed(said.answer, **what)],
    st.one_of(
        st.builds(lambda number: {"printed": messages.Printed(outcome=number)}, st.integers(0, 9)),
        st.builds(lambda number: {"appearance": messages.Appearance(looks=number)}, st.integers(0, 9)),
        st.builds(lambda number: {"given_up": messages.GivenUp(reason=number)}, st.integers(0, 9)),
        st.builds(lambda pin: {"handed_over": messages.HandedOver(presented=PRESENTED, new_pin=pin)}, st.text(max_size=12)),
        st.builds(lambda atr: {"begin": messages.BeginPersonalising(application_id=1, atr=atr)}, st.binary(max_size=40)),
        st.just({}),
    ),
)
_twice: Final = st.just(lambda said: [said.answer, said.answer])
_gone: Final[st.SearchStrategy[Lie]] = st.just(lambda said: [])
lies: Final = st.dictionaries(
    st.integers(1, 20), st.one_of(_position, _elsewhere, _bytes, _chip, _other_kind, _twice, _gone), min_size=1, max_size=4
)
"""What a terminal says in the place of its answers."""


def heard_bytes(heard: "list[messages.PersonaliseResponse]") -> bytes:
    """Everything that a terminal was told."""
    return b"".join(message.SerializeToString() for message in heard)


def forms(secret: bytes) -> Iterator[bytes]:
    """As it might be written somewhere."""
    for turned in (secret, secret[::-1]):
        yield turned
        yield turned.hex().encode()
        yield turned.hex().upper().encode()
