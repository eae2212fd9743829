"""Fees on their way to the ledger, and what is left on an account whose card was cancelled.

Revision ID: 0007
"""

from alembic import op

from services.common.migrations import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MONEY = """
drop index card.fee_to_do;
create index fee_to_do on card.fee (application) where state in (1, 2);   -- services.card.domain.fee.FeeState: to take, taken
alter table card.fee drop column payment_request;                         -- it follows from application and move

-- What is left when a card was cancelled: paid out until nothing is left and nothing is held.
create table card.remainder (
    card        bigint primary key references card.card,
    holder      bigint not null references card.holder,
    pay_to      smallint not null,              -- services.card.domain.remainder.PayTo
    terminal    text not null,                  -- whose cash it is paid from
    attempt     int not null default 1,         -- the one that is being posted, or will be next
    amount_fen  bigint check (amount_fen > 0),  -- of that attempt; null: not decided yet
    paid_fen    bigint not null default 0,
    done        boolean not null default false,
    next_time   timestamptz not null default now(),
    create_time timestamptz not null default now()
);
create index remainder_to_do on card.remainder (next_time) where not done;
grant select, insert on card.remainder to onecard_card;
grant update (attempt, amount_fen, paid_fen, done, next_time) on card.remainder to onecard_card;
"""


def upgrade() -> None:
    """Money at the counter."""
    run_script(op.get_bind(), MONEY)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
