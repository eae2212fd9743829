"""Online operations and their payments, purses bound to a purpose, rights of callers.

Revision ID: 0002
"""

from alembic import op

from services.common.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACCOUNTS = """
alter table payments.account
    add column credits_pending_fen bigint not null default 0 check (credits_pending_fen >= 0),
    add column owner bigint,                -- of a purse: the holder's account, under whose lock it is
    add column purpose text,                -- of a purse: what it pays for
    add column void_after timestamptz,      -- of a purse: from then on it pays no more
    add column fund_account bigint,         -- of a purse: where its money goes when it is void
    add column purses int not null default 0 check (purses >= 0),   -- of a holder: how many; none is the ordinary case
    drop constraint holders_are_numbered_apart,
    add constraint holders_are_numbered_apart check ((kind in (1, 6)) = (id >= 4294967296)),
    add constraint purses_are_numbered_apart check ((kind = 6) = (id >= 1152921504606846976)),
    drop constraint holders_are_guarded,
    add constraint holders_are_guarded check (kind not in (1, 6) or guarded),
    add constraint purses_have_terms check (
        (kind = 6) = (owner is not null) and (kind = 6) = (purpose is not null) and (kind = 6) = (fund_account is not null));
create sequence payments.purse_id minvalue 1152921504606846976;
create index account_by_owner on payments.account (owner) where owner is not null;
create index purse_by_void_after on payments.account (void_after) where void_after is not null;
alter table payments.accrual add column credits_pending_fen bigint not null default 0;  -- falls when a hold ends
"""

JOURNAL = """
alter table payments.batch add column operations int not null default 0;

-- One row a decided online operation: what a verdict is to a tap. Never partitioned by time, never folded.
create table payments.operation (
    terminal    int not null,
    request_id  text collate "C" not null check (length(request_id) between 1 and 96),
    batch       bigint not null,
    row         int not null,
    kind        smallint not null,      -- services.payments.domain.operation.Kind
    outcome     smallint not null check (outcome in (1, 2)),        -- 1 approved, 2 declined
    reason      smallint not null check ((outcome = 2) = (reason > 0)),
    amount_fen  bigint not null check (amount_fen >= 0),
    moved_fen   bigint not null check (moved_fen >= 0),             -- the sum of its transfers
    account_id  bigint not null,        -- whose it is; 0: nobody's
    payment     uuid,                   -- made or changed by it
    body_digest bytea not null check (length(body_digest) = 32),
    body        bytea not null,         -- what was asked, so that it can be decided again from the journal alone
    primary key (terminal, request_id)
);
create index operation_by_place on payments.operation (batch, row);

-- Payments as they stand; changed only under the lock of their account. Parts are purses, in the order in which they pay.
create table payments.payment (
    id                 uuid primary key,    -- time-ordered, made of its Authorize's batch and row
    terminal           int not null,
    merchant           text not null,
    scene              smallint not null,
    request_id         text collate "C" not null,
    account_id         bigint not null,
    payee              bigint not null,
    one_step           boolean not null,
    status             smallint not null check (status in (1, 2, 3, 4)),    -- 1 held, 2 captured, 3 voided, 4 expired
    amount_fen         bigint not null check (amount_fen > 0),
    captured_total_fen bigint not null check (captured_total_fen between 0 and amount_fen),
    refunded_total_fen bigint not null check (refunded_total_fen between 0 and captured_total_fen),
    part_accounts      bigint[] not null,
    held_fen           bigint[] not null,
    captured_fen       bigint[] not null,
    refunded_fen       bigint[] not null,
    create_time        timestamptz not null,
    expire_time        timestamptz not null
);
create index payment_to_expire on payments.payment (expire_time) where status = 1;

create function payments.keep_final_payments() returns trigger language plpgsql as $$
begin
    if old.status <> 1 and new.status <> old.status then
        raise check_violation using message = 'a payment that has ended stays as it ended';
    end if;
    return new;
end $$;
create trigger final_payments_stay before update of status on payments.payment
    for each row execute function payments.keep_final_payments();
"""

TRANSFERS = """
-- A transfer between two holders, or to a purse, stands under the one that pays; this finds it for the other.
create index transfer_by_other_account on payments.transfer (credit_account, id)
    where credit_account >= 4294967296 and credit_account <> account_id;
"""

CALLERS = """
-- What a caller may do beyond its own payments. Given and taken by the owner's commands alone.
create table payments.caller_right (
    terminal    int not null references payments.terminal,
    caller_right text not null check (caller_right in ('back_office', 'overdraft')),
    create_time timestamptz not null default now(),
    primary key (terminal, caller_right)
);
-- Certificates that are refused although they have not run out. Serials in hexadecimal digits, lower case.
create table payments.revoked_certificate (
    serial      text primary key check (serial ~ '^[0-9a-f]+$'),
    reason      text not null default '',
    create_time timestamptz not null default now()
);
"""

RIGHTS = """
grant usage on all sequences in schema payments to onecard_payments;
grant select on payments.operation, payments.payment, payments.caller_right, payments.revoked_certificate to onecard_payments;
grant insert on payments.operation, payments.payment to onecard_payments;
grant update (status, captured_total_fen, refunded_total_fen, captured_fen, refunded_fen) on payments.payment
    to onecard_payments;
"""


def upgrade() -> None:
    """Adds only: what runs on the first release's tables goes on running."""
    for script in (ACCOUNTS, JOURNAL, TRANSFERS, CALLERS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """Its tables hold people's money."""
    raise NotImplementedError("payments cannot be taken back; restore a backup instead")
