"""What the tables of a tariff file have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from services.payments.domain.rating.network import Network
from services.payments.domain.rating.rounding import Rounding

OPERATOR: Final = "operator"
"""As a payer: the merchant earns less."""
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
Fen = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Age = Annotated[int, msgspec.Meta(ge=0, le=200)]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class WrongError(Exception):
    """A value that does not fit the others; `key` is where it stands below what is being read."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class CityParts:
    """What the parts of a file need of the rest of it."""

    funds: Mapping[str, int]
    rounding: Rounding
    network: Network

    def payer(self, name: str) -> int:
        """The account of a fund; 0: the operator."""
        if name == OPERATOR:
            return 0
        if name not in self.funds:
            raise WrongError("payer", f"{name!r} is no fund; there are {sorted(self.funds)}, and {OPERATOR!r} who earns less")
        return self.funds[name]


def minutes_of(time: str) -> int:
    """After midnight."""
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
