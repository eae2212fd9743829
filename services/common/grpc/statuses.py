"""An error of ours as a gRPC status with a reason that programs can read."""

from collections.abc import Iterable
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from services.common.errors import Code, DomainError

DETAILS_KEY: Final = "grpc-status-details-bin"
DOMAIN: Final = "onecard"

STATUS: Final = {code: grpc.StatusCode[code.name] for code in Code}


def details_of(error: DomainError) -> bytes:
    """google.rpc.Status with an ErrorInfo, as it travels in the trailing metadata."""
    info = Any()
    info.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN))
    status: bytes = Status(code=STATUS[error.code].value[0], message=error.message, details=[info]).SerializeToString()
    return status


def reason_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The reason that travels in the trailing metadata; empty: none does."""
    for key, value in metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            info = ErrorInfo()
            if any(detail.Unpack(info) for detail in Status.FromString(value).details):
                return str(info.reason)
    return ""
