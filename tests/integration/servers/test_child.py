"""Processes of the city end with it, whatever ends it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli import paths
from cli.servers.child import Child, ServerFailedError

SLEEPER = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]


def test_a_child_logs_stops_and_takes_its_mark_along(tmp_path: Path) -> None:
    child = Child("sleeper", tmp_path, SLEEPER)
    child.start()
    child.wait_ready(lambda: "awake" in child.log.read_text(), "it is awake", within=10)
    assert (tmp_path / "run" / "sleeper.json").exists()
    child.stop()
    assert child.exit_code == -signal.SIGTERM
    assert not (tmp_path / "run" / "sleeper.json").exists()


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = Child("deaf", tmp_path, [sys.executable, "-c", deaf])
    child.start()
    child.wait_ready(lambda: "deaf" in child.log.read_text(), "it is deaf", within=10)
    child.stop(within=0.2)
    assert child.exit_code == -signal.SIGKILL


def test_one_that_ends_too_early_is_quoted(tmp_path: Path) -> None:
    child = Child("moody", tmp_path, [sys.executable, "-c", "import sys; sys.exit('no coffee, no work')"])
    child.start()
    with pytest.raises(ServerFailedError, match=r"(?s)moody ended with status 1 before it works.*no coffee, no work"):
        child.wait_ready(lambda: False, "it works", within=10)


def test_one_that_is_never_ready_is_named_with_what_was_awaited(tmp_path: Path) -> None:
    child = Child("slow", tmp_path, SLEEPER)
    child.start()
    with pytest.raises(ServerFailedError, match=r"slow: waited 0 s for answers on 127\.0\.0\.1:1"):
        child.wait_ready(lambda: False, "answers on 127.0.0.1:1", within=0.2)
    child.kill()


def test_a_second_start_ends_what_the_first_run_left(tmp_path: Path) -> None:
    first, second = Child("sleeper", tmp_path, SLEEPER), Child("sleeper", tmp_path, SLEEPER)
    first.start()
    second.start()
    assert not first.alive
    assert second.alive
    second.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent_program = (
        "import sys, time; from pathlib import Path; from cli.servers.child import Child\n"
        "child = Child('sleeper', Path(sys.argv[1]), [sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "child.start(); print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", parent_program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=paths.ROOT, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.3)  # until it has tied itself
        parent.kill()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
