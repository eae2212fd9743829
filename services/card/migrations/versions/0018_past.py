"""Messages that were sent, and sessions of holders that are over.

Revision ID: 0018
"""

from alembic import op

from services.common.migrations import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

PAST = """
grant delete on card.notification to onecard_card;
create index notification_over on card.notification (create_time) where sent_time is not null or give_up_time is not null;
create index session_over on card.holder_session (expire_time);
"""


def upgrade() -> None:
    """They are taken away after a city's days, and found by their time."""
    run_script(op.get_bind(), PAST)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
