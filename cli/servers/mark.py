"""A running process as a later run can recognise it: a pid alone may belong to somebody else by then."""

import time
from pathlib import Path

import msgspec
import psutil

CLOCK_STEP_SECONDS = 2.0  # a start time is told from the system clock, which may have been set since


class Mark(msgspec.Struct, frozen=True):
    """What is remembered of a process: its number, when it began (Unix seconds) and what it runs."""

    pid: int
    started: float
    command: list[str]

    def matches(self, started: float, command: list[str]) -> bool:
        """Is a process with our pid that began then, with that command line, the one that was marked?"""
        # The tether's command line ends with the command it becomes, so a process is recognised from its first moment.
        return abs(started - self.started) < CLOCK_STEP_SECONDS and command[-len(self.command) :] == self.command

    def process(self) -> psutil.Process | None:
        """The marked process if it still runs, else None."""
        try:
            process = psutil.Process(self.pid)
            return process if _runs(process) and self.matches(process.create_time(), _command_of(process)) else None
        except psutil.NoSuchProcess:
            return None


def mark_of(pid: int, command: list[str] | None = None) -> Mark:
    """The mark of a running process; of one that is still becoming its command, that command is given."""
    process = psutil.Process(pid)
    return Mark(pid, process.create_time(), _command_of(process) if command is None else command)


def read_mark(file: Path) -> Mark | None:
    """The mark kept in a file; None when there is none, or a crash left half of one."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Mark)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def end(process: psutil.Process, within: float = 10.0) -> None:
    """Ask a process to end, and kill it with all it began when it does not."""
    try:
        process.terminate()
        process.wait(within)
    except psutil.TimeoutExpired:
        kill_tree(process)
    except psutil.NoSuchProcess:
        return


def _command_of(process: psutil.Process) -> list[str]:
    """Its command line, which is empty for the moment in which it becomes another program: then look again."""
    for _ in range(50):
        if command := process.cmdline():
            return command
        time.sleep(0.01)
    return []


def kill_tree(process: psutil.Process) -> None:
    """SIGKILL a process and everything it began, and wait until they are gone."""
    try:
        _stop(process)  # or it begins another one between the look at its children and its end, and nobody knows of that
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + 10
    while any(map(_runs, family)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _stop(process: psutil.Process) -> None:
    process.suspend()
    deadline = time.monotonic() + 1
    while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) and time.monotonic() < deadline:
        time.sleep(0.001)


def _runs(process: psutil.Process) -> bool:
    """Does it still do anything? A zombie only waits for its parent to notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_leftovers(folder: Path) -> list[str]:
    """End what a crashed run left, by the marks in `folder/run`; answers the names of the processes that were ended."""
    ended = []
    for file in sorted((folder / "run").glob("*.json")):
        mark = read_mark(file)
        process = mark.process() if mark else None
        if process is not None:
            end(process)
            ended.append(file.stem)
        file.unlink(missing_ok=True)
    return ended
