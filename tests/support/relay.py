"""The relay of card.events without Kafka: what it announces is kept."""

from collections.abc import Callable, Iterable

from onecard.card.v1.card_events_pb2 import CardEvent, CardState
from services.card.handlers.relay_events import RelayEvents
from tests.support.cardholders import Registry

Sent = list[tuple[bytes, bytes]]


class Broker:
    """Takes what is announced. Kafka itself takes part in the tests of the road."""

    def __init__(self) -> None:
        self.sent: Sent = []
        self.beats: list[bytes] = []
        self.before_sending: Callable[[], object] = lambda: None

    async def send(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        assert topic == "card.events"
        self.before_sending()
        self.sent += [(key or b"", value) for key, value in messages]

    async def send_everywhere(self, topic: str, key: bytes, value_of: Callable[[int], bytes]) -> None:
        assert (topic, key) == ("card.events", b"heartbeat")
        self.beats.append(value_of(4))

    def states(self) -> list[CardState]:
        return [CardEvent.FromString(value).state for _, value in self.sent]


async def relay_once(registry: Registry, broker: Broker) -> bool:
    """One round; False while there is more to send."""
    relay = RelayEvents(registry.engine, registry.sealing, broker)  # type: ignore[arg-type]  # a broker in memory
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        return await relay(connection)
