"""What differs from city to city, section by section as in the file of settings; the file says what each one means."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class City:
    """Which city."""

    name: str
    code: str
    """GB/T 2260, six digits; the first three bytes of every card identifier."""


@dataclass(frozen=True, slots=True)
class IssuanceRules:
    """Of blanks at windows and kits."""

    lowest_stock: int
    """Fewer blanks at a window or a kit are said and measured."""
    lowest_depot: int
    """The same of each product at the depot."""
    request_days: int
    """How long a repeated request hears its first answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    city: City
    issuance: IssuanceRules
