"""A run as it might have come out, without running anything."""

from bench import contenders
from bench.backlog import Drain, Span, Written
from bench.bulk import Bulk, BulkRound
from bench.calls import Answers
from bench.card_part import FEW_HOLDERS, CardMeasured, LookUpRound, ViewRound
from bench.issuance_part import FAMILIES, IssuanceMeasured, IssuanceRound, Making, Share
from bench.ledger_part import LedgerRound
from bench.losses import Refused
from bench.machine import Machine
from bench.measure import Measured
from bench.memory import Held
from bench.online import Load, OnlineRound, State
from bench.pace import Waits
from bench.plan import CALLS_IN_FLIGHT, FULL, STREAMS_IN_FLIGHT
from bench.programs.batches import Brought
from bench.programs.copy_only import Copied
from bench.programs.ledger_only import Posted
from bench.programs.look_up import LookedUp
from bench.programs.steps import STEPS, StepTime
from bench.programs.verify import Verified

MACHINE = Machine(2, "a processor", 24.0, "kafka", "Apache Kafka 4.1.1", 12, "18.6", 1.0)


def span(taps_per_second: float, worker_cpu_seconds: float = 10.0) -> Span:
    """Ten seconds."""
    cpu = {"worker": worker_cpu_seconds, "postgresql": 5.0, "broker": 1.0}
    return Span(round(taps_per_second * 10), 10.0, cpu)


def drain(taps_per_second: float, second_half: float | None = None, worker_cpu_seconds: float = 10.0, late: int = 0) -> Drain:
    half = span(taps_per_second if second_half is None else second_half, worker_cpu_seconds)
    return Drain(
        span(taps_per_second, worker_cpu_seconds), half, refused=1000, late=late, written=Written(1_000_000, 2_000_000)
    )


def load(per_second: float, p50_ms: float = 10.0) -> Load:
    """Ten seconds."""
    return Load(Answers(round(per_second * 10), 100.0, 110.0, p50_ms, 3 * p50_ms), api_cpu_us=250.0, postgresql_cpu_us=50.0)


def online_round(pace: float) -> OnlineRound:
    """A machine that is so fast in this round."""
    speeds = {State.AUTHORISE: 3_200.0, State.EMPTY_RPC: 4_000.0, State.ONE_TX: 800.0}
    loads = {(state, n): load(speed * pace, n / pace) for n in CALLS_IN_FLIGHT for state, speed in speeds.items()}
    return OnlineRound(loads, load(4_800 * pace), load(1_000 * pace), load(900 * pace))


def ledger_round(pgbench_tps: float, past: float) -> LedgerRound:
    """40,000 taps a second, and this part of it on top of a past."""
    return LedgerRound(pgbench_tps, Posted(80_000, 2.0, 1.5), Copied(80_000, 0.4), Posted(80_000, 2.0 / past, 1.5))


def bulk(per_second: float) -> Bulk:
    """Ten seconds."""
    return Bulk(Brought(round(per_second * 10), 100.0, 110.0, 5.0), taker_cpu_us=300.0, postgresql_cpu_us=130.0)


def look_up_round(slower: float) -> LookUpRound:
    """Among many people it takes so many times as long."""
    few, many = LookedUp(FEW_HOLDERS, 5_000, 1.0, 200.0, 400.0), LookedUp(FULL.many_holders, 5_000, slower, 200.0, 500.0)
    return LookUpRound(few, many)


def card_measured() -> CardMeasured:
    """Three rounds; in the second one the machine was half as fast."""
    paces = (1.0, 0.5, 1.1)
    return CardMeasured(
        [ViewRound(load(1_000 * pace), load(400 * pace), load(200 * pace)) for pace in paces],
        [BulkRound(bulk(2_500 * pace), bulk(3_000 * pace), bulk(12_500 * pace)) for pace in paces],
        [look_up_round(slower) for slower in (1.05, 1.3, 1.02)],
        Refused([0.2, 0.3, 0.4], [0.1, 0.5, 0.2]),
    )


def making(per_second: float, cpu_us: float = 10_000.0) -> Making:
    """Ten seconds; so much for each family of processes."""
    answers = Answers(round(per_second * 10), 100.0, 110.0, 20.0, 40.0)
    return Making(answers, dict.fromkeys(FAMILIES, cpu_us), 4_000.0, 77.0, 21.0, again=0)


def issuance_measured() -> IssuanceMeasured:
    """Three rounds; in the second one the machine was half as fast, and the empty stream suffered more."""
    paces = ((60.0, 100.0, 0.04), (30.0, 40.0, 0.08), (66.0, 100.0, 0.05))
    return IssuanceMeasured(
        [
            IssuanceRound(
                dict.fromkeys(STREAMS_IN_FLIGHT, making(cards)),
                dict.fromkeys(STREAMS_IN_FLIGHT, making(empty, 1_000.0)),
                Share(8, (1 + share) * 10.0, 10.0),
            )
            for cards, empty, share in paces
        ]
    )


def measured() -> Measured:
    """Three rounds; in the second one everything was slower."""
    run = Measured(MACHINE, FULL)
    run.drains[contenders.WORKER.name] = [drain(30_000), drain(20_000), drain(31_000)]
    run.drains[contenders.TWO_WORKERS.name] = [drain(10_000, 36_000), drain(10_000, 25_000), drain(10_000, 31_000)]
    run.drains[contenders.PLAIN_CONSUMER.name] = [drain(15_000, None, 5.0), drain(10_000, None, 5.0), drain(15_500, None, 5.0)]
    run.drains[contenders.PER_RECORD_FAUST.name] = [drain(5_000), drain(4_000), drain(5_000)]
    run.late = [drain(24_000, late=36_000), drain(12_000, late=18_000), drain(27_000, late=27_000)]
    run.waits = [Waits(rate, 50.0, 120.0, 3.0) for rate in (500, 2_000, 5_000, 10_000)]
    run.memory = [Held(2_000, 110.0), Held(500_000, 180.0), Held(1_000_000, 170.0)]
    run.online = [online_round(1.0), online_round(0.5), online_round(1.1)]
    run.ledger = [ledger_round(2_000.0, 1.0), ledger_round(1_000.0, 0.5), ledger_round(4_000.0, 0.9)]
    names = dict.fromkeys(name for name, _, _ in STEPS)
    run.steps = [StepTime(name, 1.0, 2.0) for name in names]
    run.codes = Verified(50_000, 0.1)
    run.card = card_measured()
    run.issuance = issuance_measured()
    return run
