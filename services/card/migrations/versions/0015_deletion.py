"""Deletions, and who somebody was before a correction.

Revision ID: 0015
"""

from alembic import op

from services.common.migrations import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

DELETIONS = """
-- Whose data were deleted. The list goes to the topic card.deletions, and is applied again to a database that was restored.
create table card.deletion (
    holder    bigint primary key references card.holder,
    at        timestamptz not null,
    sent_time timestamptz
);
create index deletion_unsent on card.deletion (holder) where sent_time is null;

-- Who a holder was before an identity was corrected; sealed as one. Rows are added, never changed.
create table card.former_identity (
    holder bigint not null references card.holder,
    number smallint not null,                   -- of this holder's, from 1
    sealed bytea not null,                      -- services.card.handlers.correct_identity.Former
    at     timestamptz not null,
    actor  text not null,
    primary key (holder, number)
);

grant select, insert on card.deletion, card.former_identity to onecard_card;
grant update (sent_time) on card.deletion to onecard_card;
grant delete on card.photo, card.pin, card.former_identity to onecard_card;
"""


def upgrade() -> None:
    """What is to be forgotten, and what is not."""
    run_script(op.get_bind(), DELETIONS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
