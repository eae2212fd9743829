"""Money that comes late, or cannot come where it belongs.

Revision ID: 0020
"""

from alembic import op

from services.common.migrations import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MONEY = """
alter table card.fee
    add column attempt   int not null default 1,                -- of giving it back or earning it: in the request id
    add column next_time timestamptz not null default now();    -- payments is not asked about it before

-- What is done is looked at again for some time: refunds come late.
alter table card.remainder
    alter column next_time drop not null,                       -- null: it is looked at no more
    add column watch_until timestamptz not null default now() + interval '180 days';
drop index card.remainder_to_do;
create index remainder_to_do on card.remainder (next_time) where next_time is not null;
create index remainder_not_done on card.remainder (card) where not done;
create index remainder_by_holder on card.remainder (holder);

grant update (attempt, next_time) on card.fee to onecard_card;
"""


def upgrade() -> None:
    """What was closed too early is looked at again."""
    run_script(op.get_bind(), MONEY)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
