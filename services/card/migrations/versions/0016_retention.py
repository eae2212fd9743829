"""What is over its time.

Revision ID: 0016
"""

from alembic import op

from services.common.migrations import run_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

RETENTION = "create index application_in_vain on card.application (update_time) where state in (8, 10)"


def upgrade() -> None:
    """Applications that ended without a card are found by their time."""
    run_script(op.get_bind(), RETENTION)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
