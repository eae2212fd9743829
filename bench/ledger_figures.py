"""The figures of the ledger part: batches posted without Kafka and without gRPC."""

from collections.abc import Sequence

from bench.ledger_part import LedgerRound
from bench.statistics import median


class LedgerFigures:
    """Medians over the rounds."""

    def __init__(self, rounds: Sequence[LedgerRound], history: int) -> None:
        self._rounds = rounds
        self.history = history

    @property
    def taps_per_second(self) -> float:
        """Taps posted a second."""
        return median([done.ledger.per_second for done in self._rounds])

    @property
    def taps_per_second_with_past(self) -> float:
        """The same on top of millions of transfers."""
        return median([done.with_past.per_second for done in self._rounds])

    @property
    def pgbench_tps(self) -> float:
        """TPC-B transactions a second."""
        return median([done.pgbench_tps for done in self._rounds])

    @property
    def copied_per_second(self) -> float:
        """Transfers a second that COPY writes alone."""
        return median([done.copy.per_second for done in self._rounds])

    @property
    def over_pgbench(self) -> float:
        """Taps over transactions."""
        return median([done.ledger.per_second / done.pgbench_tps for done in self._rounds])

    @property
    def over_copy(self) -> float:
        """Taps, decided and written with everything that belongs to them, over rows of transfers."""
        return median([done.ledger.per_second / done.copy.per_second for done in self._rounds])

    @property
    def past_over_empty(self) -> float:
        """What a past leaves of the rate."""
        return median([done.with_past.per_second / done.ledger.per_second for done in self._rounds])

    def flat(self) -> dict[str, float]:
        """Every figure by its name; a shorter past has a name of its own."""
        past = f"{self.history // 10**6}m" if self.history % 10**6 == 0 else f"{self.history // 10**3}k"
        return {
            "ledger_taps_per_second": self.taps_per_second,
            f"ledger_taps_per_second_{past}": self.taps_per_second_with_past,
            "pgbench_tps": self.pgbench_tps,
            "copied_transfers_per_second": self.copied_per_second,
            "ledger_over_pgbench": self.over_pgbench,
            "ledger_over_copy": self.over_copy,
            f"posting_rate_{past}_over_empty": self.past_over_empty,
        }
