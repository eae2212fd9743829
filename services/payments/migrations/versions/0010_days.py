"""What a day brought, and what an account had moved when the day began.

Revision ID: 0010
"""

from alembic import op

from services.common.migrations import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DAYS = """
-- Counted with the numbers of terminals, seal by seal. A day is the city's, of the terminal's clock.
create table payments.day_figure (
    day         date not null,
    scene       smallint not null,          -- services.payments.domain.tap.Scene
    posted      bigint not null,
    refused     bigint not null,
    fare_fen    bigint not null,            -- of what was posted, as it was rated first
    charged_fen bigint not null,            -- what holders paid of it
    primary key (day, scene)
);

-- Sums of a merchant's or a fund's account when somebody first looked on that day. Of merchants the days stay whose takings are
-- not wholly paid out, of funds today.
create table payments.day_opening (
    account_id  bigint not null,
    day         date not null,
    debits_fen  bigint not null,
    credits_fen bigint not null,
    primary key (account_id, day)
);
grant select, insert, update on payments.day_figure to onecard_payments;
grant select, insert, delete on payments.day_opening to onecard_payments;
"""


def upgrade() -> None:
    """Days are counted from now on; what was earned before counts to the first of them."""
    run_script(op.get_bind(), DAYS)


def downgrade() -> None:
    """Nothing else depends on what is counted here."""
    op.execute("drop table payments.day_figure, payments.day_opening")
