"""The services of blanks behind their edge, with people at terminals; the card service says who they are, from memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.blanks_pb2_grpc import (
    BlankServiceStub,
    CountersignServiceStub,
    ShiftServiceStub,
    add_BlankServiceServicer_to_server,
    add_CountersignServiceServicer_to_server,
    add_ShiftServiceServicer_to_server,
)
from services.common.clock import now_ms
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server
from services.common.keyvault.vault import KeyVault
from services.issuance.adapters.boxes import Accounts
from services.issuance.adapters.card_service import Declined
from services.issuance.adapters.payments_desk import PaymentsAway
from services.issuance.api.actors import Actors
from services.issuance.api.blanks import BlankService
from services.issuance.api.countersignatures import CountersignService
from services.issuance.api.shifts import ShiftService
from services.issuance.domain.actor import Actor, Role
from services.issuance.handlers.close_shift import CloseShift
from services.issuance.handlers.receive_delivery import ReceiveDelivery
from tests.support.blanks import PRODUCT, WINDOW, genuine

HOUR_MS = 3600 * 1000
_requests = count(1)


class StaffRoom:
    """Who is signed in where."""

    def __init__(self) -> None:
        self._actors: dict[str, Actor] = {}

    def sign_in(self, staff: int, *roles: Role, terminal: str = WINDOW, outlet: str = "HALL") -> str:
        token = f"token-{len(self._actors)}"
        shift = 100 + len(self._actors)
        self._actors[token] = Actor(staff, frozenset(roles), shift, terminal, outlet, now_ms() + HOUR_MS)
        return token

    async def who_acts(self, token: str, terminal: str, serial: str) -> Actor | Declined:
        actor = self._actors.get(token)
        return actor if actor and actor.terminal == terminal else Declined("WRONG_TERMINAL", "elsewhere")


class Tills:
    """Payments, as far as tills are concerned."""

    def __init__(self) -> None:
        self.fen: dict[str, int] = {}
        self.posted: dict[str, tuple[str, int]] = {}
        self.away = False
        self.deaf = False
        """It posts, and its answer is lost."""
        self.declines: dict[str, str] = {}
        """By terminal, why; a repeat hears the same."""
        self.declined: dict[str, str] = {}

    async def till_fen(self, terminal: str) -> int:
        if self.away:
            raise PaymentsAway
        return self.fen.get(terminal, 0)

    async def post_difference(self, request_id: str, terminal: str, difference_fen: int) -> str:
        if self.away:
            raise PaymentsAway
        reason = self.declined.get(request_id) or self.declines.get(terminal)
        if reason == "BROKEN":
            raise PaymentsAway(alone=True)
        if reason:
            self.declined[request_id] = reason
            return reason
        if request_id not in self.posted:
            self.posted[request_id] = (terminal, difference_fen)
            self.fen[terminal] = self.fen.get(terminal, 0) + difference_fen
        if self.deaf:
            raise PaymentsAway
        return ""


class Person:
    """Somebody of the staff at a terminal."""

    def __init__(self, port: int, terminal: str, token: str) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self._stubs = tuple(make(self.channel) for make in (BlankServiceStub, CountersignServiceStub, ShiftServiceStub))
        self._metadata = (("x-onecard-subject", terminal), ("x-onecard-shift", token))

    async def ask(self, method: str, request: Any) -> Any:
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        return await getattr(stub, method)(request, metadata=self._metadata, timeout=20)

    async def twice(self, method: str, request: Any) -> Any:
        """A write, and the same once more: it is answered the same."""
        request.request_id = request.request_id or f"R{next(_requests)}"
        first = await self.ask(method, request)
        assert await self.ask(method, request) == first
        return first

    async def deliver(self, content: bytes, request_id: str = "") -> messages.ReceiveDeliveryResponse:
        request_id = request_id or f"R{next(_requests)}"

        async def parts() -> AsyncIterator[messages.ReceiveDeliveryRequest]:
            for begin in range(0, len(content), 1000):
                yield messages.ReceiveDeliveryRequest(
                    request_id=request_id if not begin else "", part=content[begin : begin + 1000]
                )

        stub: Any = self._stubs[0]
        answer: messages.ReceiveDeliveryResponse = await stub.ReceiveDelivery(parts(), metadata=self._metadata, timeout=20)
        return answer


class BlankDesk:
    """The services, and whoever comes to them."""

    def __init__(self, port: int, staff: StaffRoom, tills: Tills, closing: CloseShift) -> None:
        self.port = port
        self.staff = staff
        self.tills = tills
        self.closing = closing
        self.people: list[Person] = []

    def person(self, staff: int, *roles: Role, terminal: str = WINDOW, outlet: str = "HALL") -> Person:
        made = Person(self.port, terminal, self.staff.sign_in(staff, *roles, terminal=terminal, outlet=outlet))
        self.people.append(made)
        return made

    def clerk(self, staff: int = 3, terminal: str = WINDOW) -> Person:
        return self.person(staff, Role.CLERK, terminal=terminal)

    def supervisor(self, staff: int = 4) -> Person:
        return self.person(staff, Role.SUPERVISOR)

    def keeper(self, staff: int = 5) -> Person:
        return self.person(staff, Role.BLANK_KEEPER)


async def check_identifiers(product: str, identifiers: Sequence[str]) -> list[bool]:
    return [genuine(one) for one in identifiers]


@asynccontextmanager
async def open_desk(
    engine: AsyncEngine, vault: KeyVault | None = None, check: Callable[..., Any] = check_identifiers
) -> AsyncIterator[BlankDesk]:
    """In plain text on loopback."""

    async def revoked() -> frozenset[str]:
        return frozenset()

    staff, tills = StaffRoom(), Tills()
    actors: Any = Actors(staff)  # type: ignore[arg-type]  # all that it asks of the card service
    server: Any = make_server(Listen("127.0.0.1:0", None), RevocationList(revoked))
    deliveries = ReceiveDelivery({PRODUCT}, "440700", check, Accounts(vault) if vault else None)
    closing = CloseShift(engine, tills)
    add_BlankServiceServicer_to_server(BlankService(engine, actors, deliveries), server)
    add_CountersignServiceServicer_to_server(CountersignService(engine, actors), server)
    add_ShiftServiceServicer_to_server(ShiftService(engine, actors, closing), server)
    await server.start()
    desk = BlankDesk(server.port, staff, tills, closing)
    try:
        yield desk
    finally:
        for person in desk.people:
            await person.channel.close()
        await server.stop()
