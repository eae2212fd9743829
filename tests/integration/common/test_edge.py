"""Every call is counted, answered with a reason when it cannot be served, and can be found in the log."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from cli import paths
from cli.servers.ports import free_port
from onecard.payments.v1 import payments_pb2, payments_pb2_grpc
from services.common.grpc import calls
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Listen, ListenError
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import Limits, make_server
from services.common.peer import Peer, Subject
from tests.support.edge import TERMINAL, Revoked, desk, get_payment, reason_of, subscribe
from tests.support.waiting import until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
CARD = "440700D1000000000000000000000178"
AS_A_TERMINAL = (("x-onecard-subject", TERMINAL),)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is logged of calls during the test, as it would be written."""
    lines: list[dict[str, Any]] = []

    def keep(_logger: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        lines.append({**event, "level": level})
        raise structlog.DropEvent

    processors = [structlog.contextvars.merge_contextvars, keep]
    monkeypatch.setattr(calls, "log", structlog.wrap_logger(structlog.PrintLogger(), processors=processors))
    return lines


def ended(channel_error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> tuple[grpc.StatusCode, str]:
    return channel_error.value.code(), reason_of(channel_error.value)


def count(name: str, method: str, **labels: str) -> float:
    service, _, method = method.partition("/")
    of_method = {"grpc_service": f"onecard.payments.v1.{service}", "grpc_method": method}
    return REGISTRY.get_sample_value(name, {**of_method, **labels}) or 0


async def test_in_plain_text_a_caller_names_itself() -> None:
    async with desk() as opened, opened.plain() as channel:
        await get_payment(channel)
        assert opened.payments.peers == [Peer(Subject("bus-company", "7"), "")]
        for metadata in ((), (("x-onecard-subject", "till 7"),)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await get_payment(channel, metadata=metadata)
            assert ended(refused) == (grpc.StatusCode.UNAUTHENTICATED, "SUBJECT_UNKNOWN")


async def test_a_request_that_cannot_be_served_is_answered_with_its_reason(logged: list[dict[str, Any]]) -> None:
    async with desk() as opened, opened.plain() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_payment(channel, "refuse", metadata=(*AS_A_TERMINAL, ("x-request-id", "till-7-1")))
    assert ended(refused) == (grpc.StatusCode.FAILED_PRECONDITION, "CARD_IS_LOST")
    assert refused.value.details() == "这张卡已挂失"
    assert dict(refused.value.trailing_metadata())["x-request-id"] == "till-7-1"
    (line,) = logged
    del line["seconds"]
    assert line == {
        "event": "call_refused",
        "level": "info",
        "method": "onecard.payments.v1.PaymentsService/GetPayment",
        "caller": TERMINAL,
        "code": "FAILED_PRECONDITION",
        "reason": "CARD_IS_LOST",
        "request_id": "till-7-1",
    }


@pytest.mark.parametrize(("what", "error"), [(f"break {CARD}", "RuntimeError"), ("lose", "CancelledError")])
async def test_a_fault_of_ours_shows_nothing_outside_and_nothing_of_the_request_in_the_log(
    logged: list[dict[str, Any]], what: str, error: str
) -> None:
    async with desk() as opened, opened.plain() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_payment(channel, what)
    assert ended(refused) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    (line,) = logged
    assert line["event"] == "call_failed"
    assert line["error"] == error
    assert "in GetPayment" in line["traceback"]
    for text in (str(line), str(refused.value.details())):
        assert CARD not in text


async def test_who_asks_while_the_database_is_away_is_told_to_ask_again(logged: list[dict[str, Any]]) -> None:
    async with desk() as opened, opened.plain() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_payment(channel, "away")
    assert ended(refused) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY")
    assert [line["event"] for line in logged] == ["call_refused"]


async def test_a_call_has_a_request_id_whoever_gave_it() -> None:
    async with desk() as opened, opened.plain() as channel:
        for given in ("till-7-1", None, "two words", "x" * 65):
            metadata = (*AS_A_TERMINAL, *([("x-request-id", given)] if given else []))
            call = get_payment(channel, metadata=metadata)
            await call
            heard = dict(await call.trailing_metadata()).get("x-request-id")
            assert heard == (given if given == "till-7-1" else None), "who gave one hears it again"
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await get_payment(channel, "refuse", metadata=metadata)
            assert dict(refused.value.trailing_metadata())["x-request-id"] == opened.payments.request_ids.pop()
    first, *others = opened.payments.request_ids
    assert first == "till-7-1"
    assert len({first, *others}) == 4
    assert not {"two words", "x" * 65} & {*others}


async def test_what_is_asked_while_a_call_is_served_has_that_calls_id() -> None:
    """The card service asks payments, issuance the card service: the lines of both are found by one id."""
    async with desk() as opened:
        channel = open_channel(f"127.0.0.1:{opened.server.port}", None)
        await get_payment(channel)
        token = calls._request_id.set("till-7-1")
        try:
            await get_payment(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await get_payment(channel, "refuse")
        finally:
            calls._request_id.reset(token)
        await channel.close()
    assert opened.payments.request_ids[0] != "till-7-1"
    assert opened.payments.request_ids[1:] == ["till-7-1", "till-7-1"]


def test_the_id_in_a_message_is_logged_unless_it_holds_what_a_log_may_not() -> None:
    def asked(request_id: str) -> str:
        return calls.asked_in(payments_pb2.AuthorizeRequest(request_id=request_id))

    assert asked("till-7-1") == "till-7-1"
    assert (asked(CARD), asked(f"pay-{CARD}"), asked("two words"), asked("x" * 65), asked("")) == ("",) * 5
    assert calls.asked_in(payments_pb2.GetPaymentRequest()) == "", "it carries none"


async def test_calls_are_counted_by_method_and_status() -> None:
    method = "PaymentsService/GetPayment"
    started = count("grpc_server_started_total", method, grpc_type="unary")
    before = {
        code: count("grpc_server_handled_total", method, grpc_type="unary", grpc_code=code)
        for code in ("OK", "FailedPrecondition", "DeadlineExceeded")
    }
    took = count("grpc_server_handling_seconds_sum", method, grpc_type="unary")
    async with desk() as opened, opened.plain() as channel:
        await get_payment(channel, "wait 0.1")
        with pytest.raises(grpc.aio.AioRpcError):
            await get_payment(channel, "refuse")
        with pytest.raises(grpc.aio.AioRpcError):
            await get_payment(channel, "wait 60", timeout=0.3)
        await until(
            "the late call is counted",
            lambda: (
                count("grpc_server_handled_total", method, grpc_type="unary", grpc_code="DeadlineExceeded")
                == before["DeadlineExceeded"] + 1
            ),
        )
    assert count("grpc_server_started_total", method, grpc_type="unary") == started + 3
    for code, number in before.items():
        assert count("grpc_server_handled_total", method, grpc_type="unary", grpc_code=code) == number + 1
    assert 0.1 <= count("grpc_server_handling_seconds_sum", method, grpc_type="unary") - took < 20


async def test_a_slow_call_is_logged_and_a_quick_one_is_not(
    logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SLOW_SECONDS", 1.0)
    async with desk() as opened, opened.plain() as channel:
        await get_payment(channel)
        assert logged == []
        await get_payment(channel, "wait 1.2")
    assert [line["event"] for line in logged] == ["call_slow"]


async def test_a_stream_that_its_reader_leaves_ends_without_a_word(logged: list[dict[str, Any]]) -> None:
    async with desk() as opened, opened.plain() as channel:
        stream = subscribe(channel)
        await stream.read()
        stream.cancel()
        await until("its handler has ended", lambda: opened.outcomes.open == 0)
    assert logged == []


async def test_a_request_that_is_too_large_is_refused() -> None:
    async with desk(limits=Limits(receive_bytes=1024)) as opened, opened.plain() as channel:
        await get_payment(channel, "x" * 900)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_payment(channel, "x" * 1100)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert opened.payments.finished == 1


async def test_more_calls_at_once_than_a_process_bears_are_refused() -> None:
    async with desk(limits=Limits(calls=1)) as opened, opened.plain() as channel:
        first = asyncio.ensure_future(get_payment(channel, "wait 1"))
        await opened.payments.busy.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_payment(channel)
        assert ended(refused) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY")
        await first
        await get_payment(channel)


async def test_a_method_that_is_not_there_says_so() -> None:
    async with desk() as opened, opened.plain() as channel:
        stub = payments_pb2_grpc.PaymentsServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Authorize(payments_pb2.AuthorizeRequest(), metadata=AS_A_TERMINAL)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_handler_that_would_block_everybody_is_not_taken() -> None:
    class Blocking(payments_pb2_grpc.PaymentsServiceServicer):
        def GetPayment(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC calls it so
            time.sleep(1)

    server: Any = make_server(Listen("127.0.0.1:0", None), RevocationList(Revoked().load))
    with pytest.raises(TypeError, match="GetPayment is not asynchronous"):
        payments_pb2_grpc.add_PaymentsServiceServicer_to_server(Blocking(), server)


# Health and reflection

health_stub: Any = health_pb2_grpc.HealthStub


async def test_health_is_told_to_peers_and_on_its_own_port_to_everybody() -> None:
    service = health_pb2.HealthCheckRequest(service="onecard.payments.v1.PaymentsService")
    async with desk(health_address="127.0.0.1:0") as opened:
        assert opened.server.health_port not in (0, opened.server.port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{opened.server.health_port}") as channel:
            probe = health_stub(channel)
            assert (await probe.Check(service, timeout=10)).status == SERVING
            assert (await probe.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == SERVING
            with pytest.raises(grpc.aio.AioRpcError) as refused:  # and nothing else is served there
                await get_payment(channel)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        async with opened.plain() as channel:
            peers = health_stub(channel)
            assert (await peers.Check(service, timeout=10, metadata=AS_A_TERMINAL)).status == SERVING
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await peers.Check(service, timeout=10)
            assert ended(refused) == (grpc.StatusCode.UNAUTHENTICATED, "SUBJECT_UNKNOWN")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await peers.Check(health_pb2.HealthCheckRequest(service="tea"), timeout=10, metadata=AS_A_TERMINAL)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_names_the_services() -> None:
    async with desk() as opened, opened.plain() as channel:
        make_stub: Any = reflection_pb2_grpc.ServerReflectionStub
        stub = make_stub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answers = [answer async for answer in stub.ServerReflectionInfo(asked, metadata=AS_A_TERMINAL, timeout=10)]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"onecard.payments.v1.PaymentsService", "onecard.payments.v1.OutcomeService", "grpc.health.v1.Health"} <= names


# Where it listens


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = make_server(Listen(address, None), RevocationList(Revoked().load))
        with pytest.raises(ListenError, match=f"cannot listen on {address}"):
            await server.start()
        await server.stop()


async def test_two_processes_share_a_port() -> None:
    async with desk() as first:
        second = make_server(Listen(f"127.0.0.1:{first.server.port}", None), RevocationList(Revoked().load))
        await second.start()
        assert second.port == first.server.port
        await second.stop()


# The end


async def test_a_drain_says_so_refuses_what_is_new_and_finishes_what_was_begun() -> None:
    async with desk(health_address="127.0.0.1:0") as opened, opened.plain() as channel, opened.plain() as late:
        probes = grpc.aio.insecure_channel(f"127.0.0.1:{opened.server.health_port}")
        async with probes:
            await late.channel_ready()
            health = health_stub(probes).Watch(health_pb2.HealthCheckRequest())
            assert (await health.read()).status == SERVING
            stream = subscribe(channel)
            await stream.read()
            begun = asyncio.ensure_future(get_payment(channel, "wait 1"))
            await opened.payments.busy.wait()
            draining = asyncio.create_task(opened.server.drain(10))
            assert (await health.read()).status == NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as left:
                await stream.read()
            assert ended(left) == (grpc.StatusCode.UNAVAILABLE, "SERVER_ENDS")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await get_payment(late)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            await begun
            await draining
    assert opened.payments.finished == 1


async def test_a_drain_does_not_wait_for_ever() -> None:
    async with desk() as opened, opened.plain() as channel:
        begun = asyncio.ensure_future(get_payment(channel, "wait 60", timeout=60))
        await opened.payments.busy.wait()
        began = time.monotonic()
        await opened.server.drain(1)
        assert 0.9 < time.monotonic() - began < 30
        with pytest.raises(grpc.aio.AioRpcError):
            await begun


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
async def test_a_signal_ends_the_process_well_and_a_second_one_at_once(signals: list[signal.Signals]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.support.edge", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL) as process:  # noqa: ASYNC220 - begun in a moment
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(channel.channel_ready(), 30)
                call = asyncio.ensure_future(get_payment(channel, "wait 4" if len(signals) == 1 else "wait 60", timeout=90))
                await asyncio.sleep(2)
                began = time.monotonic()
                for number in signals:
                    process.send_signal(number)
                    await asyncio.sleep(0.5)
                if len(signals) == 1:
                    await call
                else:
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call
                assert await asyncio.to_thread(process.wait, 30) == 0
                assert time.monotonic() - began < 30
        finally:
            process.kill()
