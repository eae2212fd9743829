"""Take a supplier's delivery: whole or not at all, with all that is wrong with it named by its line."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

import asyncpg

from services.issuance.adapters import audit
from services.issuance.adapters.boxes import Accounts, add_box, known_already
from services.issuance.adapters.delivery_file import Delivery, Fault, LineFault, read_delivery
from services.issuance.domain.actor import Actor
from services.issuance.handlers.move_blanks import signed_by

CheckIdentifiers: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Sequence[bool]]]
"""The vault's word, for a product, on each of several card identifiers: whether its last four bytes were made with our key."""


@dataclass(frozen=True, slots=True)
class Received:
    """A box, or why not."""

    box: str = ""
    product: str = ""
    count: int = 0
    faults: tuple[LineFault, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiveDelivery:
    """What a delivery is held against."""

    products: Collection[str]
    city_code: str
    check: CheckIdentifiers
    accounts: Accounts | None

    async def read(self, content: bytes) -> tuple[Delivery | None, list[LineFault]]:
        """What a file says, and all that is wrong with it before the blanks are looked at that are here already."""
        delivery, faults = read_delivery(content, self.products, self.city_code)
        if delivery is None or any(fault.fault is Fault.PRODUCT_UNKNOWN for fault in faults):
            return delivery, faults
        genuine = await self.check(delivery.product, [blank.card_identifier for blank in delivery.blanks])
        foreign = {fault.line for fault in faults if fault.fault is Fault.IDENTIFIER_FOREIGN}
        faults += [
            LineFault(blank.line, Fault.IDENTIFIER_NOT_GENUINE, blank.serial)
            for blank, good in zip(delivery.blanks, genuine, strict=True)
            if not good and blank.line not in foreign
        ]
        return delivery, faults

    async def store(
        self,
        driver: "asyncpg.Connection[Any]",
        content: bytes,
        delivery: Delivery | None,
        faults: Sequence[LineFault],
        actor: Actor,
    ) -> Received:
        """A box for the depot, or everything that is wrong."""
        if delivery is None:
            return Received(faults=tuple(faults))
        faults = sorted([*faults, *await known_already(driver, delivery)])
        received = Received(delivery.box, delivery.product, faults=tuple(faults))
        if faults:
            return received
        await add_box(driver, delivery, sha256(content).digest(), self.accounts, signed_by(actor))
        detail: dict[str, str | int] = {"box": delivery.box, "product": delivery.product, "count": len(delivery.blanks)}
        await audit.record(driver, actor, "blanks.receive", detail=detail)
        return Received(delivery.box, delivery.product, len(delivery.blanks))
