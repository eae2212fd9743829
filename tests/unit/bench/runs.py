"""A run as it might have come out, without running anything."""

from bench import contenders
from bench.backlog import Drain, Span
from bench.ledger_part import LedgerPair
from bench.machine import Machine
from bench.measure import Measured
from bench.memory import Held
from bench.pace import Waits
from bench.plan import FULL
from bench.programs.ledger_only import Posted
from bench.programs.steps import STEPS, StepTime

MACHINE = Machine(2, "a processor", 24.0, "kafka", "Apache Kafka 4.1.1", 12, "18.6", 1.0)


def span(taps_per_second: float, worker_cpu_seconds: float = 10.0) -> Span:
    """Ten seconds."""
    cpu = {"worker": worker_cpu_seconds, "postgresql": 5.0, "broker": 1.0}
    return Span(round(taps_per_second * 10), 10.0, cpu)


def drain(taps_per_second: float, second_half: float | None = None, worker_cpu_seconds: float = 10.0) -> Drain:
    half = span(taps_per_second if second_half is None else second_half, worker_cpu_seconds)
    return Drain(span(taps_per_second, worker_cpu_seconds), half, refused=1000)


def measured() -> Measured:
    """Three rounds; in the second one everything was slower."""
    run = Measured(MACHINE, FULL)
    run.drains[contenders.WORKER.name] = [drain(30_000), drain(20_000), drain(31_000)]
    run.drains[contenders.TWO_WORKERS.name] = [drain(10_000, 36_000), drain(10_000, 25_000), drain(10_000, 31_000)]
    run.drains[contenders.PLAIN_CONSUMER.name] = [drain(15_000, None, 5.0), drain(10_000, None, 5.0), drain(15_500, None, 5.0)]
    run.drains[contenders.PER_RECORD_FAUST.name] = [drain(5_000), drain(4_000), drain(5_000)]
    run.waits = [Waits(rate, 50.0, 120.0, 3.0) for rate in (500, 2_000, 5_000, 10_000)]
    run.memory = [Held(2_000, 110.0), Held(500_000, 180.0), Held(1_000_000, 170.0)]
    run.pairs = [LedgerPair(tps, Posted(80_000, 2.0, 1.5)) for tps in (2_000.0, 1_000.0, 4_000.0)]
    names = dict.fromkeys(name for name, _, _ in STEPS)
    run.steps = [StepTime(name, 1.0, 2.0) for name in names]
    return run
