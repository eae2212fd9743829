"""What merchants call, without the rest of the platform: whoever tests it says what was decided.

Every terminal has keys, and one card is on the hotlist.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from onecard.card.v1.hotlist_pb2 import GetHotlistRequest, GetHotlistResponse, HotlistUpdate
from onecard.card.v1.hotlist_pb2_grpc import HotlistServiceServicer, add_HotlistServiceServicer_to_server
from onecard.payments.v1.outcome_service_pb2_grpc import add_OutcomeServiceServicer_to_server
from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED, Outcome, TransactionIdentity
from onecard.payments.v1.terminal_keys_pb2 import GetTerminalKeysRequest, GetTerminalKeysResponse, TerminalKey
from onecard.payments.v1.terminal_keys_pb2_grpc import TerminalKeyServiceServicer, add_TerminalKeyServiceServicer_to_server
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import Server, make_server, serve_until_signal
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.common.logs import set_up_logs
from services.payments.adapters.outcome_feed import OutcomeFeed
from services.payments.adapters.outcome_log import OutcomeLog
from services.payments.api.outcomes import OutcomeService
from services.payments.config import BrokerKind
from tests.support.terminal_keys import key_of


def outcome(merchant_id: str, number: int) -> tuple[bytes, bytes]:
    """A record of payments.outcomes: key and value."""
    identity = TransactionIdentity(merchant_id=merchant_id, terminal_id="T-1", terminal_sequence=number)
    return merchant_id.encode(), Outcome(identity=identity, verdict=VERDICT_POSTED).SerializeToString()


def outcomes(merchant_id: str, numbers: Iterable[int]) -> list[tuple[bytes, bytes]]:
    return [outcome(merchant_id, number) for number in numbers]


async def nothing_revoked() -> frozenset[str]:
    return frozenset()


UNREGISTERED = "UNREGISTERED"


class KeysForAll(TerminalKeyServiceServicer):
    """Of the first epoch, for whatever terminal a merchant names but one."""

    async def GetTerminalKeys(  # noqa: N802 - gRPC's name
        self, request: GetTerminalKeysRequest, context: object
    ) -> GetTerminalKeysResponse:
        peer = current_peer().subject
        if request.terminal_id == UNREGISTERED:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_TERMINAL", "this merchant has no such terminal")
        key = key_of(peer.merchant_id, request.terminal_id or peer.terminal_id)
        return GetTerminalKeysResponse(current_epoch=1, keys=[TerminalKey(epoch=key.epoch, key=key.key)])


LISTED = "C-LISTED"


class OneIsListed(HotlistServiceServicer):
    """A hotlist of one card, complete at the moment when it is asked for."""

    async def GetHotlist(  # noqa: N802 - gRPC's name
        self, request: GetHotlistRequest, context: object
    ) -> AsyncIterator[GetHotlistResponse]:
        now_ms = time.time_ns() // 1_000_000
        whole = HotlistUpdate(epoch=1, version=1, chunks=1, publish_time_ms=now_ms, complete_time_ms=now_ms, added=[LISTED])
        yield GetHotlistResponse(update=whole)


@asynccontextmanager
async def outcome_server(
    bootstrap: str, broker: BrokerKind, listen: Listen, security: KafkaSecurity = PLAIN_TEXT
) -> AsyncIterator[Server]:
    """Not started yet; the feed runs."""
    feed = OutcomeFeed(bootstrap, broker, security)
    running = asyncio.create_task(feed.run())
    server = make_server(listen, RevocationList(nothing_revoked))
    service = OutcomeService(feed, OutcomeLog(bootstrap, broker, security), current_peer)
    add_OutcomeServiceServicer_to_server(service, server)
    add_TerminalKeyServiceServicer_to_server(KeysForAll(), server)
    add_HotlistServiceServicer_to_server(OneIsListed(), server)
    try:
        yield server
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()


async def main() -> None:
    """Serve until SIGTERM, as the environment says."""
    set_up_logs("outcomes")
    broker: BrokerKind = "tansu" if os.environ["ONECARD_BROKER"] == "tansu" else "kafka"
    security = KafkaSecurity.from_environment(os.environ)
    async with outcome_server(os.environ["ONECARD_KAFKA"], broker, Listen.from_environment(), security) as server:
        await serve_until_signal(server)


if __name__ == "__main__":
    asyncio.run(main())
