"""A process of the city that dies comes back."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli.city.supervisor import Supervisor
from cli.servers.child import Child, ServerFailedError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def eventually(condition: Callable[[], bool], within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_process_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child("worker", tmp_path, SLEEPER)
    child.start()
    supervisor = Supervisor(said.append)
    supervisor.watch("worker", lambda: child, child.start)
    child.kill()
    eventually(lambda: child.alive)
    eventually(lambda: len(said) == 2)
    supervisor.close()
    supervisor.join()
    child.kill()
    assert said[0].startswith("worker ended with status -9; it starts again in 1 s")
    assert said[1] == "worker was started again"


def test_one_that_does_not_come_back_is_tried_again_later(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child("broker", tmp_path, SLEEPER)
    child.start()
    attempts: list[float] = []

    def revive() -> None:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise ServerFailedError("broker cannot start: its port is taken")
        child.start()

    supervisor = Supervisor(said.append)
    supervisor.watch("broker", lambda: child, revive)
    child.kill()
    eventually(lambda: child.alive)
    supervisor.close()
    supervisor.join()
    child.kill()
    assert attempts[1] - attempts[0] >= 2
    assert any("did not come back: broker cannot start: its port is taken; it starts again in 2 s" in line for line in said)


def test_what_is_forgotten_may_rest(tmp_path: Path) -> None:
    child = Child("taps", tmp_path, SLEEPER)
    child.start()
    supervisor = Supervisor(lambda _: None)
    supervisor.watch("taps", lambda: child, child.start)
    supervisor.forget("taps")
    child.kill()
    time.sleep(1.5)
    supervisor.close()
    supervisor.join()
    assert not child.alive


def test_what_is_held_stays_dead_until_it_is_let_go(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child("worker", tmp_path, SLEEPER)
    child.start()
    supervisor = Supervisor(said.append)
    supervisor.watch("worker", lambda: child, child.start)
    assert supervisor.hold("worker") is child
    child.kill()
    time.sleep(1.5)
    assert not child.alive
    supervisor.let_go("worker")
    eventually(lambda: child.alive, within=1)
    supervisor.let_go("worker")
    time.sleep(0.5)
    supervisor.close()
    supervisor.join()
    child.kill()
    assert said == ["worker was started again"]
