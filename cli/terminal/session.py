"""What the screens ask: the window with whoever is signed in, its till, issuance, and what stands on the desk."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from cli.terminal.tray import Tray
from onecard.card.v1 import window_pb2 as messages
from sdk.asking import new_request_id
from sdk.merchant.access import Line
from sdk.till.errors import NotAcceptedError
from sdk.till.till import Till
from sdk.window.blanks import Blanks
from sdk.window.devices.identity import IdentityReader
from sdk.window.devices.printer import CardPrinter
from sdk.window.devices.reader import CardReader
from sdk.window.issuance import Issuance
from sdk.window.window import Session, Window

Dial: TypeAlias = Callable[[], Line | None]
"""A line to a service; None: there is none here."""


@dataclass(frozen=True, slots=True)
class Devices:
    """What stands beside the screen. None: there is none."""

    reader: CardReader | None = None
    printer: CardPrinter | None = None
    identity: IdentityReader | None = None
    tray: Tray | None = None
    """Of virtual cards: somebody has to put them into the reader."""
    photo: str = ""
    """Of whoever the virtual documents belong to: a file."""
    phone: str = ""
    """Of the same: a document names none."""
    cash: Callable[[int], None] = lambda fen: None
    """What goes into a virtual till, in fen, or out of it."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How the services are reached."""

    card: Callable[[], Line]
    payments: Dial = lambda: None
    issuance: Dial = lambda: None


class Desk:
    """One window. Its methods block; they raise what the libraries raise."""

    def __init__(self, place: str, lines: Lines, devices: Devices | None = None, *, patience_seconds: float = 20) -> None:
        self.place = place
        """As a person names it: office and window."""
        self.devices = devices or Devices()
        self.window = Window(lines.card(), patience_seconds=patience_seconds)
        self.session: Session | None = None
        self.login = ""
        self._lines = lines
        self._patience_seconds = patience_seconds
        self._till: Till | None = None
        self._issuance: Issuance | None = None
        self._blanks: Blanks | None = None
        self._remembered: tuple[bytes, bytes] | None = None

    def close(self) -> None:
        """Close all lines; whoever is signed in is signed out."""
        if self.session:
            try:
                self.sign_out()
            except Exception:  # noqa: BLE001 - the shift ends by itself, and nothing else can be done
                self._forget()
        for one in (self.window, self._till):
            if one is not None:
                one.close()

    # Who is here

    def sign_in(self, login: str, password: str, code: str, new_password: str = "") -> Session:
        """For one shift."""
        session = self.window.sign_in(login, password, code, new_password)
        self._forget()
        self.session, self.login = session, login
        salt = secrets.token_bytes(16)
        self._remembered = salt, _digest(new_password or password, salt)
        return session

    def is_password(self, password: str) -> bool:
        """Of whoever is signed in: to unlock the screen."""
        if self._remembered is None:
            return False
        salt, digest = self._remembered
        return hmac.compare_digest(_digest(password, salt), digest)

    def sign_out(self) -> None:
        """The login ends; the shift's blanks and cash are another thing."""
        try:
            if self.session:
                self.window.sign_out()
        finally:
            self._forget()

    def _forget(self) -> None:
        self.session, self.login, self._remembered = None, "", None
        for one in (self._issuance, self._blanks):
            if one is not None:
                one.close()
        self._issuance = self._blanks = None

    # Whom it asks

    @property
    def till(self) -> Till:
        """Payments. NotAcceptedError: there is none here."""
        if self._till is None:
            self._till = Till(_found(self._lines.payments(), "NO_PAYMENTS_HERE"), patience_seconds=self._patience_seconds)
        return self._till

    @property
    def issuance(self) -> Issuance:
        """Where cards are made. NotAcceptedError: there is none here."""
        if self._issuance is None:
            self._issuance = Issuance(_found(self._lines.issuance(), "NO_ISSUANCE_HERE"), token=self._token)
        return self._issuance

    @property
    def blanks(self) -> Blanks:
        """Blanks, second signatures and shifts. NotAcceptedError: there is none here."""
        if self._blanks is None:
            self._blanks = Blanks(_found(self._lines.issuance(), "NO_ISSUANCE_HERE"), token=self._token)
        return self._blanks

    @property
    def reader(self) -> CardReader:
        """NotAcceptedError: there is none here."""
        if self.devices.reader is None:
            raise NotAcceptedError("NO_READER_HERE", "")
        return self.devices.reader

    @property
    def printer(self) -> CardPrinter:
        """NotAcceptedError: there is none here."""
        if self.devices.printer is None:
            raise NotAcceptedError("NO_PRINTER_HERE", "")
        return self.devices.printer

    @property
    def _token(self) -> str:
        return self.session.token if self.session else ""

    def may(self, *roles: str) -> bool:
        """Whether whoever is signed in has one of them."""
        return self.session is not None and not set(roles).isdisjoint(self.session.roles)

    def holder(self, by: Mapping[str, object], purpose: str = "") -> messages.HolderView:
        """Everything of a holder; with a purpose, names and numbers whole, where the platform gives them."""
        return self.window.view(unmasked=bool(purpose), purpose=purpose, **by)


@dataclass(slots=True)
class Once:
    """The request id of something that is done once: the same while it is the same request, and its end is not known."""

    _asked: Hashable = None
    _id: str = field(default="")

    def id_for(self, *asked: Hashable) -> str:
        """Of this request."""
        if not self._id or asked != self._asked:
            self._asked, self._id = asked, new_request_id()
        return self._id

    def settled(self) -> None:
        """It has ended; what is asked next is another one."""
        self._id = ""


def _found(line: Line | None, reason: str) -> Line:
    if line is None:
        raise NotAcceptedError(reason, "")
    return line


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**13, r=8, p=1)
