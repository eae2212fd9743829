"""Issuance records with their journal, what the card service is owed, and events that wait to be published.

Revision ID: 0002
"""

from alembic import op

from services.common.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RECORDS = """
-- One blank on its way to one application's card.
create table issuance.record (
    id          bigint generated always as identity primary key,
    application bigint not null check (application > 0),
    serial      text not null references issuance.blank,
    epoch       int not null default 1,         -- raised by each stream that takes it
    state       smallint not null default 1 check (state between 1 and 12),
        -- services.issuance.domain.record.RecordState
    stage       smallint not null default 2,    -- services.issuance.domain.stage.Stage: how far it has ever come
    card        bigint not null default 0,      -- of the registry; 0: not known here
    reason      text not null default '',       -- why it was spoiled
    staff       bigint not null,                -- who has taken it last, and where
    shift       bigint not null,
    terminal    text not null,
    outlet      text not null,
    create_time timestamptz not null default now(),
    take_time   timestamptz not null default now(),
    change_time timestamptz not null default now()
) with (fillfactor = 70);
create unique index one_open_record_an_application on issuance.record (application) where state < 10;
create unique index one_open_record_a_blank on issuance.record (serial) where state < 10;
create index record_by_application on issuance.record (application, id);

-- What may follow on what: services.issuance.domain.record.NEXT, which a test holds against this.
create table issuance.record_rule (from_state smallint, to_state smallint, primary key (from_state, to_state));
insert into issuance.record_rule (from_state, to_state)
select f, t from (values (1, '{2, 3, 4, 8, 9, 11, 12}'::int[]), (2, '{3, 4, 9}'), (3, '{4, 9}'), (4, '{3, 5, 9}'),
    (5, '{6, 9, 10, 12}'), (6, '{5, 7, 10}'), (7, '{10}'), (8, '{11, 12}'), (9, '{12}')) as rules (f, states),
    unnest(states) as t;

create function issuance.keep_record() returns trigger language plpgsql set search_path = '' as $$
begin
    if new.id <> old.id or new.application <> old.application or new.serial <> old.serial or new.epoch < old.epoch
        or new.epoch > old.epoch + 1 or new.stage < old.stage then
        raise exception 'record %: it stays what it is', old.id using errcode = 'integrity_constraint_violation';
    end if;
    if new.state <> old.state and not exists (
        select from issuance.record_rule where from_state = old.state and to_state = new.state) then
        raise exception 'record %: % to % is not in the table', old.id, old.state, new.state
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger keep_record before update on issuance.record for each row execute function issuance.keep_record();
"""

JOURNAL = """
-- Each run of commands that changes a card stands here before a byte of it is released. Never its data.
create table issuance.journal (
    record     bigint not null references issuance.record,
    epoch      int not null,
    step       int not null,
    class      smallint not null check (class between 1 and 3), -- services.issuance.domain.journal.NoteClass
    kind       text not null,                   -- services.issuance.domain.effects.ChangeKind
    address    int not null,
    generation smallint not null default 0,     -- of the key that is tried
    digest     bytea not null,                  -- HMAC of the SM3 of the commands, by the service's own vault
    outcome    smallint not null default 0,     -- services.issuance.domain.effects.Outcome
    at         timestamptz not null default clock_timestamp(),
    primary key (record, epoch, step, class)
);

create function issuance.fence_journal() returns trigger language plpgsql set search_path = '' as $$
declare
    present int;
begin
    select epoch into present from issuance.record where id = new.record;
    if present is distinct from new.epoch and not (new.class = 3 and new.epoch < present) then
        raise exception 'record %: epoch % has it, not %', new.record, present, new.epoch
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger fence_journal before insert on issuance.journal for each row execute function issuance.fence_journal();
create trigger never before update or delete or truncate on issuance.journal
    for each statement execute function issuance.never();
"""

OWED = """
-- What the card service has to be told, until it has answered.
create table issuance.owed (
    id          bigint generated always as identity primary key,
    record      bigint not null references issuance.record,
    what        smallint not null check (what between 1 and 3), -- services.issuance.domain.record.Debt
    sealed      bytea,                          -- of a completion: who took it, as they were seen; forgotten when it is told
    key_version smallint not null default 0,
    staff       bigint not null,
    shift       bigint not null,
    terminal    text not null,
    outlet      text not null,
    due_time    timestamptz not null,           -- until then the stream tells it
    done_time   timestamptz,
    answer      text not null default '',       -- why not, when it said no
    create_time timestamptz not null default now()
);
create unique index owed_once on issuance.owed (record, what) where done_time is null;
create index owed_due on issuance.owed (due_time) where done_time is null;

-- What became of cards, until it is published.
create table issuance.outbox (
    id          bigint generated always as identity primary key,
    record      bigint not null references issuance.record,
    epoch       int not null,
    stage       smallint not null,
    outcome     smallint not null,              -- onecard.issuance.v1.IssueOutcome
    place       text not null,
    at          timestamptz not null default clock_timestamp(),
    sent_time   timestamptz
);
create index outbox_unsent on issuance.outbox (id) where sent_time is null;
"""

RIGHTS = """
revoke execute on function issuance.keep_record(), issuance.fence_journal() from public;
grant select on issuance.record, issuance.record_rule, issuance.journal, issuance.owed, issuance.outbox to onecard_issuance;
grant insert (application, serial, staff, shift, terminal, outlet) on issuance.record to onecard_issuance;
grant update (epoch, state, stage, card, reason, staff, shift, terminal, outlet, take_time, change_time)
    on issuance.record to onecard_issuance;
grant insert (record, epoch, step, class, kind, address, generation, digest, outcome) on issuance.journal to onecard_issuance;
grant insert (record, what, sealed, key_version, staff, shift, terminal, outlet, due_time)
    on issuance.owed to onecard_issuance;
grant update (due_time, done_time, answer, sealed) on issuance.owed to onecard_issuance;
grant insert (record, epoch, stage, outcome, place) on issuance.outbox to onecard_issuance;
grant update (sent_time) on issuance.outbox to onecard_issuance;
-- The vault sees which stream has a record.
grant select (id, epoch, state, application, serial) on issuance.record to onecard_issuance_vault;
"""


def upgrade() -> None:
    """Cards on their way, each taken by one stream at a time."""
    for script in (RECORDS, JOURNAL, OWED, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
