"""A server or worker that runs as our child: in a session of its own, with a log, a mark, and a tether to our life."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil

from cli.servers import tether
from cli.servers.mark import end, kill_tree, mark_of, read_mark
from cli.servers.ports import HOST, listening

LOG_BYTES_KEPT = 16 * 2**20
LINES_SHOWN = 15

# Linux ends a tethered child with the thread that began it, so all children are begun by one that lives as long as we do.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")


class ServerFailedError(RuntimeError):
    """A process did not become ready, or ended; the message names it, what was awaited, and its last log lines."""


class Child:
    """One process. Its output goes to `folder/logs/NAME.log`; `folder/run/NAME.json` lets a later run find and end it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        user: str = "",
        cwd: Path | str = "/",
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = folder / "logs" / f"{name}.log"
        self._mark = folder / "run" / f"{name}.json"
        self._env = {**os.environ, **(env or {})}
        self._port = port
        self._user = user
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._orphan_signal = orphan_signal
        self._log_start = 0
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """End what runs under this name, then begin the process. Readiness is the caller's to await."""
        self.stop()
        leftover = read_mark(self._mark)
        if leftover and (process := leftover.process()):
            end(process)
        if self._port is not None and listening(self._port):  # whoever answers there must not be taken for ours
            raise ServerFailedError(f"{self.name} cannot start: port {self._port} on {HOST} is taken by another program")
        for file in (self.log, self._mark):
            file.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_KEPT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(self._orphan_signal)), self._user]
            self._popen = _spawner.submit(
                subprocess.Popen,
                [*command, *self.command],
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).result()
        self._mark.write_bytes(msgspec.json.encode(mark_of(self._popen.pid, self.command)))

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Does it run?"""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended (minus the signal's number for a killed one); None while it runs."""
        return self._popen.poll() if self._popen else None

    def wait_ready(self, ready: Callable[[], bool], awaited: str, within: float = 60.0, every: float = 0.05) -> None:
        """Wait until `ready` says so, asking `every` so many seconds; raises ServerFailedError when the process ends or it
        took longer than `within`.
        """
        deadline = time.monotonic() + within
        while not ready():
            if not self.alive:
                raise ServerFailedError(f"{self.name} ended with status {self.exit_code} before {awaited}\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name}: waited {within:.0f} s for {awaited}\n{self.last_lines()}")
            time.sleep(every)

    def wait(self) -> int:
        """Wait until it ends, for ever; answers its exit status."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.wait()

    def wait_done(self, within: float) -> None:
        """Wait for the end of a process that ends by itself; raises ServerFailedError unless it succeeds in time (seconds)."""
        assert self._popen is not None, f"{self.name} was never started"
        try:
            status = self._popen.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(f"{self.name} was not done within {within:.0f} s\n{self.last_lines()}") from None
        self._mark.unlink(missing_ok=True)
        if status != 0:
            raise ServerFailedError(f"{self.name} ended with status {status}\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The end of what it logged since it was started, for a message."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-LINES_SHOWN:]
        return "\n".join([f"  the last lines of {self.log}:", *(f"  | {line}" for line in lines or ["(nothing was logged)"])])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self._popen:
            self._popen.send_signal(number)

    def ask_to_stop(self) -> None:
        """Tell it to end, and do not wait: `stop` does."""
        self.signal(self._stop_signal)

    def stop(self, within: float = 20.0) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        if not self._popen:
            return
        self.ask_to_stop()
        try:
            self._popen.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._mark.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL it and everything it began."""
        if self.alive:
            kill_tree(psutil.Process(self.pid))
        if self._popen:
            self._popen.wait()
        self._mark.unlink(missing_ok=True)
