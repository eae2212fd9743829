import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest

from cli.authority import Authority, Issued
from cli.servers.ports import HOST
from sdk.merchant.kafka_security import KafkaSecurity as MerchantsKafkaSecurity
from services.common.environment import ConfigError
from services.common.kafka_security import KafkaSecurity

ELSEWHERE = {"ONECARD_KAFKA": "kafka-1:9093,kafka-2:9093"}
HERE = {"ONECARD_KAFKA": "127.0.0.1:9093"}
USER = {"ONECARD_KAFKA_USER": "card", "ONECARD_KAFKA_PASSWORD": "opens everything"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def shown(authority: Authority, issued: Issued) -> dict[str, str]:
    return {
        "ONECARD_KAFKA_AUTHORITY": str(authority.certificate),
        "ONECARD_KAFKA_CERTIFICATE": str(issued.certificate),
        "ONECARD_KAFKA_KEY": str(issued.key),
    }


def of(env: dict[str, str]) -> dict[str, object]:
    """What services and merchants make of the same variables, without the contexts."""
    services = KafkaSecurity.from_environment(env).arguments()
    merchants = MerchantsKafkaSecurity.from_environment(env).arguments(env["ONECARD_KAFKA"])
    assert (services.pop("ssl_context") is None) == (merchants.pop("ssl_context", None) is None)
    assert services == merchants
    return services


def test_without_settings_it_is_plain_text() -> None:
    assert of(ELSEWHERE) == {"security_protocol": "PLAINTEXT"}


def test_an_authority_makes_it_tls(authority: Authority) -> None:
    env = ELSEWHERE | {"ONECARD_KAFKA_AUTHORITY": str(authority.certificate)}
    assert of(env) == {"security_protocol": "SSL"}
    context = KafkaSecurity.from_environment(env).tls
    assert context
    assert context.check_hostname


def test_a_password_travels_by_tls(authority: Authority) -> None:
    env = ELSEWHERE | USER | {"ONECARD_KAFKA_AUTHORITY": str(authority.certificate)}
    assert of(env) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "card",
        "sasl_plain_password": "opens everything",
    }


def test_a_password_travels_in_plain_text_on_this_machine_alone() -> None:
    assert of(HERE | USER)["security_protocol"] == "SASL_PLAINTEXT"
    with pytest.raises(ConfigError, match="ONECARD_KAFKA_AUTHORITY"):
        KafkaSecurity.from_environment(ELSEWHERE | USER)
    with pytest.raises(ValueError, match="TLS"):
        MerchantsKafkaSecurity.from_environment(ELSEWHERE | USER).arguments(ELSEWHERE["ONECARD_KAFKA"])


@pytest.mark.parametrize("missing", ["CERTIFICATE", "KEY", "AUTHORITY", "USER", "PASSWORD"])
def test_half_of_a_pair_is_refused_by_its_name(authority: Authority, missing: str) -> None:
    env = ELSEWHERE | USER | shown(authority, authority.issue("onecard://service/card"))
    del env[f"ONECARD_KAFKA_{missing}"]
    with pytest.raises(ConfigError, match=f"ONECARD_KAFKA_{missing}"):
        KafkaSecurity.from_environment(env)
    with pytest.raises(ValueError, match=missing.lower()):
        MerchantsKafkaSecurity.from_environment(env)


def test_files_that_cannot_be_used_are_named(authority: Authority) -> None:
    one, other = authority.issue("onecard://service/card"), authority.issue("onecard://service/issuance")
    mixed = ELSEWHERE | shown(authority, Issued(one.certificate, other.key))
    with pytest.raises(ConfigError, match=r"service\+card"):
        KafkaSecurity.from_environment(mixed)
    with pytest.raises(ValueError, match=r"service\+card"):
        MerchantsKafkaSecurity.from_environment(mixed).arguments("kafka-1:9093")
    with pytest.raises(ConfigError, match="nowhere"):
        KafkaSecurity.from_environment(ELSEWHERE | {"ONECARD_KAFKA_AUTHORITY": "/nowhere"})


def test_a_password_is_in_no_log(authority: Authority) -> None:
    env = ELSEWHERE | USER | {"ONECARD_KAFKA_AUTHORITY": str(authority.certificate)}
    for security in (KafkaSecurity.from_environment(env), MerchantsKafkaSecurity.from_environment(env)):
        assert "opens" not in f"{security!r} {security}"


def serial_seen(authority: Authority, server: Issued, context: ssl.SSLContext) -> int:
    """Which certificate a client shows at its next connection; raises SSLError when the server refuses it."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.certificate, server.key)
    serving.load_verify_locations(authority.certificate)
    serving.verify_mode = ssl.CERT_REQUIRED
    seen: list[int] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with serving.wrap_socket(connection, server_side=True) as accepted:
            certificate = accepted.getpeercert()
            assert certificate
            seen.append(int(str(certificate["serialNumber"]), 16))
            accepted.sendall(b"!")

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as connected,
        ):
            connected.recv(1)
        thread.join()
    return seen[0]


def test_the_next_connection_takes_a_renewed_certificate(authority: Authority, tmp_path: Path) -> None:
    server = authority.issue("onecard://service/kafka", hosts=[HOST])
    first, second = authority.issue("onecard://service/card"), authority.issue("onecard://service/issuance")
    in_use = Issued(tmp_path / "our.pem", tmp_path / "our.key")
    shutil.copy(first.certificate, in_use.certificate)
    shutil.copy(first.key, in_use.key)
    env = HERE | shown(authority, in_use)
    services = KafkaSecurity.from_environment(env).tls
    merchants = MerchantsKafkaSecurity.from_environment(env).arguments("127.0.0.1:9093")["ssl_context"]
    assert services
    contexts = (services, merchants)
    begin = {serial_seen(authority, server, context) for context in contexts}
    shutil.copy(second.key, in_use.key)
    assert {serial_seen(authority, server, context) for context in contexts} == begin, "half of the files are new"
    shutil.copy(second.certificate, in_use.certificate)
    renewed = {serial_seen(authority, server, context) for context in contexts}
    assert len(begin) == len(renewed) == 1
    assert begin != renewed
