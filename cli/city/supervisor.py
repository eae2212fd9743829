"""Brings back what dies: with a pause that doubles, and a line that says so."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.city.processes import EndingError
from cli.servers.child import Child, ServerFailedError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Pause:
    """How long to wait before the next attempt: 1 s, doubling to 30 s, forgotten after a minute of health."""

    _next: float = FIRST_PAUSE_SECONDS

    def take(self, lived_seconds: float) -> float:
        """The pause after a life of that length."""
        pause = FIRST_PAUSE_SECONDS if lived_seconds >= 2 * LONGEST_PAUSE_SECONDS else self._next
        self._next = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return pause


@dataclass(slots=True)
class _Ward:
    child: Callable[[], Child]  # a server makes a new one at every start
    revive: Callable[[], None]
    began: float
    pause: Pause = field(default_factory=Pause)
    again_at: float | None = None
    held: bool = False


class Supervisor:
    """Watches processes in a thread of its own until it is closed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._wards: dict[str, _Ward] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def watch(self, name: str, child: Callable[[], Child], revive: Callable[[], None]) -> None:
        """From now on call `revive` whenever the process is found dead."""
        with self._lock:
            self._wards[name] = _Ward(child, revive, time.monotonic())

    def forget(self, name: str) -> None:
        """Let a process end; waits while it is just being revived."""
        with self._lock:
            self._wards.pop(name, None)

    def hold(self, name: str) -> Child:
        """Do not bring it back, whatever becomes of it, until `let_go`; answers its process."""
        with self._lock:
            ward = self._wards[name]
            ward.held = True
            return ward.child()

    def let_go(self, name: str) -> None:
        """Bring it back from now on: at once, when it is dead."""
        with self._lock:
            ward = self._wards[name]
            ward.held = False
            ward.again_at = None if ward.child().alive else time.monotonic()

    def close(self) -> None:
        """Revive nothing from now on."""
        self._closing.set()

    def join(self) -> None:
        """After `close`: wait until the last revival is over."""
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            with self._lock:
                for name, ward in self._wards.items():
                    if not self._closing.is_set():
                        self._look(name, ward, time.monotonic())

    def _look(self, name: str, ward: _Ward, now: float) -> None:
        if ward.held:
            return
        if ward.child().alive:
            ward.again_at = None
        elif ward.again_at is None:
            self._plan(name, ward, now, f"ended with status {ward.child().exit_code}")
        elif now >= ward.again_at:
            ward.again_at, ward.began = None, now
            try:
                ward.revive()
            except ServerFailedError as error:
                self._plan(name, ward, time.monotonic(), f"did not come back: {error}")
            except EndingError:
                return
            else:
                self._say(f"{name} was started again")

    def _plan(self, name: str, ward: _Ward, now: float, what: str) -> None:
        pause = ward.pause.take(now - ward.began)
        ward.again_at = now + pause
        self._say(f"{name} {what}; it starts again in {pause:.0f} s (see {ward.child().log})")
