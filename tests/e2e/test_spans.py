"""A worker that is told of a collector sends a span a batch there, with its steps, and never one that names a card."""

import asyncio

from tests.support.collector import collecting
from tests.support.road import Road
from tests.support.town import bus_ride, card_identifier
from tests.support.worker import Worker, settings

CARDS = 20
STEPS = {"decode", "lock", "decide", "write", "announce"}


class ProductWorker(Worker):
    """As an operator starts it."""

    module = "services.payments"
    arguments = ("streams",)


async def test_a_workers_batches_come_to_a_collector_also_the_last_one(road: Road) -> None:
    with collecting() as collector:
        environment = settings(road.database.application_url, road.broker) | {
            "ONECARD_TARIFFS": str(road.tariffs),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",  # what was not sent when it ends is sent then
        }
        worker = ProductWorker("traced", road.folder, environment)
        road.workers.append(worker)
        worker.start()
        road.terminals.tap([bus_ride(card, line="A", terminal=0) for card in range(CARDS)])
        await road.terminals.answered()
        await road.acknowledged()
        await asyncio.to_thread(worker.child.stop)
        assert worker.child.exit_code == 0
    spans = [heard.span for heard in collector.heard]
    assert {heard.process for heard in collector.heard} == {"payments-streams"}
    batches = {span.span_id: span for span in spans if span.name == "batch"}
    assert 1 <= len(batches) <= CARDS
    for batch in batches.values():
        steps = [span for span in spans if span.parent_span_id == batch.span_id]
        assert {step.name for step in steps} == STEPS
        assert {step.trace_id for step in steps} == {batch.trace_id}
    said = "".join(map(str, spans))
    assert not [card for card in range(CARDS) if card_identifier(card) in said]
