"""What all conversations with a chip have in common: commands and their answers, challenges, authentication, reading."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias, TypeVar

from services.issuance.domain import apdu
from services.issuance.domain.apdu import Command, Response
from services.issuance.domain.card_data import Content
from services.issuance.domain.effects import (
    Answer,
    Answers,
    AskVault,
    Change,
    ChangeKind,
    Cryptogram,
    Effect,
    Generation,
    KeyUse,
    Operation,
    Past,
    Proof,
    Refused,
    Send,
    Spoil,
    Trouble,
)
from services.issuance.domain.key_state import key_state
from services.issuance.domain.product import Key, Product
from services.issuance.domain.refusal import Refusal

T = TypeVar("T")
Part: TypeAlias = Generator[Effect, Answer, T]
"""A part of a conversation."""

_TROUBLE: Final = {
    Trouble.CARD_GONE: Refusal.CARD_GONE,
    Trouble.SILENT: Refusal.CARD_SILENT,
    Trouble.READER: Refusal.READER_TROUBLE,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A run that reads records."""

    commands: tuple[Command, ...]
    places: tuple[str, ...]


def reading(contents: Iterable[Content]) -> Reading:
    """Those records, each file selected once."""
    commands: list[Command] = []
    places: list[str] = []
    for file, of_file in groupby(contents, key=lambda content: content.file):
        commands.append(apdu.select_file(file))
        places.append(f"{file:04X}")
        for content in of_file:
            commands.append(apdu.read_record(content.number, len(content.content)))
            places.append(content.place)
    return Reading(tuple(commands), tuple(places))


class ConversationEnded(Exception):  # noqa: N818 - it is no error of ours
    """It goes no further; from the depth of a conversation to its beginning."""

    def __init__(self, result: Refused | Spoil) -> None:
        super().__init__(result.reason)
        self.result = result

    @property
    def refused(self) -> Refused:
        """Where no card can be spoiled."""
        assert isinstance(self.result, Refused)
        return self.result


class Conversation:
    """With one chip, from its insertion to its removal."""

    def __init__(self, product: Product, past: Past, *, making: bool = False) -> None:
        self.product = product
        self.past = past
        self.making = making
        """A card that is being made: a wrong answer spoils it."""
        self.spoils = False
        """Only once it is known that this is the card that is being made."""
        self.proven: dict[str, Generation] = {}
        """Keys that the card accepted since it was inserted."""
        self._step = 0
        self._challenge: bytes | None = None
        self._seen: set[bytes] = set()

    def end(self, reason: Refusal, place: str = "") -> ConversationEnded:
        """The card answered wrongly."""
        return ConversationEnded(Spoil(reason, place) if self.spoils else Refused(reason, place))

    def send(self, commands: Sequence[Command], change: Change | None = None) -> Part[tuple[Response, ...]]:
        """One answer a command, or fewer: then the last one was not expected."""
        self._step += 1
        answers = yield Send(self._step, tuple(commands), change)
        assert isinstance(answers, Answers)
        if answers.trouble is not None:
            raise ConversationEnded(Refused(_TROUBLE[answers.trouble]))
        responses = answers.responses
        if len(responses) > len(commands):
            raise ConversationEnded(Refused(Refusal.ANSWERS_MISSING))
        expected = [command.expects(response) for command, response in zip(commands, responses, strict=False)]
        if not all(expected[:-1]) or (all(expected) and len(responses) < len(commands)):
            raise ConversationEnded(Refused(Refusal.ANSWERS_MISSING))
        for command, response in zip(commands, responses, strict=False):
            if len(response.data) > command.most:
                raise self.end(Refusal.ANSWER_TOO_LONG)
        return responses

    def challenge_command(self) -> Command:
        """Asks for a random number: the last command of a run, for the next run has to use it."""
        return apdu.get_challenge(self.product.challenge_bytes)

    def take_challenge(self, response: Response) -> None:
        """Keep the card's random number until it is used."""
        if not response.ok or len(response.data) != self.product.challenge_bytes:
            raise self.end(Refusal.CHALLENGE_MALFORMED)
        if response.data in self._seen:
            raise self.end(Refusal.CHALLENGE_REPEATED)
        self._seen.add(response.data)
        self._challenge = response.data

    def challenge(self) -> Part[bytes]:
        """The random number that the last run brought, or a fresh one; it is used once."""
        if self._challenge is None:
            responses = yield from self.send([self.challenge_command()])
            self.take_challenge(responses[0])
        challenge, self._challenge = self._challenge, None
        assert challenge is not None
        return challenge

    def ask(self, question: AskVault, length: int) -> Part[bytes]:
        """The vault's cryptogram, of that length."""
        answer = yield question
        if not isinstance(answer, Cryptogram) or len(answer.data) != length:
            raise ConversationEnded(Refused(Refusal.KEYS_NOT_GIVEN))
        return answer.data

    def authenticate(
        self, key: Key, *, only: Generation | None = None, journalled: bool = False, then: Sequence[Command] = ()
    ) -> Part[tuple[Response, ...]]:
        """Prove a key to the card, and by that learn which of the two it has.

        Returns the answers to `then`; without it the next challenge is asked for.
        """
        state = key_state(key, self.past)
        order = (only,) if only else state.order()
        unsure = journalled or (not only and state.settled is None)
        if unsure:
            first = next((one for one in order if state.may_try(key, one, self.product.tries_kept)), None)
            if first is None:
                raise self.end(Refusal.KEY_TRIES_USED)
            order = (first, *(one for one in order if one is not first))
        for number, generation in enumerate(order, start=1):
            first_answer, *others = yield from self._attempt(key, generation, unsure, then or [self.challenge_command()])
            if first_answer.ok:
                self.proven[key.name] = generation
                if not then:
                    self.take_challenge(others[0])
                return tuple(others)
            left = self._tries_left(first_answer)
            if number < len(order) and left - 1 < self.product.tries_kept:
                raise self.end(Refusal.KEY_TRIES_USED)
        raise self.end(Refusal.KEY_REFUSED)

    def _attempt(self, key: Key, generation: Generation, journal: bool, then: Sequence[Command]) -> Part[tuple[Response, ...]]:
        challenge = yield from self.challenge()
        question = AskVault(Operation.EXTERNAL_AUTHENTICATE, KeyUse(key.address, generation), challenge)
        cryptogram = yield from self.ask(question, self.product.algorithm.block_bytes)
        change = Change(ChangeKind.ATTEMPT, key.address, generation) if journal else None
        return (yield from self.send([apdu.external_authenticate(key.address, cryptogram), *then], change))

    def _tries_left(self, refused: Response) -> int:
        left = refused.tries_left
        if left is None:
            raise self.end(Refusal.STATUS_UNEXPECTED)
        if left == 0:
            raise self.end(Refusal.KEY_LOCKED)
        return left

    def found(self, run: Reading, responses: Sequence[Response]) -> dict[str, bytes | None]:
        """What stands in the records, by place; None: there is no such record. Empty: it has another length."""
        found: dict[str, bytes | None] = {}
        for command, place, response in zip(run.commands, run.places, responses, strict=False):
            self.refuse_unless(command.expects(response), response, Refusal.READING_REFUSED, place)
            found[place] = response.data if response.ok else None if response.status == apdu.NO_RECORD else b""
        return found

    def write(self, contents: Sequence[Content], *, then_challenge: bool = False) -> Part[None]:
        """Records of one file; the row of the journal names the file."""
        file = contents[0].file
        commands = [apdu.select_file(file), *(apdu.update_record(one.number, one.content) for one in contents)]
        places = [f"{file:04X}", *(one.place for one in contents)]
        after = [self.challenge_command()] if then_challenge else []
        self._challenge = None
        responses = yield from self.send([*commands, *after], Change(ChangeKind.RECORDS, file))
        for command, place, response in zip(commands, places, responses, strict=False):
            self.refuse_unless(command.expects(response), response, Refusal.WRITING_REFUSED, place)
        if then_challenge:
            self.take_challenge(responses[-1])

    def refuse_unless(self, fine: bool, response: Response, reason: Refusal, place: str = "") -> None:
        """End where the card did not do it; a card that was reset meanwhile may be tried again."""
        if response.status == apdu.NOT_ALLOWED:
            raise ConversationEnded(Refused(Refusal.SECURITY_LOST, place))
        if not fine:
            raise self.end(reason, place)

    def prove_card(self, key: Key, own_challenge: bytes, generation: Generation) -> Part[None]:
        """INTERNAL AUTHENTICATE: the card proves itself to us."""
        responses = yield from self.send([apdu.internal_authenticate(key.address, own_challenge)])
        if responses[0].status & 0xFF00 == apdu.MORE:
            responses = yield from self.send([apdu.get_response(len(own_challenge))])
        if not responses[0].ok:
            raise self.end(Refusal.CARD_NOT_GENUINE)
        question = AskVault(Operation.VERIFY_CARD, KeyUse(key.address, generation), own_challenge, data=responses[0].data)
        answer = yield question
        if not isinstance(answer, Proof):
            raise ConversationEnded(Refused(Refusal.KEYS_NOT_GIVEN))
        if not answer.genuine:
            raise self.end(Refusal.CARD_NOT_GENUINE)


def read_identifier(talk: Conversation) -> Part[bytes]:
    """Select the application and read who the card is: all that a card tells everybody."""
    identifier, _ = yield from _read_identifier(talk, [])
    return identifier


def identify(talk: Conversation, identifier: bytes) -> Part[None]:
    """Refuse any other card. The application is selected anew; a challenge comes with it."""
    talk.spoils = False
    found, others = yield from _read_identifier(talk, [talk.challenge_command()])
    if found != identifier:
        raise talk.end(Refusal.FOREIGN_CARD)
    talk.spoils = talk.making
    talk.take_challenge(others[0])


def _read_identifier(talk: Conversation, then: Sequence[Command]) -> Part[tuple[bytes, tuple[Response, ...]]]:
    file, record = talk.product.identifier_place
    select = apdu.select_application(talk.product.application)
    read = apdu.read_record(record.number, record.length + 2)
    first, *others = yield from talk.send([select, apdu.select_file(file.identifier), read, *then])
    if not select.expects(first):
        raise talk.end(Refusal.NOT_A_SOCIAL_SECURITY_CARD)
    answer = others[1] if len(others) > 1 else None
    header = bytes((record.tag, record.length))
    if not answer or not answer.ok or len(answer.data) != record.length + 2 or not answer.data.startswith(header):
        raise talk.end(Refusal.IDENTIFIER_UNREADABLE, file.place(record))
    return answer.data[2:], tuple(others[2:])
