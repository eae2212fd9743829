"""Terminals that are lost as a whole, and what mobile kits had queued.

Revision ID: 0022
"""

from alembic import op

from services.common.migrations import run_script

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

KITS = """
-- A terminal of which every certificate was revoked at once. It is lost until a certificate is issued to it anew.
create table card.lost_terminal (
    id          bigint generated always as identity primary key,
    subject     text not null,
    revoke_time timestamptz not null
);
create index lost_terminal_by_subject on card.lost_terminal (subject, revoke_time);

-- What a kit says of its queue: how many applications lie in it sealed, and under which ids. Nothing in it is personal.
create table card.kit_queue (
    id          bigint generated always as identity primary key,
    terminal    text not null,                  -- the kit's subject
    outlet      text not null,
    staff       bigint not null,                -- who was signed in there: knows whom they visited
    count       int not null check (count >= 0),
    ids         text[] not null,
    report_time timestamptz not null,
    lost_time   timestamptz,                    -- revoked since, with something in it; null: it is in somebody's hands
    clear_time  timestamptz                     -- its applicants were asked to apply again
);
create unique index one_queue_a_kit on card.kit_queue (terminal) where lost_time is null;
create index lost_queue on card.kit_queue (outlet, id) where lost_time is not null and clear_time is null;

grant select, insert on card.lost_terminal, card.kit_queue to onecard_card;
grant update (outlet, staff, count, ids, report_time, lost_time, clear_time) on card.kit_queue to onecard_card;
"""


def upgrade() -> None:
    """Kits that work without a network."""
    run_script(op.get_bind(), KITS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
