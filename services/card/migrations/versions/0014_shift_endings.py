"""A shift ends also when the account is changed.

Revision ID: 0014
"""

from alembic import op

from services.common.migrations import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ENDINGS = """
alter table card.shift
    drop constraint shift_ended_by_check,
    add constraint shift_ended_by_check check (ended_by between 1 and 5);    -- services.card.domain.staff.Ending
create index shift_ended_early on card.shift (expire_time) where end_time is not null;
"""


def upgrade() -> None:
    """Another way in which a shift ends."""
    run_script(op.get_bind(), ENDINGS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
