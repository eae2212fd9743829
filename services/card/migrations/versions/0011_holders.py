"""Holders who act by themselves: PINs of cards, and sessions.

Revision ID: 0011
"""

from alembic import op

from services.common.migrations import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

HOLDERS = """
-- A card without a row here has no PIN, and none that is given is right.
create table card.pin (
    card        bigint primary key references card.card,
    pin         text not null,                  -- argon2id over a keyed digest
    key_version smallint not null,
    set_time    timestamptz not null
);

-- A holder who has shown who they are, at one terminal and for minutes.
create table card.holder_session (
    id          bigint generated always as identity primary key,
    token       bytea not null unique,          -- SHA-256 of what the terminal holds
    holder      bigint references card.holder,  -- null: somebody who is not registered yet
    reading     bytea,                          -- of such a newcomer: the digest of the document that was read
    way         smallint not null check (way between 1 and 3),      -- services.card.domain.holder_session.Way
    card        bigint references card.card,    -- with which it was opened
    terminal    text not null,                  -- subject and serial of the certificate that it is bound to
    serial      text not null,
    outlet      text not null,                  -- where that terminal stands; empty for one that stands nowhere
    begin_time  timestamptz not null,
    expire_time timestamptz not null,
    end_time    timestamptz,                    -- null: open, until it expires
    ended_by    smallint check (ended_by between 1 and 2),          -- services.card.domain.holder_session.SessionEnding
    constraint somebody_is_known check ((holder is null) = (reading is not null)),
    constraint ended_ones_say_how check ((end_time is null) = (ended_by is null))
);
create index session_by_holder on card.holder_session (holder);
create index open_session_by_card on card.holder_session (card) where end_time is null;
"""

RIGHTS = """
grant select, insert on card.pin, card.holder_session to onecard_card;
grant update (pin, key_version, set_time) on card.pin to onecard_card;
grant update (end_time, ended_by) on card.holder_session to onecard_card;
grant delete on card.holder_session to onecard_card;
"""


def upgrade() -> None:
    """What a holder shows, and for how long that counts."""
    for script in (HOLDERS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
