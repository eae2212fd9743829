"""The ledger in its lasting shape: accounts, cards, verdicts, transfers, batches, and what hangs on them.

Revision ID: 0001
"""

from alembic import op

from services.common.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

REGISTRY = """
create table payments.merchant (
    id              int generated always as identity primary key,
    merchant_id     text not null unique check (merchant_id <> ''),
    scene           smallint not null,                    -- services.payments.domain.tap.Scene
    payable_account bigint not null,
    retired_time    timestamptz
);
create table payments.terminal (
    id           int generated always as identity primary key,  -- stands for (merchant, terminal) in every ledger row
    merchant     int not null references payments.merchant,
    terminal_id  text not null check (terminal_id <> ''),
    retired_time timestamptz,
    unique (merchant, terminal_id)
);
"""

ACCOUNTS = """
create table payments.account (
    id                 bigint primary key,     -- from 4294967296 on: holders' accounts, numbered by the card service
    kind               smallint not null,      -- services.payments.domain.account.AccountKind
    name               text unique,            -- back-office accounts only
    currency           smallint not null default 156,   -- ISO 4217 numeric, 156 = CNY
    guarded            boolean not null,       -- never below minus its overdraft, and changed only under its lock
    overdraft_fen      bigint not null default 0 check (overdraft_fen >= 0),
    debits_posted_fen  bigint not null default 0 check (debits_posted_fen >= 0),
    credits_posted_fen bigint not null default 0 check (credits_posted_fen >= 0),
    debits_pending_fen bigint not null default 0 check (debits_pending_fen >= 0),
    status             smallint not null default 1,     -- 1 open, 2 frozen, 3 closed
    version            bigint not null default 0,       -- raised by every writer
    usage              json,                   -- what tariffs count about the holder; null while none of them needs it
    cards              json not null default '[]',      -- the projected states of the cards that point here
    create_time        timestamptz not null default now(),
    constraint guarded_account_stays_covered check (
        not guarded or credits_posted_fen - debits_posted_fen - debits_pending_fen + overdraft_fen >= 0),
    constraint holders_are_numbered_apart check ((kind = 1) = (id >= 4294967296)),
    constraint holders_are_guarded check (kind <> 1 or guarded)
) with (fillfactor = 80);
create sequence payments.back_office_account_id minvalue 1000 maxvalue 4294967295;
insert into payments.account (id, kind, name, guarded) values
    (1, 5, 'bank_settlement', false),       -- money that the bank brings or takes
    (2, 3, 'concession_fund', false),       -- pays what riders with a concession do not
    (3, 4, 'hotlist_losses', false);        -- pays taps of lost cards until the hotlist takes effect

-- Card to account: immutable, so it is read without a lock.
create table payments.card (
    card_identifier text primary key,
    account_id      bigint not null,
    create_time     timestamptz not null default now()
);
create index card_by_create_time on payments.card (create_time);
create index card_by_account on payments.card (account_id);

-- How far the projection of card.events has come, a row a partition.
create table payments.card_projection (
    partition       int primary key,
    committed_up_to timestamptz not null
);
"""

JOURNAL = """
create sequence payments.batch_number;

-- One row a posting transaction. (number, row) is the order of the journal.
create table payments.batch (
    number      bigint primary key,
    now         timestamptz not null,   -- the clock that every decision of the batch was taken with
    verdicts    int not null,
    transfers   int not null,
    digest      bytea not null,         -- HMAC-SM3 over the rows of the batch, key outside the database
    key_version smallint not null
);

-- One row a decided transaction, posted or refused: its primary key alone makes an identity unique, for ever.
create table payments.verdict (
    terminal     int not null,
    sequence     bigint not null check (sequence > 0),
    batch        bigint not null,
    row          int not null,
    outcome      smallint not null check (outcome in (1, 2)),        -- 1 posted, 2 refused
    reason       smallint not null check ((outcome = 2) = (reason > 0)),
    fare_fen     bigint not null check (fare_fen >= 0),
    charged_fen  bigint not null check (charged_fen between 0 and fare_fen),
    account_id   bigint not null,
    event_time   timestamptz not null,
    body_digest  bytea not null check (length(body_digest) = 32),
    primary key (terminal, sequence)
);
create index verdict_by_batch on payments.verdict using brin (batch) with (autosummarize = on);

-- Double entry: one row takes an amount from one account and gives it to another, so no row can be out of balance.
create table payments.transfer (
    id             uuid not null,       -- time-ordered, made of batch, row and leg
    batch          bigint not null,
    row            int not null,
    leg            smallint not null,
    code           smallint not null,   -- services.payments.domain.transfer.Code
    debit_account  bigint not null,
    credit_account bigint not null,
    amount_fen     bigint not null check (amount_fen > 0),
    currency       smallint not null,
    account_id     bigint not null,     -- the holder's account whose event this belongs to
    terminal       int not null,
    sequence       bigint not null,
    event_time     timestamptz not null,
    service_date   date not null,
    posting_date   date not null,
    primary key (id),
    constraint two_sides check (debit_account <> credit_account)
) partition by range (id);
create index transfer_by_account on payments.transfer (account_id, id);

-- Legs on accounts that are not updated a batch at a time (merchants, funds), until the roll-up adds them up.
create table payments.accrual (
    account_id  bigint not null,
    debits_fen  bigint not null,
    credits_fen bigint not null
);

create function payments.first_transfer_id(at timestamptz) returns uuid language sql immutable parallel safe as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Monthly partitions (UTC) from this month to `months` ahead. Owned by the migration role, callable by the application.
create function payments.make_transfer_partitions(months int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    start timestamp := date_trunc('month', now() at time zone 'UTC');
    made int := 0;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('payments.make_transfer_partitions'));
    for i in 0..months loop
        name := 'transfer_' || to_char(start + make_interval(months => i), 'YYYY_MM');
        if to_regclass('payments.' || name) is null then
            execute format('create table payments.%I partition of payments.transfer for values from (%L) to (%L)', name,
                payments.first_transfer_id((start + make_interval(months => i)) at time zone 'UTC'),
                payments.first_transfer_id((start + make_interval(months => i + 1)) at time zone 'UTC'));
            made := made + 1;
        end if;
    end loop;
    return made;
end $$;
"""

ROADSIDE = """
-- Records without a verdict, as the very bytes received. A replay that decides one sets resolved_time with the verdict.
create table payments.dead_letter (
    topic           text not null,
    partition       int not null,
    "offset"        bigint not null,
    append_time_ms  bigint not null,    -- a broker that lost its data counts offsets from zero again
    cause           smallint not null,
    sqlstate        text not null default '',
    merchant_id     text,                   -- with the next three: what could be read of the identity
    terminal_id     text,
    sequence        bigint,
    body_digest     bytea,
    card_identifier text,                   -- for UNKNOWN_CARD: whose arrival decides it
    record          bytea not null,
    create_time     timestamptz not null,
    resolved_time   timestamptz,
    primary key (topic, partition, "offset", append_time_ms)
);
create index dead_letter_waiting_for_card on payments.dead_letter (card_identifier)
    where cause = 7 and resolved_time is null;

-- Messages that no fetch began; the relay sends them in order of id.
create table payments.outbox (
    id          bigint generated always as identity primary key,
    topic       text not null,
    payload     bytea not null,
    create_time timestamptz not null default now()
);
alter table payments.outbox alter column payload set storage external;
alter table payments.dead_letter alter column record set storage external;
"""

RIGHTS = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'onecard_payments') then create role onecard_payments nologin; end if;
end $$;
grant usage on schema payments to onecard_payments;
revoke all on function payments.make_transfer_partitions(int) from public;
grant execute on function payments.make_transfer_partitions(int) to onecard_payments;
grant usage on all sequences in schema payments to onecard_payments;
grant select on all tables in schema payments to onecard_payments;
grant insert on payments.merchant, payments.terminal, payments.account, payments.card, payments.card_projection, payments.batch,
    payments.verdict, payments.transfer, payments.accrual, payments.dead_letter, payments.outbox to onecard_payments;
grant update on payments.account, payments.card_projection to onecard_payments;
grant update (retired_time) on payments.merchant, payments.terminal to onecard_payments;
grant update (cause, resolved_time) on payments.dead_letter to onecard_payments;
grant delete on payments.accrual, payments.outbox, payments.card_projection to onecard_payments;
"""


def upgrade() -> None:
    """Everything of the first release, in the schema that env.py made."""
    for script in (REGISTRY, ACCOUNTS, JOURNAL, ROADSIDE, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release: its tables hold people's money."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
