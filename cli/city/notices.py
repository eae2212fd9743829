"""What Alertmanager tells people, received on this machine: who was told of which alert, when it began and when it was over."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import msgspec

from cli.servers.ports import HOST

MOST_BYTES = 4 * 2**20
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class _Alert(msgspec.Struct):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    fingerprint: str
    startsAt: datetime  # noqa: N815  # Alertmanager's word
    annotations: dict[str, str] = {}


class _Message(msgspec.Struct):
    receiver: str
    alerts: list[_Alert]


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert as one receiver was told of it."""

    receiver: str
    alert: str
    severity: str
    fires: bool
    """False: it is over."""
    began: datetime
    which: str
    """Tells alerts of one name with different labels apart."""
    summary: str = ""
    runbook: str = ""

    def line(self) -> str:
        """For a screen."""
        if not self.fires:
            return f"{self.receiver}: {self.alert} is over"
        return f"{self.receiver}: {self.alert}: {self.summary} ({self.runbook})"


def read_notices(message: bytes) -> list[Notice]:
    """Of one call of Alertmanager's webhook. Raises msgspec.MsgspecError for anything else."""
    told = msgspec.json.decode(message, type=_Message)
    return [
        Notice(
            receiver=told.receiver,
            alert=alert.labels["alertname"],
            severity=alert.labels.get("severity", ""),
            fires=alert.status == "firing",
            began=alert.startsAt,
            which=alert.fingerprint,
            summary=alert.annotations.get("summary", ""),
            runbook=alert.annotations.get("runbook", ""),
        )
        for alert in told.alerts
        if "alertname" in alert.labels
    ]


@dataclass(slots=True)
class Board:
    """Where notices hang; several threads may use it."""

    say: Callable[[str], None] | None = None
    """Told of each alert that begins or is over, once for each receiver."""
    _notices: list[Notice] = field(default_factory=list)
    _last: dict[tuple[str, str], Notice] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hang(self, notices: Sequence[Notice]) -> None:
        """Whoever is told of the same again, because it goes on, learns nothing new."""
        for notice in notices:
            with self._lock:
                before = self._last.get((notice.receiver, notice.which))
                known = (before.fires, before.began) if before else (False, _LONG_AGO)
                if (notice.fires, notice.began) == known or not (notice.fires or known[0]):
                    continue
                self._last[notice.receiver, notice.which] = notice
                self._notices.append(notice)
            if self.say:
                self.say(notice.line())

    def since(self, count: int) -> list[Notice]:
        """All but the first so many, in the order in which they came."""
        with self._lock:
            return self._notices[count:]

    @property
    def firing(self) -> set[str]:
        """Alerts of which somebody was told and that are not over for them."""
        with self._lock:
            return {notice.alert for notice in self._last.values() if notice.fires}


class Receivers:
    """A small server on loopback that takes Alertmanager's notices for everybody, in threads of its own."""

    def __init__(self, board: Board, port: int) -> None:
        self._board = board
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    def addresses(self, folder: Path, names: Sequence[str]) -> Path:
        """A folder with the address of each receiver, a file each."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_text(f"http://{HOST}:{self._port}/{name}\n", encoding="utf-8")
        return folder

    def start(self) -> None:
        """Listen from now on."""
        board = self._board

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's word
                length = int(self.headers.get("Content-Length") or 0)
                try:
                    notices = read_notices(self.rfile.read(min(length, MOST_BYTES)))
                except msgspec.MsgspecError:
                    self.send_error(400)
                    return
                board.hang(notices)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The board says it."""

        self._server = ThreadingHTTPServer((HOST, self._port), Handler)
        threading.Thread(target=self._server.serve_forever, name="receivers", daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
