"""Terminals: asked for by one person, approved by another, renewed by themselves, revoked within seconds."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cli.authority import Authority, read
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import terminals_pb2 as messages
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub
from sdk.asking import Asking
from sdk.enrolment import due, keep_secret, make_request, renew
from sdk.merchant.access import Credentials, open_line
from sdk.till.errors import NotAcceptedError
from services.card.adapters.issuer import Issuer, IssuerError, make_issuer, read_signing_request
from services.card.domain.actor import Role
from services.card.domain.staff import RIGHTS, Right
from services.card.domain.terminal import TerminalKind, TerminalState
from services.card.handlers.enrol_terminal import enrol_first, watch_ends
from services.card.handlers.once import transact
from services.common.errors import DomainError
from tests.support.cardholders import Registry
from tests.support.edge import reason_of
from tests.support.hall import OTHER, WINDOW, Hall, Window, request, status_of

SECURITY, OPERATOR = int(Role.SECURITY_ADMINISTRATOR), int(Role.OPERATOR)
KIT = "onecard://merchant/CITY-HALL/terminal/KIT-1"
DENIED = (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")


async def ask(window: Window, csr: str, request_id: str = "r1", kind: int = TerminalKind.KIT) -> Any:
    asked = messages.RequestTerminalRequest(request_id=request_id, kind=kind, outlet="440703-01", signing_request=csr)  # type: ignore[arg-type]
    return await window.ask("RequestTerminal", asked)


async def decide(window: Window, number: int, request_id: str = "d1", *, approve: bool = True) -> Any:
    asked = messages.DecideTerminalRequest(request_id=request_id, terminal_id=number, approve=approve, reason="not ours")
    return await window.ask("DecideTerminal", asked)


async def revoke(window: Window, **which: str) -> tuple[str, ...]:
    asked = messages.RevokeTerminalRequest(request_id=f"v-{time.time_ns()}", reason="stolen", **which)
    return tuple((await window.ask("RevokeTerminal", asked)).serials)


async def two(hall: Hall) -> tuple[Window, Window]:
    """An operator who asks, and a security administrator who decides."""
    operator = await hall.window(subject=OTHER, token=await hall.sign_in(OPERATOR, OTHER))
    return operator, await hall.window(SECURITY)


async def enrolled(hall: Hall, folder: Path, *, subject: str = KIT) -> tuple[Credentials, messages.Terminal, Window]:
    """A kit with its certificate, and the security administrator."""
    operator, security = await two(hall)
    key, csr = make_request(subject)
    terminal = (await decide(security, (await ask(operator, csr)).terminal.terminal_id)).terminal
    held = Credentials(folder / "kit.crt", folder / "kit.key", hall.authority.certificate)
    keep_secret(held.key, key)
    keep_secret(held.certificate, terminal.certificate.encode())
    return held, terminal, security


def asking(hall: Hall, held: Credentials) -> Asking:
    return Asking(open_line(f"localhost:{hall.port}", "", held))


def csr_of(
    subject: str, key: Any = None, *, other: x509.GeneralName | None = None, ca: bool = False, digest: Any = None
) -> str:
    names = [x509.UniformResourceIdentifier(subject), *([other] if other else [])]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    key = key or ec.generate_private_key(ec.SECP256R1())
    hashed = None if isinstance(key, ed25519.Ed25519PrivateKey) else digest or SHA256()
    return builder.sign(key, hashed).public_bytes(Encoding.PEM).decode()


def forged() -> str:
    """A request whose last byte of the signature was altered: whoever brings it does not hold the key."""
    der = bytearray(x509.load_pem_x509_csr(csr_of(KIT).encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()


def test_a_signing_request_that_is_forged_or_asks_for_more_is_refused() -> None:
    wrong = [
        forged(),
        csr_of(KIT, ec.generate_private_key(ec.SECP256K1())),
        csr_of(KIT, rsa.generate_private_key(65537, 2048)),
        csr_of(KIT, ed25519.Ed25519PrivateKey.generate()),
        csr_of("onecard://service/payments"),
        csr_of("onecard://merchant/CITY-HALL"),
        csr_of("https://merchant/CITY-HALL/terminal/KIT-1"),
        csr_of("onecard://merchant/CITY%2DHALL/terminal/KIT-1"),
        csr_of(KIT, other=x509.DNSName("card.example")),
        csr_of(KIT, other=x509.UniformResourceIdentifier(WINDOW)),
        csr_of(KIT, ca=True),
        "no request",
        "x" * 9000,
    ]
    for pem in wrong:
        with pytest.raises(DomainError) as refused:
            read_signing_request(pem)
        assert refused.value.reason == "BAD_SIGNING_REQUEST"
    assert read_signing_request(make_request(KIT)[1]).subject == KIT


async def test_a_kit_is_asked_for_by_one_person_and_approved_by_another(hall: Hall) -> None:
    operator, security = await two(hall)
    _, csr = make_request(KIT)
    waiting = await ask(operator, csr)
    assert (waiting.terminal.state, waiting.terminal.certificate) == (messages.TERMINAL_STATE_PENDING, "")
    number = waiting.terminal.terminal_id
    assert (await ask(operator, csr, "r2")).terminal.terminal_id == number
    approved = (await decide(security, number)).terminal
    certificate = x509.load_pem_x509_certificate(approved.certificate.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(hall.authority.certificate.read_bytes()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(KIT)]
    assert abs(approved.expire_time_ms / 1000 - time.time() - 7 * 24 * 3600) < 60
    assert (await decide(security, number)).terminal == approved  # the same request hears the same answer
    assert (await decide(security, number, "d2", approve=False)).refusal.reason == "TERMINAL_DECIDED"
    assert (await ask(operator, csr, "r3")).refusal.reason == "KEY_USED"
    own = (await ask(security, make_request(KIT)[1], "r4")).terminal.terminal_id
    assert (await decide(security, own, "d3")).refusal.reason == "OWN_REQUEST"
    other = await hall.window(SECURITY)
    assert (await decide(other, own, "d4", approve=False)).terminal.state == messages.TERMINAL_STATE_REJECTED
    shown = await operator.ask("ListTerminals", messages.ListTerminalsRequest(page_size=1))
    assert (shown.terminals[0], bool(shown.next_page_token)) == (approved, True)
    acts = [row[0] for row in await hall.owner.fetch("select act from card.audit where act like 'terminal.%' order by id")]
    assert acts == ["terminal.request", "terminal.approve", "terminal.request", "terminal.reject"]
    with pytest.raises(Exception, match="nobody_approves_their_own_terminal"):
        await hall.owner.execute("update card.terminal set approved_by = requested_by where id = $1", own)


async def test_a_kit_renews_itself_with_another_key_and_for_nobody_else(hall: Hall, tmp_path: Path) -> None:
    held, first, security = await enrolled(hall, tmp_path)
    assert not due(held.certificate)
    before = held.key.read_bytes()

    def work() -> messages.Terminal:
        kit = asking(hall, held)
        renewed = renew(kit, held)
        kit.close()
        kit = asking(hall, held)  # the new one is believed, and renews the next time
        again = renew(kit, held)
        kit.close()
        assert renewed.serial != again.serial
        return again

    renewed = await asyncio.to_thread(work)
    assert renewed.subject == KIT
    assert held.key.read_bytes() != before
    assert held.key.stat().st_mode & 0o077 == 0
    assert read(held.certificate).serial == renewed.serial
    assert (renewed.requested_by_staff_id, renewed.approved_by_staff_id) == (
        first.requested_by_staff_id,
        first.approved_by_staff_id,
    )
    asked = messages.RenewTerminalRequest(request_id="n1", signing_request=make_request(KIT)[1])
    stranger = (grpc.StatusCode.PERMISSION_DENIED, "NOT_ENROLLED")
    assert await status_of(security.ask("RenewTerminal", asked)) == stranger  # its certificate was issued elsewhere

    def other() -> None:
        kit = asking(hall, held)
        keep = held.certificate.read_bytes()
        held.certificate.write_bytes(hall.authority.issue(WINDOW).certificate.read_bytes())
        with pytest.raises(NotAcceptedError) as refused:
            renew(kit, held)  # it asks for the window's subject
        assert refused.value.reason == "ANOTHER_TERMINAL"
        held.certificate.write_bytes(keep)
        kit.close()

    await asyncio.to_thread(other)
    assert len(await revoke(security, subject=KIT)) == 3  # all that it ever held


async def test_a_revoked_terminal_is_refused_within_10_s_and_its_open_stream_ends(hall: Hall, tmp_path: Path) -> None:
    held, terminal, security = await enrolled(hall, tmp_path)
    credentials = grpc.ssl_channel_credentials(
        held.authority.read_bytes(), held.key.read_bytes(), held.certificate.read_bytes()
    )
    async with grpc.aio.secure_channel(f"localhost:{hall.port}", credentials) as channel:
        token = await hall.sign_in(subject=KIT)
        await hall.owner.execute("update card.shift set serial = $1 where terminal = $2", terminal.serial, KIT)
        stub, shift = ApplicationServiceStub(channel), (("x-onecard-shift", token),)
        assert (await stub.Submit(request(1), metadata=shift)).HasField("application")
        sending = stub.SubmitBatch(metadata=shift)
        header = applications.BatchHeader(batch_id="WORKS-1", rows=2)
        await sending.write(applications.SubmitBatchRequest(header=header))
        assert await revoke(security, subject=KIT) == (terminal.serial,)
        began = time.monotonic()
        assert await hall.owner.fetchval("select ended_by from card.shift where terminal = $1", KIT) == 4
        heard = ""
        async with asyncio.timeout(10):
            while heard != "CERTIFICATE_REVOKED":
                try:
                    await stub.Submit(request(2, "r2"), metadata=shift, timeout=5)
                except grpc.aio.AioRpcError as error:
                    heard = reason_of(error)
                await asyncio.sleep(0.05)
        refused_after = time.monotonic() - began
        async with asyncio.timeout(10):
            assert await sending.code() is grpc.StatusCode.UNAUTHENTICATED
        assert refused_after < 10
        print(f"refused after {refused_after:.1f} s")  # noqa: T201 - the figure, for whoever runs it with -s


async def test_a_certificate_that_was_issued_elsewhere_is_revoked_by_its_serial(hall: Hall) -> None:
    _, security = await two(hall)
    assert await revoke(security, serial="00ABC1") == ("abc1",)
    assert await hall.owner.fetchval("select reason from card.revoked_certificate where serial = 'abc1'") == "stolen"
    assert (await status_of(revoke(security, serial="no serial")))[1] == "BAD_REQUEST"
    assert (await status_of(revoke(security, subject=KIT)))[1] == "UNKNOWN_TERMINAL"


async def test_every_verb_takes_its_right(hall: Hall) -> None:
    verbs = {
        Right.ENROL_TERMINAL: messages.RequestTerminalRequest(),
        Right.APPROVE_TERMINAL: messages.DecideTerminalRequest(request_id="d"),
        Right.REVOKE_TERMINAL: messages.RevokeTerminalRequest(),
    }
    for role in Role:
        window = await hall.window(role)
        for right, asked in verbs.items():
            method = type(asked).__name__.removesuffix("Request")
            denied = await status_of(window.ask(method, asked)) == DENIED
            assert denied == (role not in RIGHTS[right]), (role, method)
        lists = messages.ListTerminalsRequest()
        if role not in RIGHTS[Right.ENROL_TERMINAL]:
            assert await status_of(window.ask("ListTerminals", lists)) == DENIED


async def test_the_first_window_of_an_installation_is_enrolled_by_a_command_once(registry: Registry, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "issuing")
    issuer, rules = Issuer(authority.certificate, authority.folder / "authority.key"), registry.settings.terminal
    assert issuer.development
    asked = read_signing_request(make_request(WINDOW)[1])
    pem = await transact(registry.engine, lambda driver: enrol_first(driver, issuer, rules, asked, "440703-01"))
    assert "BEGIN CERTIFICATE" in pem
    second = read_signing_request(make_request(OTHER)[1])
    with pytest.raises(DomainError) as refused:
        await transact(registry.engine, lambda driver: enrol_first(driver, issuer, rules, second, ""))
    assert refused.value.reason == "NOT_THE_FIRST"
    async with registry.engine.connect() as connection:
        await watch_ends(connection)


def test_half_of_an_issuer_is_none(tmp_path: Path) -> None:
    one, two = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    assert make_issuer(None, None, "") is None
    for certificate, key in (
        (one.certificate, None),
        (one.certificate, two.folder / "authority.key"),
        (one.certificate, one.certificate),
    ):
        with pytest.raises(IssuerError):
            make_issuer(certificate, key, "")
    leaf = one.issue(WINDOW)
    with pytest.raises(IssuerError):
        Issuer(leaf.certificate, leaf.key)


def test_numbers_of_kinds_and_states_agree() -> None:
    for ours, theirs, name in ((TerminalKind, messages.TerminalKind, "KIND"), (TerminalState, messages.TerminalState, "STATE")):
        numbers = {f"TERMINAL_{name}_{one.name}": one.value for one in ours} | {f"TERMINAL_{name}_UNSPECIFIED": 0}
        assert numbers == dict(theirs.items())
