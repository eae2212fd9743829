"""A till asks again with the same request id while nobody answers; what is wrong with a question it says at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

import sdk.asking as module
from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.outcomes_pb2 import REASON_INSUFFICIENT_FUNDS
from onecard.payments.v1.payments_pb2 import (
    DECISION_APPROVED,
    DECISION_DECLINED,
    AuthorizeRequest,
    AuthorizeResponse,
    Receipt,
)
from onecard.payments.v1.payments_pb2_grpc import (
    PaymentsServiceServicer,
    PaymentsServiceStub,
    add_PaymentsServiceServicer_to_server,
)
from sdk.merchant.access import open_line
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.till.till import Till, reference
from services.common.errors import Code, DomainError
from services.common.grpc.statuses import DETAILS_KEY, STATUS, details_of

CARD = "440700D1000000000000000000000178"
APPROVED = Receipt(decision=DECISION_APPROVED, amount=Money(amount_fen=750), payment_id="ab" * 16, batch_number=3, batch_row=1)
Answer = Receipt | DomainError


class Platform(PaymentsServiceServicer):
    """Answers one after the other."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[AuthorizeRequest] = []

    def Authorize(self, request: AuthorizeRequest, context: Any) -> AuthorizeResponse:  # noqa: N802
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, DomainError):
            context.set_trailing_metadata(((DETAILS_KEY, details_of(answer)),))
            context.abort(STATUS[answer.code], answer.message)
        assert isinstance(answer, Receipt)
        return AuthorizeResponse(receipt=answer)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)


@contextmanager
def before(platform: Platform, trouble: Callable[[str], None] | None = None) -> Iterator[Till]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_PaymentsServiceServicer_to_server(platform, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Till(open_line(f"127.0.0.1:{port}", "onecard://merchant/M", None), patience_seconds=5, trouble=trouble) as till:
            yield till
    finally:
        server.stop(None).wait()


AWAY = DomainError(Code.UNAVAILABLE, "LEDGER_AWAY", "away")


def test_an_approval_is_a_plain_value() -> None:
    platform = Platform(APPROVED)
    with before(platform) as till:
        receipt = till.pay(CARD, 750)
    assert (receipt.approved, receipt.reason, receipt.amount_fen, receipt.place) == (True, "", 750, (3, 1))
    assert receipt.request_id == platform.asked[0].request_id != ""


def test_a_decline_says_why() -> None:
    with before(Platform(Receipt(decision=DECISION_DECLINED, reason=REASON_INSUFFICIENT_FUNDS, message="余额不足"))) as till:
        receipt = till.pay(CARD, 750)
    assert (receipt.approved, receipt.reason, receipt.message) == (False, "INSUFFICIENT_FUNDS", "余额不足")


def test_the_same_request_is_asked_until_it_is_answered() -> None:
    platform, troubles = Platform(AWAY, AWAY, APPROVED), list[str]()
    with before(platform, troubles.append) as till:
        assert till.pay(CARD, 750).approved
    first, second, third = platform.asked
    assert first == second == third
    assert troubles == ["UNAVAILABLE: away"] * 2


def test_what_is_not_accepted_is_not_asked_again() -> None:
    platform = Platform(DomainError(Code.ALREADY_EXISTS, "IDENTITY_CONFLICT", "another request had this id"))
    with before(platform) as till, pytest.raises(NotAcceptedError, match="another request") as told:
        till.pay(CARD, 750, request_id="R-1")
    assert told.value.reason == "IDENTITY_CONFLICT"
    assert len(platform.asked) == 1


def test_after_a_fault_the_outcome_is_unknown_and_the_id_is_told() -> None:
    with before(Platform(DomainError(Code.INTERNAL, "FAULT", "a fault"))) as till, pytest.raises(OutcomeUnknownError) as told:
        till.pay(CARD, 750, request_id="R-1")
    assert told.value.request_id == "R-1"


def test_patience_ends() -> None:
    line = open_line("127.0.0.1:1", "onecard://merchant/M", None)
    with Till(line, patience_seconds=0.1) as till, pytest.raises(OutcomeUnknownError, match="R-2"):
        till.hold(CARD, 750, request_id="R-2")


def test_what_is_asked_once_is_waited_for_as_long_as_all_attempts_together() -> None:
    class Slow(Platform):
        def Authorize(self, request: AuthorizeRequest, context: Any) -> AuthorizeResponse:  # noqa: N802
            time.sleep(0.5)
            return super().Authorize(request, context)

    def asked(platform: Platform, once: bool) -> None:
        with before(platform) as till:
            asking = module.Asking(till._asking.line, answer_seconds=0.1, patience_seconds=0)
            (asking.ask_once if once else asking.ask)(PaymentsServiceStub(asking.line.channel).Authorize, AuthorizeRequest())

    asked(Slow(APPROVED), once=True)
    with pytest.raises(OutcomeUnknownError, match="DEADLINE_EXCEEDED"):
        asked(Slow(APPROVED), once=False)


def test_a_payment_is_named_by_its_id_or_by_its_request() -> None:
    assert reference("0f" * 16).payment_id == "0f" * 16
    assert reference("R-1").authorize_request_id == "R-1"


def test_plain_text_stays_on_this_machine() -> None:
    with pytest.raises(ValueError, match="certificate"):
        open_line("192.0.2.1:1", "onecard://merchant/M", None)
