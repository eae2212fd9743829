"""One run: every part in its order, on one stage."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from bench import contenders, h2load
from bench.backlog import Drain, drain
from bench.card_part import CardMeasured, measure_card
from bench.generator import fill
from bench.history import write_history
from bench.issuance_part import IssuanceMeasured, measure_issuance
from bench.ledger_part import LedgerRound, LedgerWithPast, measure_ledger, prepare_pgbench
from bench.machine import Machine, describe
from bench.memory import Held, held_by, watch_memory
from bench.offsets import last_share
from bench.online import OnlineRound, measure_online
from bench.outcomes import OutcomeReader
from bench.pace import SteadyWorker, Waits, steady_worker
from bench.parts import measure_codes, measure_steps
from bench.plan import LATE_PERCENT, RATES, Plan
from bench.programs.steps import StepTime
from bench.programs.verify import Verified
from bench.registry import CardOffice
from bench.stage import Stage
from cli.city.steps import Steps

_FIRST_TAPS: Final = 2_000


@dataclass(slots=True)
class Measured:
    """Everything that a run found; whoever holds one knows that it reconciled."""

    machine: Machine
    plan: Plan
    drains: dict[str, list[Drain]] = field(default_factory=lambda: defaultdict(list))
    """By contender, a drain a round."""
    late: list[Drain] = field(default_factory=list)
    """The worker, with a backlog in which some taps come late; one a round."""
    waits: list[Waits] = field(default_factory=list)
    """By rate."""
    memory: list[Held] = field(default_factory=list)
    online: list[OnlineRound] = field(default_factory=list)
    """Empty where h2load is missing."""
    ledger: list[LedgerRound] = field(default_factory=list)
    steps: list[StepTime] = field(default_factory=list)
    codes: Verified | None = None
    card: CardMeasured = field(default_factory=CardMeasured)
    issuance: IssuanceMeasured = field(default_factory=IssuanceMeasured)


async def measure(stage: Stage, plan: Plan, busy_before_percent: float, show: Steps) -> Measured:
    """Run everything. Raises BenchError when something does not reconcile or does not move."""
    with show.step("start PostgreSQL and the broker"):
        stage.start_servers()
    with show.step("seed a city"):
        await stage.seed()
    with show.step("prepare pgbench"):
        await prepare_pgbench(stage)
    measured = Measured(describe(stage, busy_before_percent), plan)
    async with OutcomeReader(stage.broker.bootstrap, stage.kind, stage.partitions) as reader:
        await _empty_backlogs(stage, reader, measured, show)
        await _answer_calls(stage, measured, show)
        await _post_batches(stage, measured, show)
        with show.step("where the time goes"):
            measured.steps = await measure_steps(stage, reader, plan.step_batches, plan.backlog)
        with show.step("codes of transactions, verified by one core"):
            measured.codes = await measure_codes(stage)
        async with steady_worker(stage, reader) as worker:
            await _hold_rates(worker, measured, show)
            await _watch_memory(worker, measured, show)
    office = CardOffice(stage)
    measured.card = await measure_card(stage, office, plan, show)
    measured.issuance = await measure_issuance(stage, office, plan, show)
    return measured


async def _empty_backlogs(stage: Stage, reader: OutcomeReader, measured: Measured, show: Steps) -> None:
    plan = measured.plan
    with show.step(f"fill the topics with {plan.backlog:,} taps"):
        await fill(stage, plan.backlog)
    everything, share = last_share(stage.ends, plan.backlog), last_share(stage.ends, plan.per_record_backlog)
    with show.step("a first worker, not counted: servers that just started are slow"):
        await drain(stage, contenders.WORKER, reader, share)
    for number in range(plan.pairs):
        for contender in contenders.ALL:
            begin = share if contender is contenders.PER_RECORD_FAUST else everything
            with show.step(f"backlog, round {number + 1} of {plan.pairs}: {contender.name}"):
                measured.drains[contender.name].append(await drain(stage, contender, reader, begin))
    with show.step(f"fill the topics with {plan.backlog:,} taps more, of which {LATE_PERCENT} % happened long ago"):
        await fill(stage, plan.backlog, LATE_PERCENT)
    late = last_share(stage.ends, plan.backlog)
    for number in range(plan.pairs):
        with show.step(f"late backlog, round {number + 1} of {plan.pairs}: {contenders.WORKER.name}"):
            measured.late.append(await drain(stage, contenders.WORKER, reader, late))


async def _answer_calls(stage: Stage, measured: Measured, show: Steps) -> None:
    if not h2load.installed():
        show.say(f"  {h2load.MISSING}")
        return
    plan = measured.plan
    for number in range(plan.pairs):
        with show.step(f"calls that wait for an answer, round {number + 1} of {plan.pairs}"):
            measured.online.append(await measure_online(stage, plan.call_seconds, number))


async def _post_batches(stage: Stage, measured: Measured, show: Steps) -> None:
    plan = measured.plan
    async with stage.ledger() as ledger:
        with show.step(f"a past of {plan.history:,} transfers"):
            past = LedgerWithPast(await write_history(ledger, plan.history), plan.history)
        for number in range(plan.pairs):
            with show.step(f"ledger part, pgbench and COPY, {number + 1} of {plan.pairs}"):
                measured.ledger.append(await measure_ledger(stage, past, plan.ledger_batches, plan.pgbench_seconds, number))
        with show.step("the books of the ledger with a past"):
            await past.reconcile()


async def _hold_rates(worker: SteadyWorker, measured: Measured, show: Steps) -> None:
    with show.step("a worker for a steady load"):
        await worker.take(_FIRST_TAPS)
        measured.memory.append(held_by(worker))
    for rate in RATES:
        with show.step(f"{rate:,} taps a second"):
            measured.waits.append(await worker.hold(rate, measured.plan.pace_seconds, measured.plan.warm_up_seconds))


async def _watch_memory(worker: SteadyWorker, measured: Measured, show: Steps) -> None:
    plan = measured.plan
    with show.step(f"the worker's memory over {plan.memory_taps:,} taps"):
        async for held in watch_memory(worker, plan.memory_taps, plan.memory_round):
            measured.memory.append(held)
            show.say(f"  {held.taps:,} taps posted, the worker holds {held.rss_mb:.0f} MB")
