"""The whole platform of a card's making: a card service, the vault's process, issuance's processes, and a window with a chip.

`python -m tests.support.issuance_city` is the product's API process. Each point in its arguments ends one of its lives; the
last one goes on.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg

from cli.servers.ports import HOST, free_port
from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.merchant.access import Credentials, open_line
from sdk.till.errors import OutcomeUnknownError
from sdk.window.devices.printer import READY, CardFace, Printed, PrinterState
from sdk.window.devices.reader import CardGoneError, CardReader
from sdk.window.issuance import GivenUpError, Issuance, Issued
from services.common.database import driver_session, make_engine
from services.common.grpc.listen import Listen
from services.common.logs import set_up_logs
from services.common.points import pass_by
from services.issuance.adapters.blanks import add_place, enter, find_blanks
from services.issuance.adapters.boxes import Accounts
from services.issuance.config import Config
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.serve import run_api
from simulation.chips.card import Chip
from simulation.chips.factory import Blank, Factory
from simulation.chips.kind import read_kinds
from simulation.chips.reader import Slot
from tests.support.api import ApiProcess
from tests.support.blanks import BY_KEEPER
from tests.support.card_api import lead
from tests.support.hall import WINDOW, Hall, Window, request
from tests.support.issuance import open_vault
from tests.support.issuance_room import PRESENTED
from tests.support.town import Database
from tests.support.vault_process import VaultProcess
from tests.support.worker import Stop

NOBODY: Final = f"{HOST}:1"
_numbers = count(1)


class IssuanceProcess(ApiProcess):
    """One slot on the port; SIGKILL ends a life of it, and the next one begins."""

    module = "tests.support.issuance_city"

    def begin(self, stops: Sequence[Stop]) -> None:
        self._environment = {**self._environment, "LIVES": ";".join(map(str, stops))}
        self.start()


class PowerGoneError(Exception):
    """The terminal is dark: its stream is broken, and its card has no power."""


class BoothSlot(Slot):
    """Its power is the terminal's, or a hand has pulled the card out."""

    dark: bool = False
    """A card that loses its power loses its terminal, too."""
    stops_at: int = -1
    """The clerk stops at the nth command from now."""
    stopped: bool = False

    def transmit(self, apdu: bytes) -> bytes:
        self.stops_at -= 1
        if self.stops_at == -1:
            self.stopped = True
            raise GivenUpError(messages.GIVE_UP_REASON_APPLICANT_LEFT)
        try:
            return super().transmit(apdu)
        except CardGoneError:
            if self.dark:
                raise PowerGoneError from None
            raise


@dataclass(slots=True)
class Booth:
    """A window's reader, printer and clerk, with one card."""

    blank: Blank
    subject: str = WINDOW
    slot: BoothSlot = field(default_factory=lambda: BoothSlot(chip_seconds=0))
    printed: list[CardFace] = field(default_factory=list)
    """On the card that it has now."""
    print_cut: str = ""
    """before, during, behind: when the power goes, once; refused: the printer does not begin, once."""
    smudged: bool = False
    spares: list[Blank] = field(default_factory=list)
    spoiled: dict[str, list[CardFace]] = field(default_factory=dict)
    """By serial, what was printed on them."""
    leaves: bool = False

    @property
    def chip(self) -> Chip:
        return self.blank.chip

    @contextmanager
    def inserted(self) -> Iterator[CardReader]:
        """The card is in the reader for the time of one stream."""
        self.slot.insert(self.chip)
        try:
            yield self.slot
        finally:
            self.slot.pull()

    def ready(self) -> PrinterState:
        return READY

    def refuses(self, face: CardFace) -> str:
        return ""

    def print(self, face: CardFace) -> Printed:
        cut, self.print_cut = self.print_cut, ""
        if cut == "refused":
            return Printed.FAILED_BEFORE
        if cut != "before":
            self.printed.append(face)
        self.smudged = self.smudged or cut == "during"
        if cut:
            raise PowerGoneError
        return Printed.DONE

    def next_blank(self) -> None:
        """The one that it had is spoiled."""
        assert self.smudged or self.slot.stopped, "for a reason"
        self.spoiled[self.blank.serial] = self.printed
        self.blank, self.printed, self.smudged = self.spares.pop(), [], False

    def look(self) -> messages.CardLooks:
        if self.smudged:
            return messages.CARD_LOOKS_SPOILED
        return messages.CARD_LOOKS_GOOD if self.printed else messages.CARD_LOOKS_BLANK

    def hand_over(self, card_id: int, *, old_card_wanted: bool) -> messages.HandedOver:
        if self.leaves:
            raise GivenUpError(messages.GIVE_UP_REASON_APPLICANT_LEFT)
        return messages.HandedOver(presented=PRESENTED, new_pin="739516")


class IssuanceCity:
    """What a test starts, kills and asks."""

    issuance: type[Issuance] = Issuance
    """What a window is."""

    def __init__(self, database: Database, hall: Hall, keys: VaultProcess, factory: Factory, folder: Path) -> None:
        self.database = database
        self.hall = hall
        self.keys = keys
        self.factory = factory
        self.folder = folder
        self.vault = open_vault(folder)
        self.engine = make_engine(database.issuance_url, "tests", sessions=4)
        self.address = f"localhost:{free_port()}"
        self.processes: list[IssuanceProcess] = []
        self.tokens: dict[str, str] = {}
        self._clerk: Window | None = None

    def start(self, *stops: Stop, **settings: str) -> IssuanceProcess:
        """Begin another process, with a life for each stop and one more."""
        ours = self.hall.authority.issue("onecard://service/issuance", hosts=["localhost", HOST])
        environment = {
            "ONECARD_DATABASE_URL": self.database.issuance_url,
            "ONECARD_KAFKA": NOBODY,
            "ONECARD_CARD": f"localhost:{self.hall.port}",
            "ONECARD_VAULT": str(self.folder / "issuance.token"),
            "ONECARD_VAULT_PIN": "pin of a test",
            "ONECARD_VAULT_SOCKET": str(self.keys.socket),
            "ONECARD_GRPC_LISTEN": f"{HOST}:{self.address.rpartition(':')[2]}",
            "ONECARD_TLS_CERTIFICATE": str(ours.certificate),
            "ONECARD_TLS_KEY": str(ours.key),
            "ONECARD_TLS_AUTHORITY": str(self.hall.authority.certificate),
            **settings,
        }
        process = IssuanceProcess(f"issuance-{len(self.processes) + 1}", self.folder, environment)
        self.processes.append(process)
        process.begin(stops)
        return process

    async def booths(self, size: int, code: str = "ssc3", at: str = WINDOW) -> list[Booth]:
        """A box from the factory that is at the window already, or at a kit."""
        number = next(_numbers)
        blanks = list(self.factory.make(read_kinds()[code], number << 12, size))
        serials = sorted(blank.serial for blank in blanks)
        async with driver_session(self.engine) as driver, driver.transaction():
            await driver.execute(
                "insert into issuance.box (name, product, supplier, count, file_digest) values ($1, $2, 'TEST', $3, '')",
                f"CITY-{number}",
                code,
                size,
            )
            rows = [(blank.serial, blank.chip.identifier.hex().upper(), code, f"CITY-{number}") for blank in blanks]
            await driver.executemany(
                "insert into issuance.blank (serial, card_identifier, product, box) values ($1, $2, $3, $4)", rows
            )
            for verb, state in ((Verb.RECEIVE, BlankState.RECEIVED), (Verb.BOX, BlankState.BOXED)):
                await enter(driver, [(one, state) for one in await find_blanks(driver, serials)], verb, BY_KEEPER)
            await Accounts(self.vault).add(driver, [(blank.serial, blank.account) for blank in blanks])
            await add_place(driver, at, "440703-01")
            assigned = [(one, BlankState.ASSIGNED) for one in await find_blanks(driver, serials)]
            await enter(driver, assigned, Verb.ASSIGN, BY_KEEPER, to=at)
        return [Booth(blank, at) for blank in blanks]

    async def apply(self, number: int) -> int:
        """Somebody's application for a card."""
        if self._clerk is None:
            self._clerk = await self.hall.window(token=self.tokens[WINDOW])
        answer = await self._clerk.ask("Submit", request(number, f"apply-{number}"))
        assert not answer.HasField("refusal"), answer
        found: int = answer.application.application_id
        return found

    async def sign_in(self, subject: str = WINDOW) -> None:
        self.tokens[subject] = await self.hall.sign_in(subject=subject, expires="2 days")

    def window(self, subject: str = WINDOW, address: str = "") -> Issuance:
        """A terminal's line to issuance; to be closed."""
        issued = self.hall.authority.issue(subject)
        credentials = Credentials(issued.certificate, issued.key, self.hall.authority.certificate)
        return self.issuance(open_line(address or self.address, subject, credentials), token=self.tokens[subject])

    async def issue(self, booth: Booth, application: int, address: str = "") -> Issued:
        """One stream, over another address perhaps. Raises OutcomeUnknownError, PowerGoneError when it was cut."""

        def talk() -> Issued:
            with booth.inserted() as reader, self.window(booth.subject, address) as window:
                return window.personalise(application, reader, booth, booth)

        return await asyncio.to_thread(talk)

    async def check(self, booth: Booth) -> messages.Checked:
        """What is on its chip, and does the registry agree?"""

        def talk() -> messages.Checked:
            with booth.inserted() as reader, self.window(booth.subject) as window:
                return window.check(reader)

        return await asyncio.to_thread(talk)

    async def issue_whatever_happens(self, booth: Booth, application: int) -> Issued:
        """The card is inserted again whenever its stream was cut."""
        for _ in range(400):
            try:
                issued = await self.issue(booth, application)
            except OutcomeUnknownError:
                await asyncio.sleep(0.1)
                continue
            if issued.outcome != messages.ISSUE_OUTCOME_TRY_AGAIN:
                return issued
            await asyncio.sleep(0.1)
        raise AssertionError("it was never made")

    async def states(self) -> dict[str, tuple[int, int]]:
        """Of each blank that was touched: its record's state, and its own."""
        async with driver_session(self.engine) as driver:
            rows = await driver.fetch(
                """select b.serial, r.state, b.state from issuance.blank b
                   join issuance.record r on r.id = b.record order by b.serial"""
            )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def end(self) -> None:
        for process in self.processes:
            process.end()
        await self.engine.dispose()


@asynccontextmanager
async def open_city(database: Database, hall: Hall, folder: Path) -> AsyncIterator[IssuanceCity]:
    """A test starts the processes that it needs."""
    factory = Factory.keep(folder / "factory.json", "440700")
    keys = VaultProcess(folder, database, ONECARD_METRICS_PORT=str(free_port()))
    done = await asyncio.to_thread(
        keys.run, "chip-vault", "create", "--development", "--keys-from", str(folder / "factory.json")
    )
    assert done.returncode == 0, done.stderr
    await keys.start()
    city = IssuanceCity(database, hall, keys, factory, folder)
    try:
        await city.sign_in()
        yield city
    finally:
        await city.end()
        keys.end()


def live(stop: Stop | None) -> None:
    set_up_logs("issuance-api")
    run_api(Config.from_environment(), Listen.from_environment(), stop.at() if stop else pass_by)
    os._exit(0)


def owner_of(database: Database) -> Any:
    """A session of the owner's."""
    return asyncpg.connect(database.owner_url.replace("+asyncpg", ""))


if __name__ == "__main__":
    lead(live)
