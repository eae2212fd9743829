"""What backups were taken, as whoever took them noted it.

Revision ID: 0011
"""

from alembic import op

from services.common.migrations import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BACKUPS = """
-- Written by the role of backups when one is taken and verified. A restored database knows those before its own.
create table payments.backup (
    take_time  timestamptz not null,
    name       text primary key,
    size_bytes bigint not null
);
grant select on payments.backup to onecard_payments;
"""


def upgrade() -> None:
    """The table."""
    run_script(op.get_bind(), BACKUPS)


def downgrade() -> None:
    """Nobody else needs it."""
    run_script(op.get_bind(), "drop table payments.backup;")
