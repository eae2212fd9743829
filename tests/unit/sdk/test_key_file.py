"""The file with terminals' keys: whole or not at all, and for its owner alone."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sdk.merchant.key_file import KeyFileError, Keys, read_keys, write_keys
from sdk.merchant.transaction import TerminalKey

OLD: Keys = {("BUS", "V-1"): (TerminalKey(1, b"o" * 16, 5),)}
NEW: Keys = {**OLD, ("BUS", "V-1"): (TerminalKey(1, b"o" * 16, 5), TerminalKey(2, b"n" * 16, 9)), ("TRAM", "汽"): ()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.spool.keys"


class PowerCutError(BaseException):
    """Nothing more is done."""


def test_what_is_kept_is_read_again(path: Path) -> None:
    assert read_keys(path) == {}
    for keys in (OLD, NEW, OLD):
        write_keys(path, keys)
        assert read_keys(path) == keys


def test_its_owner_alone_can_read_it_whatever_others_are_told(path: Path) -> None:
    before = os.umask(0)
    try:
        write_keys(path, OLD)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("step", ["open", "dump", "fsync", "replace", "fsync the folder"])
def test_a_power_cut_leaves_the_old_keys_or_the_new(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    write_keys(path, OLD)
    calls = {"fsync": 0}

    def cut(*_: object, **__: object) -> None:
        raise PowerCutError

    def cut_at_fsync(at: int) -> Callable[[int], None]:
        def fsync(_: int) -> None:
            calls["fsync"] += 1
            if calls["fsync"] == at:
                raise PowerCutError

        return fsync

    with monkeypatch.context() as patch:
        match step:
            case "open":
                patch.setattr(os, "open", cut)
            case "dump":
                patch.setattr("json.dump", cut)
            case "fsync":
                patch.setattr(os, "fsync", cut_at_fsync(1))
            case "replace":
                patch.setattr(Path, "replace", cut)
            case _:
                patch.setattr(os, "fsync", cut_at_fsync(2))
        with pytest.raises(PowerCutError):
            write_keys(path, NEW)
    assert read_keys(path) == (NEW if step == "fsync the folder" else OLD)
    write_keys(path, NEW)  # what the cut left behind is in nobody's way
    assert read_keys(path) == NEW
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"BUS": 1}', '{"BUS": {"V-1": [[1, "xyz", 0]]}}', '{"BUS": {"V-1": [1]}}'])
def test_a_file_that_holds_no_keys_is_named_and_not_quoted(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as refusal:
        read_keys(path)
    assert str(refusal.value) == f"{path} holds no keys of terminals: remove it, and they are fetched again"
