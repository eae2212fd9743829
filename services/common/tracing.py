"""Spans for whoever wants them: the extra `otel`, turned on by the standard OTEL_… variables.

While it is off nothing of OpenTelemetry is imported, and a span is one look at a variable. There is a span a call and a span a
batch, never one a tap.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from typing import Any, Final

import grpc

from services.common.environment import ConfigError

Behaviour = Callable[[Any, Any], Awaitable[Any]]
Continue = Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]]

_NO_SPAN: Final[AbstractContextManager[Any]] = nullcontext()
_tracer: Any = None


def wanted(env: Mapping[str, str]) -> bool:
    """Whether the environment names somebody who takes spans."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporter := env.get("OTEL_TRACES_EXPORTER", ""):
        return exporter != "none"
    return bool(env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def set_up_tracing(process: str, env: Mapping[str, str] = os.environ) -> None:
    """Before channels and servers are made. Raises ConfigError where it is wanted and the extra is not installed."""
    if not wanted(env):
        return
    if env.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        raise ConfigError("OTEL_TRACES_EXPORTER must be otlp or none")
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise ConfigError("spans are asked for (OTEL_…), and the extra `otel` is not installed") from None
    name = env.get("OTEL_SERVICE_NAME") or process
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version("onecard")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use_tracer(provider.get_tracer("onecard"))


def use_tracer(tracer: Any) -> None:
    """What makes the spans from now on; None: nobody does."""
    global _tracer
    _tracer = tracer


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A step of the work at hand, under the one that is under way. Attributes never name a card or a person."""
    if _tracer is None:
        return _NO_SPAN
    made: AbstractContextManager[Any] = _tracer.start_as_current_span(name, attributes=attributes, record_exception=False)
    return made


def traced(method: str, behaviour: Behaviour) -> Behaviour:
    """A handler with a span around each call, under the caller's when it sends one; the very handler while tracing is off."""
    if _tracer is None:
        return behaviour
    from opentelemetry.propagate import extract  # noqa: PLC0415
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

    tracer, facts = _tracer, _rpc(method)

    async def with_span(request: Any, context: Any) -> Any:
        sent = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with tracer.start_as_current_span(
            method, extract(sent), SpanKind.SERVER, facts, record_exception=False, set_status_on_exception=False
        ) as here:
            try:
                return await behaviour(request, context)
            finally:
                code = context.code() or 0
                number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code)
                here.set_attribute("rpc.grpc.status_code", number)
                if number in _OURS:
                    here.set_status(Status(StatusCode.ERROR))

    return with_span


_OURS: Final = frozenset({2, 4, 12, 13, 14, 15})
"""Statuses that are a server's fault: what is refused for its reason is none."""


class ClientSpans(grpc.aio.UnaryUnaryClientInterceptor):
    """A span around what is asked of another service, and its context in the metadata."""

    async def intercept_unary_unary(
        self, continuation: Continue, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Ask, and wait for how it ends."""
        from opentelemetry.propagate import inject  # noqa: PLC0415
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        asked: Any = client_call_details  # a named tuple, which the stubs do not know
        method = asked.method.decode() if isinstance(asked.method, bytes) else asked.method
        name = method.removeprefix("/")
        with _tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=_rpc(name), record_exception=False) as here:
            sent: dict[str, str] = {}
            inject(sent)
            metadata = grpc.aio.Metadata(*(asked.metadata or ()), *sent.items())
            call = await continuation(asked._replace(metadata=metadata), request)
            here.set_attribute("rpc.grpc.status_code", (await call.code()).value[0])
            return call


def client_spans() -> list[ClientSpans]:
    """What a channel needs for it: nothing while tracing is off."""
    return [] if _tracer is None else [ClientSpans()]


def _rpc(method: str) -> dict[str, str]:
    service, _, name = method.partition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
