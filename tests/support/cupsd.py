"""The operating system's printing service with queues of its own: in a folder, on loopback, with the distribution's rules."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support import wanted

_LIBRARY: Final = Path("/usr/lib/cups")
_RULES: Final = Path("/usr/share/cups/cupsd.conf.default")
_WAIT_SECONDS: Final = 30.0
_ANYBODY: Final = 0o777
"""The service gives its backends another user than ours."""
_BACKEND: Final = """#!/bin/sh
# A card printer: it does what the file "mood" says, and a card that came out is a file in "out".
touch "{folder}/out/began"
case $(cat "{folder}/out/mood") in
  slow) exec sleep 60 ;;
  empty) cat >/dev/null; echo "STATE: +media-empty-error" >&2; exit 4 ;;
  fails) cat >/dev/null; exit 1 ;;
esac
if [ -n "$6" ]; then cat "$6"; else cat; fi >"{folder}/out/card-$1"
"""


def missing() -> str:
    """What this machine lacks; empty: nothing."""
    if not shutil.which("cupsd") or not _RULES.exists():
        return "cups is not installed"
    if not all(map(shutil.which, ("lp", "lpstat", "cancel", "lpadmin"))):
        return "cups-client is not installed"
    if os.geteuid() != 0:
        return "cupsd gives its backends another user, for which it has to be started by root"
    return ""


def require() -> None:
    """Skip, or fail where ONECARD_CUPS=required says so."""
    wanted.require(missing(), "ONECARD_CUPS")


class Cupsd:
    """One service with one queue, `card`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self._socket = folder / "cups.sock"
        self._service: subprocess.Popen[bytes] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.server = f"127.0.0.1:{found.getsockname()[1]}"
        self._lay_out()

    def _lay_out(self) -> None:
        """Everything of the distribution's but the backends."""
        self.folder.chmod(0o755)
        for name in ("out", "lib/backend", "state", "cache", "spool", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.out.chmod(_ANYBODY)
        self.mood("")
        for part in _LIBRARY.iterdir():
            if part.name != "backend":
                (self.folder / "lib" / part.name).symlink_to(part)
        backend = self.folder / "lib" / "backend" / "card"
        backend.write_text(_BACKEND.format(folder=self.folder))
        backend.chmod(0o755)
        rules = re.sub(r"(?m)^(Listen|Browsing|WebInterface|IdleExitTimeout|LogLevel) .*\n", "", _RULES.read_text())
        (self.folder / "cupsd.conf").write_text(
            f"Listen {self.server}\nListen {self._socket}\nBrowsing No\nWebInterface No\nLogLevel info\n{rules}"
        )
        places = {"ServerRoot": "", "ServerBin": "lib", "StateDir": "state", "CacheDir": "cache", "RequestRoot": "spool"}
        files = {"TempDir": "tmp", "ErrorLog": "error_log", "AccessLog": "access_log", "PageLog": "page_log"}
        told = [f"{key} {self.folder / value}" for key, value in (places | files).items()]
        (self.folder / "cups-files.conf").write_text("\n".join([*told, "SystemGroup root lpadmin", ""]))

    def start(self) -> None:
        """Until it answers."""
        conf = ("-c", str(self.folder / "cupsd.conf"), "-s", str(self.folder / "cups-files.conf"))
        self._service = subprocess.Popen(["cupsd", "-f", *conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _WAIT_SECONDS
        while not self._answers():
            if self._service.poll() is not None or time.monotonic() > end:
                log = self.folder / "error_log"
                pytest.fail(f"cupsd does not answer: {log.read_text()[-500:] if log.exists() else 'it left no log'}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """By both ways; `lpstat` ends with 0 where nobody answers, too."""
        asked = (["lpstat", "-h", server, "-r"] for server in (self.server, str(self._socket)))
        plain = os.environ | {"LC_ALL": "C"}
        return all(b"is running" in subprocess.run(one, capture_output=True, env=plain, check=False).stdout for one in asked)

    def stop(self) -> None:
        """As when the machine's administrator stops it."""
        if self._service is not None:
            self._service.terminate()
            self._service.wait()
            self._service = None

    def administer(self, *command: str) -> None:
        """What an administrator does, by the socket where root is known."""
        done = subprocess.run([command[0], "-h", str(self._socket), *command[1:]], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def mood(self, mood: str) -> None:
        """What the printer does with the next card."""
        (self.out / "mood").write_text(mood)

    @property
    def cards(self) -> list[bytes]:
        """What came out."""
        return [file.read_bytes() for file in sorted(self.out.glob("card-*"))]

    @property
    def began(self) -> bool:
        """Whether the printer has been given anything."""
        return (self.out / "began").exists()

    def kept(self) -> list[str]:
        """The data of jobs that is left; that there was a job named "card" may be known."""
        return sorted(file.name for file in (self.folder / "spool").glob("d*"))


@contextmanager
def cupsd() -> Iterator[Cupsd]:
    """It runs, and its queue `card` takes cards."""
    with tempfile.TemporaryDirectory(prefix="onecard-cupsd-") as folder:
        service = Cupsd(Path(folder))
        try:
            service.start()
            service.administer("lpadmin", "-p", "card", "-E", "-v", "card:/printer")
            yield service
        finally:
            service.stop()
