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
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random

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
from sdk.window.window import IN_PERSON, Window
from simulation.city import CITY_HALL, WINDOWS
from simulation.metrics import WINDOW_ACTS

log = logging.getLogger("onecard.simulation.windows")

PAUSE_SECONDS = 0.5
"""Between two people at one window."""
REMEMBERED = 200
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


class CityHall:
    """The windows of the city, a thread each, and what they know of the cards in people's hands."""

    def __init__(self, address: str, certificates: Path, clerks: list[Clerk], seed: int | None) -> None:
        self._address = address
        self._certificates = certificates
        self._clerks = [clerk for clerk in clerks if clerk.role == "CLERK"]
        self._chief = next(clerk for clerk in clerks if clerk.role == "SUPERVISOR")
        self._seed = seed
        self._cards: deque[_Held] = deque(maxlen=REMEMBERED)
        self._issuance = _Issuance(address, certificates)

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
        line = open_line(self._address, "", self._credentials(name))
        with Window(line, trouble=lambda trouble: log.warning("%s: %s; asking again", name, trouble)) as window:
            signed_in = False
            while not stopping.is_set():
                try:
                    if not signed_in:
                        sign_in(window, clerk)
                        signed_in = True
                    self._somebody(window, random)
                except NotAcceptedError as error:
                    WINDOW_ACTS.labels("error", error.reason).inc()
                    if error.reason in ("SHIFT_ENDED", "SIGN_IN_NEEDED"):
                        signed_in = False
                    elif error.reason == "SIGN_IN_REFUSED":  # the code was used: the next one comes
                        stopping.wait(_NEW_CODE_SECONDS)
                except TillError as error:
                    log.warning("%s: %s", name, error)
                stopping.wait(random.expovariate(1 / PAUSE_SECONDS))

    def _somebody(self, window: Window, random: Random) -> None:
        """The next person in the queue."""
        if not self._cards or random.random() < 0.4:
            self._newcomer(window, random)
            return
        held = self._cards.popleft()
        try:
            random.choice((self._lose_and_find, self._lose_and_reissue, self._look))(window, held)
        finally:
            self._cards.append(held)

    def _newcomer(self, window: Window, random: Random) -> None:
        person = new_person(random)
        request = applications.SubmitRequest(
            kind=applications.APPLICATION_KIND_FIRST,
            mode=applications.MODE_INSTANT,
            route=applications.ROUTE_SELF,
            person=person,
            photo=photo(),
            resident=random.random() < 0.8,
        )
        answer = window.submit(request)
        _count("apply", answer.refusal)
        if answer.done and answer.application:
            card = self._make(window, answer.application.application_id)
            self._cards.append(_Held(person, card))

    def _make(self, window: Window, application: int) -> int:
        card = self._issuance.make(application)
        for act, what in ((window.collect, "collect"), (window.enable, "enable")):
            _count(what, act(card).refusal)
        return card

    @staticmethod
    def _lose_and_find(window: Window, held: _Held) -> None:
        _count("temporary loss", window.report_temporary_loss(held.card).refusal)
        _count("release", window.release(held.card).refusal)

    def _lose_and_reissue(self, window: Window, held: _Held) -> None:
        lost = messages.VisitItem(report_formal_loss=cards.ReportFormalLossRequest(card_id=held.card, presented=IN_PERSON))
        again = messages.VisitItem(
            submit=applications.SubmitRequest(
                kind=applications.APPLICATION_KIND_REISSUE,
                mode=applications.MODE_INSTANT,
                route=applications.ROUTE_SELF,
                person=held.person,
                photo=photo(),
                fee_source=applications.FEE_SOURCE_CASH,
            )
        )
        receipt = window.visit([lost, again])
        for line in receipt.lines:
            _count(line.what.lower().replace("_", " "), line.refusal if line.HasField("refusal") else None)
        if not receipt.lines[-1].HasField("refusal"):
            held.card = self._make(window, receipt.lines[-1].application_id)

    @staticmethod
    def _look(window: Window, held: _Held) -> None:
        window.view(document=held.person.document)
        _count("view", None)

    def _credentials(self, name: str) -> Credentials:
        found = terminal_credentials(self._certificates, CITY_HALL, name)
        if found is None:
            raise FileNotFoundError(f"{self._certificates} holds no certificate of {name}")
        return found


@dataclass(slots=True)
class _Held:
    """A card in somebody's hand."""

    person: applications.Person
    card: int


class _Issuance:
    """Stands in for issuance: asks the card service for numbers, and says that the card is made."""

    def __init__(self, address: str, folder: Path) -> None:
        files = [(folder / name).read_bytes() for name in ("authority.crt", "service+issuance.key", "service+issuance.crt")]
        self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(*files))
        self._stub = CardServiceStub(self._channel)

    def make(self, application: int) -> int:
        """The card of an application, made."""
        begin = cards.BeginProductionRequest(request_id=f"begin-{application}", application_id=application)
        end = cards.EndProductionRequest(request_id=f"end-{application}", application_id=application, made=True)
        try:
            self._stub.BeginProduction(begin, timeout=10, wait_for_ready=True)
            made = self._stub.EndProduction(end, timeout=10, wait_for_ready=True)
        except grpc.RpcError as error:
            raise TillError(f"issuance: {error}") from None
        card: int = made.application.card_id
        return card

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


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
