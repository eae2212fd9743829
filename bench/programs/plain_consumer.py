"""The same work without Faust, as one would write it first: fetch, post, answer, commit, one batch after the other."""

import asyncio
import signal

import uvloop
from aiokafka import AIOKafkaConsumer

from bench.plan import BATCH
from bench.programs.posting import SOURCES, config, make_post
from services.common import topics
from services.common.announce import Announcer
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters.wire import Received


async def work() -> None:
    """Until SIGTERM."""
    settings = config()
    engine = make_engine(settings.database_url, "plain-consumer", sessions=4)
    post = await make_post(settings, engine)
    announcer = Announcer(settings.kafka)
    await announcer.start()
    consumer = AIOKafkaConsumer(
        *SOURCES,
        bootstrap_servers=settings.kafka,
        group_id="bench-plain-consumer",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        fetch_min_bytes=500_000,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        max_poll_records=BATCH,
    )
    await consumer.start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    while not stopping.is_set():
        fetched = await consumer.getmany(timeout_ms=200)
        records = [
            Received(r.topic, r.partition, r.offset, r.timestamp, r.value or b"") for run in fetched.values() for r in run
        ]
        if not records:
            continue
        owed = await post(records)
        await announcer.send(topics.OUTCOMES, ((merchant.encode(), outcome) for merchant, outcome in owed.outcomes))
        await consumer.commit()
    await consumer.stop()
    await announcer.stop()
    await engine.dispose()


if __name__ == "__main__":
    collect_garbage_seldom()
    uvloop.run(work())
