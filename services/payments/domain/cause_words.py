"""What the causes of dead letters mean, in words for whoever looks after them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.payments.domain.verdict import Cause


class CauseWords(NamedTuple):
    """A cause, explained."""

    meaning: str
    mends: str
    """Who does what about it."""
    mendable: bool
    """Whether the very bytes may be decided one day; otherwise they end as refused."""


CAUSE_WORDS: Final[Mapping[Cause, CauseWords]] = {
    Cause.UNDECODABLE: CauseWords(
        "The record holds no transaction, or no complete identity, or a time outside of 1970 to 9999.",
        "The sender mends its program and sends the transaction anew. These bytes are never posted: refuse them.",
        mendable=False,
    ),
    Cause.BAD_TEXT: CauseWords(
        "An identifier in it is too long, or holds something else than visible ASCII characters, such as a blank.",
        "The sender mends its program and sends the transaction anew. These bytes are never posted: refuse them.",
        mendable=False,
    ),
    Cause.UNKNOWN_MERCHANT: CauseWords(
        "It names a merchant that is not registered here.",
        "If the merchant is one of the city's: register it (`python -m services.payments register FILE`), then replay. "
        "Otherwise refuse it.",
        mendable=True,
    ),
    Cause.UNKNOWN_TERMINAL: CauseWords(
        "The merchant has no such terminal, or the envelope names another terminal than the signed body.",
        "If the merchant vouches for the terminal: register it (`python -m services.payments register FILE`), then replay. "
        "Otherwise refuse it.",
        mendable=True,
    ),
    Cause.RETIRED_TERMINAL: CauseWords(
        "The terminal, or its merchant, was retired.",
        "If that was a mistake, the database's owner clears its `retired_time`, then replay. If it was stolen, refuse it.",
        mendable=True,
    ),
    Cause.WRONG_SCENE: CauseWords(
        "Topic, merchant and transaction do not belong to one scene: a bus ride on the campus topic, for instance.",
        "The merchant sends it to its own topic anew. These bytes are never posted: refuse them.",
        mendable=False,
    ),
    Cause.UNKNOWN_CARD: CauseWords(
        "No state of this card has arrived from the card service yet.",
        "Nobody, for minutes: it is decided by itself when the card is known. If it stays, look whether the projection of the "
        "cards is late (`onecard doctor`), and whether such a card was ever made.",
        mendable=True,
    ),
    Cause.IDENTITY_CONFLICT: CauseWords(
        "The terminal has used this number before, for another transaction. The first one counts, and the sender was told so.",
        "The merchant looks at the terminal: its counter went back, or somebody copied it. Its holder is charged, if at all, "
        "by an adjustment. Refuse these bytes.",
        mendable=False,
    ),
    Cause.DATABASE_REJECTED: CauseWords(
        "The database refused to store one of its values; the SQLSTATE says why.",
        "Whoever runs the database looks at the SQLSTATE and mends that, then replay.",
        mendable=True,
    ),
    Cause.NO_TARIFF: CauseWords(
        "No tariff of the merchant's scene was in force at the time of the tap.",
        "The city adds a tariff file for that time, all processes of payments are restarted, then replay.",
        mendable=True,
    ),
    Cause.UNKNOWN_EPOCH: CauseWords(
        "It was signed in an epoch of keys that this installation does not know, or not yet.",
        "If the epoch is to be: `python -m services.payments epochs add`, then replay. If the terminal has another "
        "installation's keys, refuse it.",
        mendable=True,
    ),
    Cause.RETIRED_EPOCH: CauseWords(
        "It was signed with keys that were retired before it arrived.",
        "If those keys were not stolen, the database's owner clears the epoch's `retired_time`, then replay. If they were, "
        "refuse it.",
        mendable=True,
    ),
    Cause.WRONG_TAC: CauseWords(
        "The terminal it names has not signed it, or not these bytes: somebody forges, or the terminal has other keys.",
        "Security looks at the terminal and at who may write to the topic. Nothing mends the bytes: "
        "refuse them when that is done.",
        mendable=False,
    ),
}  # fmt: skip
