"""Seals over the batches, what the auditor has added up, terminal marks, and the way of old partitions out of the journal.

Revision ID: 0003
"""

from alembic import op

from services.common.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEALS = """
-- The chain over the committed batches. A batch belongs to the seal whose range it is in, unless its number was not to be seen
-- then; such a number is among the holes, and if it is committed later, among the late ones of a later seal.
create table payments.seal (
    number      bigint primary key,         -- from 1, without a gap
    first_batch bigint not null,            -- the last one of the seal before, plus 1
    last_batch  bigint not null,
    holes       int8multirange not null,    -- numbers from first to last that were rolled back, or still at work
    late        bigint[] not null,          -- holes of earlier seals that have been committed since
    batches     int not null check (batches > 0),
    head        bytea not null check (length(head) = 32),   -- keyed digest over the head before and the digests of the batches
    key_version smallint not null,
    create_time timestamptz not null
);
create index seal_by_last_batch on payments.seal (last_batch, number);
create index seal_by_create_time on payments.seal (create_time);
create index seal_by_late on payments.seal using gin (late) where late <> '{}';

-- Whoever proves the journal reads it in order of batches.
create index transfer_by_batch on payments.transfer using brin (batch) with (autosummarize = on);

-- Without this a young journal is read as a whole for every part of it: its newest pages are in no summary yet.
create function payments.summarize_journal() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare summary regclass;
begin
    for summary in
        select i.indexrelid::regclass from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam
        where m.amname = 'brin' and c.relkind = 'i' and c.relnamespace = 'payments'::regnamespace
    loop
        perform brin_summarize_new_values(summary);
    end loop;
end $$;

create function payments.is_sealed(batch bigint) returns boolean
language sql stable security definer set search_path = pg_catalog as $$
    select coalesce((select not batch <@ s.holes from payments.seal s where s.last_batch >= batch
                     order by s.last_batch, s.number limit 1), false)
        or exists (select from payments.seal s where s.late <> '{}' and s.late @> array[batch])
$$;
"""

AUDIT = """
-- Sums of the transfers of sealed batches, by account, and how far they have come.
create table payments.audited (
    account_id  bigint primary key,
    debits_fen  bigint not null,
    credits_fen bigint not null
) with (fillfactor = 80);
create table payments.audit (
    only_one boolean primary key default true check (only_one),
    seal     bigint not null default 0,     -- the last one that is in the sums as a whole
    batches  int not null default 0         -- how many batches of the next one are
);
insert into payments.audit default values;
-- The same once more from the first seal on, over and over.
create table payments.audited_again (like payments.audited including all);
create table payments.audit_again (
    only_one boolean primary key default true check (only_one),
    seal     bigint not null default 0,
    batches  int not null default 0,
    detached int not null                   -- partitions that were gone when this began
);
"""

HISTORY = """
-- What went with the partitions that were detached: it is still in the sums of the accounts.
create table payments.carried (
    account_id  bigint primary key,
    debits_fen  bigint not null,
    credits_fen bigint not null
);
create table payments.detached (
    partition   text primary key,
    from_time   timestamptz not null,
    to_time     timestamptz not null,
    transfers   bigint not null,
    create_time timestamptz not null default now()
);

-- "Every sequence up to this one is decided": at or below it nothing posts, so the verdicts there need not be kept.
create table payments.terminal_mark (
    terminal    int primary key references payments.terminal,
    sequence    bigint not null check (sequence > 0),
    create_time timestamptz not null default now()
);
-- From which batches on verdicts may be missing, because they are behind a mark.
create table payments.folded (
    through_batch bigint primary key,
    before        timestamptz not null,     -- all of them were decided before this
    create_time   timestamptz not null default now()
);

create view payments.transfer_partition as
select c.relname::text as name, payments.time_of_id(bound[1]) as from_time, payments.time_of_id(bound[2]) as to_time
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), '\\(''([0-9a-f-]{36})''\\) TO \\(''([0-9a-f-]{36})''\\)')
    as bound
where i.inhparent = 'payments.transfer'::regclass;

-- Takes a partition out of the journal; its table stays, for the archive. Refuses unless it is older than the acceptance
-- horizon and 30 days, and every batch of it is sealed. The sums are made before the lock is taken: nobody adds to an old
-- month.
create function payments.detach_transfer_partition(name text, horizon_days int) returns bigint
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '2s' as $$
declare
    part record;
    unsealed bigint;
    gone bigint;
begin
    select p.from_time, p.to_time into part from payments.transfer_partition p where p.name = detach_transfer_partition.name;
    if not found then
        raise undefined_table using message = format('%s is no partition of the transfers', name);
    end if;
    if horizon_days < 1 or part.to_time > now() - make_interval(days => horizon_days + 30) then
        raise check_violation using message = format(
            '%s reaches to %s: it stays until that is %s days and 30 more behind us', name, part.to_time, horizon_days);
    end if;
    select min(b.number) into unsealed from payments.batch b
    where b.now >= part.from_time and b.now < part.to_time and not payments.is_sealed(b.number);
    if unsealed is not null then
        raise check_violation using message = format('%s holds batch %s, which is not sealed', name, unsealed);
    end if;
    execute format('
        insert into payments.carried as c (account_id, debits_fen, credits_fen)
        select side.account_id, sum(side.debits_fen), sum(side.credits_fen)
        from payments.%I t cross join lateral (values (t.debit_account, t.amount_fen, 0), (t.credit_account, 0, t.amount_fen))
            as side(account_id, debits_fen, credits_fen)
        group by side.account_id
        on conflict (account_id) do update
        set debits_fen = c.debits_fen + excluded.debits_fen, credits_fen = c.credits_fen + excluded.credits_fen', name);
    execute format('select count(*) from payments.%I', name) into gone;
    insert into payments.detached (partition, from_time, to_time, transfers) values (name, part.from_time, part.to_time, gone);
    execute format('alter table payments.transfer detach partition payments.%I', name);
    return gone;
end $$;
"""

TIME_OF_ID = """
create function payments.time_of_id(id text) returns timestamptz language sql immutable parallel safe as $$
    select to_timestamp(('x' || lpad(left(replace(id, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0)
$$;
"""

RIGHTS = """
revoke all on function payments.detach_transfer_partition(text, int) from public;
revoke all on function payments.summarize_journal() from public;
grant execute on function payments.summarize_journal() to onecard_payments;
grant select on payments.seal, payments.audited, payments.audit, payments.carried, payments.detached, payments.terminal_mark,
    payments.folded to onecard_payments;
grant insert on payments.seal, payments.audited to onecard_payments;
grant update on payments.audited, payments.audit to onecard_payments;
grant select, insert, update, truncate on payments.audited_again, payments.audit_again to onecard_payments;
"""


def upgrade() -> None:
    """Adds only; the elected sealer begins with the first batch."""
    for script in (SEALS, AUDIT, TIME_OF_ID, HISTORY, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """What was sealed stays sealed."""
    raise NotImplementedError("seals cannot be taken back; restore a backup instead")
