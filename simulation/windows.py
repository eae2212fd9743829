"""Windows and mobile kits of the city: residents apply for cards, lose, find and replace them; clerks sign in and make them.

A card that is made at once is made by issuance. One that goes by way of the bank comes from a factory, which is stood in for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import grpc

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as messages
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError, TillError
from sdk.window.cards import IN_PERSON
from sdk.window.kit import queue_application
from sdk.window.kit_queue import KitQueue
from simulation.city import KITS, WINDOWS
from simulation.clerks import Clerk
from simulation.desk import Desk, Office, subject_of
from simulation.issuing import NoBlankError
from simulation.metrics import WINDOW_ACTS
from simulation.pockets import Noted, Pockets, Where
from simulation.residents import another, new_person, photo
from simulation.storeroom import Storeroom
from simulation.troubles import Troubles

log = logging.getLogger("onecard.simulation.windows")

P = TypeVar("P")

PAUSE_SECONDS = 0.5
"""Between two people at one window."""
WAY_SECONDS = 2.0
"""Between two visits of a kit."""
WITHOUT_NETWORK = 0.5
"""Of those who are new and visited by a kit."""
QUEUED = 3
"""As many wait until a kit looks for a network."""
REMEMBERED = 200
ORDINARY = 0.3
"""Of those who are new: their card waits for the bank, and then for the factory."""
OPENING_FEN = 10_000
LOST_FOR_MS = 4_000
HEARING_LOOKS = 20
HEARING_SECONDS = 0.1
KEEPER_SECONDS = 1.0
CLOSES = 20
"""How often a shift is counted until it agrees."""
CLOSE_SECONDS = 1.0
KEEPER = "keeper-1"
PLACES = {"WINDOW-1": "clerk-1", "WINDOW-2": "clerk-2", "KIT-1": "clerk-4", "KIT-2": "clerk-5"}
OLD_CARD_RETURNED = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True, old_card_returned=True)
_NEW_CODE_SECONDS = 31


class CityHall:
    """The windows and kits of the city, a thread each, and what they know of the cards in people's hands."""

    def __init__(
        self,
        office: Office,
        storeroom: Storeroom,
        clerks: dict[str, Clerk],
        pockets: Pockets,
        seed: int | None,
        troubles: Callable[[], Troubles] = Troubles,
    ) -> None:
        """`troubles`: what goes wrong on purpose at a moment."""
        self._office = office
        self._storeroom = storeroom
        self._pockets = pockets
        self._clerks = clerks
        self._seed = seed
        self._troubles = troubles
        self._cards: deque[_Held] = deque(maxlen=REMEMBERED)
        self._applied: deque[_Applied] = deque(maxlen=REMEMBERED)
        self._queued: dict[str, applications.Person] = {}
        """Who waits for a kit to come back, by the id in its queue."""
        self._factory = _Factory(office.addresses.card, office.certificates)

    def run(self, stopping: threading.Event, leaving: threading.Event) -> None:
        """Work until told to stop; then every place counts what it has, and closes its shift, unless all are to leave."""
        places = (*WINDOWS, *KITS)
        threads = [threading.Thread(target=self._serve, args=(name, stopping, leaving), name=name) for name in places]
        threads.append(threading.Thread(target=self._keep, args=(stopping,), name="keeper"))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._factory.close()

    def _serve(self, name: str, stopping: threading.Event, leaving: threading.Event) -> None:
        random = self._random(name)
        desk = Desk(self._office, name, self._clerks[PLACES[name]], random)
        pause_seconds = WAY_SECONDS if name in KITS else PAUSE_SECONDS
        try:
            while not stopping.is_set():
                self._attended(desk, stopping, self._begin, lambda: self._somebody(desk, random))
                stopping.wait(random.expovariate(1 / pause_seconds))
            self._end_of_day(desk, leaving)
        finally:
            desk.close()

    @staticmethod
    def _attended(desk: Desk, ending: threading.Event, begin: Callable[[Desk], object], act: Callable[[], P]) -> P | None:
        """Do it as whoever is signed in; whoever is not, or no longer, begins with that. None: it could not be done."""
        try:
            if desk.maker is None:
                begin(desk)
            return act()
        except NotAcceptedError as error:
            WINDOW_ACTS.labels("error", error.reason).inc()
            log.info("%s: %s", desk.name, error.reason)
            if error.reason in ("SHIFT_ENDED", "SIGN_IN_NEEDED"):
                desk.maker = None
            elif error.reason == "SIGN_IN_REFUSED":  # the code was used: the next one comes
                ending.wait(_NEW_CODE_SECONDS)
        except (TillError, NoBlankError) as error:
            log.warning("%s: %s", desk.name, error)
        return None

    def _begin(self, desk: Desk) -> None:
        """The clerk comes; what a clerk before has left half made is made."""
        desk.sign_in()
        self._tidy_up(desk)

    @staticmethod
    def _tidy_up(desk: Desk) -> None:
        assert desk.maker is not None, "somebody is signed in"
        for issued in desk.maker.finish_what_was_begun(IN_PERSON):
            log.info("%s: a card was finished: %s", desk.name, issued.outcome)

    def _end_of_day(self, desk: Desk, leaving: threading.Event) -> None:
        """Also where nobody could sign in all day: blanks lie there, and are to be counted."""
        for _ in range(CLOSES):
            if leaving.is_set():
                return
            if self._attended(desk, leaving, self._begin, lambda: self._close_shift(desk)):
                log.info("%s: the shift is closed", desk.name)
                return
            leaving.wait(CLOSE_SECONDS)  # a fee may be on its way into the books

    def _close_shift(self, desk: Desk) -> bool:
        if desk.queue:
            self._hand_in(desk, desk.queue)
        self._tidy_up(desk)
        return desk.close_shift()

    def _keep(self, stopping: threading.Event) -> None:
        """The keeper has no window of their own: they sign in at the first."""
        desk = Desk(self._office, WINDOWS[0], self._clerks[KEEPER], self._random(KEEPER))
        places = [subject_of(name) for name in (*WINDOWS, *KITS)]
        try:
            while not stopping.is_set():
                self._attended(desk, stopping, Desk.sign_in, lambda: self._look_after_blanks(desk, places))
                stopping.wait(KEEPER_SECONDS)
        finally:
            desk.close()

    def _look_after_blanks(self, desk: Desk, places: Sequence[str]) -> None:
        if not self._troubles().keeper_away:
            self._storeroom.look_after(desk.blanks, places)

    def _somebody(self, desk: Desk, random: Random) -> None:
        """The next person in the queue."""
        if desk.queue and desk.queue.count() >= QUEUED:
            self._hand_in(desk, desk.queue)
        chance = random.random()
        if chance < 0.15 and (applied := _next(self._applied)):
            self._ask_after(desk, applied)
        elif chance < 0.65 and (held := _next(self._cards)):
            self._holder(desk, held, random)
        else:
            self._newcomer(desk, random)

    def _holder(self, desk: Desk, held: _Held, random: Random) -> None:
        try:
            if held.lost_ms:
                self._find(desk, held)
            else:
                random.choice((self._lose, self._lose_and_reissue, self._replace, self._look))(desk, held)
        finally:
            self._cards.append(held)

    def _newcomer(self, desk: Desk, random: Random) -> None:
        person, ordinary = new_person(random), desk.name in WINDOWS and random.random() < ORDINARY
        request = applications.SubmitRequest(
            kind=applications.APPLICATION_KIND_FIRST,
            mode=applications.MODE_ORDINARY if ordinary else applications.MODE_INSTANT,
            route=applications.ROUTE_SELF,
            person=person,
            photo=photo(),
            resident=random.random() < 0.8,
        )
        if desk.queue and random.random() < WITHOUT_NETWORK:
            self._queued[queue_application(desk.queue, request).id] = person
            _count("queue", None)
            return
        answer = desk.window.submit(request)
        _count("apply", answer.refusal)
        if not (answer.done and answer.application):
            return
        number = answer.application.application_id
        if ordinary:
            self._applied.append(_Applied(person, number))
        else:
            self._first_card(desk, person, self._make(desk, number))

    def _hand_in(self, desk: Desk, queue: KitQueue) -> None:
        """The network is there again: each application has its verdict, and the card is made on the next visit."""
        for uploaded in desk.window.upload(queue):
            _count("hand in", uploaded.refusal)
            person = self._queued.pop(uploaded.verdict.id, None)
            if person and uploaded.verdict.application_id:
                self._first_card(desk, person, self._make(desk, uploaded.verdict.application_id))

    def _ask_after(self, desk: Desk, applied: _Applied) -> None:
        """Once the bank has opened the account the factory makes the card; who is refused there gives up."""
        state = desk.window.application(applied.number).application.state
        if state == applications.APPLICATION_STATE_IN_PRODUCTION:
            card = self._factory.deliver(applied.number)
            _count("collect", desk.window.collect(card, IN_PERSON).refusal)
            enabled = desk.window.enable(card)
            _count("enable", enabled.refusal)
            self._first_card(desk, applied.person, enabled.card)
        elif state == applications.APPLICATION_STATE_REFUSED:
            _count("withdraw", desk.window.withdraw(applied.number).refusal)
        else:
            self._applied.append(applied)

    def _first_card(self, desk: Desk, person: applications.Person, card: cards.CardSummary) -> None:
        held = _Held(person, card)
        self._cards.append(held)
        self._bring_money(desk, held)

    @staticmethod
    def _make(desk: Desk, application: int, presented: cards.Presented = IN_PERSON) -> cards.CardSummary:
        """In the holder's hand, and enabled."""
        assert desk.maker is not None, "somebody is signed in"
        desk.maker.make(application, presented)
        _count("issue", None)
        return desk.window.allowed_actions(desk.window.application(application).application.card_id).card

    def _bring_money(self, desk: Desk, held: _Held) -> None:
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
                desk.put(OPENING_FEN)
                break
        self._note(held, Where.IN_HAND)

    def _lose(self, desk: Desk, held: _Held) -> None:
        """By the telephone or here: whoever lost a card comes back when it is found."""
        answer = desk.window.report_temporary_loss(held.card.card_id)
        _count("temporary loss", answer.refusal)
        if answer.done:
            held.lost_ms = _now_ms()
            self._note(held, Where.LOST)

    def _find(self, desk: Desk, held: _Held) -> None:
        if _now_ms() - held.lost_ms < LOST_FOR_MS:
            return
        answer = desk.window.release(held.card.card_id)
        _count("release", answer.refusal)
        held.lost_ms = 0
        if answer.done:
            self._note(held, Where.IN_HAND)

    def _lose_and_reissue(self, desk: Desk, held: _Held) -> None:
        lost = messages.VisitItem(
            report_formal_loss=cards.ReportFormalLossRequest(card_id=held.card.card_id, presented=IN_PERSON)
        )
        again = messages.VisitItem(submit=another(held.person, applications.APPLICATION_KIND_REISSUE))
        receipt = desk.window.visit([lost, again])
        for line in receipt.lines:
            _count(line.what.lower().replace("_", " "), line.refusal if line.HasField("refusal") else None)
            desk.put(line.fee_fen - line.hand_out_fen)
        if not receipt.lines[0].HasField("refusal"):
            self._note(held, Where.LOST)
        if not receipt.lines[-1].HasField("refusal"):
            held.card = self._make(desk, receipt.lines[-1].application_id)
            self._note(held, Where.IN_HAND)

    def _replace(self, desk: Desk, held: _Held) -> None:
        """A damaged card: it works until its successor does, and is given back for it."""
        answer = desk.window.submit(another(held.person, applications.APPLICATION_KIND_REPLACE))
        _count("replace", answer.refusal)
        if answer.done and answer.application:
            desk.put(answer.application.fee_fen)
            enabled = self._make(desk, answer.application.application_id, OLD_CARD_RETURNED)
            self._note(held, Where.REPLACED)
            held.card = enabled
            self._note(held, Where.IN_HAND)

    @staticmethod
    def _look(desk: Desk, held: _Held) -> None:
        desk.window.view(document=held.person.document)
        _count("view", None)

    def _note(self, held: _Held, where: Where) -> None:
        self._pockets.note(Noted(held.card.card_identifier, where, _now_ms()))

    def _random(self, name: str) -> Random:
        return Random(time.time_ns() if self._seed is None else f"{self._seed} {name}")  # noqa: S311 - a city, no secret


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


class _Factory:
    """Stands in for whoever makes cards by the thousand: says that a card is made."""

    def __init__(self, address: str, folder: Path) -> None:
        files = [(folder / name).read_bytes() for name in ("authority.crt", "service+issuance.key", "service+issuance.crt")]
        self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(*files))
        self._stub = CardServiceStub(self._channel)

    def deliver(self, application: int) -> int:
        """The card of an application whose making has begun."""
        request = cards.EndProductionRequest(request_id=f"end-{application}", application_id=application, made=True)
        try:
            answer: Any = self._stub.EndProduction(request, timeout=10, wait_for_ready=True)
        except grpc.RpcError as error:
            raise OutcomeUnknownError(request.request_id, str(error)) from None
        card: int = answer.application.card_id
        return card

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _next(queue: deque[P]) -> P | None:
    """Whoever comes next; the windows are threads, and another one may have been quicker."""
    try:
        return queue.popleft()
    except IndexError:
        return None


def _count(act: str, refusal: applications.Refusal | None) -> None:
    WINDOW_ACTS.labels(act, refusal.reason if refusal else "done").inc()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
