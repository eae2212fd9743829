"""Dead letters as an operator looks at them, replays them and brings them to their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Unpack

from onecard.payments.v1 import dead_letter_service_pb2 as messages
from onecard.payments.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from sdk.asking import Asker, Patience, new_request_id
from sdk.merchant.access import Line

AT_ONCE: Final = 200
"""Records of one question of a replay."""


class DeadLetters(Asker):
    """One operator, as the certificate names the person. Methods block until there is an answer.

    They raise NotAcceptedError and OutcomeUnknownError as a till's do.
    """

    def __init__(self, line: Line, **patience: Unpack[Patience]) -> None:
        """The line is closed with it."""
        super().__init__(line, **patience)
        self._stub = DeadLetterServiceStub(line.channel)

    def count(self, wanted: messages.DeadLetterFilter) -> Sequence[messages.DeadLetterCount]:
        """By cause, topic and merchant, the most first."""
        response: messages.CountDeadLettersResponse = self._asking.ask(
            self._stub.CountDeadLetters, messages.CountDeadLettersRequest(filter=wanted)
        )
        return response.counts

    def page(
        self, wanted: messages.DeadLetterFilter, size: int = 0, token: str = ""
    ) -> tuple[Sequence[messages.DeadLetterSummary], str]:
        """Some of them, and the token of those that follow; empty: none do."""
        request = messages.ListDeadLettersRequest(filter=wanted, page_size=size, page_token=token)
        response: messages.ListDeadLettersResponse = self._asking.ask(self._stub.ListDeadLetters, request)
        return response.letters, response.next_page_token

    def all(self, wanted: messages.DeadLetterFilter) -> Iterator[Sequence[messages.DeadLetterSummary]]:
        """All of them, so many at once; what ends meanwhile is not missed."""
        token = ""
        while True:
            letters, token = self.page(wanted, AT_ONCE, token)
            if letters:
                yield letters
            if not token:
                return

    def get(self, number: int) -> messages.GetDeadLetterResponse:
        """One of them, and whether its cause stands."""
        response: messages.GetDeadLetterResponse = self._asking.ask(
            self._stub.GetDeadLetter, messages.GetDeadLetterRequest(number=number)
        )
        return response

    def replay(self, numbers: Sequence[int], reason: str, *, request_id: str = "") -> Sequence[messages.ReplayResult]:
        """Decide them again, at most 500; a result a number in order."""
        request_id = request_id or new_request_id()
        request = messages.ReplayDeadLettersRequest(request_id=request_id, numbers=numbers, reason=reason)
        response: messages.ReplayDeadLettersResponse = self._asking.ask(self._stub.ReplayDeadLetters, request, request_id)
        return response.results

    def ask_refusal(self, numbers: Sequence[int], reason: str, *, request_id: str = "") -> messages.DeadLetterAct:
        """Ask that they end as refused."""
        request_id = request_id or new_request_id()
        request = messages.RequestRefusalRequest(request_id=request_id, numbers=numbers, reason=reason)
        act: messages.DeadLetterAct = self._asking.ask(self._stub.RequestRefusal, request, request_id).act
        return act

    def approve_refusal(self, asked: int, *, request_id: str = "") -> messages.ApproveRefusalResponse:
        """Approve what somebody else has asked for."""
        request_id = request_id or new_request_id()
        request = messages.ApproveRefusalRequest(request_id=request_id, asked=asked)
        response: messages.ApproveRefusalResponse = self._asking.ask(self._stub.ApproveRefusal, request, request_id)
        return response

    def reject_refusal(self, asked: int, reason: str, *, request_id: str = "") -> messages.DeadLetterAct:
        """Say no to it; who asked withdraws it so."""
        request_id = request_id or new_request_id()
        request = messages.RejectRefusalRequest(request_id=request_id, asked=asked, reason=reason)
        act: messages.DeadLetterAct = self._asking.ask(self._stub.RejectRefusal, request, request_id).act
        return act

    def acts(self, *, waiting: bool = False, size: int = 0) -> Sequence[messages.DeadLetterAct]:
        """What was done, newest first; perhaps only what waits for a second person."""
        response: messages.ListDeadLetterActsResponse = self._asking.ask(
            self._stub.ListDeadLetterActs, messages.ListDeadLetterActsRequest(waiting=waiting, page_size=size)
        )
        return response.acts
