"""Checkpoints: heads of the chain, as they left the database for a file and for a topic."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.protobuf.message import DecodeError

from onecard.payments.v1.seals_pb2 import Checkpoint as CheckpointMessage
from services.common.clock import instant, milliseconds
from services.payments.domain.seal import Seal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What stood at the head of the chain at a time."""

    seal: int
    last_batch: int
    head: bytes
    time_ms: int


def checkpoint_message(seal: Seal) -> bytes:
    """For `ledger.seals`."""
    return CheckpointMessage(
        seal_number=seal.number,
        last_batch=seal.last,
        head=seal.head,
        key_version=seal.key_version,
        create_time_ms=seal.create_time_ms,
    ).SerializeToString()


def with_published(known: Mapping[int, tuple[Checkpoint, ...]], messages: Iterable[bytes]) -> dict[int, tuple[Checkpoint, ...]]:
    """Checkpoints of a file with those of `ledger.seals`: the file may be older than the topic, or be a backup's.

    A message that says nothing usable is passed over, as of the other topics of seals.
    """
    found = dict(known)
    for message in messages:
        try:
            said = CheckpointMessage.FromString(message)
        except DecodeError:
            continue
        _keep(found, Checkpoint(said.seal_number, said.last_batch, said.head, said.create_time_ms))
    return found


def _keep(found: dict[int, tuple[Checkpoint, ...]], checkpoint: Checkpoint) -> None:
    """Beside others of its seal, once."""
    others = found.get(checkpoint.seal, ())
    if checkpoint not in others:
        found[checkpoint.seal] = (*others, checkpoint)


def append_checkpoint(file: Path, seal: Seal) -> None:
    """Add a line to the file, and return when the disk has it."""
    line = {
        "seal": seal.number,
        "last_batch": seal.last,
        "head": seal.head.hex(),
        "time": instant(seal.create_time_ms).isoformat(timespec="milliseconds"),
    }
    with file.open("ab+") as kept:
        # A crash may have left half a line: it stays what it is, and ours is a line of its own.
        torn = kept.tell() > 0 and _last_byte(kept.fileno()) != b"\n"
        kept.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
        kept.flush()
        os.fsync(kept.fileno())


def _last_byte(file: int) -> bytes:
    return os.pread(file, 1, os.fstat(file).st_size - 1)


def read_checkpoints(file: Path) -> tuple[Mapping[int, tuple[Checkpoint, ...]], int]:
    """Checkpoints by number of their seal, and how many lines say nothing usable."""
    found: dict[int, tuple[Checkpoint, ...]] = {}
    unusable = 0
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        checkpoint = _checkpoint(line)
        if checkpoint is None:
            unusable += bool(line.strip())
        else:
            _keep(found, checkpoint)
    return found, unusable


def _checkpoint(line: str) -> Checkpoint | None:
    try:
        said = json.loads(line)
        time = datetime.fromisoformat(said["time"])
        return Checkpoint(int(said["seal"]), int(said["last_batch"]), bytes.fromhex(said["head"]), milliseconds(time))
    except (ValueError, TypeError, KeyError):
        return None
