"""The API process of the card service: windows, kiosks, employers and other services over gRPC. Several may share a port."""

import asyncio
from collections.abc import Set
from typing import Final

import uvloop
from argon2 import PasswordHasher
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.applications_pb2_grpc import add_ApplicationServiceServicer_to_server
from onecard.card.v1.approvals_pb2_grpc import add_ApprovalServiceServicer_to_server
from onecard.card.v1.bank_pb2_grpc import add_BankServiceServicer_to_server
from onecard.card.v1.cards_pb2_grpc import add_CardServiceServicer_to_server
from onecard.card.v1.electronic_pb2_grpc import add_ElectronicCardServiceServicer_to_server
from onecard.card.v1.hotlist_pb2_grpc import add_HotlistServiceServicer_to_server
from onecard.card.v1.kits_pb2_grpc import add_KitServiceServicer_to_server
from onecard.card.v1.privacy_pb2_grpc import add_PrivacyServiceServicer_to_server
from onecard.card.v1.production_pb2_grpc import add_ProductionServiceServicer_to_server
from onecard.card.v1.sessions_pb2_grpc import add_SessionServiceServicer_to_server
from onecard.card.v1.spending_limits_pb2_grpc import add_SpendingLimitServiceServicer_to_server
from onecard.card.v1.staff_pb2_grpc import add_StaffServiceServicer_to_server
from onecard.card.v1.terminals_pb2_grpc import add_TerminalServiceServicer_to_server
from onecard.card.v1.window_pb2_grpc import add_WindowServiceServicer_to_server
from services.card.adapters.audit import BOOK
from services.card.adapters.city_settings import read_city_settings
from services.card.adapters.electronic_tokens import ElectronicTokens
from services.card.adapters.issuer import IssuerError, make_issuer
from services.card.adapters.kit_key import KitKey
from services.card.adapters.online_bank import OnlineBank
from services.card.adapters.passwords import Passwords
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.adapters.photo import PhotoChecker
from services.card.adapters.sealing import Sealing
from services.card.adapters.sms_gateway import SmsGateway
from services.card.api.actors import Actors
from services.card.api.applications import ApplicationService
from services.card.api.approvals import ApprovalService
from services.card.api.bank import BankService
from services.card.api.cards import CardService
from services.card.api.electronic import ElectronicCardService
from services.card.api.hotlist import HotlistService
from services.card.api.kits import KitService
from services.card.api.privacy import PrivacyService
from services.card.api.production import ProductionService
from services.card.api.sessions import SessionService
from services.card.api.spending_limits import SpendingLimitService
from services.card.api.staff import StaffService
from services.card.api.terminals import TerminalService
from services.card.api.window import WindowService
from services.card.config import Config
from services.card.domain.settings import CitySettings
from services.card.handlers.bank import Bank
from services.card.handlers.delete_holder import ListDeletions
from services.card.handlers.electronic import ElectronicCards
from services.card.handlers.enrol_terminal import watch_ends
from services.card.handlers.exchange_bank_files import ExchangeBankFiles
from services.card.handlers.keep_time import KeepTime
from services.card.handlers.notify import Notify
from services.card.handlers.open_session import OpenSession
from services.card.handlers.pins import Pins
from services.card.handlers.relay_events import RelayEvents
from services.card.handlers.relay_hotlist import RelayHotlist
from services.card.handlers.retain import Retain
from services.card.handlers.settle_money import SettleMoney
from services.card.handlers.sign_in import Accounts, SignIn
from services.card.handlers.view_holder import ViewHolder
from services.card.migrations import SCHEMA
from services.common.announce import Announcer
from services.common.audit.seal import SealAudit
from services.common.database import make_engine
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.common.housekeeping import Duty, Group, Housekeeping
from services.common.keyvault.process import harden
from services.common.keyvault.software import open_token
from services.common.keyvault.vault import KeyVault, VaultError
from services.common.metrics_endpoint import show_metrics
from services.common.points import AtPoint, pass_by
from services.common.schema import nothing_more, when_borne

ELECTION: Final = "card.housekeeping"
_SESSIONS: Final = 10
"""Of those who ask; a slow one does not keep the others waiting."""
_REVOKED: Final = text("select serial from card.revoked_certificate")


def duties(
    engine: AsyncEngine,
    vault: KeyVault,
    sealing: Sealing,
    settings: CitySettings,
    announcer: Announcer,
    money: SettleMoney,
    at: AtPoint = pass_by,
) -> list[Group]:
    """What one process of all does; each group has a session of its own."""
    return [
        [Duty(0.05, RelayEvents(engine, sealing, announcer, at))],
        [Duty(0.2, RelayHotlist(announcer, settings.hotlist, at))],
        [
            Duty(1, KeepTime(engine, sealing, settings)),
            Duty(10, watch_ends),
            Duty(600, Retain(engine, settings.retention)),
        ],
        [Duty(0.5, money)],
        [Duty(0.5, SealAudit(BOOK, vault, announcer)), Duty(0.5, ListDeletions(announcer))],
    ]


async def serve(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = read_city_settings(config.settings)
    vault = open_token(config.vault, config.vault_pin)
    if vault.development and not listen.on_loopback:
        raise VaultError(f"{config.vault} is a development token: serve on 127.0.0.1, or make another one with `vault create`")
    issuer = make_issuer(config.issuer_certificate, config.issuer_key, config.issuer_password)
    if issuer and issuer.development and not listen.on_loopback:
        raise IssuerError(f"{config.issuer_certificate} is a development authority: serve on 127.0.0.1, or name another one")
    sealing = Sealing(vault)
    engine = make_engine(config.database_url, SCHEMA.session("card-api"), sessions=_SESSIONS, looked_at=True)
    await when_borne(engine, SCHEMA, nothing_more)
    announcer = Announcer(config.kafka, config.kafka_security)
    payments = PaymentsDesk(config.payments, listen.tls) if config.payments else None
    sms = SmsGateway(config.sms, listen.tls) if config.sms else None
    money = SettleMoney(engine, payments, at)
    groups = duties(engine, vault, sealing, settings, announcer, money, at)
    online = OnlineBank(config.bank_online, listen.tls, settings.bank.online_seconds) if config.bank_online else None
    bank = Bank(engine, sealing, settings, online, at)
    if config.bank_folder:
        groups.append([Duty(1, ExchangeBankFiles(bank, config.bank_folder, config.bank_every_seconds))])
    if sms:
        groups.append([Duty(1, Notify(sealing, settings, sms))])
    housekeeping = make_engine(config.database_url, SCHEMA.session("card-housekeeping"), sessions=len(groups) + 1)

    async def revoked() -> Set[str]:
        async with engine.connect() as connection:
            return frozenset((await connection.scalars(_REVOKED)).all())

    server = make_server(listen, RevocationList(revoked))
    photos = PhotoChecker(settings.photo)
    # The stubs know gRPC's own server only; ours takes what they bring.
    actors = Actors(engine)
    applications = ApplicationService(engine, sealing, settings, actors, photos, money, at)
    add_ApplicationServiceServicer_to_server(applications, server)
    add_KitServiceServicer_to_server(KitService(engine, sealing, actors, KitKey(vault), applications, at), server)
    passwords = Passwords(vault, PasswordHasher())
    signing, accounts = SignIn(engine, vault, passwords, settings.staff), Accounts(engine, vault, passwords)
    add_StaffServiceServicer_to_server(StaffService(engine, sealing, settings.staff, actors, signing, accounts), server)
    card_pins = Passwords(vault, PasswordHasher(), "card")
    pins = Pins(engine, sealing, settings, card_pins)
    tokens = ElectronicTokens(config.redis)
    electronic_passwords = Passwords(vault, PasswordHasher(), "electronic")
    electronic = ElectronicCards(engine, sealing, settings, electronic_passwords, tokens)
    cards = CardService(engine, sealing, settings, actors, money, bank, pins, electronic, at)
    add_ElectronicCardServiceServicer_to_server(ElectronicCardService(cards, electronic), server)
    add_CardServiceServicer_to_server(cards, server)
    production = ProductionService(engine, sealing, settings, actors, pins, at)
    add_ProductionServiceServicer_to_server(production, server)
    opening = OpenSession(engine, sealing, settings.session, pins, electronic)
    add_SessionServiceServicer_to_server(SessionService(actors, opening), server)
    terminals = TerminalService(engine, sealing, settings.terminal, actors, issuer)
    add_TerminalServiceServicer_to_server(terminals, server)
    add_HotlistServiceServicer_to_server(HotlistService(engine, settings.hotlist), server)
    add_ApprovalServiceServicer_to_server(ApprovalService(engine, actors), server)
    add_BankServiceServicer_to_server(BankService(engine, sealing, settings, actors), server)
    add_PrivacyServiceServicer_to_server(PrivacyService(engine, sealing, settings, actors, payments), server)
    add_SpendingLimitServiceServicer_to_server(SpendingLimitService(engine, sealing, actors), server)
    view = ViewHolder(engine, sealing, settings.staff, payments, tokens)
    add_WindowServiceServicer_to_server(WindowService(engine, sealing, settings, actors, view, applications, cards), server)
    try:
        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(_keep_house(announcer, Housekeeping(housekeeping, ELECTION, groups)))
            await serve_until_signal(server)
            beside.cancel()
    finally:
        photos.close()
        passwords.close()
        card_pins.close()
        electronic_passwords.close()
        await tokens.close()
        for other in (online, payments, sms):
            if other:
                await other.close()
        await announcer.stop()
        await housekeeping.dispose()
        await engine.dispose()


async def _keep_house(announcer: Announcer, housekeeping: Housekeeping) -> None:
    await announcer.start()
    await housekeeping.run()


def run_api(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Run an API process until SIGTERM or SIGINT. `at` is told what it has come to."""
    harden()
    show_metrics(config.metrics_port)
    uvloop.run(serve(config, listen, at))
