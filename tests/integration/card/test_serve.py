"""The process of the card service: it starts, serves behind mutual TLS, publishes, and ends when it is told to."""

import asyncio
from pathlib import Path

import pytest

from cli.servers.broker import Broker
from services.card.config import Config
from services.card.serve import serve
from services.common.environment import ConfigError
from services.common.grpc.listen import Listen, Tls
from services.common.keyvault.software import Hardness, create_token
from services.common.keyvault.vault import VaultError
from tests.support.cardholders import Registry
from tests.support.town import Database


def config(database: Database, vault: Path, kafka: str = "127.0.0.1:1") -> Config:
    return Config(database.card_url, kafka, vault, "pin of a test")


def test_a_variable_that_is_missing_or_wrong_is_named() -> None:
    with pytest.raises(ConfigError, match="ONECARD_DATABASE_URL"):
        Config.from_environment({})
    given = {"ONECARD_DATABASE_URL": "x", "ONECARD_KAFKA": "x", "ONECARD_VAULT": "x", "ONECARD_VAULT_PIN": "secret"}
    assert "secret" not in repr(Config.from_environment(given))
    with pytest.raises(ConfigError, match="ONECARD_METRICS_PORT"):
        Config.from_environment({**given, "ONECARD_METRICS_PORT": "many"})


async def test_a_development_token_serves_this_machine_alone(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "development.token"
    create_token(file, "card", "pin of a test", "pin of another", development=True, hardness=Hardness(1, 64, 1))
    tls = Tls(file, file, file)
    with pytest.raises(VaultError, match="development"):
        await serve(config(database, file), Listen("0.0.0.0:0", tls))


async def test_it_relays_what_was_waiting_and_ends_when_it_is_cancelled(
    database: Database, registry: Registry, broker: Broker
) -> None:
    await registry.first_card(1)
    running = asyncio.create_task(serve(config(database, registry.vault.file, broker.bootstrap), Listen("127.0.0.1:0", None)))
    try:
        async with asyncio.timeout(30):
            while True:
                async with registry.engine.connect() as connection:
                    unsent = await connection.exec_driver_sql("select count(*) from card.event_outbox where sent_time is null")
                    if unsent.scalar() == 0:
                        break
                assert not running.done()
                await asyncio.sleep(0.1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
