"""What people do to dead letters, and the end of those that are never posted.

Revision ID: 0012
"""

from alembic import op

from services.common.migrations import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ACTS = """
-- Who did what to which records, and why. Rows are added and never changed.
create table payments.dead_letter_act (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    kind        smallint not null check (kind between 1 and 4), -- replay, ask for a refusal, approve it, reject it
    actor       text not null,                                  -- the subject of a certificate
    letters     bigint[] not null check (cardinality(letters) > 0),
    reason      text not null,
    asked       bigint references payments.dead_letter_act,     -- of an approval or rejection
    request_id  text not null,
    unique (actor, request_id),
    check ((asked is not null) = (kind in (3, 4)))
);
create unique index dead_letter_act_decided on payments.dead_letter_act (asked) where asked is not null;
create index dead_letter_act_of_letters on payments.dead_letter_act using gin (letters);

create function payments.check_dead_letter_act() returns trigger language plpgsql as $$
begin
    if new.asked is not null and not exists (
        select from payments.dead_letter_act a
        where a.id = new.asked and a.kind = 2 and a.letters = new.letters and (new.kind = 4 or a.actor <> new.actor)) then
        raise 'an approval answers what somebody else has asked for' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger check_dead_letter_act before insert on payments.dead_letter_act
    for each row execute function payments.check_dead_letter_act();
"""

LETTERS = """
-- A number for people, and the approval by which a record has ended. The table is written anew, which locks it: the letters of
-- a year take seconds, and a worker waits.
alter table payments.dead_letter
    add column number bigint generated always as identity,
    add column refusal bigint references payments.dead_letter_act,
    add constraint refused_has_ended check (refusal is null or resolved_time is not null);
create unique index dead_letter_number on payments.dead_letter (number);
create index dead_letter_open on payments.dead_letter (cause, number) where resolved_time is null;
create index dead_letter_refused on payments.dead_letter (body_digest) where refusal is not null;

create function payments.check_dead_letter_end() returns trigger language plpgsql as $$
begin
    if old.refusal is not null then
        raise 'a record that was refused has ended' using errcode = 'check_violation';
    end if;
    if new.refusal is not null and (old.resolved_time is not null
        or not exists (select from payments.dead_letter_act a where a.id = new.refusal and a.kind = 3)) then
        raise 'a record that lies open is refused by an approval' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger check_dead_letter_end before update on payments.dead_letter
    for each row execute function payments.check_dead_letter_end();
"""

RIGHTS = """
alter table payments.caller_right drop constraint caller_right_caller_right_check,
    add constraint caller_right_caller_right_check check (caller_right in ('back_office', 'overdraft', 'operator'));
grant select, insert on payments.dead_letter_act to onecard_payments;
grant update (refusal) on payments.dead_letter to onecard_payments;
"""


def upgrade() -> None:
    """Adds only: what runs on the tables of before goes on running."""
    for script in (ACTS, LETTERS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """Acts of people are never taken back."""
    raise NotImplementedError("what people did is kept; restore a backup instead")
