"""Applications, their timelines, employers' batches, what is told to people.

Revision ID: 0003
"""

from alembic import op

from services.common.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPLICATIONS = """
create sequence card.application_id;
create table card.application (
    id          bigint primary key default nextval('card.application_id'),
    holder      bigint not null references card.holder,
    kind        smallint not null,              -- services.card.domain.application.ApplicationKind
    mode        smallint not null,
    route       smallint not null,
    state       smallint not null,
    outlet      text not null,
    batch       bigint,                         -- an employer's, with the row there
    batch_row   int,
    papers      bytea,                          -- sealed: who acted for the applicant
    card        bigint,                         -- the one that is made for it
    cause       smallint not null default 0,    -- of the last refusal: services.card.domain.refusal.Refusal, or the bank's
    remark      text not null default '',       -- what the clerk said of it; no names
    fee_fen     int not null,
    due_time    timestamptz not null,
    version     int not null default 1,
    create_time timestamptz not null,
    update_time timestamptz not null
) with (fillfactor = 80);
-- Whoever comes second finds the first one here.
create unique index one_open_application on card.application (holder) where state between 1 and 6;
create index application_by_holder on card.application (holder, id);
create index application_by_outlet on card.application (outlet, state, id);
create index application_overdue on card.application (due_time) where state between 1 and 4;
create index application_refused on card.application (update_time) where state = 9;
create index application_for_bank on card.application (id) where state = 2 and mode = 1;

-- The timeline. Rows are added, never changed.
create table card.step (
    application bigint not null references card.application,
    number      int not null,                   -- of this application, from 1
    step        smallint not null,
    state       smallint not null,              -- where it led
    at          timestamptz not null,
    actor       text not null,
    outlet      text not null default '',
    cause       smallint not null default 0,
    primary key (application, number)
);
"""

BATCHES = """
-- An employer's batch: it may be cut off half-way, and goes on under its name where it stopped.
create table card.batch (
    id          bigint generated always as identity primary key,
    caller      text not null,
    name        text not null,                  -- chosen by the employer
    rows        int not null check (rows > 0),  -- as the header says
    digest      bytea not null,                 -- keyed, over the header
    end_time    timestamptz,
    create_time timestamptz not null default now(),
    unique (caller, name)
);
create table card.batch_row (
    batch       bigint not null references card.batch,
    row         int not null,
    digest      bytea not null,                 -- keyed, over the row: another row under this number is told apart
    application bigint,
    refusal     smallint not null default 0,
    detail      text not null default '',       -- which field; never its value
    primary key (batch, row)
);
"""

NOTIFICATIONS = """
-- What is to be told to people. The text is made when it is sent; the row names nobody.
create table card.notification (
    id          bigint generated always as identity primary key,
    holder      bigint not null references card.holder,
    kind        smallint not null,              -- services.card.domain.notification.NotificationKind
    subject     bigint not null,                -- the application or the card that it is about
    due_time    timestamptz not null,
    attempts    smallint not null default 0,
    sent_time   timestamptz,
    give_up_time timestamptz,
    unique (kind, subject, holder)
);
create index notification_due on card.notification (due_time) where sent_time is null and give_up_time is null;
"""

RIGHTS = """
grant usage on sequence card.application_id to onecard_card;
grant select on card.application, card.step, card.batch, card.batch_row, card.notification to onecard_card;
grant insert on card.application, card.step, card.batch, card.batch_row, card.notification to onecard_card;
grant update (holder, kind, mode, route, state, outlet, papers, card, cause, remark, fee_fen, due_time, version, update_time)
    on card.application to onecard_card;
grant update (end_time) on card.batch to onecard_card;
grant update (attempts, due_time, sent_time, give_up_time) on card.notification to onecard_card;
"""


def upgrade() -> None:
    """What is applied for."""
    for script in (APPLICATIONS, BATCHES, NOTIFICATIONS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
