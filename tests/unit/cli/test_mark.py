"""A process is recognised by its number, its start and its command together."""

import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest

from cli.servers.mark import Mark, end_leftovers, kill_tree, mark_of, read_mark

MARK = Mark(pid=42, started=1000.0, command=["postgres", "-D", "data"])


def test_the_marked_process_matches() -> None:
    assert MARK.matches(1000.0, ["postgres", "-D", "data"])
    assert MARK.matches(1001.5, ["postgres", "-D", "data"]), "the clock was set a little"
    assert MARK.matches(1000.0, ["python", "tether.py", "postgres", "-D", "data"]), "it is just becoming the command"


def test_another_process_with_its_number_does_not_match() -> None:
    assert not MARK.matches(5000.0, ["postgres", "-D", "data"])
    assert not MARK.matches(1000.0, ["vim", "letter.txt"])


def test_a_running_process_is_found_and_an_ended_one_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        mark = mark_of(process.pid)
        assert mark.process() == psutil.Process(process.pid)
    assert mark.process() is None


@pytest.mark.parametrize("content", [None, b"", b'{"pid": 4'])
def test_half_a_mark_is_no_mark(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "half.json"
    if content is not None:
        file.write_bytes(content)
    assert read_mark(file) is None


def test_a_stranger_with_the_number_is_never_ended(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "postgres.json"
    file.write_text(f'{{"pid": {os.getpid()}, "started": 1000.0, "command": ["postgres"]}}')
    assert end_leftovers(tmp_path) == []
    assert not file.exists()


BEGINS_OTHERS = """
import os, time
while True:
    if (child := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_a_process_that_begins_others_all_the_time_leaves_none_behind() -> None:
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", BEGINS_OTHERS], start_new_session=True) as leader:
            time.sleep(0.1)
            kill_tree(psutil.Process(leader.pid))
        left = [one.pid for one in psutil.process_iter() if _session_of(one) == leader.pid]
        for pid in left:
            os.kill(pid, SIGKILL)
        assert left == []


def _session_of(process: psutil.Process) -> int:
    try:
        return 0 if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return 0
