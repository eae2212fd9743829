"""A card service behind its edge, with windows at which somebody is signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from cli.authority import Authority, read
from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub, add_ApplicationServiceServicer_to_server
from onecard.card.v1.approvals_pb2_grpc import ApprovalServiceStub, add_ApprovalServiceServicer_to_server
from onecard.card.v1.bank_pb2_grpc import BankServiceStub, add_BankServiceServicer_to_server
from onecard.card.v1.cards_pb2_grpc import CardServiceStub, add_CardServiceServicer_to_server
from onecard.card.v1.electronic_pb2_grpc import ElectronicCardServiceStub, add_ElectronicCardServiceServicer_to_server
from onecard.card.v1.hotlist_pb2_grpc import add_HotlistServiceServicer_to_server
from onecard.card.v1.kits_pb2_grpc import KitServiceStub, add_KitServiceServicer_to_server
from onecard.card.v1.privacy_pb2_grpc import PrivacyServiceStub, add_PrivacyServiceServicer_to_server
from onecard.card.v1.production_pb2_grpc import ProductionServiceStub, add_ProductionServiceServicer_to_server
from onecard.card.v1.sessions_pb2_grpc import SessionServiceStub, add_SessionServiceServicer_to_server
from onecard.card.v1.spending_limits_pb2_grpc import (
    SpendingLimitServiceStub,
    add_SpendingLimitServiceServicer_to_server,
)
from onecard.card.v1.staff_pb2_grpc import StaffServiceStub, add_StaffServiceServicer_to_server
from onecard.card.v1.terminals_pb2_grpc import TerminalServiceStub, add_TerminalServiceServicer_to_server
from onecard.card.v1.window_pb2_grpc import WindowServiceStub, add_WindowServiceServicer_to_server
from services.card.adapters.electronic_tokens import ElectronicTokens
from services.card.adapters.issuer import Issuer
from services.card.adapters.kit_key import KitKey
from services.card.adapters.passwords import Passwords
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.adapters.photo import PhotoChecker
from services.card.adapters.shifts import token_digest
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
from services.card.handlers.bank import Bank
from services.card.handlers.electronic import ElectronicCards
from services.card.handlers.open_session import OpenSession
from services.card.handlers.pins import Pins
from services.card.handlers.settle_money import SettleMoney
from services.card.handlers.sign_in import Accounts, SignIn
from services.card.handlers.view_holder import ViewHolder
from services.common.grpc.listen import Listen, Tls
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server
from tests.support.cardholders import Registry, citizen_number
from tests.support.edge import reason_of
from tests.support.photos import good_photo

Owner: TypeAlias = "asyncpg.Connection[Any]"

WINDOW = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
OTHER = "onecard://merchant/CITY-HALL/terminal/WINDOW-2"
ISSUANCE = "onecard://service/issuance"
CLERK, SUPERVISOR, KEEPER, HOTLINE = 1, 2, 3, 9


class Window:
    """A terminal with its certificate; `token` is what it got when somebody signed in."""

    def __init__(self, port: int, authority: Authority, subject: str, token: str) -> None:
        issued = authority.issue(subject)
        credentials = grpc.ssl_channel_credentials(
            authority.certificate.read_bytes(), issued.key.read_bytes(), issued.certificate.read_bytes()
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.aio.secure_channel(f"localhost:{port}", credentials, options)
        self._stubs = (
            ApplicationServiceStub(self.channel),
            BankServiceStub(self.channel),
            CardServiceStub(self.channel),
            ApprovalServiceStub(self.channel),
            WindowServiceStub(self.channel),
            StaffServiceStub(self.channel),
            TerminalServiceStub(self.channel),
            SessionServiceStub(self.channel),
            PrivacyServiceStub(self.channel),
            SpendingLimitServiceStub(self.channel),
            KitServiceStub(self.channel),
            ProductionServiceStub(self.channel),
            ElectronicCardServiceStub(self.channel),
        )
        self.token = token
        self.holder = ""
        """What a holder who stands here got."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        sent = (("x-onecard-shift", self.token), ("x-onecard-holder", self.holder))
        return tuple((key, token) for key, token in sent if token)

    async def ask(self, method: str, request: Any, seconds: float = 20) -> Any:
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        return await getattr(stub, method)(request, metadata=self.metadata, timeout=seconds)


class Hall:
    """A card service with windows; who is signed in stands in the database."""

    def __init__(self, port: int, authority: Authority, owner: Owner, accounts: Accounts) -> None:
        self.accounts = accounts
        self.port = port
        self.authority = authority
        self.owner = owner
        self.windows: list[Window] = []

    async def sign_in(self, role: int = CLERK, subject: str = WINDOW, expires: str = "1 hour", staff: int = 0) -> str:
        token = f"token {len(self.windows)} of {role} at {subject} for {staff}"
        staff = staff or await self.owner.fetchval(
            """insert into card.staff (login, outlet, roles, password, password_key_version, totp, totp_key_version)
               values ('clerk-' || (select count(*) from card.staff), '440703-01', array[$1::smallint], '', 1, '', 1)
               returning id""",
            role,
        )
        await self.owner.execute(
            """insert into card.shift (token, staff, terminal, serial, outlet, begin_time, expire_time)
               values ($1, $2, $3, $4, '440703-01', now() - interval '1 day', now() + $5::text::interval)""",
            token_digest(token),
            staff,
            subject,
            read(self.authority.issue(subject).certificate).serial,
            expires,
        )
        return token

    async def window(self, role: int = CLERK, subject: str = WINDOW, token: str | None = None) -> Window:
        made = Window(self.port, self.authority, subject, await self.sign_in(role) if token is None else token)
        self.windows.append(made)
        return made


@asynccontextmanager
async def open_hall(
    registry: Registry,
    owner: Owner,
    folder: Path,
    payments: PaymentsDesk | None = None,
    bank: Bank | None = None,
    redis: str = "",
) -> AsyncIterator[Hall]:
    """A card service that serves on loopback."""
    authority = Authority(folder / "authority")
    ours = authority.issue("onecard://service/card", hosts=["localhost"])

    async def revoked() -> frozenset[str]:
        async with registry.engine.connect() as connection:
            return frozenset((await connection.scalars(text("select serial from card.revoked_certificate"))).all())

    listen = Listen("127.0.0.1:0", Tls(ours.certificate, ours.key, authority.certificate))
    server: Any = make_server(listen, RevocationList(revoked))
    photos = PhotoChecker(registry.settings.photo)
    parts = (registry.engine, registry.sealing, registry.settings, Actors(registry.engine))
    money = SettleMoney(registry.engine, payments)
    applications = ApplicationService(*parts, photos, money)
    add_ApplicationServiceServicer_to_server(applications, server)
    kits = KitService(*parts[:2], parts[-1], KitKey(registry.vault), applications)
    add_KitServiceServicer_to_server(kits, server)
    tokens = ElectronicTokens(redis)
    view = ViewHolder(registry.engine, registry.sealing, registry.settings.staff, payments, tokens)
    add_BankServiceServicer_to_server(BankService(*parts), server)
    issuer = Issuer(authority.certificate, authority.folder / "authority.key")
    terminals = TerminalService(*parts[:2], registry.settings.terminal, parts[-1], issuer)
    add_TerminalServiceServicer_to_server(terminals, server)
    card_pins = Passwords(registry.vault, PasswordHasher(1, 64, 1), "card")
    pins = Pins(*parts[:3], card_pins)
    electronic_passwords = Passwords(registry.vault, PasswordHasher(1, 64, 1), "electronic")
    electronic = ElectronicCards(*parts[:3], electronic_passwords, tokens)
    cards = CardService(*parts, money, bank or Bank(*parts[:3]), pins, electronic)
    add_ElectronicCardServiceServicer_to_server(ElectronicCardService(cards, electronic), server)
    add_WindowServiceServicer_to_server(WindowService(*parts, view, applications, cards), server)
    add_CardServiceServicer_to_server(cards, server)
    add_ProductionServiceServicer_to_server(ProductionService(*parts, pins), server)
    opening = OpenSession(*parts[:2], registry.settings.session, pins, electronic)
    add_SessionServiceServicer_to_server(SessionService(parts[-1], opening), server)
    add_PrivacyServiceServicer_to_server(PrivacyService(*parts, payments), server)
    add_SpendingLimitServiceServicer_to_server(SpendingLimitService(*parts[:2], parts[-1]), server)
    add_HotlistServiceServicer_to_server(HotlistService(registry.engine, registry.settings.hotlist), server)
    add_ApprovalServiceServicer_to_server(ApprovalService(registry.engine, parts[-1]), server)
    passwords = Passwords(registry.vault, PasswordHasher(1, 64, 1))
    accounts = Accounts(registry.engine, registry.vault, passwords)
    signing = SignIn(registry.engine, registry.vault, passwords, registry.settings.staff)
    add_StaffServiceServicer_to_server(
        StaffService(registry.engine, registry.sealing, registry.settings.staff, parts[-1], signing, accounts), server
    )
    await server.start()
    hall = Hall(server.port, authority, owner, accounts)
    yield hall
    for window in hall.windows:
        await window.channel.close()
    await server.stop()
    photos.close()
    passwords.close()
    card_pins.close()
    electronic_passwords.close()
    await tokens.close()


def person(number: int, **other: Any) -> messages.Person:
    fields = {"name": f"李{chr(0x4E00 + number)}", "phone": "138 1234 5678", "nationality": "01", **other}
    document = messages.Document(kind=messages.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(number))
    return messages.Person(**{"document": document, **fields})


def request(number: int, request_id: str = "r1", **other: Any) -> messages.SubmitRequest:
    fields = {
        "request_id": request_id,
        "kind": messages.APPLICATION_KIND_FIRST,
        "route": messages.ROUTE_SELF,
        "person": person(number),
        "photo": good_photo(),
        **other,
    }
    return messages.SubmitRequest(**fields)


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), reason_of(refused.value)
