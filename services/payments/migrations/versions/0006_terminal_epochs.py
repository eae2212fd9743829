"""Epochs of terminals' keys.

Revision ID: 0006
"""

from alembic import op

from services.common.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

EPOCHS = """
-- Their keys are nowhere in the database: each is made of the root in the vault and its number.
create table payments.terminal_epoch (
    epoch        int primary key check (epoch > 0),
    root_version int not null check (root_version > 0),         -- of the root in the vault
    valid_from   timestamptz not null,                          -- terminals sign with it from then on
    retired_time timestamptz                                    -- what is signed with it has no verdict since then
);
insert into payments.terminal_epoch (epoch, root_version, valid_from) values (1, 1, 'epoch');
grant select on payments.terminal_epoch to onecard_payments;
"""


def upgrade() -> None:
    """The first epoch is as old as terminals are."""
    run_script(op.get_bind(), EPOCHS)


def downgrade() -> None:
    """Which epochs were retired would be forgotten, and what was signed with them would count again."""
    raise NotImplementedError("restore a backup instead")
