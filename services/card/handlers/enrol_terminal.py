"""Give terminals their certificates: asked for, approved by a second person, renewed by the terminal, revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters import audit, terminals
from services.card.adapters.issuer import Issuer, SigningRequest, read_signing_request
from services.card.adapters.kit_queues import lose_queue
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.refusal import Refusal
from services.card.domain.terminal import TerminalKind, TerminalRules, TerminalState, decidable
from services.common.database import driver_of
from services.common.errors import Code, DomainError
from services.common.peer import Peer


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Which terminal, and why nothing was done."""

    terminal: int
    refusal: Refusal | None = None


async def request_terminal(
    driver: "asyncpg.Connection[Any]", request: SigningRequest, kind: TerminalKind, outlet: str, actor: Actor
) -> Enrolled:
    """A request that waits for a second person. A key that waits already is answered with what it waits as."""
    await terminals.lock_subject(driver, request.subject)
    if known := await terminals.find_key(driver, request.key_digest):
        waits = known.state is TerminalState.PENDING and known.subject == request.subject
        return Enrolled(known.id, None if waits else Refusal.KEY_USED)
    number = await terminals.add_terminal(driver, request, kind, outlet, requested_by=actor.number)
    await _record(driver, actor, "request", number, request.subject)
    return Enrolled(number)


async def decide_terminal(
    driver: "asyncpg.Connection[Any]", issuer: Issuer, rules: TerminalRules, number: int, actor: Actor, *, approve: bool
) -> Enrolled:
    """A second person's word. Raises DomainError when nothing was asked under that number."""
    found = await terminals.read_terminal(driver, number)
    if found is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_TERMINAL", "没有这项终端申请")
    await terminals.lock_subject(driver, found.subject)
    found = await terminals.read_terminal(driver, number)
    assert found is not None, "requests are never taken away"
    if refusal := decidable(found.state, found.requested_by, actor.number):
        return Enrolled(number, refusal)
    issued = issuer.issue(read_signing_request(found.request), rules.life(found.kind)) if approve else None
    await terminals.store_decision(driver, number, issued, actor.number)
    await _record(driver, actor, "approve" if approve else "reject", number, found.subject)
    return Enrolled(number)


async def renew_terminal(
    driver: "asyncpg.Connection[Any]", issuer: Issuer, rules: TerminalRules, request: SigningRequest, peer: Peer
) -> Enrolled:
    """Another certificate, on the word of one that is good. Raises DomainError for one that was not issued here."""
    await terminals.lock_subject(driver, peer.subject.uri)
    held = await terminals.find_serial(driver, peer.serial)
    if held is None or held.state is not TerminalState.ENROLLED or await terminals.is_revoked(driver, peer.serial):
        raise DomainError(Code.PERMISSION_DENIED, "NOT_ENROLLED", "该终端证书不能续期，请重新申请")
    if request.subject != held.subject:
        raise DomainError(Code.PERMISSION_DENIED, "ANOTHER_TERMINAL", "终端只能为自己续期")
    if await terminals.find_key(driver, request.key_digest):
        return Enrolled(held.id, Refusal.KEY_USED)
    issued = issuer.issue(request, rules.life(held.kind))
    by = {"requested_by": held.requested_by, "approved_by": held.approved_by}
    number = await terminals.add_terminal(driver, request, held.kind, held.outlet, issued, **by)
    await _record(driver, Actor(ActorKind.TIMER, terminal=held.subject), "renew", number, held.subject)
    return Enrolled(number)


async def enrol_first(
    driver: "asyncpg.Connection[Any]", issuer: Issuer, rules: TerminalRules, request: SigningRequest, outlet: str
) -> str:
    """The certificate of the window at which the first administrator signs in. Raises DomainError while there is a terminal."""
    await terminals.lock_subject(driver, "the first terminal")
    if await terminals.any_good(driver):
        message = "there is a terminal with a good certificate: ask for this one there"
        raise DomainError(Code.FAILED_PRECONDITION, "NOT_THE_FIRST", message)
    issued = issuer.issue(request, rules.life(TerminalKind.WINDOW))
    number = await terminals.add_terminal(driver, request, TerminalKind.WINDOW, outlet, issued)
    await _record(driver, Actor(ActorKind.TIMER), "enrol_first", number, request.subject)
    return issued.pem


async def revoke_serial(
    driver: "asyncpg.Connection[Any]", serial: str, reason: str, actor: Actor, now_ms: int
) -> Sequence[str]:
    """Refuse one certificate, wherever it was issued."""
    if found := await terminals.find_serial(driver, serial):
        await terminals.lock_subject(driver, found.subject)
        await terminals.end_terminal(driver, found.id, TerminalState.REVOKED)
    await terminals.add_revoked(driver, [serial], reason, now_ms)
    await _record(driver, actor, "revoke", found.id if found else 0, found.subject if found else serial)
    return [serial]


async def revoke_subject(
    driver: "asyncpg.Connection[Any]", subject: str, reason: str, actor: Actor, now_ms: int
) -> Sequence[str]:
    """Refuse every certificate of a terminal, and what it waits for. Raises DomainError for none.

    Of one that was issued elsewhere we know when somebody signed in with it.
    """
    await terminals.lock_subject(driver, subject)
    found = await terminals.open_of_subject(driver, subject)
    seen = await terminals.serials_of_shifts(driver, subject)
    if not found and not seen:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_TERMINAL", "没有这台终端的证书；在别处签发的请按序列号吊销")
    for one in found:
        pending = one.state is TerminalState.PENDING
        await terminals.end_terminal(driver, one.id, TerminalState.REJECTED if pending else TerminalState.REVOKED)
    issued = [one.serial for one in found if one.serial]
    serials = [*issued, *(serial for serial in seen if serial not in issued)]
    await terminals.add_revoked(driver, serials, reason, now_ms)
    await terminals.add_lost(driver, subject, now_ms)
    await lose_queue(driver, subject, now_ms)
    await _record(driver, actor, "revoke", found[-1].id if found else 0, subject)
    return serials


async def watch_ends(connection: AsyncConnection) -> None:
    """A duty: when the first terminal of each kind will be without a certificate."""
    ends = await terminals.nearest_ends(await driver_of(connection))
    for kind in TerminalKind:
        metrics.TERMINAL_ENDS.labels(kind.name).set(ends.get(kind, 0))


async def _record(driver: "asyncpg.Connection[Any]", actor: Actor, act: str, number: int, which: str) -> None:
    await audit.record(driver, actor, f"terminal.{act}", detail={"terminal": number, "which": which})
