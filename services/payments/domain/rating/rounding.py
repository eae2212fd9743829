"""What happens to a part of a fen; a rule of each tariff."""

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way a part of the unit goes."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Rounding:
    """To whole units: of one fen, or of a coin that the city takes."""

    direction: Direction = Direction.DOWN
    unit_fen: int = 1

    def percent_of(self, amount_fen: int, percent: int) -> int:
        """`percent` % of an amount of 0 or more. The whole amount is never rounded."""
        if percent == 100:
            return amount_fen
        units, rest = divmod(amount_fen * percent, 100 * self.unit_fen)
        if rest and self.direction is not Direction.DOWN:
            units += self.direction is Direction.UP or 2 * rest >= 100 * self.unit_fen
        return units * self.unit_fen


TO_THE_FEN = Rounding()
