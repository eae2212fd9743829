"""A room in which cards are made: chips, a printer, a clerk who tells the truth, a registry, and everything that goes wrong."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count
from typing import Final

from onecard.card.v1.cards_pb2 import (
    PARTY_HOLDER_IN_PERSON,
    SOCIAL_STATUS_CANCELLED,
    SOCIAL_STATUS_NORMAL,
    SOCIAL_STATUS_SEALED,
    CardSummary,
    Presented,
)
from services.common.errors import Code, DomainError
from services.issuance.adapters.card_service import Away, Declined
from services.issuance.domain.actor import Actor
from services.issuance.domain.card_data import CardData
from services.issuance.domain.effects import (
    Answers,
    AskVault,
    Cryptogram,
    Proof,
    Trouble,
    VaultRefused,
    answers_of,
)
from services.issuance.domain.order import Order
from services.issuance.domain.product import Product
from services.issuance.domain.record import Record, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import (
    Asked,
    GivenUp,
    HandedOver,
    HandOver,
    Look,
    Looks,
    Position,
    Print,
    PrintOutcome,
    Run,
    Said,
)
from tests.support.chip import Chip, PowerCut
from tests.support.chip_crypto import ChipVault
from tests.support.chip_driver import card_data

PRESENTED: Final = Presented(party=PARTY_HOLDER_IN_PERSON, identity_verified=True)


class Plastic(Enum):
    """What a person sees."""

    WHITE = "white"
    PRINTED = "printed"
    SPOILED = "spoiled"


class Died(BaseException):
    """The process is gone: nobody catches that."""


def cut() -> DomainError:
    """The stream is gone."""
    return DomainError(Code.FAILED_PRECONDITION, "STREAM_CUT", "cut")


@dataclass(slots=True)
class Card:
    """Chip and plastic."""

    chip: Chip
    serial: str
    plastic: Plastic = Plastic.WHITE
    printed: int = 0
    """How often the printer began with it."""


@dataclass(slots=True)
class Wrong:
    """What goes wrong in one stream; nothing, by itself."""

    cut_at_ask: int = -1
    """The nth message to the terminal, or its answer, is lost."""
    answer_lost: bool = False
    """…behind what it brought about."""
    print_cut: str = ""
    """before, during, behind."""
    give_up_at: int = -1
    nobody_takes_it: bool = False
    dies_at: int = -1
    """The nth point."""
    link_goes_with_power: bool = False
    points: int = 0

    async def at(self, point: str) -> None:
        if self.points == self.dies_at:
            self.points += 1
            raise Died(point)
        self.points += 1


class ChipTerminal:
    """A reader with a card, a printer, and a clerk with somebody in front of them."""

    def __init__(self, card: Card, wrong: Wrong | None = None) -> None:
        self.card = card
        self.wrong = wrong or Wrong()
        self.asked: list[Asked] = []
        self.positions: list[Position] = []
        self.faces: list[Order] = []
        card.chip.power_up()

    async def ask(self, at: Position, stage: Stage, what: Asked) -> Said:
        number = len(self.asked)
        self.asked.append(what)
        self.positions.append(at)
        if number == self.wrong.give_up_at:
            return GivenUp(Refusal.APPLICANT_LEFT)
        lost = number == self.wrong.cut_at_ask
        if lost and not self.wrong.answer_lost:
            raise cut()
        said = self._do(what)
        if lost:
            raise cut()
        return said

    def _do(self, what: Asked) -> Said:
        match what:
            case Run():
                return self._transmit(what)
            case Print(order):
                return self._print(order)
            case Look():
                return {Plastic.WHITE: Looks.BLANK, Plastic.PRINTED: Looks.GOOD, Plastic.SPOILED: Looks.SPOILED}[
                    self.card.plastic
                ]
            case HandOver() if self.wrong.nobody_takes_it:
                return GivenUp(Refusal.APPLICANT_LEFT)
            case HandOver():
                return HandedOver(PRESENTED, "")

    def _transmit(self, run: Run) -> Answers:
        raw: list[bytes] = []
        for command in run.commands:
            try:
                raw.append(self.card.chip.transmit(command.apdu))
            except PowerCut:
                if self.wrong.link_goes_with_power:
                    raise cut() from None
                return answers_of(raw, Trouble.CARD_GONE)
            if not command.expects(answers_of(raw[-1:]).responses[0]):
                break
        return answers_of(raw)

    def _print(self, order: Order) -> Said:
        trouble, self.wrong.print_cut = self.wrong.print_cut, ""
        if trouble == "before":
            raise cut()
        if trouble == "not begun":
            return PrintOutcome.NOT_BEGUN
        self.faces.append(order)
        self.card.printed += 1
        self.card.plastic = Plastic.SPOILED if trouble == "during" else Plastic.PRINTED
        if trouble == "unknown":
            return PrintOutcome.UNKNOWN
        if trouble:
            raise cut()
        return PrintOutcome.DONE


@dataclass(slots=True)
class Making:
    """A card of the registry."""

    number: int
    application: int
    identifier: str
    state: str = "MAKING"


class Registry:
    """The card service in memory: numbers and identifiers are used once, a repeat hears the first answer."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()
        """Applications."""
        self.cards: list[Making] = []
        self.answers: dict[str, Declined | None] = {}
        self.fails: Callable[[], str] = lambda: ""
        """`away`, or `deaf`: it does what it is asked, and its answer is lost."""
        self.first = 1000
        """Of the applications."""
        self.looked_up_by: list[str] = []

    def fail_from(self, number: int, trouble: str) -> None:
        """From the numbered question on, counted from now."""
        asked = count(1)
        self.fails = lambda: trouble if next(asked) >= number else ""

    def apply(self) -> int:
        application = len(self.cards) + len(self.waiting) + self.first
        self.waiting.add(application)
        return application

    def of(self, application: int) -> Making | None:
        return next((card for card in self.cards if card.application == application and card.state != "RETIRED"), None)

    async def begin(self, request_id: str, application: int, card_identifier: str, actor: Actor) -> Order | Declined:
        declined = self._once(request_id, lambda: self._begin(application, card_identifier))
        return declined or self._order_of(application)

    async def order_of(self, application: int, actor: Actor) -> Order | Declined:
        if self.fails():
            raise Away
        return self._order_of(application)

    def _order_of(self, application: int) -> Order | Declined:
        card = self.of(application)
        if card is None:
            return Declined("UNKNOWN_CARD", "")
        return Order(application, card.number, data_of(card))

    async def order_by(self, card_identifier: str, actor: Actor) -> Order | Declined:
        card = next((one for one in self.cards if one.identifier == card_identifier), None)
        return Order(0, card.number, data_of(card)) if card else Declined("UNKNOWN_CARD", "")

    async def summary_by(self, card_identifier: str, actor: Actor) -> CardSummary | None:
        self.looked_up_by.append(actor.name)
        card = next((one for one in self.cards if one.identifier == card_identifier), None)
        if card is None:
            return None
        social = {"ISSUED": SOCIAL_STATUS_NORMAL, "RETIRED": SOCIAL_STATUS_CANCELLED}.get(card.state, SOCIAL_STATUS_SEALED)
        return CardSummary(card_id=card.number, production=70 if card.state == "ISSUED" else 60, social=social)

    async def end(
        self, request_id: str, application: int, card_identifier: str, *, made: bool, bank_account: str = ""
    ) -> Declined | None:
        return self._once(request_id, lambda: self._end(application, card_identifier, made))

    async def complete(
        self, request_id: str, application: int, actor: Actor, presented: Presented, new_pin: str = ""
    ) -> Declined | None:
        return self._once(request_id, lambda: self._complete(application))

    def _once(self, request_id: str, act: Callable[[], Declined | None]) -> Declined | None:
        trouble = self.fails()
        if trouble == "away":
            raise Away
        if request_id not in self.answers:
            self.answers[request_id] = act()
        if trouble:
            raise Away
        return self.answers[request_id]

    def _begin(self, application: int, identifier: str) -> Declined | None:
        if application not in self.waiting:
            return Declined("NOT_WAITING", "")
        assert identifier not in {card.identifier for card in self.cards}, "an identifier is used once"
        self.waiting.discard(application)
        self.cards.append(Making(len(self.cards) + 1, application, identifier))
        return None

    def _end(self, application: int, identifier: str, made: bool) -> Declined | None:
        card = self.of(application)
        if card is None or card.state not in (("MAKING",) if made else ("MAKING", "LYING")):
            return Declined("NOT_AT_THIS_STEP", "")
        if card.identifier != identifier:
            return Declined("ANOTHER_CARD_BEGUN", "")
        card.state = "LYING" if made else "RETIRED"
        if not made:
            self.waiting.add(application)
        return None

    def _complete(self, application: int) -> Declined | None:
        card = self.of(application)
        if card is None or card.state != "LYING":
            return Declined("NOT_AT_OUTLET", "")
        card.state = "ISSUED"
        return None


def data_of(card: Making) -> CardData:
    """Somebody's."""
    return replace(card_data(1), card_identifier=card.identifier, card_number=f"A{card.number:07}X")


class TestLease:
    """Of one blank."""

    __test__ = False

    def __init__(self, vault: ChipVault) -> None:
        self.vault = vault

    async def ask(self, question: AskVault, step: int) -> Cryptogram | Proof | VaultRefused:
        answer = self.vault.answer(question)
        assert isinstance(answer, Cryptogram | Proof)
        return answer

    async def close(self) -> None:
        pass


@dataclass(slots=True)
class RoomVault:
    """Opens for whatever a record holds."""

    opened: list[tuple[Taken, ChipVault]] = field(default_factory=list)
    issued: list[tuple[Record, int]] = field(default_factory=list)

    async def open(self, taken: Taken, product: Product) -> TestLease | VaultRefused:
        vault = ChipVault(product, bytes.fromhex(taken.blank.card_identifier))
        self.opened.append((taken, vault))
        return TestLease(vault)

    async def open_issued(
        self, record: Record, card_identifier: str, product: Product, staff: int, terminal: str, approval: int = 0
    ) -> TestLease | VaultRefused:
        self.issued.append((record, approval))
        return TestLease(ChipVault(product, bytes.fromhex(card_identifier)))


def trouble_of(chance: random.Random) -> Wrong:
    """Something that goes wrong."""
    wrong = Wrong(link_goes_with_power=chance.random() < 0.5)
    match chance.randrange(5):
        case 0:
            wrong.cut_at_ask, wrong.answer_lost = chance.randrange(18), chance.random() < 0.5
        case 1:
            wrong.print_cut = chance.choice(("before", "during", "behind", "unknown", "not begun"))
        case 2:
            wrong.dies_at = chance.randrange(30)
        case 3 if chance.random() < 0.3:
            wrong.give_up_at = chance.randrange(18)
        case _:
            pass
    return wrong
