"""What is waiting for somebody at an outlet; what waits because of the bank is a list of its own."""

from enum import IntEnum


class WorkKind(IntEnum):
    """Why something is on the work list, in the order of the list."""

    OVERDUE = 1
    """An application whose card should be at its outlet by now."""
    LYING = 2
    """A card that nobody has collected for long."""
    APPROVAL = 3
    """A second person is asked."""
    RENEWAL = 4
    """A card that comes to its end, and whose holder has not applied for another one."""
    FEE_TO_HAND_OUT = 5
    """It was paid in cash for an application that came to nothing, and nobody stood there."""
    REMAINDER_TO_HAND_OUT = 6
    """What was left on the account of a cancelled card came too late to be handed out at once."""
    KIT_QUEUE = 7
    """What a mobile kit had queued when it was revoked: its applicants have to be asked again."""
