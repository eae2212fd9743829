"""Only who has a certificate of our authority is heard, as whom it names, and only while it is believed."""

import asyncio
import shutil
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from cli.authority import Authority, Issued, read
from services.common.errors import DomainError
from services.common.grpc import revocation
from services.common.grpc.listen import Listen, ListenError, Tls
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server
from services.common.peer import Peer, Subject
from tests.support.edge import SERVICE, TERMINAL, Revoked, desk, get_payment, reason_of, subscribe
from tests.support.waiting import until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def refusal(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await get_payment(channel, metadata=())
    return refused.value


async def test_the_certificate_says_who_calls(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel(TERMINAL) as channel:
        await get_payment(channel, metadata=())
    serial = read(authority.issue(TERMINAL).certificate).serial
    assert opened.payments.peers == [Peer(Subject("bus-company", "7"), serial)]


async def test_what_a_caller_says_of_itself_is_not_heard_beside_a_certificate(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel(TERMINAL) as channel:
        await get_payment(channel, metadata=(("x-onecard-subject", "onecard://service/settlement"),))
    assert [peer.subject.uri for peer in opened.payments.peers] == [TERMINAL]


async def test_another_authoritys_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    async with desk(authority) as opened, opened.channel(TERMINAL, Authority(tmp_path / "stranger")) as channel:
        assert (await refusal(channel)).code() is grpc.StatusCode.UNAVAILABLE
    assert not opened.payments.peers


async def test_nobody_comes_in_without_a_certificate(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel("") as channel:
        assert (await refusal(channel)).code() is grpc.StatusCode.UNAVAILABLE
    async with desk(authority) as opened, opened.plain() as channel:
        assert (await refusal(channel)).code() is grpc.StatusCode.UNAVAILABLE
    assert not opened.payments.peers


async def test_a_certificate_must_name_one_subject(authority: Authority, tmp_path: Path) -> None:
    for uris in ([], [TERMINAL, SERVICE], ["onecard://till/7"]):
        nobody = sign(authority, uris, tmp_path)
        async with desk(authority) as opened:
            trusted = authority.certificate.read_bytes()
            credentials = grpc.ssl_channel_credentials(trusted, nobody.key.read_bytes(), nobody.certificate.read_bytes())
            async with grpc.aio.secure_channel(f"localhost:{opened.server.port}", credentials) as channel:
                error = await refusal(channel)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason_of(error) == "SUBJECT_UNKNOWN"
        assert not opened.payments.peers


async def test_a_certificate_that_ends_ends_its_open_connection_too(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(authority) as opened, opened.channel() as channel:
        stream = subscribe(channel)
        await stream.read()
        await get_payment(channel)
        later = time.time() + 31 * 24 * 3600
        monkeypatch.setattr("services.common.grpc.callers.time.time", lambda: later)
        for call in (get_payment(channel), stream.read()):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asyncio.wait_for(call, 10)
            assert reason_of(refused.value) == "CERTIFICATE_EXPIRED"


async def test_a_revoked_certificate_is_refused_and_its_open_streams_end(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel(TERMINAL) as thief, opened.channel("onecard://merchant/park") as park:
        streams = {"thief": subscribe(thief), "park": subscribe(park)}
        for stream in streams.values():
            await stream.read()
        await get_payment(thief)
        opened.revoked.serials.add(read(authority.issue(TERMINAL).certificate).serial)
        with pytest.raises(grpc.aio.AioRpcError) as ended:  # though nothing more was sent on it
            await asyncio.wait_for(streams["thief"].read(), 10)
        refused = await refusal(thief)
        for error in (ended.value, refused):
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert reason_of(error) == "CERTIFICATE_REVOKED"
        await until("the stream's handler has ended", lambda: opened.outcomes.open == 1)
        await get_payment(park)


async def test_a_revoked_stream_ends_though_its_reader_does_not_read(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel() as channel:
        opened.outcomes.every_seconds = 0
        opened.outcomes.message.cursor = bytes(60_000)
        stream = subscribe(channel)
        await stream.read()
        await asyncio.sleep(0.3)  # until the road to the reader is full
        opened.revoked.serials.add(read(authority.issue(TERMINAL).certificate).serial)
        await until("the stream's handler has ended", lambda: opened.outcomes.open == 0)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await asyncio.wait_for(read_all(stream), 10)
        assert reason_of(ended.value) == "CERTIFICATE_REVOKED"


async def test_a_list_that_is_too_old_refuses_everybody_until_it_is_read_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "MOST_SECONDS", 4.0)
    async with desk(authority) as opened, opened.channel() as channel:
        stream = subscribe(channel)
        await stream.read()
        opened.revoked.away = True
        await asyncio.sleep(0.5)
        await get_payment(channel)  # for some time the last list is good enough
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await asyncio.wait_for(stream.read(), 30)
        refused = await refusal(channel)
        for error in (ended.value, refused):
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert reason_of(error) == "REVOCATION_LIST_STALE"
        opened.revoked.away = False
        await until("the list is read again", lambda: opened.revocations.age_seconds < 1)
        await get_payment(channel)


async def test_a_source_that_never_answered_lets_nobody_in() -> None:
    async def load() -> set[str]:
        await asyncio.sleep(3600)
        return set()

    revocations = RevocationList(load)
    await asyncio.wait_for(revocations.read(), 10)
    assert revocations.age_seconds == float("inf")
    with pytest.raises(DomainError) as refused:
        revocations.check("1")
    assert refused.value.reason == "REVOCATION_LIST_STALE"


async def test_a_serial_number_is_known_however_it_was_printed() -> None:
    async def load() -> set[str]:
        return {"0a1b"}

    revocations = RevocationList(load)
    await revocations.read()
    revocations.check("a1")
    with pytest.raises(DomainError) as refused:
        revocations.check("a1b")
    assert refused.value.reason == "CERTIFICATE_REVOKED"


async def test_a_renewed_certificate_serves_the_next_connection(authority: Authority) -> None:
    async with desk(authority) as opened, opened.channel() as old:
        await get_payment(old)
        ours = authority.issue(SERVICE, hosts=["localhost", "127.0.0.1"])
        before = read(ours.certificate).serial
        authority.issue(SERVICE, hosts=["localhost", "127.0.0.1", "payments.example"])  # into the same files
        assert await served_serial(opened.server.port, authority) not in ("", before)
        await get_payment(old)


async def test_files_that_do_not_fit_change_nothing(authority: Authority) -> None:
    async with desk(authority) as opened:
        ours = authority.issue(SERVICE, hosts=["localhost", "127.0.0.1"])
        before = read(ours.certificate).serial
        shutil.copy(authority.issue(TERMINAL).key, ours.key)
        assert await served_serial(opened.server.port, authority) == before
        authority.issue(SERVICE, hosts=["localhost", "127.0.0.1"])  # notices the wrong key
        assert await served_serial(opened.server.port, authority) not in ("", before)


async def test_a_server_with_files_that_do_not_fit_does_not_start(authority: Authority, tmp_path: Path) -> None:
    ours, other = authority.issue(SERVICE, hosts=["localhost"]), authority.issue(TERMINAL)
    missing = tmp_path / "missing.pem"
    for tls, complaint in (
        (Tls(ours.certificate, other.key, authority.certificate), "is not the key of"),
        (Tls(ours.certificate, ours.key, missing), "missing.pem cannot be read"),
        (Tls(ours.key, ours.key, authority.certificate), "holds no certificate"),
        (Tls(ours.certificate, ours.certificate, authority.certificate), "holds no private key"),
        (Tls(ours.certificate, ours.key, ours.key), "holds no certificate"),
    ):
        with pytest.raises(ListenError, match=complaint):
            await make_server(Listen("127.0.0.1:0", tls), RevocationList(Revoked().load)).start()


async def read_all(stream: Any) -> None:
    while await stream.read():
        pass


async def served_serial(port: int, authority: Authority) -> str:
    """The serial number of the certificate that a new connection is shown, which must be believed."""

    context = ssl.create_default_context(cafile=str(authority.certificate))
    caller = authority.issue(TERMINAL)
    context.load_cert_chain(caller.certificate, caller.key)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    return f"{shown.serial_number:x}"


def sign(authority: Authority, uris: list[str], folder: Path) -> Issued:
    """A certificate as our authority would never issue one, over the key of another."""
    ours = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    key: Any = load_pem_private_key((authority.folder / "authority.key").read_bytes(), password=None)
    model = authority.issue(TERMINAL)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ours.subject)
        .public_key(x509.load_pem_x509_certificate(model.certificate.read_bytes()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=1))
        .not_valid_after(datetime.now(UTC) + timedelta(minutes=5))
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    file = folder / "odd.pem"
    file.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return Issued(file, model.key)
