"""The figures of instant issuance."""

from collections.abc import Callable
from typing import Final

from bench.issuance_part import FAMILIES, IssuanceMeasured, Making
from bench.plan import STREAMS_IN_FLIGHT
from bench.statistics import median

MOST: Final = max(STREAMS_IN_FLIGHT)
Value = Callable[[Making], float]


def per_second(making: Making) -> float:
    """Cards, by the clock on the wall."""
    return making.answers.per_second


def server_cpu_us(making: Making) -> float:
    """A card, of everything but windows and chips."""
    return sum(making.cpu_us.values())


class IssuanceFigures:
    """Medians over the rounds."""

    def __init__(self, measured: IssuanceMeasured) -> None:
        self._rounds = measured.rounds

    def made(self, in_flight: int, value: Value) -> float:
        """A value of the product."""
        return median([value(done.made[in_flight]) for done in self._rounds])

    def empty(self, in_flight: int, value: Value) -> float:
        """A value of the empty stream."""
        return median([value(done.empty[in_flight]) for done in self._rounds])

    def over_empty(self, in_flight: int, value: Value = per_second) -> float:
        """The product over the empty stream."""
        return median([value(done.made[in_flight]) / value(done.empty[in_flight]) for done in self._rounds])

    def cpu_us(self, in_flight: int, family: str) -> float:
        """Of a card."""
        return self.made(in_flight, lambda making: making.cpu_us[family])

    @property
    def cards_per_core_second(self) -> float:
        """With a second of CPU of issuance, card service, vault and database together."""
        return self.made(MOST, lambda making: 1e6 / server_cpu_us(making))

    @property
    def our_share(self) -> float:
        """What we add to the chips' time, one card after the other."""
        return median([done.share.ours for done in self._rounds])

    @property
    def card_seconds(self) -> float:
        """How long a card takes, with its chip."""
        return median([done.share.seconds / done.share.cards for done in self._rounds])

    def flat(self) -> dict[str, float]:
        """Every figure by its name."""
        flat = {
            "cards_per_core_second": self.cards_per_core_second,
            "personalise_over_empty_stream": self.over_empty(MOST),
            "our_share_of_issue_time": self.our_share,
            "issue_seconds_with_chip": self.card_seconds,
            "commands_per_card": self.made(MOST, lambda making: making.commands),
            "cards_put_in_again": self.made(MOST, lambda making: making.again),
            "messages_per_card": self.made(MOST, lambda making: making.messages),
        }
        for in_flight in STREAMS_IN_FLIGHT:
            flat[f"cards_per_second_at_{in_flight}"] = self.made(in_flight, per_second)
            flat[f"empty_streams_per_second_at_{in_flight}"] = self.empty(in_flight, per_second)
            flat[f"personalise_over_empty_stream_at_{in_flight}"] = self.over_empty(in_flight)
            flat[f"card_server_cpu_us_at_{in_flight}"] = self.made(in_flight, server_cpu_us)
            flat[f"card_client_cpu_us_at_{in_flight}"] = self.made(in_flight, lambda making: making.client_cpu_us)
            for family in FAMILIES:
                flat[f"card_{family}_cpu_us_at_{in_flight}"] = self.cpu_us(in_flight, family)
            flat[f"empty_stream_server_cpu_us_at_{in_flight}"] = self.empty(in_flight, server_cpu_us)
            flat[f"empty_stream_client_cpu_us_at_{in_flight}"] = self.empty(in_flight, lambda making: making.client_cpu_us)
        return flat
