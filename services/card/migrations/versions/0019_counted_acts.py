"""What somebody has done lately.

Revision ID: 0019
"""

from alembic import op

from services.common.migrations import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COUNTED = """
drop index card.audit_by_actor;
create index audit_by_actor on card.audit (actor, at);
"""


def upgrade() -> None:
    """What is counted of the last hour is found without everything that was done before."""
    run_script(op.get_bind(), COUNTED)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
