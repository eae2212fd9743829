"""A gateway of short messages that sends none: it remembers what it was asked, once under each id, and has moods."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import grpc

from onecard.sms.v1.sms_pb2 import SendMessageRequest, SendMessageResponse
from onecard.sms.v1.sms_pb2_grpc import SmsGatewayServiceServicer, add_SmsGatewayServiceServicer_to_server
from simulation.metrics import MESSAGES

log = logging.getLogger("onecard.simulation.sms")

_THREADS = 8


@dataclass(frozen=True, slots=True)
class Moods:
    """How often it is not as one would like."""

    away: float = 0.02
    """It does not take a message."""
    silent: float = 0.02
    """It takes a message and does not say so."""


STEADY = Moods(0, 0)


class SimulatedGateway(SmsGatewayServiceServicer):
    """Messages by their ids. It is not kept when the gateway ends, as little as a telephone's screen."""

    def __init__(self, moods: Moods = Moods(), seed: int | None = None) -> None:
        self._moods = moods
        self._random = Random(seed)  # noqa: S311 - nobody gains by guessing it
        self._lock = threading.Lock()
        self._messages: dict[str, tuple[str, str]] = {}

    @property
    def messages(self) -> Mapping[str, tuple[str, str]]:
        """(phone, text) by id, in the order in which they were first taken."""
        with self._lock:
            return dict(self._messages)

    def SendMessage(self, request: SendMessageRequest, context: Any) -> SendMessageResponse:  # noqa: N802
        """Take a message, or one that was taken before."""
        if not (request.request_id and request.text and request.phone.isdecimal() and len(request.phone) == 11):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "an id, a mobile number and a text are wanted")
        message = (request.phone, request.text)
        with self._lock:
            mood = self._random.random()
            if mood < self._moods.away:
                outcome = "away"
            else:
                known = self._messages.setdefault(request.request_id, message)
                outcome = "sent" if known is message else "repeated" if known == message else "differs"
            number = len(self._messages)
        MESSAGES.labels(outcome).inc()
        if outcome == "differs":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "another message was sent under this id")
        if mood < self._moods.away + self._moods.silent:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return SendMessageResponse(message_id=f"M{number}")


def start(gateway: SimulatedGateway, address: str, files: tuple[Path, Path, Path] | None) -> tuple[grpc.Server, int]:
    """Serve until the server is stopped; answers it with its port. `files`: certificate, key and the callers' authority."""
    server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="sms"))
    add_SmsGatewayServiceServicer_to_server(gateway, server)
    if files is None:
        port = server.add_insecure_port(address)
    else:
        certificate, key, authority = (file.read_bytes() for file in files)
        credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
        port = server.add_secure_port(address, credentials)
    server.start()
    log.info("taking messages on port %d", port)
    return server, port
