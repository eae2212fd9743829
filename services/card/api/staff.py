"""StaffService: who signs in where, and who may at all."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import staff_pb2 as messages
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.staff_pb2_grpc import StaffServiceServicer
from services.card.adapters.sealing import Sealing
from services.card.adapters.staff import Seen, list_staff, read_staff
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of
from services.card.api.places import Place
from services.card.domain.actor import Role
from services.card.domain.refusal import Refusal
from services.card.domain.settings import StaffRules
from services.card.domain.staff import Right, StaffVerb
from services.card.handlers import manage_staff
from services.card.handlers.manage_staff import Managed
from services.card.handlers.once import Once
from services.card.handlers.sign_in import Accounts, SignIn
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.grpc.calls import current_peer
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, page_size, request_id
from services.common.grpc.to_its_end import to_its_end


class StaffService(StaffServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(
        self, engine: AsyncEngine, sealing: Sealing, rules: StaffRules, actors: Actors, signing: SignIn, accounts: Accounts
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._once = Once(engine, sealing)
        self._actors = actors
        self._signing = signing
        self._accounts = accounts

    @to_its_end
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
        account = await self._accounts.create(request.login, request.outlet, _roles(request), actor)
        return messages.CreateStaffResponse(staff_id=account.staff, password=account.password, totp_uri=account.totp_uri)

    async def ListStaff(self, request: messages.ListStaffRequest, context: Any) -> messages.ListStaffResponse:  # noqa: N802
        """Everybody."""
        await self._actors.with_right(Right.MANAGE_STAFF, context)
        size, place = page_size(request.page_size, 50, 200), read_token(request.page_token, Place)
        async with driver_session(self._engine) as driver:
            found = await list_staff(driver, after=place.after if place else 0, limit=size)
        following = Place(found[-1].member.id) if len(found) == size else None
        return messages.ListStaffResponse(
            staff=[_member_of(seen, self._rules) for seen in found], next_page_token=write_token(following)
        )

    async def SuspendStaff(  # noqa: N802
        self, request: messages.SuspendStaffRequest, context: Any
    ) -> messages.SuspendStaffResponse:
        """Not for now."""
        member, refusal = await self._manage(StaffVerb.SUSPEND, request, context)
        return messages.SuspendStaffResponse(staff=member, refusal=refusal)

    async def ResumeStaff(  # noqa: N802
        self, request: messages.ResumeStaffRequest, context: Any
    ) -> messages.ResumeStaffResponse:
        """Again."""
        member, refusal = await self._manage(StaffVerb.RESUME, request, context)
        return messages.ResumeStaffResponse(staff=member, refusal=refusal)

    async def UnlockStaff(  # noqa: N802
        self, request: messages.UnlockStaffRequest, context: Any
    ) -> messages.UnlockStaffResponse:
        """After wrong passwords."""
        member, refusal = await self._manage(StaffVerb.UNLOCK, request, context)
        return messages.UnlockStaffResponse(staff=member, refusal=refusal)

    async def RecordLeaving(  # noqa: N802
        self, request: messages.RecordLeavingRequest, context: Any
    ) -> messages.RecordLeavingResponse:
        """For good."""
        member, refusal = await self._manage(StaffVerb.LEAVE, request, context)
        return messages.RecordLeavingResponse(staff=member, refusal=refusal)

    async def ChangeStaff(self, request: messages.ChangeStaffRequest, context: Any) -> messages.ChangeStaffResponse:  # noqa: N802
        """Roles, outlet."""
        place = manage_staff.Place(request.outlet, _roles(request))
        member, refusal = await self._manage(StaffVerb.CHANGE, request, context, place)
        return messages.ChangeStaffResponse(staff=member, refusal=refusal)

    async def ResetStaff(self, request: messages.ResetStaffRequest, context: Any) -> messages.ResetStaffResponse:  # noqa: N802
        """Other secrets."""
        actor = await self._actors.with_right(Right.MANAGE_STAFF, context)
        account = await self._accounts.reset(request.staff_id, actor, now_ms())
        if isinstance(account, Refusal):
            return messages.ResetStaffResponse(refusal=refusal_of(account))
        return messages.ResetStaffResponse(password=account.password, totp_uri=account.totp_uri)

    async def _manage(
        self, verb: StaffVerb, request: Any, context: Any, place: manage_staff.Place | None = None
    ) -> tuple[messages.StaffMember, RefusalMessage | None]:
        actor = await self._actors.with_right(Right.MANAGE_STAFF, context)
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)

        async def act(driver: Any) -> Managed:
            return await manage_staff.manage_staff(driver, request.staff_id, verb, actor, now_ms(), place)

        managed = await self._once(actor.terminal, asked, f"{verb.name} STAFF", content, Managed, act)
        async with driver_session(self._engine) as driver:
            seen = await read_staff(driver, managed.staff)
        assert seen is not None, "accounts are never taken away"
        return _member_of(seen, self._rules), refusal_of(managed.refusal) if managed.refusal else None


def _roles(request: Any) -> frozenset[Role]:
    if not set(request.roles) <= set(Role):
        raise bad("roles", "each must be named")
    return frozenset(map(Role, request.roles))


def _member_of(seen: Seen, rules: StaffRules) -> messages.StaffMember:
    member = seen.member
    return messages.StaffMember(
        staff_id=member.id,
        login=member.login,
        outlet=member.outlet,
        roles=[messages.Role.Name(role) for role in sorted(member.roles)],
        state=member.state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        locked=seen.failures >= rules.wrong_passwords,
        at_terminal=seen.at_terminal,
    )
