"""Takes a backup: PostgreSQL's base backup with its manifest, verified, and the files that an empty machine needs beside it."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cli.backup.folder import (
    PARTIAL,
    RECORD,
    Backup,
    File,
    Record,
    digest_of,
    name_of,
    received_since,
    segment_bytes_of,
    segment_of,
    span_of,
)
from cli.backup.tools import BackupError, ask, connection, run

FILES = (
    "ONECARD_VAULT",
    "ONECARD_CHECKPOINTS",
    "ONECARD_TARIFFS",
    "ONECARD_RULES",
    "ONECARD_LIVE",
    "ONECARD_SETTINGS",
    "ONECARD_PRODUCTS",
)
"""Settings of the services that name what is not in the database. A vault lies there as it is: sealed under its PIN."""
BROUGHT = (
    "the PIN of each vault, and its security officer's PIN",
    "ONECARD_BATCH_KEY, with its version and the keys of before",
    "passwords of the database's roles",
    "certificates and private keys, and the issuing authority's",
    "the tokens of hardware modules (ONECARD_PKCS11_MODULE), by their maker's own backup",
)
"""What no backup has: custodians and the keeper of secrets bring it."""
_NOTE = """
insert into payments.backup (take_time, name, size_bytes) values (:'taken'::timestamptz, :'name', :'size'::bigint);
"""


def take(folder: Path, url: str, services: Mapping[str, Mapping[str, str]]) -> Backup:
    """Take one, as the role of backups; `services` gives each service's settings. Raises BackupError."""
    taken = datetime.now(UTC)
    place = folder / name_of(taken)
    workshop = place.with_name(place.name + PARTIAL)
    if place.exists() or workshop.exists():
        raise BackupError(f"{place} exists already: a backup was begun in this very second")
    workshop.mkdir(parents=True, mode=0o700)
    base = workshop / "base"
    run(
        "pg_basebackup",
        *("--pgdata", base, "--wal-method", "stream", "--checkpoint", "fast"),
        *("--manifest-checksums", "SHA256", "--label", f"onecard {place.name}", "--no-password"),
        env=connection(url),
    )
    run("pg_verifybackup", "--quiet", base)
    files = [file for service, settings in services.items() for file in _copy_files(workshop, service, settings)]
    timeline, start, end = span_of(base)
    record = Record(
        taken=taken,
        size_bytes=sum(file.stat().st_size for file in workshop.rglob("*") if file.is_file()),
        timeline=timeline,
        first_segment=segment_of(timeline, start, segment_bytes_of(base)),
        end_lsn=end,
        files=files,
    )
    _write(workshop / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=2))
    workshop.rename(place)
    _sync(folder)
    ask(url, _NOTE, taken=taken.isoformat(), name=place.name, size=str(record.size_bytes))
    return Backup(place, record)


def verify(folder: Path, backup: Backup) -> int:
    """Look at every byte again; answers how many segments were received behind it. Raises BackupError at what is wrong."""
    run("pg_verifybackup", "--quiet", backup.base)
    for file in backup.record.files:
        path = backup.folder / file.path
        if not path.is_file() or digest_of(path) != file.sha256:
            raise BackupError(f"{path} is not what was copied from {file.came_from}")
    return len(received_since(folder, backup))


def _copy_files(workshop: Path, service: str, settings: Mapping[str, str]) -> list[File]:
    copied = []
    for setting in FILES:
        source = Path(settings.get(setting) or "/nowhere")
        found = [source] if source.is_file() else sorted(path for path in source.glob("**/*") if path.is_file())
        for path in found:
            inside = Path("files", service, setting, path.relative_to(source.parent))
            target = workshop / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
            copied.append(File(setting, str(inside), str(path), digest_of(target)))
    return copied


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
