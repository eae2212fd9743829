"""Moments that the installation went back to.

Revision ID: 0025
"""

from alembic import op

from services.common.migrations import run_script

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
step = "expand"

GONE_BACK = """
-- Written by the owner when a restore goes back to a moment: the seals behind it that were published are given up.
create table card.gone_back (
    after_seal  bigint primary key,      -- the newest seal that was kept
    up_to_seal  bigint not null check (up_to_seal > after_seal),
    to_time     timestamptz not null,
    at          timestamptz not null default now(),
    key_version smallint not null,
    mac         bytea not null          -- over the three, with the key of the seals: nobody else may give one up
);
grant select on card.gone_back to onecard_card;
"""


def upgrade() -> None:
    """The table."""
    run_script(op.get_bind(), GONE_BACK)


def downgrade() -> None:
    """Without it a chain that went back does not hold together."""
    run_script(op.get_bind(), "drop table card.gone_back;")
