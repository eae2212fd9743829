"""From now on a verdict without its time is refused.

Revision ID: HEAD+3
"""

from alembic import op

from services.common.migrations import run_script

revision = "HEAD+3"
down_revision = "HEAD+2"
branch_labels = None
depends_on = None
step = "contract"


def upgrade() -> None:
    """Of those that are there nothing is said yet, so that nobody waits."""
    run_script(
        op.get_bind(),
        "alter table payments.verdict add constraint decide_time_is_known check (decide_time is not null) not valid;",
    )
