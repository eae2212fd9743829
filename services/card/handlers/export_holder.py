"""Give a holder everything that is known of them, as one document; it is written down before it leaves."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1 import payments_pb2 as payments_messages
from services.card.adapters import audit
from services.card.adapters.cards import MADE, RESTATED, read_cards_of
from services.card.adapters.holder_records import records_of
from services.card.adapters.payments_desk import Away, PaymentsDesk
from services.card.adapters.people import Holder, lock_holder, open_number
from services.card.adapters.sealing import HolderCipher, Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import ApplicationKind, ApplicationState, Mode, Papers, Route, Step
from services.card.domain.card import CardKind, ElectronicLevel, FinancialStatus, Production, SocialStatus
from services.card.domain.consent import ConsentKind
from services.card.domain.document import DocumentKind
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.notification import NotificationKind
from services.card.domain.person import Field
from services.card.handlers.correct_identity import Former
from services.card.handlers.delete_holder import payments_away
from services.card.handlers.once import transact
from services.common.clock import SHANGHAI, instant
from services.common.database import driver_session

Record = Mapping[str, Any]
Rows = Mapping[str, Sequence[Record]]
_OTHER_VERBS = {MADE: "MADE", RESTATED: "RESTATED"}


async def export_holder(
    engine: AsyncEngine,
    sealing: Sealing,
    payments: PaymentsDesk | None,
    number: int,
    actor: Actor,
    purpose: str,
    now_ms: int,
) -> bytes:
    """JSON. Raises DomainError when there is no such holder, and while payments cannot be asked: a part is not everything."""
    async with driver_session(engine) as driver:
        cards = (await read_cards_of(driver, [number])).get(number, [])
    identifiers = [card.card_identifier for card in cards if card.social is not SocialStatus.SEALED]
    money = await _money(payments, identifiers[-1]) if identifiers else None

    async def look(driver: "asyncpg.Connection[Any]") -> tuple[Holder, Rows]:
        holder = await lock_holder(driver, sealing, number)
        await audit.record(driver, actor, "holder.export", holder=holder.id, purpose=purpose)
        return holder, await records_of(driver, holder.id)

    holder, rows = await transact(engine, look)
    document = {"holder": holder.id, "made": _at(instant(now_ms)), **_of_person(holder, rows), **_of_cards(holder, rows)}
    return msgspec.json.format(msgspec.json.encode({**document, "money": money}))


def _of_person(holder: Holder, rows: Rows) -> dict[str, Any]:
    person, cipher = holder.person(), holder.cipher
    formers = [
        (msgspec.msgpack.decode(cipher.open(Field.FORMER_IDENTITY, one["sealed"]), type=Former), one["at"])
        for one in rows["former"]
    ]
    return {
        "name": person.name,
        "birth_date": person.birth_date,
        "sex": person.sex.name,
        "nationality": person.nationality,
        "phone": person.phone,
        "address": person.address,
        "social_security_number": person.social_security_number,
        "categories": [{**one, "valid_from": _at(one["valid_from"])} for one in rows["categories"]],
        "documents": [_document(cipher, one) for one in rows["documents"]],
        "former_identities": [
            {
                "name": former.name,
                "birth_date": former.birth_date,
                "social_security_number": former.social_security_number,
                "until": _at(until),
            }
            for former, until in formers
        ],
        "photos": [
            {
                "jpeg": cipher.open(Field.PHOTO, one["sealed"]),
                "let_pass": list(one["overrides"]),
                "because": one["reason"],
                "at": _at(one["create_time"]),
            }
            for one in rows["photos"]
        ],
        "consents": [
            {
                "kind": ConsentKind(one["kind"]).name,
                "given": one["given"],
                "guardian": _papers(holder, one["papers"]),
                "at": _at(one["at"]),
                "outlet": one["outlet"],
            }
            for one in rows["consents"]
        ],
        "spending_limits": [
            {**one, "valid_from": _at(one["valid_from"]), "papers": _papers(holder, one["papers"])}
            for one in rows["spending_limits"]
        ],
        "messages": [
            {
                "kind": NotificationKind(one["kind"]).name,
                "at": _at(one["create_time"]),
                "sent": _at(one["sent_time"]),
            }
            for one in rows["messages"]
        ],
        "visits": [{**one, "at": _at(one["at"])} for one in rows["visits"]],
        "seen_and_done": [{**one, "at": _at(one["at"])} for one in rows["audit"]],
    }


def _of_cards(holder: Holder, rows: Rows) -> dict[str, Any]:
    def opened(field: Field, sealed: bytes | None) -> str:
        return holder.cipher.open(field, sealed).decode() if sealed else ""

    return {
        "cards": [
            {
                "card_identifier": one["card_identifier"],
                "card_number": opened(Field.CARD_NUMBER, one["sealed_number"]),
                "bank_account": opened(Field.BANK_ACCOUNT, one["bank_account"]),
                "kind": CardKind(one["kind"]).name,
                "issue_date": one["issue_date"],
                "valid_until": one["valid_until"],
                **_axes(one),
                "electronic": ElectronicLevel(one["electronic"]).name,
                "history": [_transition(holder, step) for step in rows["transitions"] if step["card"] == one["id"]],
            }
            for one in rows["cards"]
        ],
        "applications": [
            {
                "number": one["id"],
                "kind": ApplicationKind(one["kind"]).name,
                "mode": Mode(one["mode"]).name,
                "route": Route(one["route"]).name,
                "state": ApplicationState(one["state"]).name,
                "outlet": one["outlet"],
                "remark": one["remark"],
                "fee_fen": one["fee_fen"],
                "at": _at(one["create_time"]),
                "papers": _papers(holder, one["papers"]),
                "timeline": [
                    {
                        "step": Step(step["step"]).name,
                        "state": ApplicationState(step["state"]).name,
                        "at": _at(step["at"]),
                        "outlet": step["outlet"],
                    }
                    for step in rows["steps"]
                    if step["application"] == one["id"]
                ],
            }
            for one in rows["applications"]
        ],
    }


def _axes(row: Record) -> dict[str, str]:
    return {
        "social": SocialStatus(row["social"]).name,
        "financial": FinancialStatus(row["financial"]).name,
        "production": Production(row["production"]).name,
    }


def _transition(holder: Holder, row: Record) -> dict[str, Any]:
    return {
        "what": _OTHER_VERBS.get(row["verb"]) or Verb(row["verb"]).name,
        "by": Party(row["party"]).name,
        **_axes(row),
        "at": _at(row["at"]),
        "outlet": row["outlet"],
        "papers": _papers(holder, row["papers"]),
    }


def _document(cipher: HolderCipher, row: Mapping[str, Any]) -> dict[str, Any]:
    country, number = open_number(cipher, row["number"], row["sealed"])
    return {
        "kind": DocumentKind(row["kind"]).name,
        "issuing_country": country,
        "number": number,
        "valid_until": row["valid_until"],
        "since": _at(row["create_time"]),
        "until": _at(row["replaced_time"]),
    }


def _papers(holder: Holder, sealed: bytes | None) -> dict[str, Any] | None:
    """Who acted for the holder; sealed with the number of what it belongs to."""
    if sealed is None:
        return None
    papers = msgspec.convert(msgspec.msgpack.decode(holder.cipher.open(Field.PAPERS, sealed))[-1], Papers)
    found: dict[str, Any] = msgspec.to_builtins(papers)
    return {**found, "relation": papers.relation.name, "document_kind": DocumentKind(papers.document_kind).name}


async def _money(payments: PaymentsDesk | None, card_identifier: str) -> dict[str, Any] | None:
    if payments is None:
        raise payments_away()
    try:
        money = await payments.money_of(card_identifier)
        entries = await payments.all_entries(card_identifier) if money else []
    except Away:
        raise payments_away() from None
    if money is None:
        return None
    return {
        "balance_fen": money.balance.balance.amount_fen,
        "purses": [{"purpose": purse.purpose, "balance_fen": purse.balance.amount_fen} for purse in money.balance.purses],
        "entries": [
            {
                "at": _at(instant(entry.post_time_ms)),
                "what": payments_messages.TransferCode.Name(entry.code).removeprefix("TRANSFER_CODE_"),
                "merchant": entry.identity.merchant_id,
                "change_fen": entry.change.amount_fen,
                "purpose": entry.purpose,
            }
            for entry in entries
        ],
    }


def _at(time: datetime | None) -> str | None:
    """In the city's time."""
    return time.astimezone(SHANGHAI).isoformat(timespec="milliseconds") if time else None
