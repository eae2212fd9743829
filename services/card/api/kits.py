"""KitService: what mobile kits queued without a network."""

from typing import Any, Final

import asyncpg
from google.protobuf.message import DecodeError
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import kits_pb2 as messages
from onecard.card.v1.kits_pb2_grpc import KitServiceServicer
from services.card import metrics
from services.card.adapters import audit
from services.card.adapters.kit_key import KitKey
from services.card.adapters.kit_queues import clear_queue, list_lost_queues, report_queue
from services.card.adapters.sealing import Sealing
from services.card.adapters.terminals import is_revoked, lock_subject
from services.card.api.actors import Actors
from services.card.api.applications import ApplicationService
from services.card.domain.actor import Actor
from services.card.domain.masking import masked_name
from services.card.domain.staff import Right
from services.card.handlers.once import Once, transact
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.grpc.reading import bad, identifier, request_id
from services.common.keyvault.vault import Sealed
from services.common.points import AtPoint, pass_by

_MOST_ITEMS: Final = 20
_MOST_IDS: Final = 500
_OF_THE_FORM: Final = frozenset({Code.INVALID_ARGUMENT, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED})
"""It will be said of this item each time; whatever else is wrong may be over a moment later."""


class KitService(KitServiceServicer):
    """Opens what was sealed, and hands it to whoever takes applications."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        actors: Actors,
        key: KitKey,
        applications_: ApplicationService,
        at: AtPoint = pass_by,
    ) -> None:
        self._engine = engine
        self._actors = actors
        self._key = key
        self._applications = applications_
        self._once = Once(engine, sealing, at)

    async def GetSealingKey(  # noqa: N802
        self, request: messages.GetSealingKeyRequest, context: Any
    ) -> messages.GetSealingKeyResponse:
        """The public key."""
        subject = current_peer().subject
        if not subject.terminal_id:
            raise DomainError(Code.PERMISSION_DENIED, "TERMINAL_NEEDED", "only a terminal queues applications")
        found = self._key.public()
        if found is None:
            raise DomainError(Code.FAILED_PRECONDITION, "NO_SEALING_KEY", "本系统尚未配置离线申领密钥，请联系系统管理员")
        version, point = found
        return messages.GetSealingKeyResponse(key_version=version, public_key=point, terminal=subject.uri)

    async def SubmitSealed(  # noqa: N802
        self, request: messages.SubmitSealedRequest, context: Any
    ) -> messages.SubmitSealedResponse:
        """A verdict each."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        if not 0 < len(request.items) <= _MOST_ITEMS:
            raise bad("items", f"1 to {_MOST_ITEMS} are wanted")
        for item in request.items:
            identifier("items.id", item.id, 64)
        verdicts: list[messages.SealedVerdict] = []
        for item in request.items:
            try:
                verdicts.append(await self._decide(item, actor))
            except DomainError as error:
                if error.code not in _OF_THE_FORM and not verdicts:
                    raise
                if error.code not in _OF_THE_FORM:
                    break  # those before it have their verdicts, those behind it are handed in again
                refusal = applications.Refusal(reason=error.reason, message=error.message)
                verdicts.append(messages.SealedVerdict(id=item.id, refusal=refusal))
        for verdict in verdicts:
            metrics.SEALED_APPLICATIONS.labels(_outcome(verdict)).inc()
        return messages.SubmitSealedResponse(verdicts=verdicts)

    async def ReportQueue(  # noqa: N802
        self, request: messages.ReportQueueRequest, context: Any
    ) -> messages.ReportQueueResponse:
        """What waits in a kit."""
        actor, serial = await self._actors.with_right(Right.SUBMIT_APPLICATION, context), current_peer().serial
        if not len(request.ids) <= request.count or len(request.ids) > _MOST_IDS:
            raise bad("ids", f"at most {_MOST_IDS}, and as many as are counted")
        ids = [identifier("ids", one, 64) for one in request.ids]

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            await lock_subject(driver, actor.terminal)  # whoever revokes the kit meanwhile comes before it, or after it
            if await is_revoked(driver, serial):
                raise DomainError(Code.UNAUTHENTICATED, "CERTIFICATE_REVOKED", "the certificate was revoked")
            await report_queue(driver, actor, request.count, ids, now_ms())

        await transact(self._engine, act)
        return messages.ReportQueueResponse()

    async def ListLostQueues(  # noqa: N802
        self, request: messages.ListLostQueuesRequest, context: Any
    ) -> messages.ListLostQueuesResponse:
        """Of an outlet."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        async with driver_session(self._engine) as driver:
            found = await list_lost_queues(driver, request.outlet or actor.outlet)
        queues = [
            messages.LostQueue(
                queue_id=one.id,
                terminal=one.terminal,
                count=one.waiting,
                ids=one.ids,
                report_time_ms=one.report_ms,
                staff_id=one.staff,
            )
            for one in found
        ]
        return messages.ListLostQueuesResponse(queues=queues)

    async def ClearLostQueue(  # noqa: N802
        self, request: messages.ClearLostQueueRequest, context: Any
    ) -> messages.ClearLostQueueResponse:
        """Somebody has called the applicants."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)

        async def act(driver: "asyncpg.Connection[Any]") -> int:
            cleared = await clear_queue(driver, request.queue_id, actor.outlet, now_ms())
            if cleared:
                detail: dict[str, str | int] = {"queue": request.queue_id, "count": cleared}
                await audit.record(driver, actor, "kit.clear_queue", detail=detail)
            return cleared

        cleared = await self._once(actor.caller, asked, "ClearLostQueue", content, int, act)
        return messages.ClearLostQueueResponse(cleared=cleared)

    async def _decide(self, item: messages.SealedItem, actor: Actor) -> messages.SealedVerdict:
        """Raises DomainError where nothing could be decided."""
        form = self._open(item, actor)
        if form is None:
            return messages.SealedVerdict(id=item.id, unreadable=True)
        form.request_id = item.id
        answer = await self._applications.apply(form, actor)
        verdict = messages.SealedVerdict(id=item.id, application_id=answer.application.application_id)
        if answer.HasField("refusal"):
            verdict.refusal.CopyFrom(answer.refusal)
            verdict.masked_name = masked_name(form.person.name)
            verdict.phone = "" if actor.abroad else form.person.phone
        return verdict

    def _open(self, item: messages.SealedItem, actor: Actor) -> applications.SubmitRequest | None:
        plain = self._key.open(actor.terminal, item.id, Sealed(item.key_version, item.ephemeral_key, item.sealed))
        if plain is None:
            return None
        try:
            return applications.SubmitRequest.FromString(plain)
        except DecodeError:
            return None


def _outcome(verdict: messages.SealedVerdict) -> str:
    if verdict.unreadable:
        return "UNREADABLE"
    return "REFUSED" if verdict.HasField("refusal") else "ACCEPTED"
