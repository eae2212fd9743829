"""Spans, where somebody takes them: a call's with its caller's, a batch's with its steps; and nothing where nobody does."""

import time
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import tracing
from services.common.environment import ConfigError
from services.common.grpc.channels import open_channel
from tests.support.collector import collecting
from tests.support.edge import desk, get_payment
from tests.support.town import build_town, card_identifier, purchase, received

METHOD = "onecard.payments.v1.PaymentsService/GetPayment"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use_tracer(provider.get_tracer("tests"))
    yield exporter
    tracing.use_tracer(None)


def of_kind(spans: InMemorySpanExporter, kind: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.kind.name == kind]


async def test_a_call_is_a_span_of_both_sides_in_one_trace(spans: InMemorySpanExporter) -> None:
    async with desk() as opened:
        channel = open_channel(f"127.0.0.1:{opened.server.port}", None)
        await get_payment(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await get_payment(channel, "refuse")
        with pytest.raises(grpc.aio.AioRpcError):
            await get_payment(channel, f"break {card_identifier(1)}")
        await channel.close()
    asked, served = of_kind(spans, "CLIENT"), of_kind(spans, "SERVER")
    assert [span.name for span in (*asked, *served)] == [METHOD] * 6
    for client, server in zip(asked, served, strict=True):
        assert client.context is not None
        assert server.context is not None
        assert server.parent is not None
        assert server.parent.span_id == client.context.span_id
        assert server.context.trace_id == client.context.trace_id
    codes = [0, grpc.StatusCode.FAILED_PRECONDITION.value[0], grpc.StatusCode.INTERNAL.value[0]]
    for side in (asked, served):
        assert [(span.attributes or {})["rpc.grpc.status_code"] for span in side] == codes
    assert [span.status.status_code.name for span in served] == ["UNSET", "UNSET", "ERROR"], "a refusal is no fault"
    assert card_identifier(1) not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_batch_is_one_span_with_its_steps_however_many_taps_it_has(
    engine: AsyncEngine, spans: InMemorySpanExporter
) -> None:
    town = await build_town(engine, 30)
    spans.clear()
    with tracing.span("batch", records=30):
        await town.post(received([purchase(card, 300) for card in range(30)]))
    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["decode", "lock", "decide", "write", "batch"]
    *steps, batch = spans.get_finished_spans()
    assert batch.context is not None
    assert {span.parent and span.parent.span_id for span in steps} == {batch.context.span_id}


async def test_a_collector_receives_them(spans: InMemorySpanExporter) -> None:
    with collecting() as collector:
        exporter = OTLPSpanExporter(endpoint=collector.endpoint, insecure=True)
        with tracing.span("batch"):
            pass
        exporter.export(spans.get_finished_spans())
        exporter.shutdown()
    assert [heard.span.name for heard in collector.heard] == ["batch"]


def test_only_who_is_named_takes_spans() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}
    assert [tracing.wanted(env) for env in ({}, endpoint, {"OTEL_TRACES_EXPORTER": "otlp"})] == [False, True, True]
    assert not tracing.wanted({**endpoint, "OTEL_SDK_DISABLED": "true"})
    assert not tracing.wanted({**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    with pytest.raises(ConfigError, match="otlp"):
        tracing.set_up_tracing("payments-api", {"OTEL_TRACES_EXPORTER": "zipkin"})


async def test_off_it_costs_a_look_at_a_variable() -> None:
    async def behaviour(request: object, context: object) -> None: ...

    assert tracing.traced(METHOD, behaviour) is behaviour
    assert tracing.client_spans() == []
    began = time.perf_counter()
    for _ in range(10_000):
        with tracing.span("batch"):
            pass
    assert (time.perf_counter() - began) / 10_000 < 20e-6
