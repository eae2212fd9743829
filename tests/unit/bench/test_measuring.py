import asyncio
import time

import pytest
from aiokafka.partitioner import DefaultPartitioner

from bench.backlog import _span
from bench.cpu import CpuMeter
from bench.database import BatchRow
from bench.offsets import last_share
from bench.programs.steps import STEPS, Stopwatch
from bench.statistics import percentile
from bench.taps import Place, taps
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from tests.support.terminal_keys import key_of


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50.0
    assert percentile(values, 99) == 99.0
    assert percentile([3.0], 99) == 3.0


def test_a_share_leaves_about_as_many_records_in_every_partition() -> None:
    ends = {Place("transactions.bus", 0): 1000, Place("transactions.bus", 1): 500}
    begin = last_share(ends, 300)
    assert sum(ends.values()) - sum(begin.values()) == 300
    assert begin == {Place("transactions.bus", 0): 800, Place("transactions.bus", 1): 400}
    assert set(last_share(ends, 9999).values()) == {0}


def test_every_tap_has_its_own_number_and_lies_where_its_card_belongs() -> None:
    loads = list(taps(1000, 500, 12, key_of))
    bodies = [TransactionBody.FromString(SignedTransaction.FromString(load.value).body) for load in loads]
    assert [body.terminal_sequence for body in bodies] == list(range(1000, 1500))
    assert [load.key.decode() for load in loads] == [body.card_identifier for body in bodies]
    partitioner = DefaultPartitioner()
    assert all(load.place.partition == partitioner(load.key, list(range(12)), list(range(12))) for load in loads)
    assert {load.place.topic for load in loads} == {"transactions.bus", "transactions.campus", "transactions.scenic"}


def test_the_second_half_begins_with_the_batch_that_begins_it() -> None:
    journal = [BatchRow(now=float(second), verdicts=100, key_version=1) for second in range(10, 20)]
    meter = CpuMeter({"worker": []})
    meter.sample()
    assert _span(journal, 0, 20.0, meter)[:2] == (1000, 10.0)
    assert _span(journal, 500, 20.0, meter)[:2] == (500, 5.0)


def test_cpu_between_two_samples_is_shared_out_evenly() -> None:
    meter = CpuMeter({"worker": []})
    meter._instants = [100.0, 101.0, 102.0]
    meter._seconds = {"worker": [5.0, 6.0, 6.5]}
    assert meter.between(100.5, 101.5) == {"worker": pytest.approx(0.75)}
    assert meter.between(90.0, 110.0) == {"worker": 1.5}


def test_a_step_does_not_count_the_steps_inside_it() -> None:
    watch = Stopwatch()

    async def wait() -> None:
        await asyncio.sleep(0.05)

    def burn() -> None:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    inner, spin = watch.wrap("inner", wait), watch.wrap("spin", burn)

    async def outer() -> None:
        await inner()
        spin()
        await asyncio.sleep(0.01)

    began = time.perf_counter()
    asyncio.run(watch.wrap("outer", outer)())
    assert watch.cpu["spin"] >= 0.02
    assert watch.elapsed["inner"] >= 0.05
    assert watch.cpu["inner"] < 0.02
    assert watch.elapsed["outer"] >= 0.01
    assert sum(watch.elapsed.values()) <= time.perf_counter() - began


def test_every_step_is_a_function_that_the_worker_still_has() -> None:
    for name, owner, attribute in STEPS:
        assert callable(getattr(owner, attribute)), name
