"""For whom the vault computes: a lease is for the blank that a record holds reserved, and ends when it does not any more."""

import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.issuance.domain.blank import BlankState
from services.issuance.domain.effects import Generation, Operation
from services.issuance.domain.product import Key, PinRules, Product
from services.issuance.domain.record import RecordState
from services.issuance.domain.update_card import PIN, VALIDITY
from services.issuance.vault.blanks import Blanks, Held
from services.issuance.vault.operations import TRANSPORT, KeyRef, label_of
from services.issuance.vault.protocol import Ask, Open, Purpose, VaultRefusal

MOST: Final = {
    Operation.EXTERNAL_AUTHENTICATE: 16,
    Operation.LOAD_KEY: 4,
    Operation.RELOAD_PIN: 4,
    Operation.VERIFY_CARD: 16,
}
"""Of each key, in one epoch of a record, however often a lease is opened."""
STALE_SECONDS: Final = 5.0
"""A lease that could not be looked at for so long gives nothing until it was."""
_MOST_COUNTS: Final = 100_000
_KINDS: Final = {
    Purpose.PERSONALISE: {Operation.EXTERNAL_AUTHENTICATE, Operation.LOAD_KEY, Operation.VERIFY_CARD},
    Purpose.UPDATE: {Operation.EXTERNAL_AUTHENTICATE, Operation.RELOAD_PIN, Operation.VERIFY_CARD},
    Purpose.CHECK: {Operation.EXTERNAL_AUTHENTICATE, Operation.VERIFY_CARD},
}
_BEING_MADE: Final = frozenset({RecordState.RESERVED, RecordState.TOUCHED})
_BLANK_BEING_MADE: Final = frozenset({BlankState.RESERVED, BlankState.PERSONALISING})
_MADE: Final = frozenset({BlankState.VERIFIED, BlankState.PRINTED, BlankState.HANDED_OVER})


@dataclass(slots=True)
class Lease:
    """Of one stream."""

    number: int
    opened: Open
    product: Product
    identifier: bytes
    versions: Mapping[str, int]
    seen_at: float
    """When the database said last that it is right."""
    signed: str = ""
    """What a second person has signed: the PIN, or the validity."""
    ended: VaultRefusal | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What may be computed."""

    key: KeyRef
    loads: KeyRef | None = None


_Steps: TypeAlias = Counter[tuple[Operation, int, int]]


class Leases:
    """All that are open in this process."""

    def __init__(
        self,
        blanks: Blanks,
        products: Sequence[Product],
        current: Callable[[str], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`current`: the version of a root that is used for chips that are begun now; raises VaultError."""
        self._blanks = blanks
        self._products = {product.code: product for product in products}
        self._current = current
        self._clock = clock
        self._open: dict[int, Lease] = {}
        self._counts: OrderedDict[tuple[int, int, Purpose, int], _Steps] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def product(self, code: str) -> Product | None:
        """Of that code."""
        return self._products.get(code)

    async def open(self, asked: Open) -> Lease | VaultRefusal:
        """Raises one of DatabaseError, or VaultError."""
        product = self.product(asked.product)
        held = (await self._blanks.held([asked.record])).get(asked.record)
        if product is None or held is None:
            return VaultRefusal.NOT_THIS_BLANK
        if refusal := _refused(asked, held):
            return refusal
        signed = ""
        if asked.purpose is Purpose.UPDATE:
            signed = await self._blanks.signed(asked.record, asked.approval, asked.clerk, asked.terminal)
            if not signed:
                return VaultRefusal.WRONG_PURPOSE
        versions = held.versions
        if versions is None:
            versions = await self._begin(asked, product, held)
        if versions is None:
            return VaultRefusal.NOT_THIS_BLANK
        lease = Lease(secrets.randbits(63), asked, product, bytes.fromhex(held.identifier), versions, self._clock(), signed)
        self._end_older(asked)
        self._open[lease.number] = lease
        return lease

    async def _begin(self, asked: Open, product: Product, held: Held) -> Mapping[str, int] | None:
        """Which versions this chip is to have; of two who begin at once both get the first one's."""
        if asked.purpose is not Purpose.PERSONALISE:
            return None
        labels = [label_of(product.algorithm, name) for name in (TRANSPORT, *(key.name for key in product.keys))]
        await self._blanks.keep_versions(held.serial, {label: self._current(label) for label in labels})
        again = (await self._blanks.held([asked.record])).get(asked.record)
        return again.versions if again and not _refused(asked, again) else None

    def _end_older(self, asked: Open) -> None:
        for lease in self._open.values():
            other = lease.opened
            if other.record == asked.record and other.purpose is asked.purpose and other.epoch <= asked.epoch:
                lease.ended = lease.ended or VaultRefusal.SUPERSEDED

    def close(self, number: int) -> None:
        """Nothing more is wanted."""
        self._open.pop(number, None)

    async def look(self) -> None:
        """At every open lease: blanks that were barred meanwhile get nothing more. Raises one of DatabaseError."""
        leases = [lease for lease in self._open.values() if not lease.ended]
        if not leases:
            return
        now = self._clock()
        found = await self._blanks.held(sorted({lease.opened.record for lease in leases}))
        for lease in leases:
            held = found.get(lease.opened.record)
            lease.ended = lease.ended or (_refused(lease.opened, held) if held else VaultRefusal.NOT_THIS_BLANK)
            lease.seen_at = now

    def grant(self, asked: Ask) -> tuple[Lease, Granted] | VaultRefusal:
        """One step, and it is counted."""
        lease = self._open.get(asked.lease)
        if lease is None:
            return VaultRefusal.NO_LEASE
        if lease.ended:
            return lease.ended
        if self._clock() - lease.seen_at > STALE_SECONDS:
            return VaultRefusal.UNAVAILABLE
        granted = _granted(lease, asked)
        if isinstance(granted, VaultRefusal):
            return granted
        place = asked.loads if asked.loads is not None else asked.address
        generation = 0 if asked.operation is Operation.LOAD_KEY else asked.generation
        count = self._count(lease.opened)
        step = (asked.operation, place, generation)
        if count[step] >= MOST[asked.operation]:
            return VaultRefusal.COUNT_EXCEEDED
        count[step] += 1
        return lease, granted

    def _count(self, opened: Open) -> _Steps:
        """Of this epoch."""
        key = (opened.record, opened.epoch, opened.purpose, opened.approval)
        count = self._counts[key] = self._counts.pop(key, Counter())
        if len(self._counts) > _MOST_COUNTS:
            self._counts.popitem(last=False)
        return count


def _refused(asked: Open, held: Held) -> VaultRefusal | None:
    if held.barred:
        return VaultRefusal.BARRED
    if held.epoch > asked.epoch:
        return VaultRefusal.SUPERSEDED
    same = (held.identifier, held.product, held.application, held.epoch)
    if not held.holds or same != (asked.identifier, asked.product, asked.application, asked.epoch):
        return VaultRefusal.NOT_THIS_BLANK
    if (held.clerk, held.terminal) != (asked.clerk, asked.terminal):
        return VaultRefusal.NOT_THIS_BLANK
    match asked.purpose:
        case Purpose.PERSONALISE:
            fits = held.state in _BEING_MADE and held.blank_state in _BLANK_BEING_MADE
        case Purpose.UPDATE:
            fits = held.blank_state is BlankState.HANDED_OVER
        case Purpose.CHECK:
            fits = held.blank_state in _MADE
    return None if fits else VaultRefusal.WRONG_PURPOSE


def _granted(lease: Lease, asked: Ask) -> Granted | VaultRefusal:
    product, purpose = lease.product, lease.opened.purpose
    if asked.operation not in _KINDS[purpose]:
        return VaultRefusal.WRONG_PURPOSE
    key = next((key for key in product.keys if key.address == asked.address), None)
    if key is None or len(asked.challenge) != product.challenge_bytes:
        return VaultRefusal.MALFORMED
    if purpose is not Purpose.PERSONALISE and (
        asked.generation is not Generation.FINAL or not _serves(key, asked.operation, lease)
    ):
        return VaultRefusal.WRONG_PURPOSE
    ref = _ref(lease, key, asked.generation)
    match asked.operation:
        case Operation.LOAD_KEY:
            loads = next((one for one in product.keys if one.address == asked.loads), None)
            if loads is None or loads.under != key.name or asked.header != product.load_header(loads):
                return VaultRefusal.MALFORMED
            return Granted(ref, _ref(lease, loads, Generation.FINAL))
        case Operation.RELOAD_PIN:
            rules = product.pin
            if rules is None or asked.header != product.pin_header(rules) or not _is_pin(asked.data, rules):
                return VaultRefusal.MALFORMED
        case Operation.EXTERNAL_AUTHENTICATE:
            if not key.authenticates:
                return VaultRefusal.MALFORMED
        case Operation.VERIFY_CARD:
            if key is not product.internal or len(asked.data) != product.challenge_bytes:
                return VaultRefusal.MALFORMED
    return Granted(ref)


def _serves(key: Key, operation: Operation, lease: Lease) -> bool:
    """A card that was issued: its records are read and, in an update, what was signed is written; its keys stay."""
    product = lease.product
    match operation:
        case Operation.EXTERNAL_AUTHENTICATE if lease.opened.purpose is Purpose.CHECK:
            return any(file.read_with == key.name for file in product.files)
        case Operation.EXTERNAL_AUTHENTICATE:
            return lease.signed == VALIDITY and key in product.session_keys()
        case Operation.RELOAD_PIN:
            return lease.signed == PIN and product.pin is not None and product.pin.key == key.name
        case _:
            return True


def _is_pin(data: bytes, rules: PinRules) -> bool:
    return len(data) == rules.digits and data.isdigit()


def _ref(lease: Lease, key: Key, generation: Generation) -> KeyRef:
    name = TRANSPORT if generation is Generation.TRANSPORT else key.name
    label = label_of(lease.product.algorithm, name)
    return KeyRef(label, lease.versions[label])
