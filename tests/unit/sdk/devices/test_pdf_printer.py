"""The printer that makes PDFs: nothing of a card is on a disk unless it is asked for, and then nobody else may read it."""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2
import pytest

import sdk.window.devices.pdf_printer as module
from sdk.window.devices.pdf_printer import PdfPrinter
from sdk.window.devices.printer import CardPrinter, Printed
from sdk.window.devices.type import NoTypeError
from tests.unit.sdk.devices.faces import face


@contextmanager
def no_room_on_the_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printer: CardPrinter = PdfPrinter()
    with no_room_on_the_disk():  # a file of a card's size could not be written anywhere
        assert printer.print(face()) is Printed.DONE
    assert not list(tmp_path.rglob("*"))


def test_a_kept_card_is_its_owners_alone_under_a_name_that_says_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cards"
    before = os.umask(0)
    try:
        printer = PdfPrinter(folder)
        assert printer.ready().ready
        assert printer.print(face()) is Printed.DONE
    finally:
        os.umask(before)
    (kept,) = folder.iterdir()
    assert printer.kept == kept
    assert (mode(folder), mode(kept)) == (0o700, 0o600)
    assert not any(personal in kept.name for personal in ("王秀兰", "440703", "A1234567X"))
    assert len(pypdfium2.PdfDocument(kept)) == 2


def test_each_card_is_a_file_of_its_own(tmp_path: Path) -> None:
    printer = PdfPrinter(tmp_path / "cards")
    assert [printer.print(face()), printer.print(face())] == [Printed.DONE] * 2
    assert len(list((tmp_path / "cards").iterdir())) == 2


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    printer = PdfPrinter(tmp_path / "cards")
    with no_room_on_the_disk():
        assert printer.print(face()) is Printed.FAILED_BEFORE
    assert not list((tmp_path / "cards").iterdir())
    assert printer.kept is None


def test_what_cannot_be_printed_is_said_before_and_touches_nothing(tmp_path: Path) -> None:
    printer, rare = PdfPrinter(tmp_path / "cards"), face(name="王\U000323af")
    assert "U+323AF" in printer.refuses(rare)
    assert printer.print(rare) is Printed.FAILED_BEFORE
    assert not list((tmp_path / "cards").iterdir())
    assert printer.refuses(face()) == ""


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "cards"
    folder.mkdir()
    folder.chmod(0o755)
    printer = PdfPrinter(folder)
    assert printer.ready().reason == "FOLDER_OPEN_TO_OTHERS"
    assert printer.print(face()) is Printed.FAILED_BEFORE
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cards").write_text("a file")
    assert PdfPrinter(tmp_path / "cards").ready().reason == "FOLDER_UNUSABLE"


def test_without_chinese_type_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise NoTypeError

    monkeypatch.setattr(module, "find_type", nothing)
    state = PdfPrinter().ready()
    assert state.reason == "NO_CHINESE_TYPE"
    assert "fonts-noto-cjk" in state.message
    assert PdfPrinter().print(face()) is Printed.FAILED_BEFORE
