"""A small service behind the edge, on loopback, and callers of every kind. Run as a program it serves until a signal."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from cli.authority import Authority
from onecard.payments.v1 import outcome_service_pb2, outcome_service_pb2_grpc, payments_pb2, payments_pb2_grpc
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer, current_request_id
from services.common.grpc.listen import Listen, Tls
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import Limits, Server, make_server, serve_until_signal
from services.common.peer import Peer

SERVICE = "onecard://service/payments"
TERMINAL = "onecard://merchant/bus-company/terminal/7"
SUBSCRIBE = outcome_service_pb2.SubscribeRequest()


class Payments(payments_pb2_grpc.PaymentsServiceServicer):
    """What GetPayment does is told by the payment id; the other methods are not there."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.request_ids: list[str] = []
        self.finished = 0
        self.busy = asyncio.Event()

    async def GetPayment(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC calls it so
        self.peers.append(current_peer())
        self.request_ids.append(current_request_id())
        match request.payment.payment_id.split():
            case ["refuse"]:
                raise DomainError(Code.FAILED_PRECONDITION, "CARD_IS_LOST", "这张卡已挂失")
            case ["break", card]:
                raise RuntimeError(f"card {card} is broken")
            case ["away"]:
                raise ConnectionRefusedError("the database is away")
            case ["lose"]:
                waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                waited.cancel()
                await waited
            case ["wait", seconds]:
                self.busy.set()
                await asyncio.sleep(float(seconds))
        self.finished += 1
        return payments_pb2.GetPaymentResponse()


class Outcomes(outcome_service_pb2_grpc.OutcomeServiceServicer):
    """Says something at once, and then as often as it is told to."""

    def __init__(self) -> None:
        self.open = 0
        self.every_seconds = 3600.0
        self.message = outcome_service_pb2.SubscribeResponse()

    async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC calls it so
        self.open += 1
        try:
            while True:
                yield self.message
                await asyncio.sleep(self.every_seconds)
        finally:
            self.open -= 1


class Revoked:
    """The source of the revocation list, which may be away."""

    def __init__(self) -> None:
        self.serials: set[str] = set()
        self.away = False

    async def load(self) -> Set[str]:
        if self.away:
            raise OSError("the database is away")
        return set(self.serials)


class Desk:
    """One server with both services, and what a test may ask of it."""

    def __init__(
        self, authority: Authority | None, address: str, health_address: str = "", limits: Limits | None = None
    ) -> None:
        self.authority = authority
        self.payments = Payments()
        self.outcomes = Outcomes()
        self.revoked = Revoked()
        tls = None
        if authority:
            ours = authority.issue(SERVICE, hosts=["localhost", "127.0.0.1"])
            tls = Tls(ours.certificate, ours.key, authority.certificate)
        self.revocations = RevocationList(self.revoked.load, every_seconds=0.2)
        self.server: Server = make_server(Listen(address, tls, health_address), self.revocations, limits or Limits())
        add: Any = self.server
        payments_pb2_grpc.add_PaymentsServiceServicer_to_server(self.payments, add)
        outcome_service_pb2_grpc.add_OutcomeServiceServicer_to_server(self.outcomes, add)

    def channel(self, subject: str = TERMINAL, authority: Authority | None = None) -> grpc.aio.Channel:
        """As a caller with a certificate of some authority (by default ours); empty subject: without a certificate."""
        assert self.authority is not None, "this desk speaks plain text"
        target, options = f"localhost:{self.server.port}", [("grpc.use_local_subchannel_pool", 1)]
        trusted = self.authority.certificate.read_bytes()
        if not subject:
            return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(trusted), options)
        issued = (authority or self.authority).issue(subject)
        credentials = grpc.ssl_channel_credentials(trusted, issued.key.read_bytes(), issued.certificate.read_bytes())
        return grpc.aio.secure_channel(target, credentials, options)

    def plain(self) -> grpc.aio.Channel:
        """As a caller in plain text."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", [("grpc.use_local_subchannel_pool", 1)])


@asynccontextmanager
async def desk(
    authority: Authority | None = None, health_address: str = "", limits: Limits | None = None, make: Callable[..., Desk] = Desk
) -> AsyncIterator[Desk]:
    """A desk that is open."""
    opened = make(authority, "127.0.0.1:0", health_address, limits)
    await opened.server.start()
    try:
        yield opened
    finally:
        await opened.server.stop()


def get_payment(channel: grpc.aio.Channel, what: str = "", **options: Any) -> Any:
    """Call GetPayment; in plain text somebody must be named."""
    options.setdefault("metadata", (("x-onecard-subject", TERMINAL),))
    options.setdefault("timeout", 10)
    stub = payments_pb2_grpc.PaymentsServiceStub(channel)
    request = payments_pb2.GetPaymentRequest(payment=payments_pb2.PaymentReference(payment_id=what))
    return stub.GetPayment(request, **options)


def subscribe(channel: grpc.aio.Channel, **options: Any) -> Any:
    options.setdefault("metadata", (("x-onecard-subject", TERMINAL),))
    return outcome_service_pb2_grpc.OutcomeServiceStub(channel).Subscribe(SUBSCRIBE, **options)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason in a status, as any client reads it."""
    (value,) = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    status, info = Status.FromString(value), ErrorInfo()
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    assert status.details[0].Unpack(info)
    assert info.domain == "onecard"
    reason: str = info.reason
    return reason


async def serve(address: str) -> None:
    opened = Desk(None, address)
    await serve_until_signal(opened.server)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
