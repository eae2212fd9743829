"""The figures of the card service."""

from collections.abc import Callable
from typing import Final

from bench.bulk import Bulk, BulkRound
from bench.card_part import FEW_HOLDERS, CardMeasured, ViewRound
from bench.losses import Refused
from bench.online import Load
from bench.online_figures import VALUES, Value, per_second
from bench.programs.look_up import LookedUp
from bench.statistics import median, percentile

VIEWS: Final[dict[str, Callable[[ViewRound], Load]]] = {
    "one_row_rpc": lambda done: done.one_row,
    "holder_view": lambda done: done.away,
    "holder_view_with_payments": lambda done: done.with_payments,
}
BULK: Final[dict[str, Callable[[BulkRound], Bulk]]] = {
    "bulk_applications": lambda done: done.grpc,
    "bulk_handler": lambda done: done.alone,
    "bulk_copied": lambda done: done.copied,
}


class CardFigures:
    """Medians over the rounds."""

    def __init__(self, measured: CardMeasured, many_holders: int) -> None:
        self._measured = measured
        self.many_holders = many_holders

    def view(self, name: str, value: Value) -> float:
        """A value of one of VIEWS."""
        return median([value(VIEWS[name](done)) for done in self._measured.views])

    def view_over_one_row(self, name: str) -> float:
        """Calls a second over those of an RPC that selects a row."""
        return median([per_second(VIEWS[name](done)) / per_second(done.one_row) for done in self._measured.views])

    def bulk(self, name: str, value: Callable[[Bulk], float]) -> float:
        """A value of one of BULK."""
        return median([value(BULK[name](done)) for done in self._measured.bulk])

    def bulk_per_second(self, name: str) -> float:
        """Applications a second of one of BULK."""
        return self.bulk(name, lambda bulk: bulk.per_second)

    @property
    def bulk_over_copy(self) -> float:
        """Applications brought over gRPC over those whose rows are copied."""
        return median([done.grpc.per_second / done.copied.per_second for done in self._measured.bulk])

    def looked_up(self, value: Callable[[LookedUp], float], *, many: bool) -> float:
        """A value of the look-ups among few people, or among many."""
        return median([value(done.many if many else done.few) for done in self._measured.look_ups])

    @property
    def look_up_many_over_few(self) -> float:
        """How many times as long a look-up takes among many people."""
        return median([done.few.per_second / done.many.per_second for done in self._measured.look_ups])

    @property
    def losses(self) -> Refused:
        """From the report to the refusal."""
        return self._measured.losses

    def flat(self) -> dict[str, float]:
        """Every figure by its name; fewer people than a city has have a name of their own."""
        few, many = _thousands(FEW_HOLDERS), _thousands(self.many_holders)
        flat = {
            "holder_view_over_one_row_rpc": self.view_over_one_row("holder_view"),
            "holder_view_with_payments_over_one_row_rpc": self.view_over_one_row("holder_view_with_payments"),
            "bulk_over_copy": self.bulk_over_copy,
            "loss_to_refusal_p99_ms": self.losses.percentile_ms(99),
            "loss_to_refusal_online_p50_ms": percentile(self.losses.online, 50) * 1000,
            "loss_to_refusal_online_p99_ms": percentile(self.losses.online, 99) * 1000,
            "loss_to_refusal_stream_p50_ms": percentile(self.losses.stream, 50) * 1000,
            "loss_to_refusal_stream_p99_ms": percentile(self.losses.stream, 99) * 1000,
            f"lookup_{many}_over_{few}": self.look_up_many_over_few,
            **{f"{name}_per_second": self.bulk_per_second(name) for name in BULK},
            **{f"{name}_cpu_us": self.bulk(name, lambda bulk: bulk.taker_cpu_us) for name in BULK},
            **{f"{name}_postgresql_cpu_us": self.bulk(name, lambda bulk: bulk.postgresql_cpu_us) for name in BULK},
        }
        for kind, value in VALUES.items():
            for name in VIEWS:
                flat[f"{name}_{kind}"] = self.view(name, value)
        for holders, among_many in ((few, False), (many, True)):
            flat[f"lookups_per_second_{holders}"] = self.looked_up(lambda found: found.per_second, many=among_many)
            flat[f"lookup_p50_us_{holders}"] = self.looked_up(lambda found: found.p50_us, many=among_many)
        return flat


def _thousands(holders: int) -> str:
    return f"{holders // 1000}k"
