"""Cash that waits to be handed out.

Revision ID: 0021
"""

from alembic import op

from services.common.migrations import run_script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MONEY = """
alter table card.fee add column return_terminal text;           -- out of whose cash it was given back; null: out of nobody's

-- Of a remainder that is paid in cash: what was taken from the purse waits until somebody hands it out.
alter table card.remainder
    drop column terminal,
    add column handed_fen bigint not null default 0;
update card.remainder set handed_fen = paid_fen where pay_to = 1;
alter table card.remainder add constraint nothing_is_handed_out_twice check (handed_fen <= paid_fen);
create index remainder_to_hand_out on card.remainder (card) where pay_to = 1 and handed_fen < paid_fen;

create sequence card.hand_out_number;
create table card.hand_out (
    id          bigint primary key default nextval('card.hand_out_number'),     -- payments knows it
    card        bigint not null references card.remainder,
    amount_fen  bigint not null check (amount_fen > 0),
    terminal    text not null,                  -- out of whose cash
    posted      boolean not null default false,
    next_time   timestamptz not null default now(),
    create_time timestamptz not null default now()
);
create index hand_out_to_do on card.hand_out (id) where not posted;

grant update (return_terminal) on card.fee to onecard_card;
grant update (handed_fen) on card.remainder to onecard_card;
grant usage on sequence card.hand_out_number to onecard_card;
grant select, insert on card.hand_out to onecard_card;
grant update (posted, next_time) on card.hand_out to onecard_card;
"""


def upgrade() -> None:
    """No till pays where nobody stands."""
    run_script(op.get_bind(), MONEY)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
