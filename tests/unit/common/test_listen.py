"""Where a process serves is said by settings, and what would be unsafe is refused."""

from pathlib import Path

import pytest

from services.common.grpc.listen import Listen, ListenError, Tls

TLS = {"ONECARD_TLS_CERTIFICATE": "/tls/c.pem", "ONECARD_TLS_KEY": "/tls/k.pem", "ONECARD_TLS_AUTHORITY": "/tls/a.pem"}


def test_certificates_come_from_files() -> None:
    listen = Listen.from_environment({"ONECARD_GRPC_LISTEN": "0.0.0.0:8443", **TLS})
    assert listen == Listen("0.0.0.0:8443", Tls(Path("/tls/c.pem"), Path("/tls/k.pem"), Path("/tls/a.pem")))


def test_health_and_the_patience_of_the_end_are_settings() -> None:
    env = {"ONECARD_GRPC_LISTEN": "[::]:1", "ONECARD_HEALTH_LISTEN": "0.0.0.0:8086", "ONECARD_GRPC_DRAIN_SECONDS": "30", **TLS}
    listen = Listen.from_environment(env)
    assert (listen.health_address, listen.drain_seconds) == ("0.0.0.0:8086", 30)


@pytest.mark.parametrize("address", ["127.0.0.1:8443", "127.8.8.8:1", "[::1]:8443", "localhost:0"])
def test_plain_text_is_spoken_on_loopback_when_it_is_asked_for(address: str) -> None:
    assert Listen.from_environment({"ONECARD_GRPC_LISTEN": address, "ONECARD_GRPC_PLAINTEXT": "1"}).tls is None


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8443", "[::]:8443", "10.0.0.1:1", "payments:1", "localhost.example:1", "127.0.0.1.example:1"]
)
def test_plain_text_off_loopback_is_refused(address: str) -> None:
    with pytest.raises(ListenError, match="plain text is for loopback only"):
        Listen.from_environment({"ONECARD_GRPC_LISTEN": address, "ONECARD_GRPC_PLAINTEXT": "1"})


@pytest.mark.parametrize(
    ("env", "complaint"),
    [
        ({}, "ONECARD_GRPC_LISTEN is not set"),
        ({"ONECARD_GRPC_LISTEN": "127.0.0.1:1"}, "ONECARD_TLS_CERTIFICATE is not set.*ONECARD_GRPC_PLAINTEXT=1"),
        ({"ONECARD_GRPC_LISTEN": "127.0.0.1:1", **TLS, "ONECARD_TLS_KEY": ""}, "ONECARD_TLS_KEY is not set"),
        ({"ONECARD_GRPC_LISTEN": "127.0.0.1:1", **TLS, "ONECARD_GRPC_PLAINTEXT": "1"}, "take one of them away"),
        ({"ONECARD_GRPC_LISTEN": "127.0.0.1:1", "ONECARD_GRPC_PLAINTEXT": "yes"}, "it must be 1 or not be set"),
        ({"ONECARD_GRPC_LISTEN": "8443", **TLS}, "must be host:port"),
        ({"ONECARD_GRPC_LISTEN": ":8443", **TLS}, "must be host:port"),
        ({"ONECARD_GRPC_LISTEN": "h:70000", **TLS}, "must be host:port"),
        ({"ONECARD_GRPC_LISTEN": "h:1", "ONECARD_HEALTH_LISTEN": "8086", **TLS}, "must be host:port"),
        ({"ONECARD_GRPC_LISTEN": "h:1", "ONECARD_GRPC_DRAIN_SECONDS": "soon", **TLS}, "must be a whole number"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(env: dict[str, str], complaint: str) -> None:
    with pytest.raises(ListenError, match=complaint):
        Listen.from_environment(env)
