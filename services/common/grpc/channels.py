"""Connections to other services, as one of them."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from services.common.grpc.calls import REQUEST_ID_KEY, request_id_here
from services.common.grpc.listen import Tls
from services.common.tracing import client_spans

_EVERYWHERE: Final = [("grpc.lb_policy_name", "round_robin")]
"""A name may lead to several processes: calls go to all of them in turn, and no proxy stands between."""

Continue = Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]]


class SameRequestId(grpc.aio.UnaryUnaryClientInterceptor):
    """What is asked while a call is served is asked under that call's id: the lines of both services carry it."""

    async def intercept_unary_unary(
        self, continuation: Continue, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Go on, with the id where there is one."""
        if request_id := request_id_here():
            asked: Any = client_call_details  # a named tuple, which the stubs do not know
            metadata = grpc.aio.Metadata(*(asked.metadata or ()), (REQUEST_ID_KEY, request_id))
            client_call_details = asked._replace(metadata=metadata)
        return await continuation(client_call_details, request)


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """With the service's own certificate; in plain text on one machine alone."""
    interceptors = [SameRequestId(), *client_spans()]
    if tls is None:
        return grpc.aio.insecure_channel(address, options=_EVERYWHERE, interceptors=interceptors)
    files = [file.read_bytes() for file in (tls.authority, tls.key, tls.certificate)]
    credentials = grpc.ssl_channel_credentials(*files)
    return grpc.aio.secure_channel(address, credentials, options=_EVERYWHERE, interceptors=interceptors)
