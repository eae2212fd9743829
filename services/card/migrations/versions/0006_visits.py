"""Visits at a window.

Revision ID: 0006
"""

from alembic import op

from services.common.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VISITS = """
-- What was settled at a window in one visit, with the receipt that was printed. Rows are added, never changed.
create sequence card.visit_number;
create table card.visit (
    number   bigint primary key,
    terminal text not null,                     -- the certificate's subject
    visit_id text not null,                     -- chosen by the terminal
    holder   bigint references card.holder,     -- null: nobody was registered
    staff    bigint not null references card.staff,
    outlet   text not null,
    receipt  bytea not null,                    -- services.card.handlers.complete_visit.Visit; nothing personal
    at       timestamptz not null,
    unique (terminal, visit_id)
);
create index visit_by_holder on card.visit (holder, number) where holder is not null;
grant select, insert on card.visit to onecard_card;
grant usage on sequence card.visit_number to onecard_card;
"""


def upgrade() -> None:
    """Several things under one number."""
    run_script(op.get_bind(), VISITS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
