"""The vault's process: a Unix socket that only our own user, or one that is named, may speak to."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Set
from pathlib import Path
from typing import Final

import structlog

from services.common.database import DatabaseError, sqlstate_of
from services.common.keyvault.vault import VaultError
from services.issuance.metrics import VAULT_CONNECTIONS_REFUSED
from services.issuance.vault.answering import Answering
from services.issuance.vault.leases import Leases
from services.issuance.vault.protocol import GarbageError, Message, frame, message_of, read_body

LOOK_SECONDS: Final = 0.5
"""How often it is asked whether blanks of open leases were barred."""
_IN_FLIGHT: Final = 64
"""Of one connection; then it is read no further."""
_END_SECONDS: Final = 10.0
_CREDENTIALS: Final = struct.Struct("3i")
log = structlog.get_logger()


def may_speak(uid: int, allowed: Set[int]) -> bool:
    """Whether a user's process is heard: our own user's, or one that was named."""
    return uid == os.geteuid() or uid in allowed


def uid_of(connection: socket.socket) -> int:
    """Who is at the other end, as the kernel says it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)


class VaultServer:
    """Until it is told to end; then it finishes what was begun."""

    def __init__(self, answering: Answering, leases: Leases, allowed: Set[int] = frozenset()) -> None:
        self._answering = answering
        self._leases = leases
        self._allowed = allowed
        self._connections: set[asyncio.Task[None]] = set()
        self._ending = False

    async def serve(self, path: Path) -> None:
        """Until SIGTERM or SIGINT. Raises VaultError when another vault is there, or when the token has gone."""
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        listening = bound(path)
        server = await asyncio.start_unix_server(self._connected, sock=listening)
        looking = asyncio.create_task(self._look())
        gone = asyncio.create_task(self._answering.token_gone.wait())
        told = asyncio.create_task(ended.wait())
        log.info("vault_serving")
        try:
            # Without somebody who looks at the leases nobody is served.
            await asyncio.wait({looking, gone, told}, return_when=asyncio.FIRST_COMPLETED)
            log.info("vault_draining")
        finally:
            server.close()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - one name in a folder of ours
            await self._drain()
            for task in (gone, told):
                task.cancel()
        if looking.done():
            looking.result()
        looking.cancel()
        if self._answering.token_gone.is_set():
            raise VaultError("the token has gone: start again")

    async def _drain(self) -> None:
        self._ending = True
        for task in self._connections:
            task.cancel()  # of its reading: it ends when what it has read is answered
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=_END_SECONDS)
            for task in late:
                task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._leases.look()
            except DatabaseError as error:
                log.warning("vault_database_away", sqlstate=sqlstate_of(error), error=type(error).__name__)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            uid = uid_of(writer.get_extra_info("socket"))
            if self._ending or not may_speak(uid, self._allowed):
                VAULT_CONNECTIONS_REFUSED.labels("ENDING" if self._ending else "NOT_ALLOWED").inc()
                log.warning("vault_connection_refused", uid=uid)
                return
            await self._converse(reader, writer)
        except* GarbageError as group:
            VAULT_CONNECTIONS_REFUSED.labels("GARBAGE").inc()
            log.warning("vault_garbage", why=str(group.exceptions[0]))
        except* OSError:
            pass  # gone, with whatever it asked
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: set[int] = set()
        places = asyncio.Semaphore(_IN_FLIGHT)

        async def reply(message: Message) -> None:
            try:
                writer.write(frame(await self._answering.answer(message, mine)))
                await writer.drain()
            finally:
                places.release()

        try:
            async with asyncio.TaskGroup() as replies:
                while (message := await self._next(reader, places)) is not None:
                    replies.create_task(reply(message))
        finally:
            for number in mine:
                self._leases.close(number)

    async def _next(self, reader: asyncio.StreamReader, places: asyncio.Semaphore) -> Message | None:
        """None: it hung up, or we are ending. Raises GarbageError."""
        try:
            await places.acquire()
            return message_of(await read_body(reader))
        except EOFError:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._ending or task is None:
                raise
            task.uncancel()
            return None


def bound(path: Path) -> socket.socket:
    """A socket that its owner alone can reach; what a vault that died left behind is taken away."""
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise VaultError(f"another vault serves on {path}")
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise VaultError(f"{path} cannot be a socket: {error.strerror}") from None
    finally:
        os.umask(before)
    return listening
