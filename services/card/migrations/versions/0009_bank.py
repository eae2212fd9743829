"""What is sent to a bank, and what it says.

Revision ID: 0009
"""

from alembic import op

from services.common.migrations import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BANK = """
-- A file that went to a bank: docs/bank-files.md. It is written from its rows, again if a process ended before it was whole.
create sequence card.bank_batch_number;
create table card.bank_batch (
    number      bigint primary key,
    bank        text not null,
    day         date not null,
    rows        int not null,
    write_time  timestamptz,                    -- null: the file is not whole yet
    create_time timestamptz not null default now()
);
create table card.bank_row (
    batch       bigint not null references card.bank_batch,
    row         int not null,
    application bigint not null references card.application,
    holder      bigint not null references card.holder,
    card        bigint references card.card,    -- an instant one, that is there already
    answer      smallint check (answer in (1, 2)),  -- opened, refused; null: none yet
    account     bytea,                          -- sealed
    cause       smallint not null default 0,    -- services.card.domain.bank_cause.BankCause
    answer_time timestamptz,
    primary key (batch, row)
);
-- What the applicant asks the bank for: services.card.domain.bank_file.Product.
alter table card.application add column bank_product smallint not null default 1;
-- Carriers that cannot carry the applicant's name, as bits by services.card.domain.names.Carrier.
alter table card.application add column not_carried smallint not null default 0;
grant update (bank_product, not_carried) on card.application to onecard_card;
create index application_not_carried on card.application (outlet, id) where state = 2 and not_carried > 0;
-- Nobody is sent twice while the bank has not answered.
create unique index bank_row_waiting on card.bank_row (application) where answer is null;
create index bank_row_by_application on card.bank_row (application);

-- Rows of returns that had no effect, for a clerk.
create table card.bank_fault (
    batch bigint not null references card.bank_batch,
    row   int not null,
    fault smallint not null,                    -- services.card.domain.bank_cause.RowFault
    at    timestamptz not null default now(),
    cleared_by   bigint references card.staff,  -- who looked at it with the bank
    cleared_time timestamptz,
    primary key (batch, row, fault)
);
create index bank_fault_open on card.bank_fault (batch, row) where cleared_time is null;

grant usage on sequence card.bank_batch_number to onecard_card;
grant select, insert on card.bank_batch, card.bank_row, card.bank_fault to onecard_card;
grant update (write_time) on card.bank_batch to onecard_card;
grant update (cleared_by, cleared_time) on card.bank_fault to onecard_card;
grant update (answer, account, cause, answer_time) on card.bank_row to onecard_card;
"""


def upgrade() -> None:
    """The bank's files on their way."""
    run_script(op.get_bind(), BANK)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
