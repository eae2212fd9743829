"""A stream that ends, falls silent or is refused begins anew, behind what was heard."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from onecard.payments.v1.outcome_service_pb2 import BEGIN_NOW, BEGIN_OLDEST, SubscribeRequest, SubscribeResponse
from onecard.payments.v1.outcome_service_pb2_grpc import OutcomeServiceServicer, add_OutcomeServiceServicer_to_server
from onecard.payments.v1.outcomes_pb2 import Outcome, TransactionIdentity
from sdk.merchant import subscription
from sdk.merchant.access import Access
from sdk.merchant.outcomes import OutcomeReader
from sdk.merchant.subscription import Heard

pytestmark = pytest.mark.timeout(30)

Answer = Callable[[SubscribeRequest, grpc.ServicerContext], Iterator[SubscribeResponse]]


class Platform(OutcomeServiceServicer):
    """Answers each subscription in its turn; whatever comes later is only told that it stands."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[SubscribeRequest] = []
        self._answers = list(answers)
        self.ending = threading.Event()

    def Subscribe(self, request: SubscribeRequest, context: grpc.ServicerContext) -> Iterator[SubscribeResponse]:  # noqa: N802
        self.requests.append(request)
        answer = self._answers.pop(0) if self._answers else self.stand
        yield from answer(request, context)

    def stand(self, request: SubscribeRequest, _: grpc.ServicerContext) -> Iterator[SubscribeResponse]:
        yield SubscribeResponse(cursor=request.cursor or b"now")
        self.ending.wait()


@contextmanager
def serving(platform: Platform) -> Iterator[Access]:
    server = grpc.server(ThreadPoolExecutor(8))
    add_OutcomeServiceServicer_to_server(platform, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Access(f"127.0.0.1:{port}")
    finally:
        platform.ending.set()
        server.stop(0).wait()


def tap(number: int, **identity: str) -> Outcome:
    return Outcome(identity=TransactionIdentity(merchant_id="BUS", terminal_id="V-1", terminal_sequence=number, **identity))


def then_breaks(code: grpc.StatusCode, *responses: SubscribeResponse) -> Answer:
    def answer(_: SubscribeRequest, context: grpc.ServicerContext) -> Iterator[SubscribeResponse]:
        yield from responses
        context.abort(code, "")

    return answer


def heard_until(reader: OutcomeReader, done: Callable[[], bool]) -> list[Heard]:
    heard: list[Heard] = []
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end, heard
        heard += reader.poll(0.05)
    return heard


def test_a_stream_that_breaks_goes_on_behind_what_was_heard() -> None:
    said = SubscribeResponse(outcomes=[tap(1), tap(2)], cursor=b"two")
    platform = Platform(then_breaks(grpc.StatusCode.UNAVAILABLE, said))
    with serving(platform) as access, OutcomeReader(access, {"BUS"}, lambda _: b"kept") as reader:
        heard = heard_until(reader, lambda: len(platform.requests) == 2)
    assert [request.cursor for request in platform.requests] == [b"kept", b"two"]
    assert [outcome.terminal_sequence for one in heard for outcome in one.outcomes] == [1, 2]


def test_a_silent_stream_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "SILENCE_SECONDS", 2)
    platform = Platform()
    with serving(platform) as access, OutcomeReader(access, {"BUS"}, lambda _: None) as reader:
        heard_until(reader, lambda: len(platform.requests) == 2)
    assert [request.cursor for request in platform.requests] == [b"", b"now"]
    assert platform.requests[0].begin == BEGIN_NOW


def test_a_cursor_that_is_refused_is_let_go_and_nothing_is_missed() -> None:
    platform = Platform(then_breaks(grpc.StatusCode.INVALID_ARGUMENT))
    with serving(platform) as access, OutcomeReader(access, {"BUS"}, lambda _: b"of an older release") as reader:
        heard_until(reader, lambda: len(platform.requests) == 2)
    assert (platform.requests[1].cursor, platform.requests[1].begin) == (b"", BEGIN_OLDEST)


def test_who_does_not_take_makes_the_platform_wait_and_loses_nothing() -> None:
    count = 500

    def pour(_: SubscribeRequest, __: grpc.ServicerContext) -> Iterator[SubscribeResponse]:
        yield from (SubscribeResponse(outcomes=[tap(number)], cursor=b"%d" % number) for number in range(1, count + 1))
        platform.ending.wait()

    platform = Platform(pour)
    with serving(platform) as access, OutcomeReader(access, {"BUS"}, lambda _: None) as reader:
        first = reader.poll(5)
        time.sleep(0.5)
        assert len(first) <= 64
        heard = list(first)
        while sum(len(one.outcomes) for one in heard) < count:
            heard += reader.poll(5)
    assert [one.outcomes[0].terminal_sequence for one in heard] == list(range(1, count + 1))


def test_what_was_asked_online_is_not_a_terminals_transaction() -> None:
    said = SubscribeResponse(outcomes=[tap(0, request_id="r-1"), tap(3)], cursor=b"x")
    with (
        serving(Platform(then_breaks(grpc.StatusCode.UNAVAILABLE, said))) as access,
        OutcomeReader(access, {"BUS"}, lambda _: None) as reader,
    ):
        heard = reader.poll(5)
    assert [outcome.terminal_sequence for one in heard for outcome in one.outcomes] == [3]


def test_a_merchant_that_comes_later_is_subscribed_then() -> None:
    platform = Platform()
    merchants = {"BUS"}
    with serving(platform) as access, OutcomeReader(access, merchants, lambda _: None) as reader:
        heard = heard_until(reader, lambda: len(platform.requests) == 1)
        merchants.add("TRAM")
        while len(heard) < 2:
            heard += reader.poll(5)
    assert {one.merchant_id for one in heard} == {"BUS", "TRAM"}
