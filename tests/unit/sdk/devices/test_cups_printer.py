"""A printer behind CUPS, whose commands are played by a script: each card is sent once, and what is not confirmed is unknown."""

import shutil
from functools import cache
from pathlib import Path

import pytest

import sdk.window.devices.cups_printer as module
from sdk.window.devices import ipp
from sdk.window.devices.cups import CupsError, Queue
from sdk.window.devices.cups_printer import CupsPrinter
from sdk.window.devices.making import made
from sdk.window.devices.printer import CardPrinter, Printed
from tests.unit.sdk.devices.faces import face

PROCESSING = 5
once_made = cache(made)
"""The same card is made once for all of these."""


class Cups:
    """The script, its jobs, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.purged: list[int] = []
        self.mood("")
        for name in ("bin", "waiting", "ended", "sent"):
            (folder / name).mkdir()
        for name in ("lp", "lpstat"):
            shutil.copy(Path(__file__).with_name("cups.sh"), folder / "bin" / name)
            (folder / "bin" / name).chmod(0o755)

    def mood(self, mood: str) -> None:
        (self.folder / "mood").write_text(mood)

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    @property
    def times_sent(self) -> int:
        return sum(command.startswith("lp ") for command in self.asked)

    def state_of(self, server: str, job: int, user: str, seconds: float) -> int:
        """As the protocol tells it."""
        assert server == "script"
        ended = self.folder / "ended" / f"card-{job}"
        return int(ended.read_text()) if ended.exists() else PROCESSING

    def purge(self, server: str, job: int, user: str, seconds: float) -> None:
        self.purged.append(job)
        for folder in ("waiting", "ended", "sent"):
            (self.folder / folder / f"card-{job}").unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        return sorted(file.name for file in (self.folder / folder).iterdir())


@pytest.fixture
def cups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cups:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("CUPS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "made", once_made)
    played = Cups(tmp_path)
    monkeypatch.setattr(ipp, "state_of", played.state_of)
    monkeypatch.setattr(ipp, "purge", played.purge)
    return played


def impatient() -> CupsPrinter:
    return CupsPrinter("card", timeout_seconds=0, look_again_seconds=0)


def test_a_card_that_came_out_is_done_and_leaves_nothing_behind(cups: Cups) -> None:
    printer: CardPrinter = CupsPrinter("card")
    assert printer.ready().ready
    assert printer.print(face()) is Printed.DONE
    assert cups.times_sent == 1
    assert cups.purged == [1]
    assert [cups.names(folder) for folder in ("waiting", "ended", "sent")] == [[], [], []]
    assert not list(cups.folder.rglob("*.pdf"))


def test_what_is_sent_is_the_pdf_and_the_command_names_nobody(cups: Cups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "forget", lambda *_: None)
    assert CupsPrinter("card").print(face()) is Printed.DONE
    assert (cups.folder / "sent" / "card-1").read_bytes().startswith(b"%PDF")
    (command,) = [asked for asked in cups.asked if asked.startswith("lp ")]
    assert command == "lp -d card -t card -o media=Custom.85.60x53.98mm -o print-scaling=none -o sides=two-sided-long-edge -"


def test_a_refused_job_touched_nothing(cups: Cups) -> None:
    cups.mood("refuses")
    assert CupsPrinter("card").print(face()) is Printed.FAILED_BEFORE


@pytest.mark.parametrize("mood", ["dies", "nameless", "vanishes"])
def test_whether_a_job_was_taken_that_nobody_confirmed_is_unknown(cups: Cups, mood: str) -> None:
    cups.mood(mood)
    assert CupsPrinter("card").print(face()) is Printed.UNKNOWN
    assert cups.times_sent == 1


def test_a_card_that_may_still_come_out_closes_the_printer_to_the_next_one(cups: Cups) -> None:
    cups.mood("dies")
    printer = CupsPrinter("card")
    assert printer.print(face()) is Printed.UNKNOWN
    cups.mood("")
    assert printer.ready().reason == "QUEUE_NOT_EMPTY"
    assert printer.print(face()) is Printed.FAILED_BEFORE
    assert cups.times_sent == 1


def test_a_job_that_does_not_end_in_time_is_unknown_and_taken_back(cups: Cups) -> None:
    cups.mood("stays")
    assert impatient().print(face()) is Printed.UNKNOWN
    assert cups.times_sent == 1
    assert cups.names("waiting") == []


def test_a_job_that_was_aborted_is_for_somebody_to_look_at(cups: Cups) -> None:
    cups.mood("aborts")
    assert CupsPrinter("card").print(face()) is Printed.UNKNOWN


def test_another_job_that_succeeded_is_no_confirmation_of_this_one(cups: Cups) -> None:
    (cups.folder / "ended" / "card-7").write_text(str(ipp.COMPLETED))
    cups.mood("aborts")
    assert CupsPrinter("card").print(face()) is Printed.UNKNOWN


def test_a_name_that_cannot_be_printed_is_not_sent(cups: Cups) -> None:
    printer = CupsPrinter("card")
    assert "U+323AF" in printer.refuses(face(name="王\U000323af"))
    assert printer.print(face(name="王\U000323af")) is Printed.FAILED_BEFORE
    assert cups.times_sent == 0


@pytest.mark.parametrize(
    ("mood", "reason"), [("stopped", "PRINTER_STOPPED"), ("closed", "PRINTER_CLOSED"), ("away", "NO_PRINTER")]
)
def test_a_printer_that_is_not_ready_says_why_and_prints_nothing(cups: Cups, mood: str, reason: str) -> None:
    cups.mood(mood)
    printer = CupsPrinter("card")
    assert printer.ready().reason == reason
    assert printer.print(face()) is Printed.FAILED_BEFORE
    assert cups.times_sent == 0


def test_a_printer_that_cups_does_not_know_is_named(cups: Cups) -> None:
    state = CupsPrinter("other").ready()
    assert state.reason == "NO_PRINTER"
    assert "other" in state.message


def test_without_cups_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    state = CupsPrinter("card").ready()
    assert state.reason == "NO_CUPS"
    assert "cups" in state.message


def test_a_command_that_does_not_answer_is_given_up(cups: Cups) -> None:
    cups.mood("sleeps")
    with pytest.raises(CupsError, match="TimeoutExpired"):
        Queue("card", command_seconds=0.01).send(b"%PDF", [])
