"""What CUPS is asked: by its commands `lp` and `lpstat`, and what they leave out by its protocol."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from sdk.window.devices import ipp

_COMMAND_SECONDS = 15
_REQUEST_ID = re.compile(r"request id is (\S+)")


class CupsError(Exception):
    """A command is not there, does not answer, or says no."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A printer's queue."""

    name: str
    command_seconds: float = _COMMAND_SECONDS

    def stands(self) -> str:
        """What CUPS says of the printer: idle, printing, disabled, not accepting. CupsError: it knows none, or is away."""
        return self._run("lpstat", "-p", self.name) + self._run("lpstat", "-a", self.name)

    def waiting(self) -> set[str]:
        """Jobs that are not ended."""
        return self._jobs("not-completed")

    def jobs(self) -> set[str]:
        """All that CUPS remembers."""
        return self.waiting() | self._jobs("completed")

    def send(self, pdf: bytes, options: Sequence[str]) -> str:
        """The job's id. Through a pipe: no file is written here. CupsError: it was not taken, or nobody knows."""
        chosen = [word for option in options for word in ("-o", option)]
        said = self._run("lp", "-d", self.name, "-t", "card", *chosen, "-", given=pdf)
        if found := _REQUEST_ID.search(said):
            return found[1]
        raise CupsError("lp named no job")

    def ended(self, job: str) -> bool | None:
        """True: printed; False: it ended otherwise, or would be tried again later; None: it has not ended."""
        try:
            state = ipp.state_of(*self._job(job), self.command_seconds)
        except ipp.IppError as error:
            raise CupsError(f"its state: {error}") from None
        if state == ipp.COMPLETED:
            return True
        return False if state in ipp.GIVEN_UP else None

    def forget(self, job: str) -> None:
        """Take a job out of the queue, and its file from the disk of CUPS, as far as it can be: `cancel -x` leaves the file."""
        try:
            ipp.purge(*self._job(job), self.command_seconds)
        except (CupsError, ipp.IppError):
            return

    def _job(self, job: str) -> tuple[str, int, str]:
        """Which server has it, its number there, and whose it is."""
        number = job.rpartition("-")[2]
        if not number.isdecimal():
            raise CupsError("no job of this name")
        return self._run("lpstat", "-H").strip(), int(number), pwd.getpwuid(os.getuid()).pw_name

    def _jobs(self, which: str) -> set[str]:
        said = self._run("lpstat", "-W", which, "-o", self.name)
        return {line.split()[0] for line in said.splitlines() if line.strip() and not line[:1].isspace()}

    def _run(self, *command: str, given: bytes = b"") -> str:
        try:
            done = subprocess.run(
                command,
                input=given,
                capture_output=True,
                timeout=self.command_seconds,
                env=os.environ | {"LC_ALL": "C"},
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CupsError(f"{command[0]}: {type(error).__name__}") from None
        if done.returncode:
            raise CupsError(f"{command[0]} ended with {done.returncode}")
        return done.stdout.decode(errors="replace")
