"""${message}

Revision ID: ${up_revision}
"""

from alembic import op

from services.common.migrations import run_script

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
step = "expand"  # or backfill, or contract: docs/upgrades.md


def upgrade() -> None:
    """"""


def downgrade() -> None:
    """"""
