"""What the programs that are held against the worker share with it: the same handler and key."""

import os

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import topics
from services.payments.adapters.epochs import EpochKeys, open_terminal_vault
from services.payments.adapters.ledger import BatchKey, Ledger
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.tariffs import read_rules
from services.payments.config import Config
from services.payments.handlers.post_taps import PostTaps

SOURCES = (topics.TRANSACTIONS_BUS, topics.TRANSACTIONS_CAMPUS, topics.TRANSACTIONS_SCENIC)


async def make_ledger(config: Config, engine: AsyncEngine, *, alone: bool = True) -> Ledger:
    """The ledger of the worker and the API; `alone` as for the ledger."""
    rules = await read_rules(engine, config)
    return Ledger(engine, rules, BatchKey(config.batch_key, config.batch_key_version), alone=alone)


async def make_post(config: Config, engine: AsyncEngine) -> PostTaps:
    """The worker's handler of taps."""
    return PostTaps(await make_ledger(config, engine), Registry(engine), make_verifier(engine))


def make_verifier(engine: AsyncEngine) -> Verifier:
    """Of the codes of terminals."""
    return Verifier(EpochKeys(engine, open_terminal_vault(config(), on_loopback=True)))


def config() -> Config:
    """The settings that the worker would have here."""
    return Config.from_environment(os.environ)
