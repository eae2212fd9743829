"""The folder of backups: one folder a backup, and beside them the write-ahead log as it was received."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from cli.backup.tools import BackupError, run

WAL = "wal"
RECORD = "backup.json"
PARTIAL = ".partial"
_SEGMENT = re.compile(r"^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?$")
_NAME = "%Y%m%dT%H%M%SZ"


class File(msgspec.Struct, frozen=True):
    """A file beside the database: which service's setting names it, and what it is."""

    setting: str
    path: str
    """Inside of the backup."""
    came_from: str
    sha256: str


class Record(msgspec.Struct, frozen=True):
    """What a backup says of itself. It is written last: a folder without it is none."""

    taken: datetime
    size_bytes: int
    timeline: int
    first_segment: str
    """The oldest one of the received log that a restore needs."""
    end_lsn: str
    files: list[File]


@dataclass(frozen=True, slots=True)
class Backup:
    """One of them."""

    folder: Path
    record: Record

    @property
    def name(self) -> str:
        """When it was begun, in UTC."""
        return self.folder.name

    @property
    def base(self) -> Path:
        """The database's files, with their manifest."""
        return self.folder / "base"


def name_of(taken: datetime) -> str:
    """The folder of a backup that was begun then."""
    return taken.strftime(_NAME)


def list_backups(folder: Path) -> list[Backup]:
    """Whole ones, oldest first."""
    found = sorted(folder.glob(f"*/{RECORD}"))
    return [Backup(file.parent, msgspec.json.decode(file.read_bytes(), type=Record)) for file in found if not _torn(file)]


def _torn(file: Path) -> bool:
    return file.parent.name.endswith(PARTIAL)


def find_backup(folder: Path, name: str = "", before: datetime | None = None) -> Backup:
    """The one of that name, or the newest, or the newest that was whole before a moment. Raises BackupError."""
    backups = [backup for backup in list_backups(folder) if name in ("", backup.name)]
    if not backups:
        raise BackupError(f"there is no backup {name or 'at all'} in {folder}")
    if before is not None:
        backups = [backup for backup in backups if backup.record.taken < before]
        if not backups:
            raise BackupError(f"no backup in {folder} is older than {before.isoformat()}")
    return backups[-1]


class _Range(msgspec.Struct, frozen=True):
    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class _Manifest(msgspec.Struct, frozen=True):
    ranges: list[_Range] = msgspec.field(name="WAL-Ranges")


def span_of(base: Path) -> tuple[int, str, str]:
    """Timeline, first position and last position of the log that makes a base backup whole, by its manifest."""
    manifest = msgspec.json.decode((base / "backup_manifest").read_bytes(), type=_Manifest)
    first, last = manifest.ranges[0], manifest.ranges[-1]
    return last.timeline, first.start, last.end


def segment_of(timeline: int, lsn: str, segment_bytes: int) -> str:
    """The name of the segment in which a position lies."""
    high, low = (int(part, 16) for part in lsn.split("/"))
    number, a_file = (high << 32 | low) // segment_bytes, 2**32 // segment_bytes
    return f"{timeline:08X}{number // a_file:08X}{number % a_file:08X}"


def segment_bytes_of(base: Path) -> int:
    """How long a segment is, by a base backup's control file."""
    for line in run("pg_controldata", base).splitlines():
        if line.startswith("Bytes per WAL segment:"):
            return int(line.rsplit(maxsplit=1)[1])
    raise BackupError(f"pg_controldata does not say how long a segment of {base} is")


@dataclass(frozen=True, slots=True)
class Received:
    """A segment that was received; the newest one may be begun only."""

    path: Path
    timeline: int
    number: tuple[int, int]

    @property
    def name(self) -> str:
        """As PostgreSQL calls it when it is whole."""
        return self.path.name.removesuffix(PARTIAL)


def list_received(folder: Path) -> list[Received]:
    """What lies in the log's folder, oldest first; a segment that is there whole and begun is there whole."""
    found: dict[str, Received] = {}
    for path in sorted((folder / WAL).glob("*")):
        if match := _SEGMENT.match(path.name):
            segment = Received(path, int(match[1], 16), (int(match[2], 16), int(match[3], 16)))
            found.setdefault(segment.name, segment)
    return sorted(found.values(), key=lambda segment: segment.name)


def received_since(folder: Path, backup: Backup) -> list[Received]:
    """The segments that follow a backup, without a gap. Raises BackupError naming what is missing."""
    timeline, _, end = span_of(backup.base)
    size = segment_bytes_of(backup.base)
    last = segment_of(timeline, end, size)
    found = [segment for segment in list_received(folder) if segment.name >= last and segment.timeline == timeline]
    a_file = 2**32 // size
    for expected, segment in enumerate(found, start=int(last[8:16], 16) * a_file + int(last[16:24], 16)):
        if segment.number[0] * a_file + segment.number[1] != expected:
            missing = f"{timeline:08X}{expected // a_file:08X}{expected % a_file:08X}"
            raise BackupError(f"the received log has a hole: {missing} is missing in {folder / WAL}")
    return found


def digest_of(file: Path) -> str:
    """SHA-256, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
