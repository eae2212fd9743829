"""What this platform set out to reach, and how far it came."""

from dataclasses import dataclass
from typing import Literal

from bench.contenders import WORKER
from bench.figures import Figures
from bench.issuance_figures import MOST
from bench.online import State
from bench.online_figures import Value, p50_ms, per_second


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its bound."""

    name: str
    bound: float
    figure: float | None
    """None: not measured."""
    at_least: bool = True
    unit: Literal["×", "%", "/s", "ms"] = "×"
    """%: the figure is a part of one."""

    @property
    def reached(self) -> float:
        """1 and more: met; 0.9: a tenth is missing."""
        assert self.figure is not None, f"{self.name} was not measured"
        return self.figure / self.bound if self.at_least else self.bound / self.figure

    @property
    def met(self) -> bool:
        """Is it?"""
        return self.figure is not None and self.reached >= 1

    @property
    def wanted(self) -> str:
        """For people."""
        return f"{'≥' if self.at_least else '≤'} {self._told(self.bound)}"

    @property
    def found(self) -> str:
        """For people."""
        return "not measured" if self.figure is None else self._told(self.figure)

    @property
    def verdict(self) -> str:
        """Met, or by how much it is missed."""
        if self.figure is None:
            return ""
        if self.met:
            return "met"
        return f"missed by {abs(self.figure / self.bound - 1):.1%}".replace("%", " %")

    def _told(self, value: float) -> str:
        match self.unit:
            case "%":
                return f"{value * 100:.3g} %"
            case "/s":
                return f"{value:,.0f}/s"
            case "ms":
                return f"{value:,.0f} ms"
        return f"{value:.3g} ×"


def targets(figures: Figures) -> list[Target]:
    """All of them, in the order in which they are told."""
    ledger, card, issuance = figures.ledger, figures.card, figures.issuance

    def over(state: State, in_flight: int, value: Value = per_second) -> float | None:
        return figures.online.over(state, in_flight, value) if figures.online else None

    waits = {wait.rate: wait.p99_ms for wait in figures.measured.waits}
    return [
        Target("taps a second, signed and fully rated", 22_000, figures.speed(WORKER), unit="/s"),
        Target("taps a second of the worker's CPU", 30_000, figures.thrift(WORKER), unit="/s"),
        Target("late taps over all in order", 0.7, figures.late_over_in_order),
        Target("of those on the slow way", 0.1, figures.late_share, unit="%"),
        Target("p99 from tap to outcome at 2,000 a second", 150, waits.get(2_000), at_least=False, unit="ms"),
        Target("p99 from tap to outcome at 10,000 a second", 150, waits.get(10_000), at_least=False, unit="ms"),
        Target("payments a second over empty calls, 256 in flight", 0.85, over(State.EMPTY_RPC, 256)),
        Target("payments a second over one transaction a call, 64 in flight", 3, over(State.ONE_TX, 64)),
        Target("p50 of a single payment over one transaction a call", 1.2, over(State.ONE_TX, 1, p50_ms), at_least=False),
        Target("ledger part over pgbench TPC-B", 15, ledger.over_pgbench),
        Target("ledger part over COPY of the same transfers", 0.15, ledger.over_copy),
        Target(f"posting on {ledger.history:,} transfers over an empty ledger", 0.9, ledger.past_over_empty),
        Target("transaction codes verified, a second and core", 250_000, figures.tac_per_core_second, unit="/s"),
        Target("keyed digest of the poster's CPU", 0.03, figures.digest_share, at_least=False, unit="%"),
        Target(
            "everything of a holder over an RPC that selects a row, payments away", 0.3, card.view_over_one_row("holder_view")
        ),
        Target("applications in bulk", 2_000, card.bulk_per_second("bulk_applications"), unit="/s"),
        Target("applications in bulk over COPY of the same rows", 0.15, card.bulk_over_copy),
        Target(f"a look-up among {card.many_holders:,} people over 50,000", 1.1, card.look_up_many_over_few, at_least=False),
        Target("p99 from a loss report to the refusal", 1_000, card.losses.percentile_ms(99), at_least=False, unit="ms"),
        Target(f"cards made over empty streams, {MOST} in flight", 0.5, issuance.over_empty(MOST)),
        Target("our share of the time of a card, beside its chip", 0.05, issuance.our_share, at_least=False, unit="%"),
    ]
