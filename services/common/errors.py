"""A request that cannot be served. What must be remembered of a request is a verdict, never one of these."""

from enum import Enum


class Code(Enum):
    """The kind of an error, by the names that gRPC uses; what it means to a caller is known without asking why."""

    INVALID_ARGUMENT = "the request makes no sense, whoever sends it"
    NOT_FOUND = "there is no such thing, or the caller may not know of it"
    ALREADY_EXISTS = "the name was used for something else"
    PERMISSION_DENIED = "the caller may not do that"
    UNAUTHENTICATED = "nobody knows who calls"
    ABORTED = "somebody else has taken it over"
    FAILED_PRECONDITION = "not in this state; asking again does not help"
    RESOURCE_EXHAUSTED = "too much was asked; later there is more"
    UNAVAILABLE = "not now; ask again with the same request id"
    DEADLINE_EXCEEDED = "too late; ask again with the same request id"
    INTERNAL = "a fault of ours"


class DomainError(Exception):
    """A request that cannot be served, and nothing of it was stored."""

    def __init__(self, code: Code, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.code = code
        self.reason = reason
        """For programs: UPPER_SNAKE_CASE, stays the same for ever."""
        self.message = message
        """For people: what a clerk can say."""


class BrokerAwayError(Exception):
    """Kafka did not answer, or not to us; the message says where it was looked for, and what to do."""
