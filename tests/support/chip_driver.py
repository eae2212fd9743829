"""Drives conversations with a chip in memory, as the service and a terminal do together, with a journal and with cuts."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from services.issuance.adapters.products import read_products
from services.issuance.domain.card_data import CardData
from services.issuance.domain.effects import (
    Answer,
    Answers,
    AskVault,
    Change,
    Effect,
    Outcome,
    Past,
    Reached,
    Result,
    Send,
    Trouble,
    answers_of,
    outcome,
)
from services.issuance.domain.personalise import personalise
from services.issuance.domain.product import Product
from services.issuance.domain.stage import Stage
from simulation.chips.card import Silence
from tests.support.chip import Chip, PowerCut
from tests.support.chip_crypto import ChipVault

T = TypeVar("T")
PRODUCTS: Final = {product.code: product for product in (*read_products(), *read_products(Path(__file__).parent / "products"))}
MOST_EFFECTS: Final = 200
"""In one conversation; more is a loop."""


class LinkCut(Exception):  # noqa: N818 - an event
    """The stream is gone, with whatever the terminal had to say."""


@dataclass(slots=True)
class Journal:
    """Rows as the service writes them: the change before a byte is released, its outcome with the next row or at the end."""

    rows: list[tuple[Change, Outcome]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    @property
    def past(self) -> Past:
        """As the next conversation reads it."""
        return Past(tuple(self.rows))


@dataclass(slots=True)
class Bench:
    """A chip in a reader, its vault and its journal."""

    product: Product
    data: CardData
    chip: Chip
    vault: ChipVault
    journal: Journal = field(default_factory=Journal)
    stages: list[Stage] = field(default_factory=list)
    sent: list[Send] = field(default_factory=list)
    _challenges: Iterator[int] = field(default_factory=count)

    def personalise(self, *, cut_takes_link: bool = False) -> Result | None:
        """Insert the card and go on with it; None: the stream was cut."""
        conversation = personalise(self.product, self.data, self.journal.past, self.own_challenge())
        try:
            return self.drive(conversation, cut_takes_link=cut_takes_link)
        except LinkCut:
            return None

    def own_challenge(self) -> bytes:
        """A fresh one."""
        return next(self._challenges).to_bytes(self.product.challenge_bytes)

    def drive(self, conversation: Generator[Effect, Answer, T], *, cut_takes_link: bool = False) -> T:
        """Until it ends; raises LinkCut."""
        self.chip.power_up()
        answer: Answer = None
        for _ in range(MOST_EFFECTS):
            try:
                effect = conversation.send(answer)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return] # StopIteration carries no type
            answer = self._answer(effect, cut_takes_link)
        raise AssertionError("the conversation does not end")

    def _answer(self, effect: Effect, cut_takes_link: bool) -> Answer:
        match effect:
            case Reached(stage):
                self.stages.append(stage)
                return None
            case AskVault():
                return self.vault.answer(effect)
            case Send(change=change):
                self.sent.append(effect)
                if change:
                    self.journal.rows.append((change, Outcome.UNKNOWN))
                    self.journal.digests.append(effect.digest)
                answers = self._transmit(effect, cut_takes_link)
                if change:
                    self.journal.rows[-1] = (change, outcome(effect, answers))
                return answers

    def _transmit(self, run: Send, cut_takes_link: bool) -> Answers:
        raw: list[bytes] = []
        for command in run.commands:
            try:
                raw.append(self.chip.transmit(command.apdu))
            except PowerCut:
                if cut_takes_link:
                    raise LinkCut from None
                return answers_of(raw, Trouble.CARD_GONE)
            except Silence:
                return answers_of(raw, Trouble.SILENT)
            if not command.expects(answers_of(raw[-1:]).responses[0]):
                break
        return answers_of(raw)


def bench(code: str = "ssc3", serial: int = 1, *, fetches: bool = False) -> Bench:
    """A blank of a product, and whose card it is to be."""
    product = PRODUCTS[code]
    data = card_data(serial)
    identifier = bytes.fromhex(data.card_identifier)
    chip = Chip(product, identifier, serial, fetches=fetches)
    return Bench(product, data, chip, ChipVault(product, identifier))


def card_data(serial: int = 1) -> CardData:
    """Somebody's."""
    return CardData(
        card_identifier=f"440700D156000005{serial:08X}{serial * 2654435761 % 2**32:08X}",
        card_number=f"A{serial % 10_000_000:07}X",
        social_security_number="11010519491231002X",
        name="欧阳·阿卜杜拉",
        sex="2",
        nationality="01",
        birthplace="110105",
        birth_date=date(1949, 12, 31),
        issue_date=date(2026, 1, 1),
        expiry_date=date(2036, 1, 1),
    )
