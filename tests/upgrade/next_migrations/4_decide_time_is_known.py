"""No verdict is without its time.

Revision ID: HEAD+4
"""

from alembic import op

from services.common.migrations import run_script

revision = "HEAD+4"
down_revision = "HEAD+3"
branch_labels = None
depends_on = None
step = "contract"
concurrently = ("drop index concurrently if exists payments.verdict_to_fill",)

PROVED = """
-- Beside writers; what is proved makes the last step a short one.
alter table payments.verdict validate constraint decide_time_is_known;
alter table payments.verdict alter column decide_time set not null;
alter table payments.verdict drop constraint decide_time_is_known;
"""


def upgrade() -> None:
    """The check is the column's own from now on."""
    run_script(op.get_bind(), PROVED)
