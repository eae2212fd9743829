"""The figures of calls that wait for an answer."""

from collections.abc import Callable, Sequence
from typing import Final

from bench.online import TLS_IN_FLIGHT, TWO_PROCESSES_IN_FLIGHT, Load, OnlineRound, State
from bench.plan import CALLS_IN_FLIGHT
from bench.statistics import median

Value = Callable[[Load], float]


def per_second(load: Load) -> float:
    """Calls a second, by the clock on the wall."""
    return load.answers.per_second


def p50_ms(load: Load) -> float:
    """Milliseconds from a call to its answer, for half of the calls at most."""
    return load.answers.p50_ms


def p99_ms(load: Load) -> float:
    """The same for all but one of a hundred."""
    return load.answers.p99_ms


def api_cpu_us(load: Load) -> float:
    """CPU a call of the processes that answer."""
    return load.api_cpu_us


def postgresql_cpu_us(load: Load) -> float:
    """CPU a call of the database."""
    return load.postgresql_cpu_us


VALUES: Final[dict[str, Value]] = {
    "per_second": per_second,
    "p50_ms": p50_ms,
    "p99_ms": p99_ms,
    "api_cpu_us": api_cpu_us,
    "postgresql_cpu_us": postgresql_cpu_us,
}


class OnlineFigures:
    """Medians over the rounds."""

    def __init__(self, rounds: Sequence[OnlineRound]) -> None:
        assert rounds, "where h2load is missing there is no figure"
        self._rounds = rounds

    def of(self, state: State, in_flight: int, value: Value) -> float:
        """A value of a state."""
        return median([value(done.loads[state, in_flight]) for done in self._rounds])

    def over(self, state: State, in_flight: int, value: Value = per_second) -> float:
        """How many times as much the product has as another state with so many calls in flight."""
        return median(
            [value(done.loads[State.AUTHORISE, in_flight]) / value(done.loads[state, in_flight]) for done in self._rounds]
        )

    def two_processes(self, value: Value) -> float:
        """A value of two processes on one port."""
        return median([value(done.two_processes) for done in self._rounds])

    @property
    def two_processes_over_one(self) -> float:
        """By the clock."""
        one = State.AUTHORISE, TWO_PROCESSES_IN_FLIGHT
        return median([per_second(done.two_processes) / per_second(done.loads[one]) for done in self._rounds])

    def tls(self, value: Value) -> float:
        """A value with certificates on both sides, asked by the client in Python."""
        return median([value(done.tls) for done in self._rounds])

    def plain(self, value: Value) -> float:
        """The same client, in plain text."""
        return median([value(done.plain) for done in self._rounds])

    def tls_over_plain(self, value: Value = per_second) -> float:
        """With certificates over plain text."""
        return median([value(done.tls) / value(done.plain) for done in self._rounds])

    def flat(self) -> dict[str, float]:
        """Every figure by its name."""
        flat = {
            "authorise_over_empty_rpc_at_256": self.over(State.EMPTY_RPC, 256),
            "authorise_over_one_tx_at_64": self.over(State.ONE_TX, 64),
            "single_call_p50_over_one_tx": self.over(State.ONE_TX, 1, p50_ms),
            f"two_api_processes_over_one_at_{TWO_PROCESSES_IN_FLIGHT}": self.two_processes_over_one,
            f"mtls_over_plain_at_{TLS_IN_FLIGHT}": self.tls_over_plain(),
        }
        for name, value in VALUES.items():
            for state in State:
                for in_flight in CALLS_IN_FLIGHT:
                    flat[f"{state.name.lower()}_{name}_at_{in_flight}"] = self.of(state, in_flight, value)
            flat[f"two_api_processes_{name}_at_{TWO_PROCESSES_IN_FLIGHT}"] = self.two_processes(value)
            flat[f"mtls_{name}_at_{TLS_IN_FLIGHT}"] = self.tls(value)
            flat[f"python_client_plain_{name}_at_{TLS_IN_FLIGHT}"] = self.plain(value)
        return flat
