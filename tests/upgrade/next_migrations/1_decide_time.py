"""A verdict says when it was decided; that stood with its batch alone.

Revision ID: HEAD+1
"""

from alembic import op

from services.common.migrations import run_script

revision = "HEAD+1"
down_revision = "HEAD+0"
branch_labels = None
depends_on = None
step = "expand"


def upgrade() -> None:
    """Old code goes on without it."""
    run_script(op.get_bind(), "alter table payments.verdict add column decide_time timestamptz;")
