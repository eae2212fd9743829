"""Verdicts that older releases have written get the time of their batch.

Revision ID: HEAD+2
"""

from alembic import op

from services.common.migrations import run_script

revision = "HEAD+2"
down_revision = "HEAD+1"
branch_labels = None
depends_on = None
step = "backfill"
concurrently = (
    "create index concurrently if not exists verdict_to_fill on payments.verdict (terminal, sequence) where decide_time is null",
)
batches = """
update payments.verdict v set decide_time = b.now
from payments.batch b
where b.number = v.batch and (v.terminal, v.sequence) in (
    select terminal, sequence from payments.verdict where decide_time is null order by terminal, sequence limit 500)
"""


def upgrade() -> None:
    """Nothing beside the batches."""
    run_script(op.get_bind(), "select")
