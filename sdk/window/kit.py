"""A mobile kit (上门制卡): a window whose network is away now and then. What is applied for meanwhile is queued, sealed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import kits_pb2 as messages
from onecard.card.v1.kits_pb2_grpc import KitServiceStub
from sdk.asking import new_request_id
from sdk.till.errors import NotAcceptedError
from sdk.window.kit_queue import KitQueue, QueueError, Verdict
from sdk.window.sealed import SealedApplication, SealingKey, seal
from sdk.window.terminal import MOST_BYTES
from sdk.window.window import Window

_MOST_SEALED: Final = MOST_BYTES - 1024
"""Of one application, so that it fits into a message by itself."""
_MOST_TOGETHER: Final = 20
_MOST_IDS: Final = 500


class Queued(NamedTuple):
    """It is on the disk."""

    id: str
    waiting: int
    """How many are, with it."""


class Uploaded(NamedTuple):
    """What became of a queued application, for the clerk who handed it in."""

    verdict: Verdict
    refusal: applications.Refusal | None
    masked_name: str
    """Whom to call, where it was refused; so the next one. They are kept nowhere here."""
    phone: str
    waits: bool
    """A second person is asked: it stays in the queue, and is handed in again."""


def queue_application(queue: KitQueue, request: applications.SubmitRequest) -> Queued:
    """Seal an application and keep it, without a network. Raises QueueError while the service's key was never heard of.

    A request that was sent and not answered keeps its request id, so that nothing is done twice.
    """
    key = queue.key()
    if key is None:
        raise QueueError("这台设备还没有取得离线申领密钥，请先联网登录一次")
    plain = applications.SubmitRequest()
    plain.CopyFrom(request)
    id_ = plain.request_id or new_request_id()
    plain.request_id = id_
    content = plain.SerializeToString()
    if len(content) > _MOST_SEALED:
        raise NotAcceptedError("TOO_LARGE", f"照片过大：整个申请最多 {_MOST_SEALED // 1024} KB")
    return Queued(id_, queue.add(seal(key, id_, content, _now_ms())))


class Kit(Window):
    """A window that hands in what was queued."""

    @cached_property
    def _kits(self) -> KitServiceStub:
        return KitServiceStub(self._channel)

    def touch(self, queue: KitQueue) -> SealingKey:
        """At each contact: the newest key is kept for when there is none."""
        answer = self._asking.ask(self._kits.GetSealingKey, messages.GetSealingKeyRequest())
        key = SealingKey(answer.key_version, answer.public_key, answer.terminal)
        if key != queue.key():
            queue.keep_key(key)
        return key

    def report(self, queue: KitQueue) -> None:
        """Say what waits, so that a kit that is lost leaves a list behind."""
        request = messages.ReportQueueRequest(count=queue.count(), ids=queue.ids(_MOST_IDS))
        self._asking.ask(self._kits.ReportQueue, request)

    def upload(self, queue: KitQueue) -> Iterator[Uploaded]:
        """Hand in everything that waits, oldest first. What has a verdict is taken out of the queue before that is shown.

        Raises OutcomeUnknownError when no answer came: what has no verdict stays, and is handed in again.
        """
        for part in _parts(queue.items()):
            left = part
            while left:
                told = {verdict.id: verdict for verdict in self._submit(left)}
                decided = [(item, told[item.id]) for item in left if item.id in told]
                if not decided:
                    raise NotAcceptedError("NOT_DECIDED", "服务端没有处理这批申请，请稍后再试")
                uploaded = [_uploaded(item, verdict) for item, verdict in decided]
                queue.settle(one.verdict for one in uploaded if not one.waits)
                yield from uploaded
                left = [item for item in left if item.id not in told]
        self.report(queue)

    def lost_queues(self, *, outlet: str = "") -> list[messages.LostQueue]:
        """What revoked kits had queued, at an outlet."""
        answer = self._asking.ask(self._kits.ListLostQueues, messages.ListLostQueuesRequest(outlet=outlet))
        return list(answer.queues)

    def clear_lost_queue(self, queue_id: int, *, request_id: str = "") -> int:
        """Its applicants were asked to apply again; how many they are."""
        request = messages.ClearLostQueueRequest(queue_id=queue_id)
        cleared: int = self._write(self._kits.ClearLostQueue, request, request_id).cleared
        return cleared

    def _submit(self, items: list[SealedApplication]) -> list[messages.SealedVerdict]:
        request = messages.SubmitSealedRequest(
            items=[
                messages.SealedItem(
                    id=item.id,
                    key_version=item.key_version,
                    ephemeral_key=item.ephemeral_key,
                    sealed=item.sealed,
                    seal_time_ms=item.seal_time_ms,
                )
                for item in items
            ]
        )
        return list(self._asking.ask(self._kits.SubmitSealed, request).verdicts)


def _parts(items: Iterator[SealedApplication]) -> Iterator[list[SealedApplication]]:
    """As many as fit into a message."""
    part: list[SealedApplication] = []
    size = 0
    for item in items:
        if part and (size + len(item.sealed) > _MOST_SEALED or len(part) == _MOST_TOGETHER):
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item.sealed) + 256
    if part:
        yield part


def _uploaded(item: SealedApplication, told: messages.SealedVerdict) -> Uploaded:
    refusal = told.refusal if told.HasField("refusal") else None
    if told.unreadable:
        reason, message = "UNREADABLE", "无法解开，不是由这台设备封存的；请联系申请人重新申领。"
    else:
        reason, message = (refusal.reason, refusal.message) if refusal else ("", "")
    verdict = Verdict(item.id, told.application_id, reason, message, item.seal_time_ms, _now_ms())
    waits = refusal is not None and refusal.approval_id > 0
    return Uploaded(verdict, refusal, told.masked_name, told.phone, waits)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
