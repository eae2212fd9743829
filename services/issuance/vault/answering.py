"""Answers a message: by a lease, or with the reason why not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from services.common.database import DatabaseError, sqlstate_of
from services.common.keyvault.vault import Roots, TokenGoneError, VaultError
from services.issuance.domain.effects import Operation
from services.issuance.domain.product import Product
from services.issuance.metrics import VAULT_ANSWERS, VAULT_LEASES
from services.issuance.vault.leases import Granted, Lease, Leases
from services.issuance.vault.operations import IRK, chip_keys, label_of
from services.issuance.vault.protocol import Answer, Ask, CheckIdentifiers, Close, Hello, Message, Open, VaultRefusal

T = TypeVar("T")
_IDENTIFIER_DIGITS = 32
log = structlog.get_logger()


class Run(Protocol):
    """Runs what may block: here, or in a thread where a module computes."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """What it computes."""


async def at_once(work: Callable[[], T]) -> T:
    """In software it takes microseconds."""
    return work()


async def in_thread(work: Callable[[], T]) -> T:
    """A module may take its time."""
    return await asyncio.to_thread(work)


class Answering:
    """What the vault says; it never raises."""

    def __init__(self, roots: Roots, leases: Leases, run: Run = at_once) -> None:
        self._roots = roots
        self._leases = leases
        self._run = run
        self.token_gone = asyncio.Event()
        """Whoever has started the process starts it again, and the token is opened anew."""

    async def answer(self, message: Message, mine: set[int]) -> Answer:
        """`mine`: the leases of the connection on which it came; no other's is computed for."""
        operation = message.operation.value if isinstance(message, Ask) else type(message).__name__.upper()
        try:
            answer = await self._answer(message, mine)
        except DatabaseError as error:
            log.warning("vault_database_away", sqlstate=sqlstate_of(error), error=type(error).__name__)
            answer = Answer(message.id, VaultRefusal.UNAVAILABLE)
        except VaultError as error:
            log.warning("vault_key_trouble", error=str(error))
            if isinstance(error, TokenGoneError):
                self.token_gone.set()
            answer = Answer(message.id, VaultRefusal.UNAVAILABLE)
        VAULT_ANSWERS.labels(operation, answer.refusal or "DONE").inc()
        VAULT_LEASES.set(len(self._leases))
        return answer

    async def _answer(self, message: Message, mine: set[int]) -> Answer:
        match message:
            case Hello():
                return Answer(message.id, development=self._roots.development)
            case Open():
                return await self._open(message, mine)
            case Ask():
                return await self._ask(message, mine)
            case Close():
                if message.lease in mine:
                    mine.discard(message.lease)
                    self._leases.close(message.lease)
                return Answer(message.id)
            case CheckIdentifiers():
                return await self._check(message)

    async def _open(self, message: Open, mine: set[int]) -> Answer:
        lease = await self._leases.open(message)
        if isinstance(lease, VaultRefusal):
            log.warning("vault_lease_refused", reason=lease, record=message.record, epoch=message.epoch)
            return Answer(message.id, lease)
        mine.add(lease.number)
        return Answer(message.id, lease=lease.number)

    async def _ask(self, message: Ask, mine: set[int]) -> Answer:
        granted = self._leases.grant(message) if message.lease in mine else VaultRefusal.NO_LEASE
        if isinstance(granted, VaultRefusal):
            log.warning("vault_step_refused", reason=granted, operation=message.operation)
            return Answer(message.id, granted)
        lease, grant = granted
        if message.operation is Operation.VERIFY_CARD:
            keys = chip_keys(self._roots, lease.product)
            genuine = await self._run(
                lambda: keys.verify_internal(grant.key, lease.identifier, message.challenge, message.data)
            )
            return Answer(message.id, genuine=[genuine])
        return Answer(message.id, data=await self._run(lambda: self._compute(message, lease, grant)))

    def _compute(self, message: Ask, lease: Lease, grant: Granted) -> bytes:
        keys, product = chip_keys(self._roots, lease.product), lease.product
        match message.operation:
            case Operation.LOAD_KEY:
                assert grant.loads is not None
                return keys.load_key(
                    grant.loads,
                    grant.key,
                    lease.identifier,
                    message.challenge,
                    header=message.header,
                    key_header=product.key_header,
                )
            case Operation.RELOAD_PIN:
                pin = message.data.decode("ascii")
                return keys.reload_pin(grant.key, lease.identifier, message.challenge, header=message.header, pin=pin)
            case _:
                return keys.external_authenticate(grant.key, lease.identifier, message.challenge)

    async def _check(self, message: CheckIdentifiers) -> Answer:
        product = self._leases.product(message.product)
        if product is None:
            return Answer(message.id, VaultRefusal.MALFORMED)
        return Answer(message.id, genuine=await self._run(lambda: self._judge(product, message.identifiers)))

    def _judge(self, product: Product, identifiers: list[str]) -> list[bool]:
        keys, label = chip_keys(self._roots, product), label_of(product.algorithm, IRK)
        return [(raw := _raw(identifier)) is not None and keys.check_identifier(label, raw) for identifier in identifiers]


def _raw(identifier: str) -> bytes | None:
    if len(identifier) != _IDENTIFIER_DIGITS:
        return None
    try:
        return bytes.fromhex(identifier)
    except ValueError:
        return None
