"""Who may do what with which topic: the one table of it. What is not here, nobody may but the administrator.

Kafka's rights are per topic, so a merchant reads none: its outcomes come over gRPC, and the topics hold everybody's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from services.common import topics
from services.common.peer import Subject

Resource = Literal["topic", "group"]
Operation = Literal["read", "write", "describe"]

EVERY: Final = "*"
MERCHANT: Final = "merchant."
"""So begins the name of a merchant among Kafka's users (`Subject.kafka_user`)."""
STREAMS: Final = "payments-streams"
"""The group of the stream workers."""
TRANSACTIONS: Final = (topics.TRANSACTIONS_BUS, topics.TRANSACTIONS_CAMPUS, topics.TRANSACTIONS_SCENIC)


class Right(NamedTuple):
    """An operation on a resource. Who may read or write may describe, too: Kafka has it so."""

    resource: Resource
    name: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Rights:
    """What one user of Kafka may do. Creating, deleting and altering are in no table."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Consumer groups that it joins and commits for."""
    watches: bool = False
    """Sees of every topic and group how far it is, and no record."""

    def __iter__(self) -> Iterator[Right]:
        """One by one."""
        yield from (Right("topic", name, "read") for name in self.reads)
        yield from (Right("topic", name, "write") for name in self.writes)
        yield from (Right("group", name, "read") for name in self.groups)
        if self.watches:
            yield from (Right(resource, EVERY, "describe") for resource in ("topic", "group"))


SERVICES: Final[Mapping[str, Rights]] = MappingProxyType(
    {
        "payments-streams": Rights(
            reads=(*TRANSACTIONS, topics.CARD_EVENTS),
            writes=(topics.OUTCOMES, topics.DEAD_LETTERS, topics.SEALS),
            groups=(STREAMS,),
        ),
        "payments-api": Rights(reads=(topics.OUTCOMES,)),
        "payments-live": Rights(
            reads=(*TRANSACTIONS, *topics.CHANGELOGS), writes=(topics.ALERTS, *topics.CHANGELOGS), groups=(topics.LIVE,)
        ),
        "card": Rights(
            reads=(topics.AUDIT_SEALS, topics.CARD_DELETIONS, topics.CARD_EVENTS),
            writes=(topics.CARD_EVENTS, topics.CARD_HOTLIST, topics.CARD_DELETIONS, topics.AUDIT_SEALS),
        ),
        "issuance": Rights(
            reads=(topics.AUDIT_SEALS, topics.ISSUANCE_EVENTS), writes=(topics.ISSUANCE_EVENTS, topics.AUDIT_SEALS)
        ),
        "monitoring": Rights(watches=True),
    }
)
"""By the name of the user; a certificate of `onecard://service/NAME` makes one NAME."""

MERCHANTS: Final[Mapping[str, Rights]] = MappingProxyType(
    {
        "bus": Rights(writes=(topics.TRANSACTIONS_BUS,)),
        "campus": Rights(writes=(topics.TRANSACTIONS_CAMPUS,)),
        "scenic": Rights(writes=(topics.TRANSACTIONS_SCENIC,)),
    }
)
"""By scene: each merchant is a user of its own (`Subject.kafka_user`), and may do what its scene may."""

SIMULATION: Final[Mapping[str, Rights]] = MappingProxyType(
    {
        "simulation-registry": Rights(writes=(topics.CARD_EVENTS,)),
        "simulation-taps": Rights(reads=(topics.DEAD_LETTERS,), writes=TRANSACTIONS),
    }
)
"""Of a city on one machine alone: they stand in for the card service, and for all merchants at once."""


def users_of(merchants: Mapping[str, str], *, simulation: bool = False) -> dict[str, Rights]:
    """All users: the services, and each merchant by its scene; with `simulation` those of a city on one machine."""
    named = {Subject(merchant_id=merchant).kafka_user: MERCHANTS[scene] for merchant, scene in merchants.items()}
    return {**SERVICES, **named, **(SIMULATION if simulation else {})}


def every_right(users: Mapping[str, Rights]) -> set[tuple[str, Right]]:
    """Pairs of a user and a right of it."""
    return {pair for user, rights in users.items() for pair in product((user,), rights)}
