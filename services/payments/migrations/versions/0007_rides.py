"""Rides whose fares depend on each other, and the account that pays what nobody can pay any more.

Revision ID: 0007
"""

from alembic import op

from services.common.migrations import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RIDES = """
-- Accepted taps of tariffs that remember, in the order of their times: what a late tap is put among. Working state, changed in
-- place under the lock of the account and gone after the acceptance horizon; what was posted stands in the journal.
create table payments.ride (
    account_id  bigint not null,
    tariff_key  text not null,
    event_time  timestamptz not null,
    terminal    int not null,
    sequence    bigint not null,
    body        bytea not null,         -- as it was signed: it is rated again from it
    before      bytea not null,         -- what was remembered of the holder before it
    rated       bytea not null,         -- the fare as it is posted, who paid it, and whether its exit is missing
    awaits_exit boolean not null,       -- an entry that the sweeper has not looked at yet
    primary key (account_id, tariff_key, event_time, terminal, sequence)
) with (fillfactor = 90);
alter table payments.ride alter column body set storage external, alter column before set storage external,
    alter column rated set storage external;
create index ride_by_time on payments.ride using brin (event_time) with (autosummarize = on);
create index ride_that_awaits_exit on payments.ride (event_time) where awaits_exit;
grant select, insert, update, delete on payments.ride to onecard_payments;
insert into payments.account (id, kind, name, guarded) values (4, 7, 'fare_shortfalls', false);
"""


def upgrade() -> None:
    """Adds only: what runs on the tables of before goes on running."""
    run_script(op.get_bind(), RIDES)


def downgrade() -> None:
    """Fares that depend on these rides could not be adjusted any more."""
    raise NotImplementedError("restore a backup instead")
