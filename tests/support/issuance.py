"""A card's making from end to end: what it takes, and what must hold afterwards."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import DomainError
from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from services.common.points import AtPoint
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState
from services.issuance.domain.card_data import CardData, records_of
from services.issuance.domain.effects import Generation, KeyUse, Refused
from services.issuance.domain.journal import NoteClass
from services.issuance.domain.product import Source
from services.issuance.domain.record import OPEN, Record, RecordState
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.dialogue import Begin, Finished, IssueOutcome, Journal
from services.issuance.handlers.personalise import Personalise
from services.issuance.handlers.settle import Settle
from services.issuance.keys import KEYS
from tests.support.chip import Chip, Cut
from tests.support.chip_crypto import card_key
from tests.support.chip_driver import PRODUCTS
from tests.support.issuance_room import (
    Card,
    ChipTerminal,
    Died,
    Plastic,
    Registry,
    RoomVault,
    Wrong,
    data_of,
    trouble_of,
)


def open_vault(folder: Path) -> SoftwareVault:
    """The service's own."""
    vault = create_token(folder / "issuance.token", "issuance", "pin of a test", "pin of another", hardness=Hardness(1, 64, 1))
    for label, purpose in KEYS.items():
        vault.add_version(label, purpose)
    return vault


@dataclass(frozen=True, slots=True)
class Books:
    """What issuance has written."""

    records: Sequence[Record]
    blanks: Mapping[str, Blank]
    owed: int
    """Debts that nobody has paid."""
    journal: Sequence[tuple[int, int, int, NoteClass]]
    """record, epoch, step, class."""


def check_books(books: Books, registry: Registry, cards: Sequence[Card]) -> None:
    """One number on one card, the ledger of blanks balanced, registry and chip agree, nothing printed twice."""
    assert books.owed == 0
    for card in cards:
        _check_card(card, books, registry)
    for made in registry.cards:
        holders = [card for card in cards if number_on(card) == f"A{made.number:07}X"]
        assert len(holders) <= 1, "a number stands on one card"
        if made.state == "ISSUED":
            (holder,) = holders
            assert holder.chip.identifier.hex().upper() == made.identifier
            assert is_whole(holder.chip, data_of(made))
            assert holder.plastic is Plastic.PRINTED
    for application in {made.application for made in registry.cards}:
        assert len([one for one in registry.cards if one.application == application and one.state != "RETIRED"]) <= 1
    for record, epoch, step, kind in books.journal:
        if kind is NoteClass.OUTCOME:
            assert (record, epoch, step, NoteClass.INTENT) in books.journal, "an outcome is that of something intended"


def _check_card(card: Card, books: Books, registry: Registry) -> None:
    blank = books.blanks[card.serial]
    made = next((one for one in registry.cards if one.identifier == blank.card_identifier), None)
    records = [record for record in books.records if record.serial == card.serial]
    last = max(records, key=lambda record: record.id, default=None)
    assert len([record for record in records if record.state in OPEN]) <= 1
    assert card.printed <= 1, "nothing is printed twice"
    if last and made:
        expected = {RecordState.ISSUED: "ISSUED", RecordState.SPOILED: "RETIRED"}.get(last.state)
        assert expected in (None, made.state)
    if last and last.state is RecordState.ISSUED:
        assert blank.state is BlankState.HANDED_OVER
    elif last and last.state is RecordState.SPOILED:
        assert blank.state is BlankState.SPOILED
    elif last is None or last.state is RecordState.RELEASED:
        assert blank.state is BlankState.ASSIGNED
        assert not card.chip.writes
        assert card.plastic is Plastic.WHITE


def number_on(card: Card) -> str:
    """As the chip has it; empty: none was written."""
    product = card.chip.product
    file, record = next(one for one in product.records() if one[1].source is Source.CARD_NUMBER)
    return card.chip.records.get((file.identifier, record.number), b"\0\0")[2:].decode()


def is_whole(chip: Chip, data: CardData) -> bool:
    """Every record as it should be, every key the final one."""
    contents = records_of(chip.product, data)
    assert not isinstance(contents, Refused)
    return chip.records == {(one.file, one.number): one.content for one in contents} and all(
        chip.keys[key.address] == card_key(chip.product, chip.identifier, KeyUse(key.address, Generation.FINAL))
        for key in chip.product.keys
    )


class Room:
    """Where cards are made, whatever the journal is written on."""

    def __init__(self, journal: Journal, registry: Registry, cards: Sequence[Card], actor: Actor) -> None:
        self.journal = journal
        self.registry = registry
        self.vault = RoomVault()
        self.cards = cards
        self.actor = actor
        self.heap = list(reversed(cards))
        """White ones, beside the reader."""
        self.seen: Counter[str] = Counter()
        """What has happened, to see that it has."""

    async def stream(
        self,
        card: Card,
        application: int,
        wrong: Wrong | None = None,
        actor: Actor | None = None,
        at: AtPoint | None = None,
    ) -> Finished | DomainError | None:
        """One stream; a DomainError as it went out, None: the process died."""
        wrong = wrong or Wrong()
        personalise = Personalise(self.journal, self.registry, self.vault, tuple(PRODUCTS.values()), at or wrong.at)
        begin = Begin(application, ATR[card.chip.product.code], card.serial, printer_ready=True)
        terminal = ChipTerminal(card, wrong)
        try:
            finished = await personalise(begin, actor or self.actor, terminal)
        except DomainError as error:
            self.seen[error.reason] += 1
            return error
        except Died:
            self.seen["DIED"] += 1
            return None
        finally:
            self.seen.update(type(asked).__name__ for asked in terminal.asked)
        self.seen[finished.outcome.name] += 1
        return finished

    async def settle(self) -> None:
        """As the elected process does."""
        await Settle(self.journal, self.registry, abandoned_seconds=0)()

    async def live(self, chance: random.Random, cuts: int) -> Card:
        """An application until its card is issued, with so many things that go wrong, anywhere."""
        application, card = self.registry.apply(), self.heap.pop()
        for _ in range(cuts):
            card.chip.cut = Cut(chance.randrange(60), chance.random() < 0.5) if chance.random() < 0.5 else None
            self.registry.fails = lambda: chance.choice(("", "", "", "away", "deaf"))
            ended = await self.stream(card, application, trouble_of(chance))
            if self._is_spoiled(ended):
                card = self.heap.pop()
            if chance.random() < 0.3:
                await self.settle()
            if isinstance(ended, Finished) and ended.outcome is IssueOutcome.ISSUED:
                break
        self.registry.fails = lambda: ""
        card.chip.cut = None
        for _ in range(8):
            ended = await self.stream(card, application)
            await self.settle()
            issued = self.registry.of(application)
            if issued and issued.state == "ISSUED":
                return card
            if self._is_spoiled(ended):
                card = self.heap.pop()
        raise AssertionError(f"not issued after all: {ended}")

    def _is_spoiled(self, ended: Finished | DomainError | None) -> bool:
        if not isinstance(ended, Finished):
            return False
        return ended.outcome is IssueOutcome.SPOILED or ended.refusal is Refusal.BLANK_SPOILED


ATR = {code: bytes.fromhex(product.atr[0].replace("?", "0").replace("*", "")) for code, product in PRODUCTS.items()}
