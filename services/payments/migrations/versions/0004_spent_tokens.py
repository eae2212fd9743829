"""Tokens of electronic cards that were used.

Revision ID: 0004
"""

from alembic import op

from services.common.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TOKENS = """
-- A token is used once because its number is here once, written in the transaction of the verdict that spent it.
create table payments.spent_token (
    token       bytea primary key check (length(token) = 32),   -- SHA-256 of its text
    batch       bigint not null,
    expire_time timestamptz not null
);
create index spent_token_by_expire_time on payments.spent_token (expire_time);

-- A token whose time is over is refused for that; a day covers clocks that differ.
create function payments.forget_spent_tokens() returns void
language sql security definer set search_path = pg_catalog as $$
    delete from payments.spent_token where token in (
        select token from payments.spent_token where expire_time < now() - interval '1 day' order by expire_time limit 10000)
$$;
revoke execute on function payments.forget_spent_tokens() from public;
grant execute on function payments.forget_spent_tokens() to onecard_payments;
grant select, insert on payments.spent_token to onecard_payments;
"""


def upgrade() -> None:
    """Tokens in place of cards."""
    run_script(op.get_bind(), TOKENS)


def downgrade() -> None:
    """There is no way back to a ledger that would let a token be used twice."""
    raise NotImplementedError("restore a backup instead")
