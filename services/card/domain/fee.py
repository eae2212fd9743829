"""What making a card costs: taken with the application, earned when there is a card, given back when there is none."""

from enum import IntEnum


class FeeSource(IntEnum):
    """Where the money comes from."""

    CASH = 1
    """At the window, into its till."""
    BANK = 2
    PURSE = 3
    """The holder's own, also while the card is lost."""
    WAIVED = 4
    """With a second person's approval."""


class FeeState(IntEnum):
    """Where the money is."""

    TO_TAKE = 1
    """Accepted with the application; payments has not posted it yet."""
    TAKEN = 2
    TO_RETURN = 3
    """There will be no card for it."""
    RETURNED = 4
    EARNED = 5
    """There is a card for it."""
