"""StaffService: who signs in where, and who may at all."""

from typing import Any

from onecard.card.v1 import staff_pb2 as messages
from onecard.card.v1.staff_pb2_grpc import StaffServiceServicer
from services.card.api.actors import Actors
from services.card.domain.actor import Role
from services.card.domain.staff import Right
from services.card.handlers.sign_in import Accounts, SignIn
from services.common.clock import now_ms
from services.common.grpc.calls import current_peer
from services.common.grpc.reading import bad


class StaffService(StaffServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, actors: Actors, signing: SignIn, accounts: Accounts) -> None:
        self._actors = actors
        self._signing = signing
        self._accounts = accounts

    async def SignIn(self, request: messages.SignInRequest, context: Any) -> messages.SignInResponse:  # noqa: N802
        """For one shift, at this terminal."""
        signed = await self._signing(
            request.login, request.password, request.code, request.new_password, current_peer(), now_ms()
        )
        actor = signed.actor
        return messages.SignInResponse(
            token=signed.token,
            expire_time_ms=signed.expire_time_ms,
            staff_id=actor.number,
            roles=[messages.Role.Name(role) for role in sorted(actor.roles)],
            outlet=actor.outlet,
        )

    async def SignOut(self, request: messages.SignOutRequest, context: Any) -> messages.SignOutResponse:  # noqa: N802
        """The shift ends."""
        await self._signing.sign_out(await self._actors.actor(context), now_ms())
        self._actors.forget(context)
        return messages.SignOutResponse()

    async def CreateStaff(self, request: messages.CreateStaffRequest, context: Any) -> messages.CreateStaffResponse:  # noqa: N802
        """Somebody new."""
        actor = await self._actors.with_right(Right.MANAGE_STAFF, context)
        if messages.ROLE_UNSPECIFIED in request.roles:
            raise bad("roles", "each must be named")
        account = await self._accounts.create(request.login, request.outlet, frozenset(map(Role, request.roles)), actor)
        return messages.CreateStaffResponse(staff_id=account.staff, password=account.password, totp_uri=account.totp_uri)
