"""The same work with Faust as its manual shows it: one event a record, gathered by `noack_take`, acknowledged by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust
import uvloop
from mode.supervisors import CrashingSupervisor

from bench.plan import BATCH
from bench.programs.posting import SOURCES, config, make_post
from services.common import topics
from services.common.announce import Announcer
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters.wire import Received
from services.payments.faust_process import DisklessApp


def make_app() -> faust.App:
    """An app with the worker's settings, and one agent."""
    settings = config()
    app = DisklessApp(
        "bench-per-record-faust",
        broker=[f"kafka://{settings.kafka}"],
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=6,
        broker_heartbeat_interval=1,
        broker_max_poll_records=8000,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
        web_enabled=False,
    )

    async def take_taps(stream: Any) -> None:
        engine = make_engine(settings.database_url, "per-record-faust", sessions=4)
        post = await make_post(settings, engine)
        announcer = Announcer(settings.kafka)
        await announcer.start()
        batches: AsyncIterator[list[Any]] = stream.noack_take(BATCH, within=0.04)
        async for events in batches:
            owed = await post([_received(event.message) for event in events])
            await announcer.send(topics.OUTCOMES, ((merchant.encode(), outcome) for merchant, outcome in owed.outcomes))
            for event in events:
                event.ack()

    app.agent(app.topic(*SOURCES), name="taps", concurrency=1, supervisor_strategy=CrashingSupervisor)(take_taps)
    return app


def _received(message: Any) -> Received:
    return Received(message.topic, message.partition, message.offset, int(message.timestamp * 1000), message.value)


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    collect_garbage_seldom()
    faust.Worker(make_app(), loop=loop, quiet=True, override_logging=False, redirect_stdouts=False).execute_from_commandline()
