"""How far the hotlist has been published.

Revision ID: 0023
"""

from alembic import op

from services.common.migrations import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

RELAY = """
-- One row: which version the topic has last, which one was its last snapshot, and up to when the newest list is complete.
create table card.hotlist_relay (
    id             bool primary key default true check (id),
    epoch          int not null default 0,
    version        bigint not null default 0,
    whole_version  bigint not null default 0,
    whole_time     timestamptz not null default '-infinity',
    complete_time  timestamptz not null default '-infinity'
);
insert into card.hotlist_relay default values;
grant select, update on card.hotlist_relay to onecard_card;

-- What changed between two versions is found without reading the list.
create index hotlist_entry_came on card.hotlist_entry (came_in);
create index hotlist_entry_left on card.hotlist_entry (left_in) where left_in is not null;
"""


def upgrade() -> None:
    """A list that is sent as deltas and snapshots."""
    run_script(op.get_bind(), RELAY)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
