"""The simulated bank against the platform's own reader: whatever it sends, the first valid answer stays."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.card.domain.bank_cause import BankCause, ReturnFault, RowFault
from services.card.domain.bank_file import Batch, OutgoingRow, Product, Rendering, encode_outgoing
from services.card.domain.bank_return import (
    AccountOpened,
    Answer,
    Return,
    ReturnRefused,
    ReturnVerdicts,
    SentBatch,
    SentRow,
    decode_return,
    match_return,
)
from services.card.domain.document import DocumentKind
from services.card.domain.person import Sex
from simulation.bank import CAUSES, Delivery, Habits, SimulatedBank, account_number, serve
from simulation.bank_files import read_applications

WELL_BEHAVED = Habits(refuses=0, late=0, twice=0, partial=0, wrong=0)
NAMES = ("欧阳娜娜", "阿卜杜拉·买买提", "東方", "LI MING", "中" * 50, "某某某")

each_rendering = pytest.mark.parametrize("rendering", Rendering)


def batch(rows: int) -> Batch:
    return Batch("440700", "BANK-EAST", 7, date(2026, 11, 24), tuple(map(outgoing, range(1, rows + 1))))


def outgoing(number: int) -> OutgoingRow:
    name = NAMES[number % len(NAMES)]
    kind, passport = DocumentKind.PASSPORT, f"E{number:08}"
    return OutgoingRow(1000 + number, kind, passport, name, Sex.MALE, date(1990, 1, 1), "13900000000", Product.CLASS_1)


def applications(rows: int, rendering: Rendering = Rendering.PIPE) -> bytes:
    data = encode_outgoing(batch(rows), rendering)
    assert isinstance(data, bytes)
    return data


def sent(rows: int) -> SentBatch:
    return SentBatch(
        "440700",
        "BANK-EAST",
        7,
        {n: SentRow(row.application, row.document_number, row.name) for n, row in enumerate(batch(rows).rows, 1)},
    )


def take(before: SentBatch, data: bytes, rendering: Rendering) -> ReturnVerdicts | ReturnRefused:
    read = decode_return(data, rendering)
    return read if isinstance(read, ReturnRefused) else match_return(before, read)


def after(before: SentBatch, data: bytes, rendering: Rendering) -> SentBatch:
    found = take(before, data, rendering)
    if isinstance(found, ReturnRefused):
        return before
    assert all(before.rows[n].answer is None for n in found.answers), "an answer is never replaced"
    return replace(before, rows={n: replace(row, answer=found.answers.get(n, row.answer)) for n, row in before.rows.items()})


@each_rendering
def test_the_bank_reads_what_the_platform_writes(rendering: Rendering) -> None:
    read = read_applications(applications(6, rendering))
    assert (read.city, read.bank, read.batch, read.date) == ("440700", "BANK-EAST", 7, "20261124")
    assert [(row.application, row.document_number, row.name) for row in read.rows] == [
        (row.application, row.document_number, row.name) for row in batch(6).rows
    ]


@each_rendering
def test_a_bank_without_bad_habits_answers_once_and_in_full(rendering: Rendering) -> None:
    [(delay_seconds, data)] = SimulatedBank(1, WELL_BEHAVED).answer(applications(6, rendering))
    found = take(sent(6), data, rendering)
    assert delay_seconds == WELL_BEHAVED.delay_seconds
    assert isinstance(found, ReturnVerdicts)
    assert found.answers == {n: AccountOpened(account_number(1000 + n)) for n in range(1, 7)}


@each_rendering
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), data=st.data())
def test_in_whatever_order_returns_come_each_row_keeps_its_first_valid_answer(
    rendering: Rendering, seed: int, rows: int, data: st.DataObject
) -> None:
    habits = Habits(refuses=0.3, late=0.5, twice=0.6, partial=0.6, wrong=0.6)
    deliveries = SimulatedBank(seed, habits).answer(applications(rows, rendering))
    files = data.draw(st.permutations([delivery.data for delivery in deliveries]))
    files += data.draw(st.lists(st.sampled_from(files), max_size=3))
    alone = [take(sent(rows), file, rendering) for file in files]
    standing = sent(rows)
    for file in files:
        standing = after(standing, file, rendering)
    for number, row in standing.rows.items():
        first: Answer = next(
            found.answers[number] for found in alone if isinstance(found, ReturnVerdicts) and number in found.answers
        )
        assert row.answer == first


def outcomes(habits: Habits, seeds: int = 60) -> Iterator[ReturnVerdicts | ReturnRefused]:
    """What comes of the returns to a batch, seed after seed."""
    for seed in range(seeds):
        standing = sent(5)
        for _, file in SimulatedBank(seed, habits).answer(applications(5)):
            yield take(standing, file, Rendering.PIPE)
            standing = after(standing, file, Rendering.PIPE)


def test_a_bank_that_is_wrong_is_wrong_in_every_way_and_right_in_the_end() -> None:
    found = list(outcomes(replace(WELL_BEHAVED, wrong=1)))
    whole = {one.fault for one in found if isinstance(one, ReturnRefused)}
    by_row = {fault for one in found if isinstance(one, ReturnVerdicts) for fault in one.refused.values()}
    assert whole == {ReturnFault.COUNT_DIFFERS, ReturnFault.TOTAL_DIFFERS}
    assert by_row >= {RowFault.NAME_MISMATCH, RowFault.NUMBER_MISMATCH, RowFault.ACCOUNT_INVALID, RowFault.UNKNOWN_ROW}
    assert all(isinstance(one, ReturnVerdicts) and not one.waiting for one in found[1::2])


def test_a_bank_that_answers_twice_says_the_same_again() -> None:
    first, second = SimulatedBank(1, replace(WELL_BEHAVED, twice=1)).answer(applications(5))
    assert take(sent(5), first.data, Rendering.PIPE) == take(sent(5), second.data, Rendering.PIPE)
    repeated = take(after(sent(5), first.data, Rendering.PIPE), second.data, Rendering.PIPE)
    assert isinstance(repeated, ReturnVerdicts)
    assert repeated.repeats == (1, 2, 3, 4, 5)


def test_a_bank_that_is_wrong_and_repeats_itself_contradicts_itself() -> None:
    last = list(outcomes(replace(WELL_BEHAVED, twice=1, wrong=1), seeds=20))[2::3]
    assert all(isinstance(one, ReturnVerdicts) and list(one.refused.values()) == [RowFault.CONFLICT] for one in last)


def test_a_bank_that_answers_in_part_sends_the_rest() -> None:
    first, second = SimulatedBank(1, replace(WELL_BEHAVED, partial=1)).answer(applications(5))
    found = take(sent(5), first.data, Rendering.PIPE)
    assert isinstance(found, ReturnVerdicts)
    assert found.waiting
    assert found.answers
    rest = take(after(sent(5), first.data, Rendering.PIPE), second.data, Rendering.PIPE)
    assert isinstance(rest, ReturnVerdicts)
    assert (tuple(rest.answers), rest.waiting) == (found.waiting, ())


def test_a_late_return_is_overtaken() -> None:
    habits = replace(WELL_BEHAVED, partial=1, late=0.5)
    numbers = set()
    for seed in range(20):
        reads = [decode_return(file, Rendering.PIPE) for _, file in SimulatedBank(seed, habits).answer(applications(5))]
        numbers.add(tuple(read.number for read in reads if isinstance(read, Return)))
    assert numbers == {(1, 2), (2, 1)}


def test_the_same_seed_answers_the_same_and_another_one_differently() -> None:
    habits = Habits(refuses=0.5, wrong=0.5, twice=0.5, partial=0.5)
    answers = [SimulatedBank(seed, habits).answer(applications(20)) for seed in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def test_the_causes_that_the_bank_gives_are_those_that_are_agreed() -> None:
    assert tuple(str(cause.value) for cause in BankCause) == CAUSES


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data.replace(b"|6|", b"|5|", 1),
        lambda data: data.replace(b"A01", b"A02"),
        lambda data: data.replace(b"D|1|", b"D|one|"),
        lambda data: data + b"D\n",
        lambda data: data.replace("娜".encode("gbk"), b"\xff\xff"),
    ],
)
def test_applications_that_are_not_as_agreed_are_named_by_their_line(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: "):
        SimulatedBank(1, WELL_BEHAVED).answer(spoil(applications(6)))


@contextmanager
def serving(bank: SimulatedBank, inbox: Path, outbox: Path) -> Iterator[None]:
    stopping = threading.Event()
    thread = threading.Thread(target=serve, args=(lambda: bank, inbox, outbox, stopping, 0.01))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def wait_for(outbox: Path, count: int) -> Sequence[Path]:
    never = threading.Event()
    for _ in range(1000):
        if len(found := sorted(outbox.glob("*.txt"))) >= count:
            return found
        never.wait(0.01)
    raise AssertionError("no return came")


def test_the_folder_is_answered_and_a_bad_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    (inbox / "batch-6.txt").write_bytes(applications(6).replace(b"D|1|", b"D|one|"))
    (inbox / "batch-7.txt").write_bytes(applications(6))
    (inbox / "batch-8.part").write_bytes(applications(6)[:50])
    bank = SimulatedBank(1, replace(WELL_BEHAVED, twice=1, delay_seconds=0))
    with caplog.at_level(logging.WARNING), serving(bank, inbox, outbox):
        files = wait_for(outbox, 2)
    assert [path.name for path in files] == ["batch-7-return-1.txt", "batch-7-return-2.txt"]
    assert [Delivery(0, path.read_bytes()) for path in files] == bank.answer(applications(6))
    assert [path.name for path in outbox.iterdir() if path.suffix != ".txt"] == []
    assert caplog.messages == [
        "batch-6.txt is not answered: line 2: digits are agreed where a number belongs; send it again under another name"
    ]


def test_a_bank_that_miscounts_sends_a_return_that_is_refused_whole_and_then_the_right_one() -> None:
    first, second = SimulatedBank(1, replace(WELL_BEHAVED, miscounted=1)).answer(applications(6))
    assert decode_return(first.data, Rendering.PIPE) == ReturnRefused(ReturnFault.COUNT_DIFFERS)
    assert isinstance(decode_return(second.data, Rendering.PIPE), Return)
