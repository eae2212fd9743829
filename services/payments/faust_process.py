"""A process that is a Faust app: how the app is set up so that a fetch is one event, how it begins, and how it ends."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

import faust
import uvloop

from services.common.announce import Announcer
from services.common.garbage import collect_garbage_seldom
from services.common.kafka_security import MECHANISM, KafkaSecurity
from services.common.metrics_endpoint import show_metrics
from services.payments.config import Config

T = TypeVar("T")


class DisklessApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """A Faust app that keeps nothing of its own: no tables, so no folder for them."""

    def _create_directories(self) -> None:
        pass

    @classmethod
    def of(cls, group: str, config: Config, **more: object) -> "DisklessApp":
        """With the settings under which a fetch is one event: raw bytes, few commits, nothing that Faust declares or keeps."""
        return cls(
            group,
            broker=[f"kafka://{address}" for address in config.kafka.split(",")],
            broker_credentials=_credentials(config.kafka_security),
            key_serializer="raw",
            value_serializer="raw",
            store="memory://",
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=6,
            broker_heartbeat_interval=1,
            broker_max_poll_records=8000,
            broker_commit_interval=0.5,
            stream_wait_empty=False,
            stream_buffer_maxsize=32,
            web_enabled=False,
            **more,
        )


def _credentials(security: KafkaSecurity) -> Any:
    if security.user:
        return faust.SASLCredentials(
            username=security.user, password=security.password, ssl_context=security.tls, mechanism=MECHANISM
        )
    return faust.SSLCredentials(security.tls) if security.tls else None


class BoundedWorker(faust.Worker):  # type: ignore[misc]  # Faust is untyped
    """Ends within seconds of SIGTERM even when the broker is away and Faust waits for it.

    Nothing is lost by that: what is not acknowledged is read again, and answers its first verdict.
    """

    PATIENCE_SECONDS: Final = 10

    def _schedule_shutdown(self, signal: Any) -> None:
        super()._schedule_shutdown(signal)
        self.loop.call_later(self.PATIENCE_SECONDS, os._exit, 1)


async def wait_for_broker(config: Config) -> None:
    """Wait until it answers, saying what is awaited and where."""
    announcer = Announcer(config.kafka, config.kafka_security)
    await announcer.start()
    await announcer.stop()


def run_app(metrics_port: int, first: Coroutine[Any, Any, T], make: Callable[[T], faust.App]) -> NoReturn:
    """Await what must be there, make the app of it, and run it until SIGTERM or SIGINT; exits with 1 when it crashed.

    A port of 0 shows no metrics.
    """
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    found = loop.run_until_complete(first)
    collect_garbage_seldom()
    show_metrics(metrics_port)
    worker = BoundedWorker(make(found), loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()
    raise AssertionError("a Faust worker ends by SystemExit")
