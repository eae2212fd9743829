"""Electronic cards.

Revision ID: 0017
"""

from alembic import op

from services.common.migrations import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CARDS = """
-- An electronic card goes with one card, so it stands on its row: one to one by shape.
alter table card.card
    add column electronic smallint not null default 0,              -- services.card.domain.card.ElectronicLevel
    add column electronic_locked boolean not null default false,
    add column electronic_outlives_loss boolean not null default false,
    add constraint electronic_ends_with_its_card check (social not in (0, 9) or electronic = 0),
    add constraint outlives_a_loss_alone check (social = 4 or not electronic_outlives_loss);
-- What it could be used for after each verb: services.card.domain.electronic.ElectronicUse.
alter table card.transition add column electronic_use smallint not null default 1;

create table card.electronic_password (
    card        bigint primary key references card.card,
    password    text not null,                  -- argon2id over a keyed digest
    key_version smallint not null,
    failures    smallint not null default 0,    -- in a row, counted before the password is looked at
    set_time    timestamptz not null
);
"""

TOKENS = """
-- Tokens that were shown at windows. Each is here once, whatever Redis remembers.
create table card.spent_token (
    token       bytea primary key check (length(token) = 32),       -- SHA-256 of its text
    expire_time timestamptz not null
);
create index spent_token_by_expire_time on card.spent_token (expire_time);
"""

RIGHTS = """
grant update (electronic, electronic_locked, electronic_outlives_loss) on card.card to onecard_card;
grant select, insert, delete on card.electronic_password, card.spent_token to onecard_card;
grant update (card, password, key_version, failures, set_time) on card.electronic_password to onecard_card;
"""


def upgrade() -> None:
    """What is held without a hand."""
    for script in (CARDS, TOKENS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
