"""How far the numbers of each terminal have come, and how many of them have a verdict.

Revision ID: 0008
"""

from alembic import op

from services.common.migrations import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PROGRESS = """
-- Working state of the elected worker: up to which seal verdicts are counted in terminal_progress.
create table payments.progress (
    only_one boolean primary key default true check (only_one),
    seal     bigint not null default 0      -- the last one whose verdicts are counted
);
insert into payments.progress default values;

-- A terminal counts without a gap. What is missing between its mark and its highest number has no verdict: it was never sent,
-- is on its way, or lies among the dead letters.
create table payments.terminal_progress (
    terminal int primary key,
    highest  bigint not null check (highest > 0),
    received bigint not null check (received >= 0)  -- how many numbers above the terminal's mark have a verdict
);
grant select, update on payments.progress to onecard_payments;
grant select, insert, update on payments.terminal_progress to onecard_payments;
"""


def upgrade() -> None:
    """The elected worker counts from the first seal on."""
    run_script(op.get_bind(), PROGRESS)


def downgrade() -> None:
    """Nothing else depends on what is counted here."""
    op.execute("drop table payments.terminal_progress, payments.progress")
