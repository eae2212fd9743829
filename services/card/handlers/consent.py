"""Write down what a holder, or a minor's guardian, consents to, or does no more."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.consents import NewConsent, add_consents, given_consents
from services.card.adapters.people import lock_holder
from services.card.adapters.sealing import Sealing, encode_papers
from services.card.domain.actor import Actor
from services.card.domain.application import GUARDIANS, Papers
from services.card.domain.consent import ConsentKind, consentable
from services.card.domain.person import Field, age_on
from services.card.domain.refusal import Refusal
from services.card.domain.settings import ApplicationRules
from services.common.clock import day_of


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody says to one purpose."""

    holder: int
    kind: ConsentKind
    given: bool
    guardian: Papers | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What became of it."""

    holder: int
    refusal: Refusal | None = None


async def note_consent(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, rules: ApplicationRules, word: Word, actor: Actor, now_ms: int
) -> Noted:
    """A consent or its withdrawal, or why it does not count. Raises DomainError when there is no such holder."""
    holder = await lock_holder(driver, sealing, word.holder)
    age = age_on(holder.person().birth_date, day_of(now_ms))
    guardian = word.guardian.relation in GUARDIANS if word.guardian else None
    if refusal := consentable(word.kind, age, rules.consent_below_years, guardian):
        return Noted(holder.id, refusal)
    standing = (await given_consents(driver, [holder.id])).get(holder.id, frozenset())
    if not word.given and word.kind not in standing:
        return Noted(holder.id, Refusal.NO_CONSENT_TO_WITHDRAW)
    papers = holder.cipher.seal(Field.PAPERS, encode_papers((0, word.guardian))) if word.guardian else None
    await add_consents(driver, [NewConsent(holder.id, word.kind, word.given, papers)], actor, now_ms)
    act = "consent.give" if word.given else "consent.withdraw"
    await audit.record(driver, actor, act, holder=holder.id, detail={"kind": word.kind.name})
    return Noted(holder.id)
