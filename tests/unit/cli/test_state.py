"""Commands find the running city, or what the environment names."""

import os
from pathlib import Path

import msgspec
import pytest

from cli.city.state import NoCityError, State, environment, mark_runner, read_runner, read_state, write_state
from cli.servers.mark import Mark


def state(runner: Mark) -> State:
    return State(
        runner=runner,
        broker="tansu",
        kafka="127.0.0.1:20000",
        redis="127.0.0.1:20003",
        database_url="postgresql+asyncpg://onecard_payments:x@127.0.0.1:20001/onecard",
        owner_database_url="postgresql+asyncpg://onecard:y@127.0.0.1:20001/onecard",
        batch_key="00" * 32,
        spools="/spools",
        api="127.0.0.1:20004",
        card_api="127.0.0.1:20005",
        certificates="/certificates",
        clerks="/clerks",
        card={"ONECARD_VAULT": "/token"},
        issuance={"ONECARD_VAULT": "/other-token"},
        payments={"ONECARD_VAULT": "/third-token"},
        metrics={"payments-1": "http://127.0.0.1:20002/metrics"},
    )


def test_a_running_city_is_found(tmp_path: Path) -> None:
    write_state(tmp_path, state(mark_runner(tmp_path)))
    found = environment(tmp_path, env={"PATH": "/bin"})
    assert found["ONECARD_KAFKA"] == "127.0.0.1:20000"
    assert found["PATH"] == "/bin"
    runner = read_runner(tmp_path)
    assert runner is not None
    assert runner.pid == os.getpid()


def test_a_crashed_city_is_not(tmp_path: Path) -> None:
    write_state(tmp_path, state(msgspec.structs.replace(mark_runner(tmp_path), started=0.0)))
    assert read_state(tmp_path) is None
    with pytest.raises(NoCityError, match="onecard city run"):
        environment(tmp_path, env={})


def test_the_environment_comes_first(tmp_path: Path) -> None:
    given = {"ONECARD_DATABASE_URL": "postgresql+asyncpg://elsewhere"}
    assert environment(tmp_path, env=given) == given


def test_its_secrets_are_its_owners_alone(tmp_path: Path) -> None:
    write_state(tmp_path, state(mark_runner(tmp_path)))
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
