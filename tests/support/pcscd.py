"""The operating system's service of card readers, with a virtual reader: one a machine, so that it is waited for."""

import fcntl
import importlib.util
import os
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

from simulation.chips.vpcd import reader_configuration
from tests.support import wanted

READER: Final = "One-card test reader"
_DRIVER: Final = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
_SOCKET: Final = Path("/run/pcscd/pcscd.comm")
_WAIT_SECONDS: Final = 90.0


def missing() -> str:
    """What this machine lacks; empty: nothing."""
    if not shutil.which("pcscd"):
        return "pcscd is not installed"
    if not _DRIVER.exists():
        return "vsmartcard-vpcd is not installed"
    if importlib.util.find_spec("smartcard") is None:
        return "pyscard is not installed: make devices"
    if os.geteuid() != 0:
        return "pcscd has to be started by root"
    return ""


def require() -> None:
    """Skip, or fail where ONECARD_PCSC=required says so."""
    wanted.require(missing(), "ONECARD_PCSC")


@contextmanager
def pcscd() -> Iterator[int]:
    """It runs; answers the port at which cards are put into its reader. Nobody else on this machine runs one meanwhile."""
    with (Path(tempfile.gettempdir()) / "onecard-pcscd.lock").open("w") as lock, tempfile.TemporaryDirectory() as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        port = _two_free_ports()
        (Path(folder) / "reader").write_text(reader_configuration(READER, port, str(_DRIVER)))
        with (Path(folder) / "log").open("w+b") as log:
            service = subprocess.Popen(["pcscd", "--foreground", "--config", folder], stdout=log, stderr=log)
            try:
                _wait(service, port, Path(folder) / "log")
                yield port
            finally:
                service.terminate()
                service.wait()


def _wait(service: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Its clients block where it is not up yet, and in them the whole process: so they wait here."""
    end = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < end:
        if service.poll() is not None:
            pytest.fail(
                f"pcscd ended with {service.returncode}, perhaps another one runs: {log.read_text(errors='replace')[-500:]}"
            )
        if _answers() and _listens(port) and _listens(port + 1):
            return
        time.sleep(0.05)
    pytest.fail(f"pcscd is not up after {_WAIT_SECONDS:.0f} s: {log.read_text(errors='replace')[-500:]}")


def _answers() -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(_SOCKET)) == 0


def _listens(port: int) -> bool:
    """Without connecting, which would be a card."""
    wanted = f"{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        if state == "0A" and local.endswith(f":{wanted}"):
            return True
    return False


def _two_free_ports() -> int:
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no two ports beside each other are free")
