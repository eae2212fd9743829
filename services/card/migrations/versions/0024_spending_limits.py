"""What guardians let children spend.

Revision ID: 0024
"""

from alembic import op

from services.common.migrations import run_script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

LIMITS = """
-- What a guardian lets a child spend. Rows are added, never changed; the newest one of a holder counts. Null: no such limit.
create table card.spending_limit (
    holder          bigint not null references card.holder,
    valid_from      timestamptz not null,
    payment_fen     bigint check (payment_fen >= 0),
    day_fen         bigint check (day_fen >= 0),
    day_payments    int check (day_payments >= 0),
    bus_day_fen     bigint check (bus_day_fen >= 0),
    campus_day_fen  bigint check (campus_day_fen >= 0),
    scenic_day_fen  bigint check (scenic_day_fen >= 0),
    papers          bytea not null,             -- sealed: the guardian who said it
    actor           text not null,              -- who wrote it down
    outlet          text not null,
    primary key (holder, valid_from)
);
grant select, insert on card.spending_limit to onecard_card;
"""


def upgrade() -> None:
    """What a child may spend."""
    run_script(op.get_bind(), LIMITS)


def downgrade() -> None:
    """What guardians have said stays written down."""
    raise NotImplementedError("what guardians have said cannot be taken back; restore a backup instead")
