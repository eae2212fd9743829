"""Lays a backup and the received log where an empty machine's PostgreSQL will find them, and touches nothing that lives."""

import os
import pwd
import shutil
import socket
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cli.backup.folder import Backup, received_since
from cli.backup.take import verify
from cli.backup.tools import BackupError, run

# The log lies in place already: PostgreSQL looks there when this gives it nothing. Until `restore finish` takes it away, it
# also says that a restore is not finished.
_SETTINGS = """
# Of a restore: read all of the log that was received, and begin another timeline behind it.
restore_command = 'false'
recovery_target_timeline = 'latest'
# Nobody receives from the new server yet: commits would wait for ever.
synchronous_standby_names = ''
"""
_UNTIL = """
# What came later is given up: `restore finish` does again what left the database, and names the rest.
recovery_target_time = '{moment}'
recovery_target_action = 'promote'
"""
_PATIENCE_SECONDS = 2.0


def place(
    folder: Path,
    backup: Backup,
    data: Path,
    files: Path,
    former_url: str,
    owner: str = "",
    until: datetime | None = None,
) -> int:
    """Fill `data`, which is empty or not there, and `files` with what lay beside the database.

    `former_url`: the database that was lost; it may answer no more. `owner`: the user who will run the server, when we are
    not that. `until`: the log is read up to this moment, and no further. Answers how many segments of the log were laid in
    place behind the backup. Raises BackupError.
    """
    for empty in (data, files):
        if empty.exists() and any(empty.iterdir()):
            raise BackupError(f"{empty} is not empty: a restore writes over nothing")
    if _answers(former_url):
        raise BackupError(f"a database answers at {_where(former_url)}: end it first, for there must not be two")
    verify(folder, backup)
    received = received_since(folder, backup)
    data.parent.mkdir(parents=True, exist_ok=True)
    run("pg_combinebackup", backup.base, "--output", data)
    for segment in received:
        shutil.copyfile(segment.path, data / "pg_wal" / segment.name)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(_SETTINGS)
        if until is not None:
            settings.write(_UNTIL.format(moment=until.isoformat(sep=" ", timespec="milliseconds")))
    (data / "recovery.signal").touch()
    for file in backup.record.files:
        target = files / Path(file.path).relative_to("files")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(backup.folder / file.path, target)
    if owner:
        _give(data, owner)
    return len(received)


def _where(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5432), _PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def _give(folder: Path, owner: str) -> None:
    user = pwd.getpwnam(owner)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    folder.chmod(0o700)
