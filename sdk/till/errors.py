"""How a question may end without a verdict.

TillError
├── NotAcceptedError      the platform says what is wrong with the question, or with who asks; nothing was stored
└── OutcomeUnknownError   no answer came in time; the ledger may have decided
"""

from __future__ import annotations

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

_DETAILS = "grpc-status-details-bin"


class TillError(Exception):
    """A question without a verdict."""


class NotAcceptedError(TillError):
    """Nothing was stored under the request's id."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """For programs: `UNKNOWN_CALLER`, `IDENTITY_CONFLICT`."""
        self.message = message


class OutcomeUnknownError(TillError):
    """Ask again with the same request id: whatever was decided is answered then. Or void the payment by that id."""

    def __init__(self, request_id: str, trouble: str) -> None:
        super().__init__(f"no answer came ({trouble}); what became of request {request_id or 'without an id'} is not known")
        self.request_id = request_id
        self.trouble = trouble


def reason_of(error: grpc.Call) -> str:
    """The reason that a status carries for programs; empty when it carries none."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
    return ""
