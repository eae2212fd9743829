"""A kit's queue on its disk: nothing personal in it, nothing lost by a cut of power, nothing back that has a verdict."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from onecard.card.v1 import applications_pb2 as applications
from sdk.window.kit import queue_application
from sdk.window.kit_queue import KitQueue, QueueError, Verdict
from sdk.window.sealed import SealingKey, seal
from services.card.adapters.kit_key import KitKey
from services.card.domain.document import DocumentKind
from services.common.keyvault.vault import Sealed
from tests.support.cardholders import make_vault

NAME, NUMBER, PHONE, ADDRESS = "欧阳标记", "440703199001010777", "13987654321", "标记路七十七号"
PHOTO = b"\xff\xd8 a marked photo \xff\xd9"
KIT = "onecard://merchant/CITY-HALL/terminal/KIT-1"


def key_of(folder: Path) -> tuple[KitKey, SealingKey]:
    """The service's, and what a kit has heard of it."""
    ours = KitKey(make_vault(folder))
    public = ours.public()
    assert public is not None
    return ours, SealingKey(*public, KIT)


def form() -> applications.SubmitRequest:
    document = applications.Document(kind=DocumentKind.RESIDENT_ID.value, number=NUMBER)  # type: ignore[arg-type]
    person = applications.Person(document=document, name=NAME, phone=PHONE, address=ADDRESS)
    return applications.SubmitRequest(request_id="r1", person=person, photo=PHOTO)


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_nothing_personal_can_be_read_in_the_store_and_the_service_reads_it_all(tmp_path: Path) -> None:
    ours, key = key_of(tmp_path)
    folder = tmp_path / "kit"
    folder.mkdir()
    with KitQueue(folder / "queue") as queue:
        queue.keep_key(key)
        assert queue_application(queue, form()) == ("r1", 1)
        stored = on_disk(folder)
        (item,) = queue.items()
        assert b"r1" in stored  # what is there is found
        for text in (NAME, NUMBER, PHONE, ADDRESS):
            assert text.encode() not in stored
        assert PHOTO not in stored
        sealed = Sealed(item.key_version, item.ephemeral_key, item.sealed)
        plain = ours.open(KIT, "r1", sealed)
        assert plain is not None
        assert applications.SubmitRequest.FromString(plain) == form()
        assert ours.open(KIT + "2", "r1", sealed) is None
        assert "sealed" not in repr(item)
    assert (folder / "queue").stat().st_mode & 0o077 == 0
    assert NAME.encode() not in on_disk(folder)


def test_two_that_are_alike_look_different(tmp_path: Path) -> None:
    _, key = key_of(tmp_path)
    one, other = (seal(key, "r1", b"the same", 1) for _ in range(2))
    assert one.sealed != other.sealed
    assert one.ephemeral_key != other.ephemeral_key


def test_without_the_services_key_nothing_is_queued(tmp_path: Path) -> None:
    with KitQueue(tmp_path / "queue") as queue, pytest.raises(QueueError, match="联网"):
        queue_application(queue, form())


def test_it_is_kept_until_its_verdict_came_and_the_verdict_stays(tmp_path: Path) -> None:
    _, key = key_of(tmp_path)
    with KitQueue(tmp_path / "queue") as queue:
        queue.keep_key(key)
        for id_ in ("a", "b", "c", "a"):
            queue.add(seal(key, id_, b"x", 1))
        assert (queue.ids(2), queue.count()) == (["a", "b"], 3)
        queue.settle([Verdict("b", 7, "", "", 1, 2)])
    with KitQueue(tmp_path / "queue") as queue:
        assert [item.id for item in queue.items()] == ["a", "c"]
        assert queue.verdicts() == [Verdict("b", 7, "", "", 1, 2)]
        assert queue.key() == key


def test_a_settlement_that_fails_half_way_takes_nothing_out(tmp_path: Path) -> None:
    _, key = key_of(tmp_path)
    with KitQueue(tmp_path / "queue") as queue:
        queue.add(seal(key, "a", b"x", 1))
        with pytest.raises(sqlite3.Error):
            queue.settle([Verdict("a", 1, "", "", 1, 1), Verdict("b", None, "", "", 1, 1)])  # type: ignore[arg-type]
        assert queue.count() == 1


def test_a_file_that_is_no_queue_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "queue"
    file.write_bytes(b"something else" * 1000)
    with pytest.raises(QueueError, match="no queue"):
        KitQueue(file)
    assert file.read_bytes() == b"something else" * 1000


def test_a_queue_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    with KitQueue(tmp_path / "queue"):
        pass
    with sqlite3.connect(tmp_path / "queue") as db:
        db.execute("pragma user_version = 9")
    with pytest.raises(QueueError, match="newer"):
        KitQueue(tmp_path / "queue")


QUEUER = """
import sys
from pathlib import Path
from sdk.window.kit_queue import KitQueue
from sdk.window.sealed import SealedApplication
queue = KitQueue(Path(sys.argv[1]))
for number in range(1_000_000):
    queue.add(SealedApplication(f"item-{number}", 1, b"k", bytes(2_000), 1))
    print(number, flush=True)
"""


def test_what_was_called_queued_is_there_after_the_program_was_killed_at_any_moment(tmp_path: Path) -> None:
    for life in range(5):
        file = tmp_path / f"queue-{life}"
        command = [sys.executable, "-c", QUEUER, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = -1
            for line in process.stdout:
                told = int(line)
                if told >= life * 7:
                    break
            process.kill()
            told = max([told, *map(int, process.stdout.read().split())])
        copy = tmp_path / f"copy-{life}"
        copy.mkdir()
        for part in tmp_path.glob(f"queue-{life}*"):  # as a disk has it: with its log, and without whoever wrote it
            shutil.copy(part, copy / part.name)
        with KitQueue(copy / file.name) as queue:
            ids = [item.id for item in queue.items()]
        assert ids[: told + 1] == [f"item-{number}" for number in range(told + 1)]
        assert len(ids) <= told + 2


def test_each_addition_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    with KitQueue(tmp_path / "queue") as queue:
        assert queue._db.execute("pragma synchronous").fetchone() == (2,)  # FULL: each commit is written through
        assert queue._db.execute("pragma journal_mode").fetchone() == ("wal",)
