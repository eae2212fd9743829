"""Settings as they stand in the environment: keys of batch digests, how often callers may ask."""

import pytest

from services.common.environment import ConfigError
from services.payments.config import Config
from services.payments.live import run_live

ENVIRONMENT = {
    "ONECARD_DATABASE_URL": "x",
    "ONECARD_KAFKA": "x",
    "ONECARD_BATCH_KEY": "aa" * 16,
    "ONECARD_BATCH_KEY_VERSION": "3",
}


def test_old_keys_stand_beside_the_one_in_use() -> None:
    config = Config.from_environment({**ENVIRONMENT, "ONECARD_BATCH_KEYS_OLD": f"1:{'bb' * 16}, 2:{'cc' * 32}"})
    assert config.batch_keys == {1: b"\xbb" * 16, 2: b"\xcc" * 32, 3: b"\xaa" * 16}
    assert Config.from_environment(ENVIRONMENT).batch_keys == {3: b"\xaa" * 16}


@pytest.mark.parametrize("keys", ["bb" * 16, "one:" + "bb" * 16, "1:", "1:bb", "1:xyz"])
def test_an_old_key_that_cannot_be_one_is_refused(keys: str) -> None:
    with pytest.raises(ConfigError, match="ONECARD_BATCH_KEYS_OLD"):
        Config.from_environment({**ENVIRONMENT, "ONECARD_BATCH_KEYS_OLD": keys})


def test_live_windows_are_refused_on_a_broker_that_keeps_no_tables() -> None:
    with pytest.raises(ConfigError, match="Apache Kafka"):
        run_live(Config.from_environment({**ENVIRONMENT, "ONECARD_BROKER": "tansu"}))


def test_how_often_callers_may_ask_is_set() -> None:
    config = Config.from_environment({**ENVIRONMENT, "ONECARD_TERMINAL_CALLS": "5/20"})
    assert (config.terminal_calls, config.merchant_calls) == ((5, 20), (2000, 4000))


@pytest.mark.parametrize("calls", ["5", "5/", "/5", "20/5", "0/5", "five/ten"])
def test_a_rate_that_cannot_be_one_is_refused(calls: str) -> None:
    with pytest.raises(ConfigError, match="ONECARD_MERCHANT_CALLS"):
        Config.from_environment({**ENVIRONMENT, "ONECARD_MERCHANT_CALLS": calls})
