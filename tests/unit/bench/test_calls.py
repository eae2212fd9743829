from datetime import UTC, datetime

import pytest

from bench.calls import Answered, log_of, middle, read_log
from bench.errors import BenchError
from bench.h2load import connections, framed
from bench.history import _clocks
from bench.plan import CALLS_IN_FLIGHT
from bench.programs.copy_only import row_size
from bench.request import REQUEST, SUBJECT
from onecard.payments.v1.payments_pb2 import AuthorizeRequest
from services.common.peer import Subject
from services.payments.adapters.rows import transfer_rows
from services.payments.domain.transfer import Code, Leg

LOG = "1700000000000000\t200\t1500\n1700000001000000\t200\t2500\n"
"""As h2load writes it."""


def test_the_log_of_h2load_is_read() -> None:
    assert read_log(LOG) == [Answered(1_700_000_000.0, 0.0015), Answered(1_700_000_001.0, 0.0025)]


def test_the_client_in_python_writes_the_same_log() -> None:
    assert log_of(read_log(LOG)) == LOG


def test_a_failed_call_ends_the_measurement() -> None:
    with pytest.raises(BenchError, match="status -1"):
        read_log(LOG + "1700000002000000\t-1\t10\n")


def test_the_edges_of_a_load_do_not_count() -> None:
    slow_at_first = [Answered(100.0, 0.5)] * 10
    calls = [Answered(100.0 + number / 10, 0.1) for number in range(100)]
    answers = middle(slow_at_first + calls)
    assert [answers.start, answers.end] == pytest.approx([101.0, 109.0])
    assert answers.calls == pytest.approx(80, abs=1)
    assert answers.per_second == pytest.approx(10, rel=0.02)
    assert [answers.p50_ms, answers.p99_ms] == pytest.approx([100.0, 100.0])


def test_a_load_without_answers_has_no_figure() -> None:
    with pytest.raises(BenchError, match="no call"):
        middle([])


def test_a_load_that_is_all_edge_has_no_figure() -> None:
    with pytest.raises(BenchError, match="too few"):
        middle([Answered(100.0, 1.0)])


def test_connections_carry_all_calls_in_flight() -> None:
    for in_flight in CALLS_IN_FLIGHT:
        assert in_flight % connections(in_flight) == 0
    assert [connections(in_flight) for in_flight in CALLS_IN_FLIGHT] == [1, 2, 8, 32]


def test_a_message_is_framed_as_grpc_does() -> None:
    assert framed(b"abc") == b"\0\0\0\0\3abc"


def test_what_is_asked_is_a_payment_in_one_step_of_a_terminal() -> None:
    request = AuthorizeRequest.FromString(REQUEST)
    assert request.capture
    assert request.amount.amount_fen == 1
    assert Subject.parse(SUBJECT).terminal_id


def test_rows_of_transfers_are_taken_apart() -> None:
    legs = [Leg(7, 1, 1_700_000_000_000, row, 0, Code.CHARGE, 2**32, 1000, 200, 2**32) for row in range(5)]
    rows = transfer_rows(legs, 3, 1_700_000_000_000)
    assert row_size(rows) * 5 == len(rows)


def test_half_of_a_past_is_in_this_month() -> None:
    now = datetime(2026, 5, 17, 12, tzinfo=UTC)
    clocks = _clocks(now, 10)
    assert clocks == sorted(clocks)
    assert clocks[0] == datetime(2025, 11, 1, tzinfo=UTC)
    assert sum(clock < datetime(2026, 5, 1, tzinfo=UTC) for clock in clocks) == 5
    assert clocks[-1] < now
