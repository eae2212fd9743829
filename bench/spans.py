"""What a span costs of the processor while tracing is off and on: `python -m bench.spans`. Sending is left out."""

import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.common import tracing

SPANS = 5_000


class Dropping(SpanExporter):
    """Takes everything."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def microseconds(work: Callable[[], None]) -> float:
    """Of the processor, for one; the best of five rounds. What else the machine does hardly shows."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(SPANS):
            work()
        rounds.append(time.process_time() - began)
    return min(rounds) / SPANS * 1e6


def one() -> None:
    with tracing.span("write", batch=1):
        pass


if __name__ == "__main__":
    off = microseconds(one)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    tracing.use_tracer(provider.get_tracer("bench"))
    print(f"a span: off {off:.2f} µs, on {microseconds(one):.1f} µs")
    provider.shutdown()
