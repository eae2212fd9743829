"""Connections to other services, as one of them."""

import grpc

from services.common.grpc.listen import Tls


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """With the service's own certificate; in plain text on one machine alone."""
    if tls is None:
        return grpc.aio.insecure_channel(address)
    files = [file.read_bytes() for file in (tls.authority, tls.key, tls.certificate)]
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files))
