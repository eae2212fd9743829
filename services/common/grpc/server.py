"""A server of gRPC: the edge, health, reflection, and an end that finishes what was begun."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from services.common.grpc.callers import Callers
from services.common.grpc.credentials import reloading_credentials
from services.common.grpc.edge import Edge, Handler
from services.common.grpc.listen import Listen, ListenError, split
from services.common.grpc.revocation import RevocationList

log = structlog.get_logger()

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_MOMENT_SECONDS: Final = 0.1
"""In which those who watch our health hear that it ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one caller, and all together, may ask of a process."""

    receive_bytes: int = 64 * 1024
    """Of one request."""
    streams: int = 1024
    """Calls at once on one connection."""
    calls: int = 8192
    """Calls at once on all of them; more are refused at once."""
    keepalive_seconds: int = 30
    """A silent connection is asked so often whether it still stands, and closed when it does not answer in 10 s."""
    ping_seconds: int = 10
    """A caller who asks that more often than this is sent away."""

    def options(self) -> list[tuple[str, int]]:
        """As gRPC names them."""
        return [
            ("grpc.so_reuseport", 1),  # several processes share a port; the kernel spreads connections
            ("grpc.max_receive_message_length", self.receive_bytes),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.keepalive_time_ms", self.keepalive_seconds * 1000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", self.ping_seconds * 1000),
            ("grpc.server_handshake_timeout_ms", 10_000),
        ]


class Server:
    """One listener with services behind the edge; the functions `add_…_to_server` of generated code take it for gRPC's own."""

    def __init__(self, listen: Listen, revocations: RevocationList, limits: Limits) -> None:
        self.listen = listen
        self.port = 0
        self.health_port = 0
        self._revocations = revocations
        self._edge = Edge(Callers(plain_text=listen.tls is None), revocations, limits.calls)
        self._health = health.aio.HealthServicer()
        self._services: list[str] = []
        self._grpc = grpc.aio.server(options=limits.options())
        self._health_grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=64)
        self._reading: asyncio.Task[Any] | None = None

    def add_registered_method_handlers(self, service: str, method_handlers: Mapping[str, Handler]) -> None:
        """Register a service's handlers behind the edge."""
        self._services.append(service)
        self._grpc.add_registered_method_handlers(service, self._edge.guard(service, method_handlers))

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Generated code registers everything twice; this way leads around the edge and is not taken."""

    async def start(self) -> None:
        """Serve; raises ListenError when the address is taken or the certificates cannot be used."""
        self._add_health_and_reflection()
        self.port = self._bind()
        await self._say(serving=False)
        if self.listen.health_address:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_grpc)
            self.health_port = _bind(self._health_grpc, self.listen.health_address, None)
            await self._health_grpc.start()
        await self._revocations.read()
        self._reading = asyncio.create_task(self._revocations.keep_reading(self._edge.check_streams))
        await self._grpc.start()
        await self._say(serving=True)
        log.info("serving", address=f"{split(self.listen.address)[0]}:{self.port}", tls=self.listen.tls is not None)

    async def wait_failed(self) -> None:
        """Wait for ever, or until something that nobody expected ends what this server needs; raises that."""
        assert self._reading is not None, "the server was never started"
        await asyncio.shield(self._reading)

    async def drain(self, seconds: float) -> None:
        """Say that we end, refuse new calls, let those in flight end within so many seconds, and end."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(_MOMENT_SECONDS, seconds))
        self._edge.end_streams()
        await self._grpc.stop(seconds)
        await self.stop()

    async def stop(self) -> None:
        """End at once."""
        await self._grpc.stop(None)
        await self._health_grpc.stop(None)
        if self._reading:
            self._reading.cancel()

    def _add_health_and_reflection(self) -> None:
        names = [*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME]
        us: Any = self  # not gRPC's own class, but it takes what these functions bring
        health_pb2_grpc.add_HealthServicer_to_server(self._health, us)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), us)

    async def _say(self, *, serving: bool) -> None:
        for name in ("", *self._services):
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    def _bind(self) -> int:
        credentials = reloading_credentials(self.listen.tls) if self.listen.tls else None
        return _bind(self._grpc, self.listen.address, credentials)


def make_server(listen: Listen, revocations: RevocationList, limits: Limits = Limits()) -> Server:
    """A server to add services to; to be made on a running event loop."""
    return Server(listen, revocations, limits)


async def serve_until_signal(server: Server) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    try:
        await server.start()
        await _first(signals.get(), server.wait_failed())
        log.info("draining", seconds=server.listen.drain_seconds)
        await _first(signals.get(), server.drain(server.listen.drain_seconds))
    finally:
        await server.stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Do several things until one of them is done, and give up the others; raises what that one raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        return server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise ListenError(f"cannot listen on {address}: {error}") from None
