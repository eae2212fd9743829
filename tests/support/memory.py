"""Where the servers of a run keep their data: in memory, if the machine has plenty.

A fresh database is six hundred files. On a disk that takes from a fifth of a second to a whole one, in memory a twentieth. A test
that ends a server by SIGKILL tests the same in both: what was written is the kernel's by then. The city of `make run` keeps its data on the disk.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

_MEMORY: Final = Path("/dev/shm")  # that it is shared and in memory is the point
_PLENTY_BYTES: Final = 12 << 30
_NAME: Final = "onecard-tests-{}-"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own; gone at the end."""
    where = _MEMORY if _has_plenty() else Path(tempfile.gettempdir())
    _remove_leftovers(where)
    folder = Path(tempfile.mkdtemp(prefix=_NAME.format(os.getpid()), dir=where))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_plenty() -> bool:
    if not _MEMORY.is_dir():
        return False
    return min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) >= _PLENTY_BYTES


def _remove_leftovers(where: Path) -> None:
    """Of runs that were killed: in memory they would stay until the machine ends."""
    for left in where.glob(_NAME.format("*") + "*"):
        found = re.match(_NAME.format(r"(\d+)"), left.name)
        if found and not psutil.pid_exists(int(found[1])):
            shutil.rmtree(left, ignore_errors=True)
