"""What goes wrong on purpose is what the file says, and comes as often as it says."""

from collections import Counter
from pathlib import Path

from simulation.taps import Pace
from simulation.troubles import TroubleFile, Troubles
from simulation.vandal import Fault


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = TroubleFile(tmp_path / "troubles.json")
    told = Troubles({Fault.WRONG_TAC: 5.0, Fault.SENT_TWICE: 0.5}, keeper_away=True, bank_miscounts=True)
    file.write(told)
    assert file.read() == told
    file.write(Troubles())
    assert file.read() == Troubles()


def test_without_a_file_nothing_goes_wrong(tmp_path: Path) -> None:
    assert TroubleFile(tmp_path / "troubles.json").read() == Troubles()


def test_of_each_kind_as_many_come_as_are_due() -> None:
    pace = Pace(now=100.0)
    rates = {Fault.WRONG_TAC: 5.0, Fault.UNKNOWN_EPOCH: 0.2}
    seen = Counter(fault for tick in range(1, 501) for fault in pace.due(rates, 100.0 + tick * 0.04))
    assert seen[Fault.WRONG_TAC] in (99, 100)
    assert seen[Fault.UNKNOWN_EPOCH] in (3, 4)


def test_after_a_pause_of_the_machine_a_second_s_worth_comes_at_most() -> None:
    pace = Pace(now=100.0)
    assert len(pace.due({Fault.WRONG_TAC: 5.0}, 900.0)) == 5


def test_when_nothing_is_due_any_more_nothing_comes() -> None:
    pace = Pace(now=100.0)
    pace.due({Fault.WRONG_TAC: 5.0}, 100.5)
    assert pace.due({}, 101.0) == []
    assert pace.due({}, 109.0) == []
