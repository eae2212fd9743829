"""Let a second person look: the request itself asks for it, and is carried out when the very same one is sent again."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import asyncpg

from services.common.errors import Code, DomainError
from services.issuance.adapters import audit, countersignatures
from services.issuance.domain.actor import Actor
from services.issuance.domain.countersignature import SignatureState, decidable, usable
from services.issuance.domain.refusal import Refusal


class Word(NamedTuple):
    """How a second person's word on a request stands."""

    refusal: Refusal | None
    """None: signed, and used up by now."""
    second: int = 0
    """Who signed."""
    number: int = 0
    """Of what waits."""


async def second_person(
    driver: "asyncpg.Connection[Any]",
    digests: list[bytes],
    act: str,
    detail: Mapping[str, str],
    actor: Actor,
    now_ms: int,
    *,
    use: bool = True,
) -> Word:
    """The word on a request, by its digests and by what was told of it; if nobody was asked yet, somebody is now.

    `use`: it is used up now. Where the act takes longer than a transaction, it is when the act is done.

    Call it when nothing else is lacking, so that nobody is asked about what would be refused anyway, and in the transaction in
    which the act is carried out. An answer with a refusal must not be kept as the request's: it is sent again.
    """
    told = "\n".join(f"{name}={value}" for name, value in sorted(detail.items())).encode()
    digests = [sha256(digest + told).digest() for digest in digests]  # a range may hold other blanks by now
    found = await countersignatures.lock_of_request(driver, digests, actor.staff)
    refusal = usable(found, actor, now_ms)
    if found and refusal is None:
        if use:
            await countersignatures.use(driver, found.id)
        return Word(None, found.decided_by, found.id)
    if found and refusal is not Refusal.SECOND_PERSON_NEEDED:
        return Word(refusal, number=found.id)
    number = await countersignatures.add_countersignature(driver, digests[-1], act, detail, actor, now_ms)
    await audit.record(driver, actor, "countersignature.ask", detail={"countersignature": number, "act": act})
    return Word(refusal, number=number)


async def decide_countersignature(
    driver: "asyncpg.Connection[Any]", number: int, actor: Actor, now_ms: int, *, sign: bool, reason: str
) -> Refusal | None:
    """A second person's word, or why it does not count. Raises DomainError when nothing was asked under that number here."""
    asked = await countersignatures.lock_countersignature(driver, number)
    if asked is None or asked.outlet != actor.outlet:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_COUNTERSIGNATURE", "没有这项待复核的申请")
    if refusal := decidable(asked, actor, now_ms):
        return refusal
    to = SignatureState.SIGNED if sign else SignatureState.REJECTED
    await countersignatures.decide(driver, number, to, actor, reason)
    detail: dict[str, str | int] = {"countersignature": number, "act": asked.act}
    await audit.record(driver, actor, f"countersignature.{to.name.lower()}", detail=detail)
    return None
