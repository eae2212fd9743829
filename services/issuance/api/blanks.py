"""BlankService: what keepers and clerks do with blanks."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.blanks_pb2_grpc import BlankServiceServicer
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, identifier, page_size, request_id
from services.common.peer import Subject
from services.issuance.adapters.blanks import find_blank, list_blanks
from services.issuance.adapters.delivery_file import MOST_BYTES
from services.issuance.adapters.entries import count_stock, entries_of
from services.issuance.api.actors import Actors
from services.issuance.api.blank_answers import blank_of, entry_of, fault_of, moved_of, not_received
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import DEPOT, BlankState
from services.issuance.domain.rights import Right, may
from services.issuance.handlers.move_blanks import MOST, Act, Moved, Order, move_blanks
from services.issuance.handlers.once import Once, digests
from services.issuance.handlers.receive_delivery import Received, ReceiveDelivery

_LONGEST_REASON: Final = 200
_SERIAL: Final = 32
_STATES: Final = frozenset(BlankState)


class Place(NamedTuple):
    """Behind a serial."""

    after: str

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return bool(self.after)


class BlankService(BlankServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, engine: AsyncEngine, actors: Actors, deliveries: ReceiveDelivery) -> None:
        self._engine = engine
        self._actors = actors
        self._deliveries = deliveries
        self._once = Once(engine)

    async def ReceiveDelivery(  # noqa: N802
        self, request_iterator: AsyncIterator[messages.ReceiveDeliveryRequest], context: Any
    ) -> messages.ReceiveDeliveryResponse:
        """A box: nothing is stored before all of it is there."""
        await self._actors.with_right(Right.RECEIVE_BLANKS, context)
        asked, content = await _receive(request_iterator)
        # Once more: it took its time, and the shift may have ended meanwhile.
        actor = await self._actors.with_right(Right.RECEIVE_BLANKS, context)
        delivery, faults = await self._deliveries.read(content)

        async def act(driver: "asyncpg.Connection[Any]") -> Received:
            return await self._deliveries.store(driver, content, delivery, faults, actor)

        method = "ReceiveDelivery"
        received = await self._once(actor.terminal, asked, method, content, Received, act, final=lambda r: not r.faults)
        moved = not_received(received.faults) if received.faults else messages.BlanksMoved(count=received.count)
        return messages.ReceiveDeliveryResponse(
            moved=moved, box=received.box, product=received.product, faults=map(fault_of, received.faults)
        )

    async def AssignBlanks(  # noqa: N802
        self, request: messages.AssignBlanksRequest, context: Any
    ) -> messages.AssignBlanksResponse:
        """From the depot into somebody's hands."""
        actor = await self._actors.with_right(Right.ASSIGN_BLANKS, context)
        order = Order(Act.ASSIGN, span=_range(request.range), to=_terminal("place", request.place))
        return messages.AssignBlanksResponse(moved=await self._move(order, actor, request))

    async def TransferBlanks(  # noqa: N802
        self, request: messages.TransferBlanksRequest, context: Any
    ) -> messages.TransferBlanksResponse:
        """Given away here."""
        actor = await self._actors.with_right(Right.TRANSFER_BLANKS, context)
        to = request.destination if request.destination == DEPOT else _terminal("destination", request.destination)
        if to == actor.terminal:
            raise bad("destination", "they are there")
        order = Order(Act.TRANSFER, span=_range(request.range), at=frozenset({actor.terminal}), to=to)
        return messages.TransferBlanksResponse(moved=await self._move(order, actor, request))

    async def ConfirmTransfer(  # noqa: N802
        self, request: messages.ConfirmTransferRequest, context: Any
    ) -> messages.ConfirmTransferResponse:
        """Arrived here; a keeper says so for the depot."""
        actor = await self._actors.with_right(Right.TRANSFER_BLANKS, context)
        order = Order(Act.ARRIVE, span=_range(request.range), at=_places(actor))
        return messages.ConfirmTransferResponse(moved=await self._move(order, actor, request))

    async def SpoilBlank(self, request: messages.SpoilBlankRequest, context: Any) -> messages.SpoilBlankResponse:  # noqa: N802
        """Good for nothing."""
        actor = await self._actors.with_right(Right.SPOIL_BLANK, context)
        # A keeper may have brought it back from anywhere, as from a kit that was lost and found.
        at = frozenset[str]() if may(actor, Right.RECEIVE_BLANKS) else frozenset({actor.terminal})
        order = Order(Act.SPOIL, _serials([request.serial]), at=at, reason=_reason(request.reason))
        return messages.SpoilBlankResponse(moved=await self._move(order, actor, request))

    async def ReturnBlanks(  # noqa: N802
        self, request: messages.ReturnBlanksRequest, context: Any
    ) -> messages.ReturnBlanksResponse:
        """Taken back to the depot, from wherever they are."""
        actor = await self._actors.with_right(Right.RECEIVE_BLANKS, context)
        return messages.ReturnBlanksResponse(
            moved=await self._move(Order(Act.RETURN, span=_range(request.range)), actor, request)
        )  # fmt: skip

    async def DestroyBlanks(  # noqa: N802
        self, request: messages.DestroyBlanksRequest, context: Any
    ) -> messages.DestroyBlanksResponse:
        """By two people."""
        actor = await self._actors.with_right(Right.DESTROY_BLANKS, context)
        order = Order(Act.DESTROY, _serials(request.serials))
        return messages.DestroyBlanksResponse(moved=await self._move(order, actor, request))

    async def ReportMissing(  # noqa: N802
        self, request: messages.ReportMissingRequest, context: Any
    ) -> messages.ReportMissingResponse:
        """Not where they should be."""
        actor = await self._actors.with_right(Right.REPORT_MISSING, context)
        incident = identifier("incident", request.incident, 64)
        order = Order(Act.MISS, _serials(request.serials), incident=incident)
        return messages.ReportMissingResponse(moved=await self._move(order, actor, request))

    async def ReportFound(  # noqa: N802
        self, request: messages.ReportFoundRequest, context: Any
    ) -> messages.ReportFoundResponse:
        """Found again."""
        actor = await self._actors.with_right(Right.REPORT_MISSING, context)
        incident = identifier("incident", request.incident, 64)
        order = Order(Act.FIND, _serials(request.serials), incident=incident)
        return messages.ReportFoundResponse(moved=await self._move(order, actor, request))

    async def CountStock(self, request: messages.CountStockRequest, context: Any) -> messages.CountStockResponse:  # noqa: N802
        """By place, product and state."""
        await self._actors.with_right(Right.SEE_BLANKS, context)
        async with driver_session(self._engine) as driver:
            found = await count_stock(driver, request.place)
        stock = [
            messages.Stock(place=one.place, product=one.product, state=one.state, count=one.number)  # type: ignore[arg-type]
            for one in found
        ]
        return messages.CountStockResponse(stock=stock)

    async def ListBlanks(self, request: messages.ListBlanksRequest, context: Any) -> messages.ListBlanksResponse:  # noqa: N802
        """At a place."""
        actor = await self._actors.with_right(Right.SEE_BLANKS, context)
        size, token = page_size(request.page_size, 50, 200), read_token(request.page_token, Place)
        if int(request.state) not in _STATES:
            raise bad("state", "there is none of that number")
        after = token.after if token else ""
        async with driver_session(self._engine) as driver:
            found = await list_blanks(driver, request.place or actor.terminal, request.state, after=after, limit=size)
        following = Place(found[-1].serial) if len(found) == size else None
        return messages.ListBlanksResponse(blanks=map(blank_of, found), next_page_token=write_token(following))

    async def GetBlank(self, request: messages.GetBlankRequest, context: Any) -> messages.GetBlankResponse:  # noqa: N802
        """One, with all that happened to it."""
        await self._actors.with_right(Right.SEE_BLANKS, context)
        async with driver_session(self._engine) as driver:
            blank = await find_blank(driver, request.serial)
            if blank is None:
                raise DomainError(Code.NOT_FOUND, "UNKNOWN_BLANK", "没有登记过该卡，请核对卡片序列号")
            entries = await entries_of(driver, request.serial)
        return messages.GetBlankResponse(blank=blank_of(blank), entries=map(entry_of, entries))

    async def _move(self, order: Order, actor: Actor, request: Any) -> messages.BlanksMoved:
        asked, content, now = request_id(request.request_id), request.SerializeToString(deterministic=True), now_ms()

        async def act(driver: "asyncpg.Connection[Any]") -> Moved:
            return await move_blanks(driver, order, actor, digests(order.act, content), now)

        moved = await self._once(actor.terminal, asked, order.act, content, Moved, act, final=lambda m: not m.countersignature)
        return moved_of(moved)


async def _receive(parts: AsyncIterator[messages.ReceiveDeliveryRequest]) -> tuple[str, bytes]:
    asked, content = "", bytearray()
    async for part in parts:
        asked = asked or request_id(part.request_id)
        content += part.part
        if len(content) > MOST_BYTES:
            raise bad("part", f"at most {MOST_BYTES} bytes in all")
    if not content:
        raise bad("part", "there was none")
    return asked, bytes(content)


def _places(actor: Actor) -> frozenset[str]:
    """Whose plastic somebody has in front of them: the terminal's, and for a keeper the depot's."""
    return frozenset({actor.terminal, DEPOT} if may(actor, Right.RECEIVE_BLANKS) else {actor.terminal})


def _range(asked: messages.SerialRange) -> tuple[str, str]:
    first, last = identifier("range.first", asked.first, _SERIAL), identifier("range.last", asked.last, _SERIAL)
    if len(first) != len(last) or first > last:
        raise bad("range", "two equally long serials in their order are wanted")
    return first, last


def _serials(asked: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(asked) <= MOST:
        raise bad("serials", f"1 to {MOST} are wanted")
    return tuple(sorted({identifier("serials", serial, _SERIAL) for serial in asked}))


def _reason(asked: str) -> str:
    if not 0 < len(asked.strip()) <= _LONGEST_REASON:
        raise bad("reason", f"1 to {_LONGEST_REASON} characters are wanted")
    return asked.strip()


def _terminal(field: str, asked: str) -> str:
    try:
        subject = Subject.parse(asked)
    except ValueError:
        subject = Subject()
    if not subject.terminal_id or subject.uri != asked:
        raise bad(field, "the subject of a terminal's certificate is wanted")
    return asked
