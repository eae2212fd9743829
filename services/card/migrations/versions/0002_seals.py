"""Seals over the audit.

Revision ID: 0002
"""

from alembic import op

from services.common.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To be written."""
    run_script(op.get_bind(), "select")


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
