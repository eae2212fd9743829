"""The API process of the issuance service: windows and kits over gRPC. Several may share a port."""

import asyncio
from collections.abc import Mapping, Set
from typing import Any, Final

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1.blanks_pb2_grpc import (
    add_BlankServiceServicer_to_server,
    add_CountersignServiceServicer_to_server,
    add_ShiftServiceServicer_to_server,
)
from onecard.issuance.v1.issuance_pb2_grpc import add_IssuanceServiceServicer_to_server
from services.common.announce import Announcer
from services.common.audit.seal import SealAudit
from services.common.database import make_engine
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.common.housekeeping import Duty, Group, Housekeeping
from services.common.keyvault.process import harden
from services.common.keyvault.software import open_token
from services.common.keyvault.vault import VaultError
from services.common.metrics_endpoint import show_metrics
from services.common.points import AtPoint, pass_by
from services.common.schema import nothing_more, when_borne
from services.issuance.adapters.audit import BOOK
from services.issuance.adapters.boxes import Accounts
from services.issuance.adapters.card_service import Away, CardDesk
from services.issuance.adapters.city_settings import read_city_settings
from services.issuance.adapters.payments_desk import PaymentsDesk
from services.issuance.adapters.products import read_products
from services.issuance.adapters.records import PostgresJournal
from services.issuance.api.actors import Actors
from services.issuance.api.blanks import BlankService
from services.issuance.api.countersignatures import CountersignService
from services.issuance.api.issuance import IssuanceService
from services.issuance.api.shifts import ShiftService
from services.issuance.config import Config
from services.issuance.domain.settings import Settings
from services.issuance.handlers.check_card import CheckCard
from services.issuance.handlers.close_shift import CloseShift
from services.issuance.handlers.find_collected import FindCollected
from services.issuance.handlers.forget_requests import ForgetRequests
from services.issuance.handlers.once import keyed_digests
from services.issuance.handlers.personalise import Personalise
from services.issuance.handlers.receive_delivery import ReceiveDelivery
from services.issuance.handlers.relay_events import RelayEvents, measure_owed
from services.issuance.handlers.settle import Settle
from services.issuance.handlers.update_card import UpdateCard
from services.issuance.handlers.watch_blanks import BarLostBlanks, MeasureBlanks
from services.issuance.migrations import SCHEMA
from services.issuance.vault.client import ChipVault, VaultClient

ELECTION: Final = "issuance.housekeeping"
_SESSIONS: Final = 10
"""Of those who ask; a slow one does not keep the others waiting."""


def duties(
    engine: AsyncEngine,
    card: CardDesk,
    settings: Settings,
    closing: CloseShift,
    journal: PostgresJournal,
    relay: RelayEvents,
    sealing: SealAudit,
) -> list[Group]:
    """What one process of all does; each group has a session of its own."""

    async def lost() -> Mapping[str, int]:
        try:
            return (await card.revoked()).terminals
        except Away:
            return {}

    return [
        [Duty(1, BarLostBlanks(engine, lost))],
        [Duty(1, Settle(journal, card)), Duty(5, measure_owed), Duty(10, FindCollected(journal, card))],
        [Duty(0.1, relay)],
        [Duty(0.5, sealing)],
        [Duty(1, closing), Duty(1, MeasureBlanks(settings.issuance)), Duty(600, ForgetRequests(settings.issuance))],
    ]


def revocations(card: CardDesk, actors: Actors) -> RevocationList:
    """As the card service keeps it; when it cannot be read for a minute, nobody is believed any more."""

    async def revoked() -> Set[str]:
        try:
            found = await card.revoked()
        except Away:
            raise ConnectionError("the card service is away") from None
        actors.hear_ended(found.shifts)
        return found.serials

    return RevocationList(revoked)


async def serve(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings, products = read_city_settings(config.settings), read_products(config.products)
    vault = open_token(config.vault, config.vault_pin)
    if vault.development and not listen.on_loopback:
        raise VaultError(f"{config.vault} is a development token: serve on 127.0.0.1, or make another one with `vault create`")
    engine = make_engine(config.database_url, SCHEMA.session("issuance-api"), sessions=_SESSIONS, looked_at=True)
    await when_borne(engine, SCHEMA, nothing_more)
    card, keys = CardDesk(config.card, listen.tls), VaultClient(config.vault_socket)
    if not listen.on_loopback and await keys.development():
        raise VaultError(f"{config.vault_socket} leads to development keys: serve on 127.0.0.1, or hold a ceremony")
    announcer = Announcer(config.kafka, config.kafka_security)
    payments = PaymentsDesk(config.payments, listen.tls) if config.payments else None
    closing = CloseShift(engine, payments)
    journal = PostgresJournal(engine, vault)
    relay, sealing = RelayEvents(announcer, at), SealAudit(BOOK, vault, announcer)
    groups = duties(engine, card, settings, closing, journal, relay, sealing)
    housekeeping = make_engine(config.database_url, SCHEMA.session("issuance-housekeeping"), sessions=len(groups) + 1)
    actors = Actors(card)
    # The stubs know gRPC's own server only; ours takes what they bring.
    server: Any = make_server(listen, revocations(card, actors))
    deliveries = ReceiveDelivery(
        {product.code for product in products}, settings.city.code, keys.check_identifiers, Accounts(vault)
    )
    add_BlankServiceServicer_to_server(BlankService(engine, actors, deliveries), server)
    add_CountersignServiceServicer_to_server(CountersignService(engine, actors), server)
    add_ShiftServiceServicer_to_server(ShiftService(engine, actors, closing), server)
    parts = (journal, card, ChipVault(keys), products, at)
    making, update, check = Personalise(*parts), UpdateCard(engine, keyed_digests(vault), *parts), CheckCard(*parts)
    add_IssuanceServiceServicer_to_server(IssuanceService(actors, making, update, check, config.authority), server)
    try:
        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(Housekeeping(housekeeping, ELECTION, groups).run())
            await serve_until_signal(server)
            beside.cancel()
    finally:
        await card.close()
        await keys.close()
        if payments:
            await payments.close()
        await announcer.stop()
        await housekeeping.dispose()
        await engine.dispose()


def run_api(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Run an API process until SIGTERM or SIGINT. `at` is told what it has come to."""
    harden()
    show_metrics(config.metrics_port)
    uvloop.run(serve(config, listen, at))
