import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sdk.merchant.spool import Answer, Kept, Outcome, Source, Spool, SpoolInUseError
from sdk.merchant.transaction import SignedRecord, identity_of
from tests.support.terminal_keys import sign
from tests.unit.sdk.taps import outcome_of, ride, signed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spools" / "bus.spool"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    with Spool(path) as spool:
        yield spool


def sequences(spool: Spool) -> list[tuple[str, int]]:
    found = [identity_of(due.record) for due in spool.take_due(2**60, 100)]
    return sorted((identity[1], identity[2]) for identity in found if identity)


def answered(path: Path) -> list[tuple[int, int, int]]:
    with sqlite3.connect(path) as db:
        rows = db.execute("select sequence, revision, fare_fen from answered order by sequence").fetchall()
    db.close()
    return rows


def test_each_terminal_counts_from_one(spool: Spool) -> None:
    spool.take([ride(1, terminal="A"), ride(2, terminal="B"), ride(3, terminal="A")], sign)
    assert sequences(spool) == [("A", 1), ("A", 2), ("B", 1)]


def test_the_next_run_goes_on_counting_and_emits_the_same_bytes(path: Path) -> None:
    with Spool(path) as first:
        before = first.take([ride(1), ride(2)], sign).new
    with Spool(path) as second:
        assert second.pending_count == 2
        assert [due.record for due in second.take_due(0, 10)] == [new.record for new in before]
        second.take([ride(3)], sign)
        assert sequences(second)[-1] == ("V-1", 3)


def test_a_number_is_never_given_twice_even_when_all_are_answered(path: Path) -> None:
    with Spool(path) as first:
        first.take([ride(1)], sign)
        first.answer([outcome_of(signed(1, 1))])
    with Spool(path) as second:
        second.take([ride(2)], sign)
        assert sequences(second) == [("V-1", 2)]


def test_nothing_is_kept_when_one_tap_cannot_be_signed(spool: Spool) -> None:
    def fail(_: object, __: int) -> SignedRecord:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spool.take([ride(1)], fail)
    assert spool.pending_count == 0
    spool.take([ride(1)], sign)
    assert sequences(spool) == [("V-1", 1)]


def test_a_terminal_that_counts_itself_is_believed(spool: Spool) -> None:
    assert spool.take([ride(1, sequence=7), ride(2)], sign).kept == [Kept.NEW, Kept.NEW]
    assert spool.take([ride(3, sequence=3)], sign).kept == [Kept.NEW]
    assert sequences(spool) == [("V-1", 3), ("V-1", 7), ("V-1", 8)]


def test_the_same_transaction_is_kept_once(spool: Spool) -> None:
    tap = ride(1, sequence=1)
    assert spool.take([tap, tap], sign).kept == [Kept.NEW, Kept.REPEATED]
    assert spool.take([tap], sign).kept == [Kept.REPEATED]
    spool.answer([outcome_of(signed(1, 1))])
    assert spool.take([tap], sign).kept == [Kept.REPEATED]
    assert spool.pending_count == 0


def test_a_number_is_not_used_for_another_transaction(spool: Spool) -> None:
    assert spool.take([ride(1), ride(2, sequence=1)], sign).kept == [Kept.NEW, Kept.REUSED]
    assert spool.take([ride(3, sequence=1)], sign).kept == [Kept.REUSED]
    spool.answer([outcome_of(signed(1, 1))])
    assert spool.take([ride(3, sequence=1)], sign).kept == [Kept.REUSED]


def test_an_unanswered_transaction_is_due_after_a_doubling_pause(path: Path) -> None:
    with Spool(path, first_pause_seconds=30, longest_pause_seconds=100) as spool:
        spool.take([ride(1)], sign)
        now = spool.next_due_ms() or 0
        for pause in (60_000, 100_000, 100_000):
            assert spool.take_due(now - 1, 10) == []
            assert len(spool.take_due(now, 10)) == 1
            assert spool.next_due_ms() == now + pause
            now += pause


def test_what_is_held_back_is_due_at_its_time_or_when_released(spool: Spool) -> None:
    spool.take([ride(1)], sign, emit_ms=2**50)
    spool.all_due()
    assert spool.take_due(2**50 - 1, 10) == []
    spool.release()
    assert len(spool.take_due(0, 10)) == 1


def test_what_was_not_delivered_is_due_at_once(spool: Spool) -> None:
    new = spool.take([ride(1), ride(2)], sign).new
    spool.not_delivered([new[1].id])
    assert spool.take_due(0, 10) == [new[1]]


def test_an_outcome_answers_once(spool: Spool) -> None:
    spool.take([ride(1)], sign)
    outcome = outcome_of(signed(1, 1))
    assert [answer.outcome for answer in spool.answer([outcome, outcome])] == [outcome]
    assert spool.answer([outcome]) == []
    assert spool.pending_count == 0


def test_an_outcome_of_another_body_answers_nothing(spool: Spool) -> None:
    spool.take([ride(1)], sign)
    assert spool.answer([outcome_of(signed(2, 1))]) == []
    assert spool.pending_count == 1


def test_a_conflict_answers_the_transaction_with_its_digest(spool: Spool) -> None:
    spool.take([ride(1)], sign)
    conflict = outcome_of(signed(1, 1), verdict=2, reason=12, fare_fen=0)
    assert [(answer.outcome.verdict, answer.outcome.reason) for answer in spool.answer([conflict])] == [(2, 12)]


def test_an_outcome_of_somebody_else_is_passed_over(spool: Spool, path: Path) -> None:
    spool.take([ride(1)], sign)
    assert spool.answer([outcome_of(signed(1, 1, terminal="V-2")), outcome_of(signed(1, 2))]) == []
    assert answered(path) == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_highest_revision_stays(path: Path, order: tuple[int, ...]) -> None:
    def revision(number: int) -> Outcome:
        return outcome_of(signed(1, 1), revision=number, fare_fen=100 + number)

    for together in (True, False):
        with Spool(path.with_name(f"{together}.spool")) as spool:
            spool.take([ride(1)], sign)
            answers: list[Answer] = []
            if together:
                answers += spool.answer([revision(number) for number in order])
            else:
                for number in order:
                    answers += spool.answer([revision(number)])
            assert len(answers) == 1
            assert answered(spool.path) == [(1, 2, 102)]


def test_old_answers_are_forgotten_and_young_ones_kept(path: Path) -> None:
    with Spool(path) as spool:
        spool.take([ride(1), ride(2)], sign)
        spool.answer([outcome_of(signed(1, 1)), outcome_of(signed(2, 2))])
    with sqlite3.connect(path) as db:
        db.execute("update answered set answer_ms = answer_ms - 31 * 86400000 where sequence = 1")
    db.close()
    with Spool(path):
        pass
    assert [sequence for sequence, _, _ in answered(path)] == [2]


def test_how_far_was_heard_is_kept_together_with_what_was_heard(path: Path) -> None:
    with Spool(path) as spool:
        assert spool.cursor("BUS") is None
        spool.take([ride(1), ride(2)], sign)
        spool.answer([outcome_of(signed(1, 1))], {"BUS": b"one"})
        assert spool.cursor("BUS") == b"one"
    with Spool(path) as again:
        assert again.cursor("BUS") == b"one"
        assert again.pending_count == 1
        again.answer([], {"BUS": b"three"})
        assert again.cursor("BUS") == b"three"


def test_one_merchants_unanswered_transactions_are_due_by_themselves(spool: Spool) -> None:
    spool.take([ride(1)], sign)
    (tram,) = spool.take([replace(ride(2), merchant_id="TRAM")], sign).new
    spool.take([replace(ride(3), merchant_id="TRAM")], sign, emit_ms=2**60)
    spool.all_due("TRAM")
    assert spool.take_due(0, 10) == [tram], "what is held back stays held back"


def test_only_one_process_holds_a_spool(spool: Spool, path: Path) -> None:
    with pytest.raises(SpoolInUseError, match="in use"):
        Spool(path)


def test_a_source_is_noted_with_its_taps(path: Path) -> None:
    source = Source(b"d" * 32, "taps.csv", 3, 2, 1)
    with Spool(path) as spool:
        spool.take([ride(1)], sign, source=source)
    with Spool(path) as spool:
        assert spool.source(b"d" * 32) == source
        assert spool.source(b"e" * 32) is None
        spool.take([], sign, source=source._replace(last_line=9))
        assert (spool.source(b"d" * 32) or source).last_line == 9
