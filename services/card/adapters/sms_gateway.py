"""The gateway that sends short messages. The number it is given stands in no log and in no error."""

from typing import Final

import grpc
import structlog

from onecard.sms.v1.sms_pb2 import SendMessageRequest
from onecard.sms.v1.sms_pb2_grpc import SmsGatewayServiceStub
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Tls

log = structlog.get_logger()

_PATIENCE_SECONDS: Final = 5.0


class NotTaken(Exception):  # noqa: N818 - it is no error of ours
    """The gateway did not take a message; `for_good`: it never will."""

    def __init__(self, *, for_good: bool) -> None:
        super().__init__()
        self.for_good = for_good


class SmsGateway:
    """A connection to the gateway, with the service's own certificate."""

    def __init__(self, address: str, tls: Tls | None) -> None:
        self._channel = open_channel(address, tls)
        self._stub = SmsGatewayServiceStub(self._channel)

    async def send(self, request_id: str, phone: str, text: str) -> None:
        """Send a message, once under an id. Raises NotTaken; then it may have been sent all the same."""
        request = SendMessageRequest(request_id=request_id, phone=phone, text=text)
        try:
            await self._stub.SendMessage(request, timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            log.warning("message_not_taken", request=request_id, code=error.code().name)
            raise NotTaken(for_good=error.code() is grpc.StatusCode.INVALID_ARGUMENT) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()
