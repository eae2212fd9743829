"""Somebody who takes spans, as OpenTelemetry's collector does: OTLP over gRPC, on loopback."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Heard(NamedTuple):
    """One span, and the name of the process that sent it."""

    process: str
    span: Any


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.endpoint = ""

    def Export(self, request: Any, _context: object) -> object:  # noqa: N802 - gRPC calls it so
        for group in request.resource_spans:
            process = next(one.value.string_value for one in group.resource.attributes if one.key == "service.name")
            self.heard.extend(Heard(process, span) for one in group.scope_spans for span in one.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    """It listens while this is entered."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
