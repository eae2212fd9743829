"""Blanks: boxes, places, an append-only ledger that alone moves them; second signatures, shifts, requests, the audit.

Revision ID: 0001
"""

from alembic import op

from services.common.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BLANKS = """
-- DEPOT, TRANSIT, HOLDER, DESTROYED, MISSING, or a terminal by the subject of its certificate: a window, or a kit.
create table issuance.place (
    name        text primary key check (name ~ '^([A-Z]+|onecard://.+)$'),
    outlet      text not null default '',
    period      int not null default 1,         -- from one close of its shift to the next
    opening     int not null default 0,         -- blanks on hand when the period began
    create_time timestamptz not null default now()
);
insert into issuance.place (name) values ('DEPOT'), ('TRANSIT'), ('HOLDER'), ('DESTROYED'), ('MISSING');

-- As the supplier's delivery file names it.
create table issuance.box (
    name         text primary key,
    product      text not null,
    supplier     text not null,
    count        int not null check (count > 0),
    file_digest  bytea not null,                -- SHA-256
    receive_time timestamptz not null default now()
);

create table issuance.blank (
    serial          text primary key check (serial ~ '^[0-9A-Z-]{1,32}$'),
    card_identifier text not null unique check (card_identifier ~ '^[0-9A-F]{32}$'),
    product         text not null,
    box             text not null references issuance.box,
    state           smallint not null default 0 check (state between 0 and 14), -- services.issuance.domain.blank.BlankState
    place           text not null default 'DEPOT' references issuance.place,
    destination     text references issuance.place,     -- where it goes, in transfer
    before          smallint,                   -- in transfer: what it was before
    record          bigint,                     -- the issuance record that it is made for, or was last
    epoch           int not null default 0,     -- under which that record was taken
    application     bigint,
    barred          boolean not null default false,     -- the vault gives nothing for it
    attempts        int not null default 0,
    constraint each_state_has_its_place check (case
        when state in (0, 1, 2, 10, 13) then place = 'DEPOT'
        when state between 3 and 7 then place like 'onecard://%'
        when state = 8 then place = 'HOLDER'
        when state = 9 then place = 'DEPOT' or place like 'onecard://%'
        when state = 11 then place = 'DESTROYED'
        when state = 12 then place = 'TRANSIT'
        else place = 'MISSING' end),
    constraint what_is_in_transfer_goes_somewhere check (
        (state = 12) = (destination is not null) and (state = 12) = (before is not null)),
    constraint what_is_begun_has_a_record check (state not between 4 and 8 or (record > 0 and epoch > 0 and application > 0))
) with (fillfactor = 80);
create index blank_by_place on issuance.blank (place, state, product);
create index blank_by_record on issuance.blank (record) where record is not null;

-- The bank account that the supplier's bank has opened for a blank; sealed, and forgotten when the card is handed over.
create table issuance.blank_account (
    serial      text primary key references issuance.blank,
    sealed      bytea not null,
    key_version smallint not null
);
"""

LEDGER = """
-- What may be done, from where to where: services.issuance.domain.blank.TABLE, which a test holds against this.
create table issuance.blank_rule (
    verb       smallint not null,
    from_state smallint not null,
    to_state   smallint not null,
    signatures smallint not null,
    barred     boolean not null,                -- also for a blank that is barred
    goes       boolean not null,                -- to another place
    primary key (verb, from_state, to_state)
);
insert into issuance.blank_rule (verb, from_state, to_state, signatures, barred, goes)
select verb, f, case verb when 18 then f when 19 then f else t end, signatures, barred, goes
from (values
    (1, '{0}'::int[], 1, 1, false, false),                              -- RECEIVE
    (2, '{1}', 2, 1, false, false),                                     -- BOX
    (3, '{2, 13}', 3, 1, false, true),                                  -- ASSIGN
    (4, '{3}', 4, 1, false, false),                                     -- RESERVE
    (5, '{4}', 3, 1, true, false),                                      -- RELEASE
    (6, '{4}', 5, 1, false, false),                                     -- BEGIN
    (7, '{5}', 6, 1, false, false),                                     -- VERIFY
    (8, '{6}', 7, 1, false, false),                                     -- PRINT
    (9, '{7}', 8, 1, false, true),                                      -- HAND_OVER
    (10, '{2, 3, 4, 5, 6, 7, 13}', 9, 1, true, false),                  -- SPOIL
    (11, '{9}', 10, 1, true, true),                                     -- RETURN
    (12, '{3}', 13, 1, false, true),                                    -- RETURN_UNUSED
    (13, '{10}', 11, 2, true, true),                                    -- DESTROY
    (14, '{3, 4, 5, 6, 7}', 12, 1, false, true),                        -- TRANSFER
    (15, '{12}', 3, 1, false, true),                                    -- ARRIVE, as what it was before
    (15, '{12}', 4, 1, false, true),
    (15, '{12}', 5, 1, false, true),
    (15, '{12}', 6, 1, false, true),
    (15, '{12}', 7, 1, false, true),
    (15, '{12}', 13, 1, false, true),                                   -- at the depot
    (16, '{2, 3, 4, 5, 6, 7, 9, 10, 12, 13}', 14, 2, true, true),       -- MISS
    (17, '{14}', 10, 2, true, true),                                    -- FIND
    (18, '{4, 5, 6, 7}', 0, 1, false, false),                           -- RESUME, as it is
    (19, '{3, 4, 5, 6}', 0, 1, false, false)                            -- BAR, as it is
) as rules (verb, states, t, signatures, barred, goes), unnest(states) as f;

-- What happened to a blank. Adding a row is the only way in which a blank moves; no row is ever changed.
create sequence issuance.blank_entry_id;
create table issuance.blank_entry (
    id           bigint primary key default 0,  -- given under the blank's lock: a blank's rows are in their order
    serial       text not null references issuance.blank,
    verb         smallint not null,             -- services.issuance.domain.blank.Verb
    from_state   smallint not null,
    to_state     smallint not null,
    from_place   text not null,
    to_place     text not null,
    destination  text,                          -- of a transfer
    record       bigint,
    epoch        int not null default 0,
    application  bigint,                        -- of a reservation
    staff        bigint,                        -- null: nobody, a rule or the clock did it
    second_staff bigint,
    shift        bigint,
    terminal     text not null default '',
    period       int,                           -- of the shift at the one terminal concerned
    reason       text not null default '',
    incident     text not null default '',
    at           timestamptz not null default clock_timestamp(),
    constraint nobody_signs_twice check (second_staff <> staff)
);
create index blank_entry_by_serial on issuance.blank_entry (serial, id);
create index blank_entry_by_from on issuance.blank_entry (from_place, period) where from_place like 'onecard://%';
create index blank_entry_by_to on issuance.blank_entry (to_place, period) where to_place like 'onecard://%';

create function issuance.move_blank() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    b issuance.blank;
    r issuance.blank_rule;
    spoiled issuance.blank_entry;
begin
    select * into b from issuance.blank where serial = new.serial for no key update;
    select * into r from issuance.blank_rule
    where verb = new.verb and from_state = new.from_state and to_state = new.to_state;
    if r.verb is null or (not r.goes and new.to_place <> new.from_place) then
        raise exception 'blank %: % from % to % is not in the table', new.serial, new.verb, new.from_state, new.to_state
            using errcode = 'integrity_constraint_violation';
    end if;
    if new.verb = 4 and (new.record is null or new.epoch < 1 or new.application is null) then
        raise exception 'blank %: reserved for nothing', new.serial using errcode = 'integrity_constraint_violation';
    end if;
    -- Who decided this has seen the blank as it was a moment ago: they begin again.
    if b.serial is null or b.state <> new.from_state or b.place <> new.from_place or (b.barred and not r.barred)
        or (new.verb <> 4 and (new.record is distinct from b.record or new.epoch < b.epoch)) then
        raise exception 'blank %: it has moved meanwhile, or another epoch has it', new.serial
            using errcode = 'serialization_failure';
    end if;
    if r.signatures > 1 and (new.staff is null or new.second_staff is null) then
        raise exception 'blank %: a second signature is wanted', new.serial using errcode = 'integrity_constraint_violation';
    end if;
    if new.verb = 11 then
        select * into spoiled from issuance.blank_entry where serial = new.serial and verb = 10 order by id desc limit 1;
        if spoiled.second_staff is null and new.second_staff is null
            and (new.staff is null or new.staff is not distinct from spoiled.staff) then
            raise exception 'blank %: nobody else has signed that it is spoiled', new.serial
                using errcode = 'integrity_constraint_violation';
        end if;
    end if;
    if new.verb = 15 and (new.to_place <> b.destination
        or new.to_state <> case b.destination when 'DEPOT' then 13 else b.before end) then
        raise exception 'blank %: it goes elsewhere', new.serial using errcode = 'integrity_constraint_violation';
    end if;
    select period into new.period from issuance.place
    where name like 'onecard://%' and name in (new.from_place, new.to_place) for share;
    new.id = nextval('issuance.blank_entry_id');
    update issuance.blank set
        state = new.to_state,
        place = new.to_place,
        destination = case new.verb when 14 then new.destination end,
        before = case new.verb when 14 then new.from_state end,
        record = case new.verb when 5 then null else new.record end,
        epoch = case new.verb when 5 then 0 else new.epoch end,
        application = case new.verb when 4 then new.application when 5 then null else application end,
        barred = barred or new.verb in (16, 19),
        attempts = attempts + (new.verb in (4, 18))::int
    where serial = new.serial;
    return new;
end $$;
create trigger move_blank before insert on issuance.blank_entry for each row execute function issuance.move_blank();

create function issuance.never() returns trigger language plpgsql as $$
begin
    raise exception '% is added to, and never changed', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
create trigger never before update or delete or truncate on issuance.blank_entry
    for each statement execute function issuance.never();
"""

SIGNATURES = """
-- A second person's word on one exact request, good for one use.
create table issuance.countersignature (
    id              bigint generated always as identity primary key,
    act             text not null,              -- SPOIL_BLANK, REPORT_MISSING, UPDATE_CARD, CLOSE_SHIFT, …
    digest          bytea not null,             -- over method and request
    detail          jsonb not null,             -- for the second person's eyes: words and numbers, nothing personal
    requested_by    bigint not null,
    requested_shift bigint not null,
    terminal        text not null,
    outlet          text not null,
    state           smallint not null default 1 check (state between 1 and 5),
        -- services.issuance.domain.countersignature.SignatureState
    decided_by      bigint,
    decided_shift   bigint,
    reason          text not null default '',   -- of a rejection
    expire_time     timestamptz not null,       -- with the shift of the one or the other, whichever ends first
    create_time     timestamptz not null default now(),
    constraint nobody_countersigns_their_own check (decided_by <> requested_by),
    constraint decided_ones_name_who check (
        num_nulls(decided_by, decided_shift) in (0, 2) and (state not in (2, 3, 4) or decided_by is not null))
);
create unique index one_open_countersignature_a_request on issuance.countersignature (requested_by, digest)
    where state in (1, 2);
create index countersignature_waiting_at on issuance.countersignature (outlet, id) where state = 1;
"""

SHIFTS = """
-- What a clerk counted, stored before the books are shown.
create table issuance.shift_count (
    id          bigint generated always as identity primary key,
    place       text not null references issuance.place,
    period      int not null,
    staff       bigint not null,
    shift       bigint not null,
    unused      int not null check (unused >= 0),
    spoiled     int not null check (spoiled >= 0),
    lying       int not null check (lying >= 0),
    cash_fen    bigint not null check (cash_fen >= 0),
    create_time timestamptz not null default now()
);
create index shift_count_by_place on issuance.shift_count (place, period, id);

-- What the books said to it: a repeated question is answered the same.
create table issuance.shift_books (
    shift_count bigint primary key references issuance.shift_count,
    balance     jsonb not null,
    create_time timestamptz not null default now()
);

-- A shift that was closed. A difference in cash is posted under the row's own number.
create table issuance.shift_close (
    id           bigint generated always as identity primary key,
    shift_count  bigint not null unique references issuance.shift_count,
    place        text not null references issuance.place,
    period       int not null,
    staff        bigint not null,
    second_staff bigint,
    reason       text not null default '',
    cash_difference_fen bigint not null,        -- what was counted minus what should be there
    posted       boolean not null,
    attempt      int not null default 1,
    declined     text not null default '',      -- why payments said no to the attempt before; empty: it was not answered yet
    next_time    timestamptz not null default now(),    -- of the attempt, when the one before was declined
    create_time  timestamptz not null default now(),
    unique (place, period),
    constraint nobody_signs_twice check (second_staff <> staff),
    constraint a_difference_has_two_signatures check (
        cash_difference_fen = 0 or (reason <> '' and second_staff is not null))
);
create index shift_close_to_post on issuance.shift_close (id) where not posted;
"""

REQUESTS = """
-- What was asked under which id, and the answer: a repeat hears the same. No answer that is kept here holds personal data.
create table issuance.request (
    caller      text not null,
    request_id  text not null,
    digest      bytea not null,
    response    bytea not null,
    create_time timestamptz not null default now(),
    primary key (caller, request_id)
);
create index request_by_create_time on issuance.request using brin (create_time);
"""

AUDIT = """
-- Who did what to which blank or record; inserted in the act's own transaction, and by nobody ever changed.
create table issuance.audit (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null,                  -- staff:12, service:…, timer
    shift       bigint,
    terminal    text not null default '',
    act         text not null,
    record      bigint,
    application bigint,
    detail      jsonb not null default '{}'     -- numbers and words of the act; nothing personal
);
create index audit_checks on issuance.audit (record, at) where act = 'card.check';
create trigger never before update or delete or truncate on issuance.audit
    for each statement execute function issuance.never();

-- One link of the chain over the audit: docs/decisions/0019-audit-seals.md.
create table issuance.audit_seal (
    number      bigint primary key check (number > 0),
    rows        int not null,
    last_row    bigint not null,
    head        bytea not null,                 -- keyed, by a key that is not in the database
    key_version smallint not null,
    at          timestamptz not null,
    sent_time   timestamptz                     -- published to audit.seals
);
create index audit_seal_unsent on issuance.audit_seal (number) where sent_time is null;

-- Which seal a row of the audit is in, and its digest.
create table issuance.audit_sealed (
    audit  bigint primary key,
    seal   bigint not null references issuance.audit_seal,
    digest bytea not null
);
create index audit_sealed_by_seal on issuance.audit_sealed (seal, audit);
create trigger never before update or delete or truncate on issuance.audit_sealed
    for each statement execute function issuance.never();
"""

RIGHTS = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'onecard_issuance') then
        create role onecard_issuance nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'onecard_issuance_vault') then
        create role onecard_issuance_vault nologin;
    end if;
end $$;
revoke execute on function issuance.move_blank(), issuance.never() from public;
grant usage on schema issuance to onecard_issuance, onecard_issuance_vault;
grant select on all tables in schema issuance to onecard_issuance;
grant insert (name, outlet) on issuance.place to onecard_issuance;
grant update (outlet, period, opening) on issuance.place to onecard_issuance;
grant insert on issuance.box, issuance.blank_account to onecard_issuance;
grant delete on issuance.blank_account to onecard_issuance;
-- Where a blank is, nobody but the ledger's trigger says.
grant insert (serial, card_identifier, product, box) on issuance.blank to onecard_issuance;
grant insert (serial, verb, from_state, to_state, from_place, to_place, destination, record, epoch, application, staff,
    second_staff, shift, terminal, reason, incident) on issuance.blank_entry to onecard_issuance;
grant insert on issuance.countersignature, issuance.shift_count, issuance.shift_books, issuance.shift_close,
    issuance.request, issuance.audit, issuance.audit_seal, issuance.audit_sealed to onecard_issuance;
grant update (sent_time) on issuance.audit_seal to onecard_issuance;
grant update (state, decided_by, decided_shift, reason, expire_time) on issuance.countersignature to onecard_issuance;
grant update (posted, attempt, declined, next_time) on issuance.shift_close to onecard_issuance;
grant delete on issuance.request to onecard_issuance;
-- The vault sees what a lease needs, and nothing else.
grant select (serial, card_identifier, product, state, record, epoch, application, barred)
    on issuance.blank to onecard_issuance_vault;
"""


def upgrade() -> None:
    """Where every blank is, by its own ledger."""
    for script in (BLANKS, LEDGER, SIGNATURES, SHIFTS, REQUESTS, AUDIT, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
