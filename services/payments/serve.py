"""The API process: windows, tills, gates and the back office over gRPC. Several of them may share a port."""

import asyncio
from collections.abc import Set
from typing import Final

import uvloop
from sqlalchemy import text

from onecard.payments.v1.dead_letter_service_pb2_grpc import add_DeadLetterServiceServicer_to_server
from onecard.payments.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from onecard.payments.v1.outcome_service_pb2_grpc import add_OutcomeServiceServicer_to_server
from onecard.payments.v1.payments_pb2_grpc import add_PaymentsServiceServicer_to_server
from onecard.payments.v1.reservations_pb2_grpc import add_ReservationServiceServicer_to_server
from onecard.payments.v1.terminal_keys_pb2_grpc import add_TerminalKeyServiceServicer_to_server
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.common.grpc.calls import current_peer
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.common.keyvault.process import harden
from services.common.metrics_endpoint import show_metrics
from services.common.schema import when_borne
from services.payments.adapters.callers import Callers
from services.payments.adapters.directory import Directory
from services.payments.adapters.electronic_tokens import ElectronicTokens
from services.payments.adapters.epochs import EpochKeys, open_terminal_vault
from services.payments.adapters.freshness import ProjectionFreshness
from services.payments.adapters.full_slots import FullSlots
from services.payments.adapters.ledger import AtPoint, BatchKey, Ledger, pass_by
from services.payments.adapters.outcome_feed import OutcomeFeed
from services.payments.adapters.outcome_log import OutcomeLog
from services.payments.adapters.rate_limits import Allowance, Allowances, RateLimits
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.tariffs import read_rules
from services.payments.api.dead_letters import DeadLetterService
from services.payments.api.desk import Desk
from services.payments.api.ledger import LedgerService
from services.payments.api.outcomes import OutcomeService
from services.payments.api.payments import PaymentsService
from services.payments.api.reservations import ReservationService
from services.payments.api.terminal_keys import TerminalKeyService
from services.payments.batcher import Batcher
from services.payments.config import Config
from services.payments.handlers.find_token import FindToken
from services.payments.handlers.judge_letters import JudgeLetters
from services.payments.handlers.operate import Operate
from services.payments.handlers.post_taps import PostTaps
from services.payments.handlers.refuse_letters import RefuseLetters
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.migrations import SCHEMA

_LANES: Final = 2
_READERS: Final = 8
"""Sessions of those who look things up: however many there are, a payment does not wait for one."""
_REVOKED: Final = text("select serial from payments.revoked_certificate")


async def serve(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Serve until SIGTERM or SIGINT; `at` is called at the named points of each posting, for tests that stop it there.

    Raises VaultError.
    """
    vault = open_terminal_vault(config, on_loopback=listen.on_loopback)
    posting = make_engine(config.database_url, SCHEMA.session("payments-api-posting"), sessions=_LANES)
    engine = make_engine(config.database_url, SCHEMA.session("payments-api"), sessions=_READERS, looked_at=True)
    rules = await when_borne(engine, SCHEMA, lambda: read_rules(engine, config))
    registry = Registry(engine)
    keys = EpochKeys(engine, vault)
    await keys.begin()
    callers = Callers(engine, registry)
    await callers.refresh()
    freshness = ProjectionFreshness(engine, config.projection_limit_seconds)
    key = BatchKey(config.batch_key, config.batch_key_version)
    ledger = Ledger(posting, rules, key, at)
    batcher = Batcher(Operate(ledger), lanes=_LANES)
    allowances = Allowances(Allowance(*config.terminal_calls), Allowance(*config.merchant_calls))
    rate_limits = RateLimits(config.redis or None, allowances)
    desk = Desk(callers, batcher, rate_limits, freshness)
    directory = Directory(engine)
    tokens = ElectronicTokens(config.redis)

    async def revoked() -> Set[str]:
        async with engine.connect() as connection:
            return frozenset((await connection.scalars(_REVOKED)).all())

    server = make_server(listen, RevocationList(revoked))
    # The stubs know gRPC's own server only; ours takes what they bring.
    payments = PaymentsService(desk, engine, directory, config.hold_seconds, FindToken(engine, tokens))
    add_PaymentsServiceServicer_to_server(payments, server)
    add_LedgerServiceServicer_to_server(LedgerService(desk, engine, directory, rules.purposes), server)
    feed = OutcomeFeed(config.kafka, config.broker, config.kafka_security)
    past = OutcomeLog(config.kafka, config.broker, config.kafka_security)
    outcomes = OutcomeService(feed, past, current_peer)
    add_OutcomeServiceServicer_to_server(outcomes, server)
    add_TerminalKeyServiceServicer_to_server(TerminalKeyService(desk, registry, keys), server)
    verifier = Verifier(keys)
    replay = ReplayDeadLetters(engine, PostTaps(ledger, registry, verifier), registry, verifier)
    judge = JudgeLetters(engine, registry, verifier, rules)
    letters = DeadLetterService(desk, engine, judge, replay, RefuseLetters(engine))
    add_DeadLetterServiceServicer_to_server(letters, server)
    full = FullSlots(config.redis)
    add_ReservationServiceServicer_to_server(ReservationService(desk, engine, ledger, full), server)
    await freshness.read()
    try:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(work)
                for work in (batcher.run(), callers.keep_fresh(), freshness.keep_reading(), rate_limits.run(), feed.run())
            ]
            await serve_until_signal(server)
            for task in beside:
                task.cancel()
    finally:
        ledger.work.say()
        await full.close()
        await tokens.close()
        await posting.dispose()
        await engine.dispose()


def run_api(config: Config, listen: Listen, at: AtPoint = pass_by) -> None:
    """Run an API process until SIGTERM or SIGINT. Raises VaultError."""
    harden()
    show_metrics(config.metrics_port)
    collect_garbage_seldom()
    uvloop.run(serve(config, listen, at))
