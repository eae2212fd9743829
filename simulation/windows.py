"""Windows of the city: residents apply for cards, lose, find and replace them; clerks sign in and do what is asked.

Issuance is stood in for: a card is made in the moment when its making begins.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import grpc
import pyotp
from PIL import Image
from skimage import data
from stdnum.iso7064 import mod_11_2

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as messages
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from sdk.merchant.access import Credentials, open_line, terminal_credentials
from sdk.till.errors import NotAcceptedError, TillError
from sdk.till.till import Till
from sdk.window.cards import IN_PERSON
from sdk.window.window import Window
from simulation.city import CITY_HALL, WINDOWS
from simulation.metrics import WINDOW_ACTS
from simulation.pockets import Noted, Pockets, Where

log = logging.getLogger("onecard.simulation.windows")

P = TypeVar("P")

PAUSE_SECONDS = 0.5
"""Between two people at one window."""
REMEMBERED = 200
ORDINARY = 0.3
"""Of those who are new: their card waits for the bank, and then for the factory."""
OPENING_FEN = 10_000
LOST_FOR_MS = 4_000
HEARING_LOOKS = 20
HEARING_SECONDS = 0.1
OLD_CARD_RETURNED = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True, old_card_returned=True)
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰"
_FACE = (134, 10, 310, 227)
_NEW_CODE_SECONDS = 31


@dataclass(frozen=True, slots=True)
class Clerk:
    """Everything that it takes to sign in."""

    login: str
    role: str
    password: str
    totp_secret: str


def read_clerks(file: Path) -> list[Clerk]:
    """A line each."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [Clerk(line["login"], line["role"], line["password"], line["totp_secret"]) for line in lines]


class Addresses(NamedTuple):
    """host:port of the services that a window asks."""

    card: str
    payments: str


class CityHall:
    """The windows of the city, a thread each, and what they know of the cards in people's hands."""

    def __init__(
        self, addresses: Addresses, certificates: Path, clerks: list[Clerk], pockets: Pockets, seed: int | None
    ) -> None:
        self._addresses = addresses
        self._pockets = pockets
        self._certificates = certificates
        self._clerks = [clerk for clerk in clerks if clerk.role == "CLERK"]
        self._chief = next(clerk for clerk in clerks if clerk.role == "SUPERVISOR")
        self._seed = seed
        self._cards: deque[_Held] = deque(maxlen=REMEMBERED)
        self._applied: deque[_Applied] = deque(maxlen=REMEMBERED)
        self._issuance = _Issuance(addresses.card, certificates)

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        threads = [
            threading.Thread(target=self._serve, args=(window, clerk, stopping), name=window)
            for window, clerk in zip(WINDOWS, self._clerks, strict=False)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._issuance.close()

    def _serve(self, name: str, clerk: Clerk, stopping: threading.Event) -> None:
        random = Random(time.time_ns() if self._seed is None else f"{self._seed} {name}")  # noqa: S311 - a city, no secret
        with self._open(name) as desk:
            signed_in = False
            while not stopping.is_set():
                try:
                    if not signed_in:
                        sign_in(desk.window, clerk)
                        signed_in = True
                    self._somebody(desk, random)
                except NotAcceptedError as error:
                    WINDOW_ACTS.labels("error", error.reason).inc()
                    if error.reason in ("SHIFT_ENDED", "SIGN_IN_NEEDED"):
                        signed_in = False
                    elif error.reason == "SIGN_IN_REFUSED":  # the code was used: the next one comes
                        stopping.wait(_NEW_CODE_SECONDS)
                except TillError as error:
                    log.warning("%s: %s", name, error)
                stopping.wait(random.expovariate(1 / PAUSE_SECONDS))

    @contextmanager
    def _open(self, name: str) -> Iterator[_Desk]:
        """A window's two lines, under one certificate."""
        credentials = self._credentials(name)
        card, payments = (open_line(address, "", credentials) for address in self._addresses)

        def trouble(said: object) -> None:
            log.warning("%s: %s; asking again", name, said)

        with Window(card, trouble=trouble) as window, Till(payments, trouble=trouble) as till:
            yield _Desk(window, till)

    def _somebody(self, desk: _Desk, random: Random) -> None:
        """The next person in the queue."""
        chance = random.random()
        if chance < 0.15 and (applied := _next(self._applied)):
            self._ask_after(desk, applied)
        elif chance < 0.65 and (held := _next(self._cards)):
            self._holder(desk, held, random)
        else:
            self._newcomer(desk, random)

    def _holder(self, desk: _Desk, held: _Held, random: Random) -> None:
        try:
            if held.lost_ms:
                self._find(desk, held)
            else:
                random.choice((self._lose, self._lose_and_reissue, self._replace, self._look))(desk, held)
        finally:
            self._cards.append(held)

    def _newcomer(self, desk: _Desk, random: Random) -> None:
        person, ordinary = new_person(random), random.random() < ORDINARY
        request = applications.SubmitRequest(
            kind=applications.APPLICATION_KIND_FIRST,
            mode=applications.MODE_ORDINARY if ordinary else applications.MODE_INSTANT,
            route=applications.ROUTE_SELF,
            person=person,
            photo=photo(),
            resident=random.random() < 0.8,
        )
        answer = desk.window.submit(request)
        _count("apply", answer.refusal)
        if not (answer.done and answer.application):
            return
        number = answer.application.application_id
        if ordinary:
            self._applied.append(_Applied(person, number))
        else:
            self._first_card(desk, person, self._issuance.make(number))

    def _ask_after(self, desk: _Desk, applied: _Applied) -> None:
        """Once the bank has opened the account the factory makes the card; who is refused there gives up."""
        state = desk.window.application(applied.number).application.state
        if state == applications.APPLICATION_STATE_IN_PRODUCTION:
            self._first_card(desk, applied.person, self._issuance.deliver(applied.number))
        elif state == applications.APPLICATION_STATE_REFUSED:
            _count("withdraw", desk.window.withdraw(applied.number).refusal)
        else:
            self._applied.append(applied)

    def _first_card(self, desk: _Desk, person: applications.Person, number: int) -> None:
        held = _Held(person, self._hand_over(desk, number))
        self._cards.append(held)
        self._bring_money(desk, held)

    @staticmethod
    def _hand_over(desk: _Desk, number: int, presented: cards.Presented = IN_PERSON) -> cards.CardSummary:
        _count("collect", desk.window.collect(number, presented).refusal)
        enabled = desk.window.enable(number)
        _count("enable", enabled.refusal)
        return enabled.card

    def _bring_money(self, desk: _Desk, held: _Held) -> None:
        """The first yuan, and out into the street. Payments hears of a new card within the second."""
        for _ in range(HEARING_LOOKS):
            try:
                desk.till.top_up(held.card.card_identifier, OPENING_FEN)
            except NotAcceptedError as error:
                if error.reason != "UNKNOWN_CARD":
                    raise
                time.sleep(HEARING_SECONDS)
            else:
                _count("top up", None)
                break
        self._note(held, Where.IN_HAND)

    def _lose(self, desk: _Desk, held: _Held) -> None:
        """By the telephone or here: whoever lost a card comes back when it is found."""
        answer = desk.window.report_temporary_loss(held.card.card_id)
        _count("temporary loss", answer.refusal)
        if answer.done:
            held.lost_ms = _now_ms()
            self._note(held, Where.LOST)

    def _find(self, desk: _Desk, held: _Held) -> None:
        if _now_ms() - held.lost_ms < LOST_FOR_MS:
            return
        answer = desk.window.release(held.card.card_id)
        _count("release", answer.refusal)
        held.lost_ms = 0
        if answer.done:
            self._note(held, Where.IN_HAND)

    def _lose_and_reissue(self, desk: _Desk, held: _Held) -> None:
        lost = messages.VisitItem(
            report_formal_loss=cards.ReportFormalLossRequest(card_id=held.card.card_id, presented=IN_PERSON)
        )
        again = messages.VisitItem(submit=_another(held.person, applications.APPLICATION_KIND_REISSUE))
        receipt = desk.window.visit([lost, again])
        for line in receipt.lines:
            _count(line.what.lower().replace("_", " "), line.refusal if line.HasField("refusal") else None)
        if not receipt.lines[0].HasField("refusal"):
            self._note(held, Where.LOST)
        if not receipt.lines[-1].HasField("refusal"):
            held.card = self._hand_over(desk, self._issuance.make(receipt.lines[-1].application_id))
            self._note(held, Where.IN_HAND)

    def _replace(self, desk: _Desk, held: _Held) -> None:
        """A damaged card: it works until its successor does, and is given back for it."""
        answer = desk.window.submit(_another(held.person, applications.APPLICATION_KIND_REPLACE))
        _count("replace", answer.refusal)
        if answer.done and answer.application:
            enabled = self._hand_over(desk, self._issuance.make(answer.application.application_id), OLD_CARD_RETURNED)
            self._note(held, Where.REPLACED)
            held.card = enabled
            self._note(held, Where.IN_HAND)

    @staticmethod
    def _look(desk: _Desk, held: _Held) -> None:
        desk.window.view(document=held.person.document)
        _count("view", None)

    def _note(self, held: _Held, where: Where) -> None:
        self._pockets.note(Noted(held.card.card_identifier, where, _now_ms()))

    def _credentials(self, name: str) -> Credentials:
        found = terminal_credentials(self._certificates, CITY_HALL, name)
        if found is None:
            raise FileNotFoundError(f"{self._certificates} holds no certificate of {name}")
        return found


class _Desk(NamedTuple):
    """What a window asks: the card service, and payments."""

    window: Window
    till: Till


@dataclass(slots=True)
class _Held:
    """A card in somebody's hand."""

    person: applications.Person
    card: cards.CardSummary
    lost_ms: int = 0
    """Since when it is lost for a time; 0: it is not."""


class _Applied(NamedTuple):
    """Somebody who waits for the bank, and for the factory."""

    person: applications.Person
    number: int


class _Issuance:
    """Stands in for issuance: asks the card service for numbers, and says that the card is made."""

    def __init__(self, address: str, folder: Path) -> None:
        files = [(folder / name).read_bytes() for name in ("authority.crt", "service+issuance.key", "service+issuance.crt")]
        self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(*files))
        self._stub = CardServiceStub(self._channel)

    def make(self, application: int) -> int:
        """The card of an application, made at once."""
        self._ask(
            self._stub.BeginProduction,
            cards.BeginProductionRequest(request_id=f"begin-{application}", application_id=application),
        )
        return self.deliver(application)

    def deliver(self, application: int) -> int:
        """The card of an application whose making has begun."""
        request = cards.EndProductionRequest(request_id=f"end-{application}", application_id=application, made=True)
        card: int = self._ask(self._stub.EndProduction, request).application.card_id
        return card

    @staticmethod
    def _ask(ask: Any, request: Any) -> Any:
        try:
            return ask(request, timeout=10, wait_for_ready=True)
        except grpc.RpcError as error:
            raise TillError(f"issuance: {error}") from None

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _next(queue: deque[P]) -> P | None:
    """Whoever comes next; the windows are threads, and another one may have been quicker."""
    try:
        return queue.popleft()
    except IndexError:
        return None


def _another(person: applications.Person, kind: applications.ApplicationKind) -> applications.SubmitRequest:
    """For a card in place of the one that the person has, paid in cash."""
    return applications.SubmitRequest(
        kind=kind,
        mode=applications.MODE_INSTANT,
        route=applications.ROUTE_SELF,
        person=person,
        photo=photo(),
        fee_source=applications.FEE_SOURCE_CASH,
    )


def sign_in(window: Window, clerk: Clerk) -> None:
    """With the code of this moment."""
    window.sign_in(clerk.login, clerk.password, pyotp.TOTP(clerk.totp_secret).now())


def new_person(random: Random) -> applications.Person:
    """Somebody of the city, made up, with a number that may exist."""
    born = date(1960, 1, 1) + timedelta(random.randrange(16_000))
    seventeen = f"440703{born:%Y%m%d}{random.randrange(1000):03}"
    number = seventeen + mod_11_2.calc_check_digit(seventeen)
    return applications.Person(
        document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=number),
        name=random.choice(_SURNAMES) + "".join(random.choice(_GIVEN) for _ in range(2)),
        nationality="01",
        phone=f"138{random.randrange(10**8):08}",
    )


@cache
def photo() -> bytes:
    """The face that comes with scikit-image, as large as a city wants it."""
    picture = Image.fromarray(data.astronaut()).crop(_FACE).resize((358, 441), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88, dpi=(350, 350))
    return file.getvalue()


def _count(act: str, refusal: applications.Refusal | None) -> None:
    WINDOW_ACTS.labels(act, refusal.reason if refusal else "done").inc()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
