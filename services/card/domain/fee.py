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
    """Where the money is. The numbers are stored: never changed, never used again."""

    TO_TAKE = 1
    """Accepted with the application; payments has not posted it yet."""
    TAKEN = 2
    RETURNED = 4
    """There is no card for it."""
    EARNED = 5
    """There is a card for it."""
    DECLINED = 7
    """The purse or the bank did not have it."""


class Move(IntEnum):
    """What payments is asked to post. The numbers stand in request ids: never changed, never used again."""

    TAKE = 1
    RETURN = 2
    EARN = 3


AFTER = {Move.TAKE: FeeState.TAKEN, Move.RETURN: FeeState.RETURNED, Move.EARN: FeeState.EARNED}


def next_move(fee: FeeState, *, completed: bool, in_vain: bool) -> Move | None:
    """What is to be posted, by how the application ended; None: nothing now.

    What was to be taken is taken first, also when it is given back at once: it may have been posted already.
    """
    match fee:
        case FeeState.TO_TAKE:
            return Move.TAKE
        case FeeState.TAKEN if completed:
            return Move.EARN
        case FeeState.TAKEN if in_vain:
            return Move.RETURN
    return None


def may_be_made(source: FeeSource, fee: FeeState) -> bool:
    """Whether the card may be made: cash lies in the till, a purse or the bank must have paid."""
    return fee is FeeState.TAKEN or (source is FeeSource.CASH and fee is FeeState.TO_TAKE)
