import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from cli.city.reconcile import report_of
from cli.city.sets import Adjusted, Decided, Sets
from onecard.payments.v1.dead_letters_pb2 import CAUSE_IDENTITY_CONFLICT, CAUSE_UNDECODABLE, CAUSE_UNKNOWN_CARD
from sdk.merchant.spool import Spool
from sdk.merchant.transaction import SignedRecord
from tests.support.terminal_keys import sign
from tests.unit.sdk.taps import outcome_of, ride, signed

NOISE = b"\xff\xff noise"


class Town:
    """A spool and a ledger that agree: card 1 posted, card 2 refused, card 3 put aside, card 4 in conflict, and noise."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "bus.spool"
        self.decided = [self.verdict(signed(1, 1)), self.verdict(signed(2, 2), verdict=2, reason=1, fare_fen=0)]
        self.aside = [
            (signed(3, 3).record, CAUSE_UNKNOWN_CARD),
            (signed(4, 4).record, CAUSE_IDENTITY_CONFLICT),
            (NOISE, CAUSE_UNDECODABLE),
            (NOISE, CAUSE_UNDECODABLE),
        ]
        with Spool(self.spool) as spool:
            spool.take([ride(number) for number in (1, 2, 3, 4)], sign)
            spool.answer(
                [
                    outcome_of(signed(1, 1)),
                    outcome_of(signed(2, 2), verdict=2, reason=1, fare_fen=0),
                    outcome_of(signed(4, 4), verdict=2, reason=12, fare_fen=0),
                ]
            )
        self.adjusted: list[Adjusted] = []
        self.noise = folder / "vandal.raw"
        with sqlite3.connect(self.noise) as db:
            db.execute("create table raw (digest blob)")
            db.execute("insert into raw values (?)", (sha256(NOISE).digest(),))
        db.close()

    def verdict(self, record: SignedRecord, *, verdict: int = 1, reason: int = 0, fare_fen: int = 200) -> Decided:
        outcome = outcome_of(record, verdict=verdict, reason=reason, fare_fen=fare_fen)
        return Decided(0, outcome.terminal_sequence, *outcome[3:4], *outcome[5:11])

    def broken_rules(self) -> dict[str, int]:
        with Sets() as sets:
            return {problem.rule: problem.count for problem in self.load(sets).problems()}

    def load(self, sets: Sets) -> Sets:
        sets.add_spool(self.spool)
        sets.add_noise(self.noise)
        terminal = sets.terminal("BUS", "V-1")
        sets.add_decided(decided._replace(terminal=terminal) for decided in self.decided)
        sets.add_adjusted(adjusted._replace(terminal=terminal) for adjusted in self.adjusted)
        for record, cause in self.aside:
            sets.add_aside(record, cause)
        return sets


NOT_THE_VERDICT = "the outcome is not the verdict, or not its latest adjustment"


@pytest.fixture
def agreeing(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_sets_that_agree_have_no_problems(agreeing: Town) -> None:
    with Sets() as sets:
        report = report_of(agreeing.load(sets))
    assert report.agrees
    assert (report.emitted, report.posted, report.answered) == (5, 1, 3)
    assert report.refused == {"insufficient funds": 1}
    assert report.aside == {"unknown card": 1, "identity conflict": 1, "undecodable": 1}
    assert "the sets agree" in report.plain()


def test_a_lost_transaction_is_found_and_named(agreeing: Town) -> None:
    del agreeing.decided[0]
    with Sets() as sets:
        (problem,) = agreeing.load(sets).problems()
    assert (problem.rule, problem.count) == ("emitted, but neither decided nor put aside", 1)
    assert problem.examples[0].startswith("BUS V-1 1, digest ")


def test_a_verdict_nobody_asked_for_is_found(agreeing: Town) -> None:
    agreeing.decided.append(agreeing.verdict(signed(9, 9)))
    assert agreeing.broken_rules() == {"decided, but never emitted": 1}


def test_a_verdict_for_another_body_is_found(agreeing: Town) -> None:
    agreeing.decided[0] = agreeing.verdict(signed(9, 1))
    assert agreeing.broken_rules() == {"emitted, but neither decided nor put aside": 1, "decided, but never emitted": 1}


def test_a_transaction_both_decided_and_put_aside_is_found(agreeing: Town) -> None:
    agreeing.aside.append((signed(1, 1).record, CAUSE_UNKNOWN_CARD))
    assert "decided and put aside at once" in agreeing.broken_rules()


def test_a_missing_outcome_is_found(agreeing: Town) -> None:
    agreeing.decided.append(agreeing.verdict(signed(3, 3)))
    del agreeing.aside[0]
    assert agreeing.broken_rules() == {"decided, but its outcome never came back": 1}


@pytest.mark.parametrize(
    "changed", [{"verdict": 2, "reason": 5}, {"fare_fen": 100}, {"charged_fen": 0}, {"batch": 8}, {"row": 9}, {"reason": 3}]
)
def test_an_outcome_that_is_not_the_verdict_is_found(agreeing: Town, changed: dict[str, int]) -> None:
    agreeing.decided[0] = agreeing.decided[0]._replace(**changed)  # type: ignore[arg-type]  # all of these are numbers
    assert agreeing.broken_rules() == {NOT_THE_VERDICT: 1}


def test_an_outcome_must_be_the_latest_adjustment(agreeing: Town) -> None:
    outcome = outcome_of(signed(1, 1), revision=2, fare_fen=100)
    second = Adjusted(0, 1, 2, outcome.fare_fen, outcome.charged_fen, outcome.batch, outcome.row)
    agreeing.adjusted = [second, second._replace(revision=1, fare_fen=50)]
    assert agreeing.broken_rules() == {NOT_THE_VERDICT: 1}
    with Spool(agreeing.spool) as spool:
        spool.answer([outcome])
    assert agreeing.broken_rules() == {}
    agreeing.adjusted = []
    assert agreeing.broken_rules() == {NOT_THE_VERDICT: 1}


def test_a_conflict_without_its_outcome_is_found(agreeing: Town) -> None:
    agreeing.aside[0] = (signed(3, 3).record, CAUSE_IDENTITY_CONFLICT)
    assert agreeing.broken_rules() == {"a conflict whose outcome never came back, or says something else": 1}


def test_an_answer_to_what_was_put_aside_is_found(agreeing: Town) -> None:
    agreeing.aside[1] = (signed(4, 4).record, CAUSE_UNKNOWN_CARD)
    assert agreeing.broken_rules() == {"answered, although it was put aside": 1}


def test_noise_is_compared_by_its_digest(agreeing: Town) -> None:
    agreeing.aside[2:] = [(NOISE + b"!", CAUSE_UNDECODABLE)]
    assert agreeing.broken_rules() == {
        "sent without an identity, but not put aside": 1,
        "put aside without an identity, but never sent": 1,
    }


def test_examples_are_few(agreeing: Town) -> None:
    agreeing.decided += [agreeing.verdict(signed(number, number)) for number in range(10, 20)]
    with Sets() as sets:
        (problem,) = agreeing.load(sets).problems()
    assert (problem.count, len(problem.examples)) == (10, 5)


def test_a_transaction_in_two_spools_counts_once(agreeing: Town, tmp_path: Path) -> None:
    with Spool(tmp_path / "other.spool") as spool:
        spool.take([ride(1)], sign)
    with Sets() as sets:
        agreeing.load(sets)
        sets.add_spool(tmp_path / "other.spool")
        assert sets.problems() == []
