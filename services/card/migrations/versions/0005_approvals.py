"""What a second person is told.

Revision ID: 0005
"""

from alembic import op

from services.common.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APPROVALS = """
-- What is to be done, for the second person's eyes: words and numbers of the act, nothing personal.
alter table card.approval add column detail jsonb not null default '{}';
create index approval_pending_at on card.approval (outlet, id) where state = 1;
drop index card.approval_pending;
"""


def upgrade() -> None:
    """Approvals that say what they are about."""
    run_script(op.get_bind(), APPROVALS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
