"""The API process of the card service: windows, kiosks, employers and other services over gRPC. Several may share a port."""

import asyncio
from collections.abc import Set
from typing import Final

import uvloop
from argon2 import PasswordHasher
from prometheus_client import start_http_server
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.applications_pb2_grpc import add_ApplicationServiceServicer_to_server
from onecard.card.v1.approvals_pb2_grpc import add_ApprovalServiceServicer_to_server
from onecard.card.v1.cards_pb2_grpc import add_CardServiceServicer_to_server
from onecard.card.v1.staff_pb2_grpc import add_StaffServiceServicer_to_server
from onecard.card.v1.window_pb2_grpc import add_WindowServiceServicer_to_server
from services.card.adapters.city_settings import read_city_settings
from services.card.adapters.passwords import Passwords
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.adapters.photo import PhotoChecker
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors
from services.card.api.applications import ApplicationService
from services.card.api.approvals import ApprovalService
from services.card.api.cards import CardService
from services.card.api.staff import StaffService
from services.card.api.window import WindowService
from services.card.config import Config
from services.card.domain.settings import CitySettings
from services.card.handlers.keep_time import KeepTime
from services.card.handlers.relay_events import RelayEvents
from services.card.handlers.seal_audit import SealAudit
from services.card.handlers.settle_money import SettleMoney
from services.card.handlers.sign_in import Accounts, SignIn
from services.card.handlers.view_holder import ViewHolder
from services.common.announce import Announcer
from services.common.database import UNMIGRATED, DatabaseError, Pause, Trouble, make_engine, place_of, sqlstate_of, trouble
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.common.housekeeping import Duty, Group, Housekeeping
from services.common.keyvault.process import harden
from services.common.keyvault.software import open_token
from services.common.keyvault.vault import KeyVault, VaultError

ELECTION: Final = "card.housekeeping"
_SESSIONS: Final = 10
"""Of those who ask; a slow one does not keep the others waiting."""
_MIGRATED: Final = text("select from card.installation")
_REVOKED: Final = text("select serial from card.revoked_certificate")


def duties(
    engine: AsyncEngine,
    vault: KeyVault,
    sealing: Sealing,
    settings: CitySettings,
    announcer: Announcer,
    money: SettleMoney,
) -> list[Group]:
    """What one process of all does; each group has a session of its own."""
    return [
        [Duty(0.05, RelayEvents(sealing, announcer))],
        [Duty(1, KeepTime(engine, sealing, settings))],
        [Duty(0.5, money)],
        [Duty(0.5, SealAudit(vault, announcer))],
    ]


async def serve(config: Config, listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = read_city_settings(config.settings)
    vault = open_token(config.vault, config.vault_pin)
    if vault.development and not listen.on_loopback:
        raise VaultError(f"{config.vault} is a development token: serve on 127.0.0.1, or make another one with `vault create`")
    sealing = Sealing(vault)
    engine = make_engine(config.database_url, "card-api", sessions=_SESSIONS, looked_at=True)
    await _wait_for_schema(engine)
    announcer = Announcer(config.kafka)
    payments = PaymentsDesk(config.payments, listen.tls) if config.payments else None
    money = SettleMoney(engine, payments)
    groups = duties(engine, vault, sealing, settings, announcer, money)
    housekeeping = make_engine(config.database_url, "card-housekeeping", sessions=len(groups) + 1)

    async def revoked() -> Set[str]:
        async with engine.connect() as connection:
            return frozenset((await connection.scalars(_REVOKED)).all())

    server = make_server(listen, RevocationList(revoked))
    photos = PhotoChecker(settings.photo)
    # The stubs know gRPC's own server only; ours takes what they bring.
    actors = Actors(engine)
    applications = ApplicationService(engine, sealing, settings, actors, photos, money)
    add_ApplicationServiceServicer_to_server(applications, server)
    passwords = Passwords(vault, PasswordHasher())
    signing, accounts = SignIn(engine, vault, passwords, settings.staff), Accounts(engine, vault, passwords)
    add_StaffServiceServicer_to_server(StaffService(actors, signing, accounts), server)
    add_CardServiceServicer_to_server(CardService(engine, sealing, settings, actors, money), server)
    add_ApprovalServiceServicer_to_server(ApprovalService(engine, actors), server)
    view = ViewHolder(engine, sealing, settings.staff, payments)
    add_WindowServiceServicer_to_server(WindowService(engine, sealing, settings, actors, view, applications), server)
    try:
        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(_keep_house(announcer, Housekeeping(housekeeping, ELECTION, groups)))
            await serve_until_signal(server)
            beside.cancel()
    finally:
        photos.close()
        passwords.close()
        if payments:
            await payments.close()
        await announcer.stop()
        await housekeeping.dispose()
        await engine.dispose()


async def _keep_house(announcer: Announcer, housekeeping: Housekeeping) -> None:
    await announcer.start()
    await housekeeping.run()


async def _wait_for_schema(engine: AsyncEngine) -> None:
    """Wait until the migrated database answers, saying what is awaited and where."""
    pause = Pause(place_of(engine))
    while True:
        try:
            async with engine.connect() as connection:
                await connection.execute(_MIGRATED)
                return
        except DatabaseError as error:
            if trouble(error) is Trouble.REJECTED and sqlstate_of(error) not in UNMIGRATED:
                raise
            await pause.wait(error)


def run_api(config: Config, listen: Listen) -> None:
    """Run an API process until SIGTERM or SIGINT."""
    harden()
    if config.metrics_port:
        start_http_server(config.metrics_port, addr="127.0.0.1")
    uvloop.run(serve(config, listen))
