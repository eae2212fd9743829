"""The figures of a run, worked out from what was measured. Where states are compared, they are medians over the rounds."""

from collections.abc import Callable
from typing import Final

from bench import contenders
from bench.backlog import Drain, Span
from bench.card_figures import CardFigures
from bench.contenders import Contender
from bench.issuance_figures import IssuanceFigures
from bench.ledger_figures import LedgerFigures
from bench.measure import Measured
from bench.online_figures import OnlineFigures
from bench.programs.steps import DIGEST
from bench.statistics import median

FAMILIES: Final = ("worker", "postgresql", "broker")
_DIGITS: Final = 3


class Figures:
    """What can be said of a run."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.online = OnlineFigures(measured.online) if measured.online else None
        self.ledger = LedgerFigures(measured.ledger, measured.plan.history)
        self.card = CardFigures(measured.card, measured.plan.many_holders)
        self.issuance = IssuanceFigures(measured.issuance)

    def speed(self, contender: Contender) -> float:
        """Taps a second."""
        return median(self.speeds(contender))

    def speeds(self, contender: Contender) -> list[float]:
        """Of every round."""
        return [span.taps_per_second for span in self._spans(contender)]

    def thrift(self, contender: Contender) -> float:
        """Taps a second of CPU that the contender's own processes used."""
        return median([span.taps_per_cpu_second for span in self._spans(contender)])

    def cpu_us(self, contender: Contender, family: str) -> float:
        """Microseconds of CPU that a tap cost a family of processes."""
        return median([span.cpu_us_per_tap(family) for span in self._spans(contender)])

    def faster(self, other: Contender) -> float:
        """How many times as many taps a second the worker does."""
        return self._worker_over(other, lambda drain: drain.whole.taps_per_second)

    def thriftier(self, other: Contender) -> float:
        """How many times as many taps the worker does with a second of its CPU."""
        return self._worker_over(other, lambda drain: drain.whole.taps_per_cpu_second)

    @property
    def two_workers_over_one(self) -> float:
        """In the second half of the backlog, when both are at work."""
        return 1 / self._worker_over(contenders.TWO_WORKERS, lambda drain: drain.second_half.taps_per_second)

    @property
    def late_taps_per_second(self) -> float:
        """Where some taps come late."""
        return median([drain.whole.taps_per_second for drain in self.measured.late])

    @property
    def late_over_in_order(self) -> float:
        """What is left of the speed then."""
        return self.late_taps_per_second / self.speed(contenders.WORKER)

    @property
    def late_share(self) -> float:
        """The part of those taps that took the slow way, by the worker's own counter."""
        return median([drain.late / drain.whole.taps for drain in self.measured.late])

    @property
    def worker_rss_mb(self) -> float:
        """The most that the worker held while its memory was watched."""
        return max(held.rss_mb for held in self.measured.memory)

    @property
    def steps_us(self) -> float:
        """Worker CPU a tap of all steps of the handler; the fetch, Faust, the lanes and the event loop come to that."""
        return sum(step.cpu_us for step in self.measured.steps)

    @property
    def digest_share(self) -> float:
        """The part of that which the keyed digest of the batches takes."""
        return sum(step.cpu_us for step in self.measured.steps if step.name == DIGEST) / self.steps_us

    @property
    def tac_per_core_second(self) -> float:
        """Transaction codes that one core verifies in a second."""
        assert self.measured.codes is not None
        return self.measured.codes.per_core_second

    def flat(self) -> dict[str, str | int | float]:
        """Every figure by its name."""
        measured, plan = self.measured, self.measured.plan
        machine = measured.machine
        flat: dict[str, str | int | float] = {
            "broker": machine.broker,
            "broker_name": machine.broker_name,
            "postgresql": machine.postgresql,
            "cores": machine.cores,
            "processor": machine.processor,
            "memory_gb": machine.memory_gb,
            "busy_before_percent": machine.busy_before_percent,
            "partitions_a_topic": machine.partitions,
            "pairs": plan.pairs,
            "backlog_taps": plan.backlog,
            "taps_per_second": self.speed(contenders.WORKER),
            "taps_per_second_lowest": min(self.speeds(contenders.WORKER)),
            "taps_per_second_highest": max(self.speeds(contenders.WORKER)),
            "taps_per_worker_cpu_second": self.thrift(contenders.WORKER),
        }
        for family in FAMILIES:
            flat[f"{family}_cpu_us_per_tap"] = self.cpu_us(contenders.WORKER, family)
        flat |= {
            "late_taps_per_second": self.late_taps_per_second,
            "late_over_in_order": self.late_over_in_order,
            "late_share": self.late_share,
        }
        for waits in measured.waits:
            flat[f"tap_to_outcome_p50_ms_at_{waits.rate}"] = waits.p50_ms
            flat[f"tap_to_outcome_p99_ms_at_{waits.rate}"] = waits.p99_ms
            flat[f"generator_late_ms_at_{waits.rate}"] = waits.generator_late_ms
        flat |= {
            "two_workers_over_one": self.two_workers_over_one,
            "over_plain_consumer": self.faster(contenders.PLAIN_CONSUMER),
            "over_plain_consumer_per_cpu_second": self.thriftier(contenders.PLAIN_CONSUMER),
            "over_per_record_faust": self.faster(contenders.PER_RECORD_FAUST),
            "over_per_record_faust_per_cpu_second": self.thriftier(contenders.PER_RECORD_FAUST),
            **self.ledger.flat(),
            **(self.online.flat() if self.online else {}),
            **self.card.flat(),
            **self.issuance.flat(),
            "worker_rss_at_start_mb": measured.memory[0].rss_mb,
            "worker_rss_mb": self.worker_rss_mb,
            "worker_rss_after_taps": measured.memory[-1].taps,
        }
        for step in measured.steps:
            flat[f"step_{_key(step.name)}_cpu_us"] = step.cpu_us
        flat["steps_cpu_us"] = self.steps_us
        flat["tac_per_core_second"] = self.tac_per_core_second
        flat["digest_share_of_poster_cpu"] = self.digest_share
        return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in flat.items()}

    def _spans(self, contender: Contender) -> list[Span]:
        drains = self.measured.drains[contender.name]
        return [drain.whole if contender.processes == 1 else drain.second_half for drain in drains]

    def _worker_over(self, other: Contender, value: Callable[[Drain], float]) -> float:
        drains = self.measured.drains
        rounds = zip(drains[contenders.WORKER.name], drains[other.name], strict=True)
        return median([value(worker) / value(another) for worker, another in rounds])


def _key(name: str) -> str:
    return "_".join(name.lower().replace(",", "").split())
