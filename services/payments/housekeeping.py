"""What one worker of all does: seal batches, relay the outbox, roll up accruals, audit the books, follow numbers, show."""

import time
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.announce import Announcer
from services.common.clock import milliseconds
from services.common.housekeeping import Duty, Group
from services.payments import metrics
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.spent_tokens import forget_spent_tokens
from services.payments.handlers.audit_books import AuditBooks
from services.payments.handlers.check_books import read_imbalances
from services.payments.handlers.end_rides import EndRides
from services.payments.handlers.follow_sequences import FollowSequences
from services.payments.handlers.keep_up import MAKE_PARTITIONS, MONTHS_AHEAD
from services.payments.handlers.measure_business import MeasureBusiness, measure_holds
from services.payments.handlers.publish_checkpoints import PublishCheckpoints
from services.payments.handlers.relay_outbox import relay_outbox
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from services.payments.handlers.seal_batches import SealBatches
from services.payments.handlers.sweep import Sweep

ELECTION: Final = "payments.housekeeping"
_OLDEST_UNSEALED: Final = """
select now from payments.batch where number > coalesce((select max(last_batch) from payments.seal), 0)
order by number limit 1"""
_BACKUPS: Final = """
select (select coalesce(extract(epoch from max(take_time)), 0)::float8 from payments.backup), count(*) filter (where active),
    coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::float8
from pg_replication_slots where slot_name = 'onecard_backup'"""
_A_FIFTIETH: Final = 0.02
_A_TENTH: Final = 0.1


def duties(
    announcer: Announcer, replay: ReplayDeadLetters, sweep: Sweep, rides: EndRides, key: BatchKey, checkpoints: Path | None
) -> list[Group]:
    """What there is to do; each group has a session of its own."""
    return [
        [Duty(0.4, SealBatches(key))],
        [
            Duty(0.2, lambda connection: relay_outbox(connection, announcer)),
            Duty(2, PublishCheckpoints(announcer, checkpoints)),
        ],
        [
            Duty(1, roll_up_accruals),
            Duty(1, _measure_projection_age),
            Duty(1, _measure_unsealed_age),
            Duty(5, _measure_backups),
            Duty(3600, make_partitions),
            Duty(60, forget_spent_tokens),
        ],
        [
            Duty(1, AuditBooks(), _A_FIFTIETH, share_behind=_A_TENTH),
            Duty(2, FollowSequences(), _A_FIFTIETH, share_behind=_A_TENTH),
            Duty(5, _measure_imbalance, _A_FIFTIETH),
            Duty(5, MeasureBusiness(), _A_FIFTIETH),
            Duty(5, measure_holds, _A_FIFTIETH),
        ],
        [
            Duty(5, lambda _: replay.of_known_cards()),
            Duty(5, lambda _: replay.close_decided()),
            Duty(5, lambda _: replay.close_copies()),
        ],
        [Duty(1, sweep.holds), Duty(5, sweep.purses), Duty(5, rides.without_exit), Duty(3600, rides.forget)],
    ]


SESSIONS: Final = 7
"""One a group, and the one that is elected."""


async def _measure_imbalance(connection: AsyncConnection) -> None:
    for imbalance in await read_imbalances(connection):
        metrics.IMBALANCE.labels(imbalance.currency).set(imbalance.posted_fen)
        metrics.PENDING_IMBALANCE.labels(imbalance.currency).set(imbalance.pending_fen)
    metrics.CHECKED.set_to_current_time()


async def _measure_projection_age(connection: AsyncConnection) -> None:
    oldest = await connection.scalar(text("select min(committed_up_to) from payments.card_projection"))
    if oldest is not None:
        metrics.PROJECTION_AGE.set(max(0.0, time.time() - milliseconds(oldest) / 1000))


async def _measure_unsealed_age(connection: AsyncConnection) -> None:
    """Asked by another session than the sealer's, so that it tells when the sealer does nothing."""
    oldest = await connection.scalar(text(_OLDEST_UNSEALED))
    metrics.UNSEALED_AGE.set(0.0 if oldest is None else max(0.0, time.time() - milliseconds(oldest) / 1000))


async def _measure_backups(connection: AsyncConnection) -> None:
    taken, receivers, behind = (await connection.execute(text(_BACKUPS))).one()
    metrics.BACKUP_TAKEN.set(taken)
    metrics.BACKUP_RECEIVERS.set(receivers)
    metrics.BACKUP_BEHIND.set(behind)


async def make_partitions(connection: AsyncConnection) -> None:
    """Partitions of the transfers, months ahead of the calendar."""
    await connection.execute(MAKE_PARTITIONS, {"months": MONTHS_AHEAD})
