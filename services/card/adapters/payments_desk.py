"""What payments knows of a holder, asked over gRPC. It may be away: then a window goes on without it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import grpc
import structlog

from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from services.common.grpc.listen import Tls

log = structlog.get_logger()

_PATIENCE_SECONDS: Final = 1.0
_LAST_PAYMENTS: Final = 10
_SUBJECT: Final = (("x-onecard-subject", "onecard://service/card"),)
"""Said in plain text, which is for one machine alone; a certificate says it otherwise."""


@dataclass(frozen=True, slots=True)
class Money:
    """What a holder has, and what came and went last."""

    balance: messages.GetBalanceResponse
    entries: messages.ListEntriesResponse


class Away(Exception):  # noqa: N818 - it is no error of anybody's
    """Payments did not answer."""


class PaymentsDesk:
    """A connection to payments, with the service's own certificate."""

    def __init__(self, address: str, tls: Tls | None) -> None:
        self._channel = _channel(address, tls)
        self._metadata = None if tls else _SUBJECT
        self._stub = PaymentsServiceStub(self._channel)

    async def money_of(self, card_identifier: str) -> Money | None:
        """Of the card's holder; None: payments has never heard of the card. Raises Away."""
        balance = messages.GetBalanceRequest(card_identifier=card_identifier)
        entries = messages.ListEntriesRequest(card_identifier=card_identifier, page_size=_LAST_PAYMENTS)
        try:
            return Money(
                *await asyncio.gather(self._ask(self._stub.GetBalance, balance), self._ask(self._stub.ListEntries, entries))
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            log.warning("payments_away", code=error.code().name)
            raise Away from None

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _ask(self, call: Any, request: Any) -> Any:
        return await call(request, timeout=_PATIENCE_SECONDS, metadata=self._metadata)


def _channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(address)
    files = [file.read_bytes() for file in (tls.authority, tls.key, tls.certificate)]
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files))
