"""A terminal at which holders act by themselves: a kiosk of the city's own, or whatever speaks for people online."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import grpc

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import electronic_pb2 as electronic
from onecard.card.v1 import sessions_pb2 as sessions
from onecard.card.v1 import window_pb2 as window
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from onecard.card.v1.electronic_pb2_grpc import ElectronicCardServiceStub
from onecard.card.v1.sessions_pb2_grpc import SessionServiceStub
from onecard.card.v1.window_pb2_grpc import WindowServiceStub
from sdk.asking import ANSWER_SECONDS
from sdk.window.answers import ApplicationAnswer, CardAnswer, LetIn, refusal_of
from sdk.window.terminal import Terminal


class Kiosk(Terminal):
    """One kiosk, with the holder who stands there. `SESSION_ENDED` asks to show a card or a document once more."""

    TOKEN = "x-onecard-holder"  # noqa: S105 - its name, no token

    @cached_property
    def _applications(self) -> ApplicationServiceStub:
        return ApplicationServiceStub(self._channel)

    @cached_property
    def _cards(self) -> CardServiceStub:
        return CardServiceStub(self._channel)

    @cached_property
    def _electronic(self) -> ElectronicCardServiceStub:
        return ElectronicCardServiceStub(self._channel)

    @cached_property
    def _sessions(self) -> SessionServiceStub:
        return SessionServiceStub(self._channel)

    @cached_property
    def _window(self) -> WindowServiceStub:
        return WindowServiceStub(self._channel)

    # Who stands here

    def show_card(self, pin: str, *, card_identifier: str = "", card_number: str = "") -> LetIn:
        """A card by its chip or by its printed number, with its PIN. It is asked once: each time is a try."""
        shown = sessions.CardAndPin(pin=pin)
        if card_identifier:
            shown.card_identifier = card_identifier
        else:
            shown.card_number = card_number
        return self._open(sessions.OpenSessionRequest(card_and_pin=shown))

    def show_document(self, document: applications.Document, name: str) -> LetIn:
        """What the identity reader read; believed of a kiosk that is enrolled as one."""
        reading = sessions.IdentityReading(document=document, name=name)
        return self._open(sessions.OpenSessionRequest(identity_reading=reading))

    def leave(self) -> None:
        """The holder goes."""
        self._asking.ask_once(self._sessions.EndSession, sessions.EndSessionRequest())
        self._take("")

    def forget(self) -> Callable[[], None]:
        """Nobody stands here any more, from this moment on; what is answered tells the platform, as `leave` does."""
        held = self._asking.metadata
        self._take("")

        def tell() -> None:
            if held != self._asking.line.metadata:
                with suppress(grpc.RpcError):  # the session ends by itself, and nobody has its token any more
                    self._sessions.EndSession(sessions.EndSessionRequest(), timeout=ANSWER_SECONDS, metadata=held)

        return tell

    # What they may do

    def view(self) -> window.HolderView:
        """What is stored of them, masked."""
        found: window.HolderView = self._asking.ask(self._window.GetHolderView, window.GetHolderViewRequest()).holder
        return found

    def allowed_actions(self, card_id: int) -> cards.ListAllowedActionsResponse:
        """What they may do to a card of theirs now, and for the rest why not."""
        request = cards.ListAllowedActionsRequest(card_id=card_id)
        answer: cards.ListAllowedActionsResponse = self._asking.ask(self._cards.ListAllowedActions, request)
        return answer

    def enable(self, card_id: int, *, request_id: str = "") -> CardAnswer:
        """启用 its social function."""
        return self._change(self._cards.Enable, cards.EnableRequest(card_id=card_id), request_id)

    def report_temporary_loss(self, card_id: int, *, request_id: str = "") -> CardAnswer:
        """临时挂失."""
        request = cards.ReportTemporaryLossRequest(card_id=card_id)
        return self._change(self._cards.ReportTemporaryLoss, request, request_id)

    def release(self, card_id: int, *, request_id: str = "") -> CardAnswer:
        """解挂: the card was found."""
        return self._change(self._cards.Release, cards.ReleaseRequest(card_id=card_id), request_id)

    def change_pin(self, card_id: int, pin: str, new_pin: str, *, request_id: str = "") -> CardAnswer:
        """Another PIN. The session that was opened with the card ends."""
        request = cards.ChangePinRequest(card_id=card_id, pin=pin, new_pin=new_pin)
        return self._change(self._cards.ChangePin, request, request_id)

    def sign_up(self, card_id: int, password: str, *, request_id: str = "") -> CardAnswer:
        """签发 the electronic card, with a password that its holder keys in."""
        request = electronic.SignUpRequest(card_id=card_id, password=password)
        return self._change(self._electronic.SignUp, request, request_id)

    def submit(self, request: applications.SubmitRequest) -> ApplicationAnswer:
        """Apply for themselves, by the route of a kiosk; a request without an id gets one."""
        request.route = applications.ROUTE_KIOSK
        return self._apply(self._applications.Submit, request)

    def _open(self, request: sessions.OpenSessionRequest) -> LetIn:
        answer: Any = self._asking.ask_once(self._sessions.OpenSession, request)
        self._take(answer.token)
        return LetIn(answer.token, answer.expire_time_ms, answer.holder_id, refusal_of(answer))
