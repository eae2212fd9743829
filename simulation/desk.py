"""A place where residents are served: its lines to the platform, whoever is signed in, its tray and its till."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from sdk.merchant.access import Credentials, Line, open_line, terminal_credentials
from sdk.till.till import Till
from sdk.window.blanks import Blanks
from sdk.window.issuance import Issuance
from sdk.window.kit import Kit
from sdk.window.kit_queue import KitQueue
from simulation.chips.drawer import Drawer, Hand
from simulation.city import CITY_HALL, KITS
from simulation.clerks import Clerk, sign_in
from simulation.issuing import Maker
from simulation.link import Link, flaky
from simulation.tills import Tills

log = logging.getLogger("onecard.simulation.desk")

KIT_LINK_SECONDS = 20.0
"""How long a kit's connection lasts, on the average."""
KIT_DELAY_SECONDS = 0.01
PATIENCE_SECONDS = 300.0
"""Who has cash in hand does not let somebody go before it is known what became of it."""


class Addresses(NamedTuple):
    """host:port of the services that a window asks."""

    card: str
    payments: str
    issuance: str


@dataclass(frozen=True, slots=True)
class Office:
    """What all places share."""

    addresses: Addresses
    certificates: Path
    drawer: Drawer
    tills: Tills
    chip_seconds: float


class Desk:
    """One place. A kit's lines break often; a window's do not."""

    def __init__(self, office: Office, name: str, clerk: Clerk, random: Random) -> None:
        self.name = name
        self.subject = subject_of(name)
        self._office = office
        self._clerk = clerk
        self._random = random
        self._links = [self._link(address) for address in office.addresses] if name in KITS else []
        card, payments, self._issuance_address = [link.address for link in self._links] or office.addresses
        self.window = Kit(self._line(card), trouble=self._trouble, patience_seconds=PATIENCE_SECONDS)
        self.queue = KitQueue(office.drawer.folder.parent / f"{name}.queue") if self._links else None
        """Of a kit: what is applied for without a network."""
        self.till = Till(self._line(payments), trouble=self._trouble, patience_seconds=PATIENCE_SECONDS)
        self._issuing: tuple[Issuance, Blanks] | None = None
        self.maker: Maker | None = None
        """Of whoever is signed in."""

    def sign_in(self) -> Maker:
        """The clerk comes, and finds what they need to make cards."""
        token = sign_in(self.window, self._clerk).token
        self._let_go()
        if self.queue:
            self.window.touch(self.queue)
            self.window.report(self.queue)
        lines = [self._line(self._issuance_address) for _ in range(2)]
        self._issuing = (
            Issuance(lines[0], token=token, trouble=self._trouble),
            Blanks(lines[1], token=token, trouble=self._trouble),
        )
        self.maker = Maker(self.subject, self._issuing, self._office.drawer, self._random, self._office.chip_seconds)
        return self.maker

    @property
    def blanks(self) -> Blanks:
        """Of whoever is signed in."""
        assert self._issuing is not None, "somebody is signed in"
        return self._issuing[1]

    def put(self, fen: int) -> None:
        """Cash into the till, or out of it."""
        self._office.tills.put(self.subject, fen)

    def close_shift(self) -> bool:
        """Count what lies here, first; then compare, and close. False: it did not agree."""
        here = [plastic for plastic in self._office.drawer.all() if plastic.place == self.subject]
        lying = sum(plastic.hand is Hand.OFFICE and plastic.printed > 0 for plastic in here)
        counted = self.blanks.count_shift(
            unused=sum(plastic.hand is Hand.OFFICE for plastic in here) - lying,
            spoiled=sum(plastic.hand is Hand.SPOILED for plastic in here),
            lying=lying,
            cash_fen=self._office.tills.count(self.subject),
        )
        closed = self.blanks.close_shift(counted.shift_count_id)
        if not closed.closed:
            reason = closed.refusal.reason if closed.refusal else ""
            log.warning("%s: the shift is not closed: %s, %s", self.name, reason, str(counted.balance).replace("\n", " "))
        return closed.closed

    def close(self) -> None:
        """Hang up."""
        self.window.close()
        self.till.close()
        if self.queue:
            self.queue.close()
        self._let_go()
        for link in self._links:
            link.close()

    def _let_go(self) -> None:
        for line in self._issuing or ():
            line.close()
        self._issuing = None

    def _link(self, address: str) -> Link:
        return Link(address, lasts_seconds=flaky(self._random, KIT_LINK_SECONDS), delay_seconds=lambda: KIT_DELAY_SECONDS)

    def _line(self, address: str) -> Line:
        return open_line(address, "", self._credentials())

    def _credentials(self) -> Credentials:
        found = terminal_credentials(self._office.certificates, CITY_HALL, self.name)
        if found is None:
            raise FileNotFoundError(f"{self._office.certificates} holds no certificate of {self.name}")
        return found

    def _trouble(self, said: object) -> None:
        log.warning("%s: %s; asking again", self.name, said)


def subject_of(name: str) -> str:
    """Of a terminal of the city hall."""
    return f"onecard://merchant/{quote(CITY_HALL, safe='')}/terminal/{quote(name, safe='')}"
