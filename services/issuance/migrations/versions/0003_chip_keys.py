"""Which versions of the roots a chip's keys are made of; what the vault may see.

Revision ID: 0003
"""

from alembic import op

from services.common.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHIP_KEYS = """
-- Written by the vault before it computes the first cryptogram for a chip, and never changed: roots may be renewed meanwhile.
create table issuance.chip_key (
    serial      text primary key references issuance.blank,
    versions    jsonb not null,                 -- of the roots, by their labels
    create_time timestamptz not null default now()
);
create trigger never before update or delete or truncate on issuance.chip_key
    for each statement execute function issuance.never();

grant select on issuance.chip_key to onecard_issuance, onecard_issuance_vault;
grant insert (serial, versions) on issuance.chip_key to onecard_issuance_vault;
grant select (staff, terminal) on issuance.record to onecard_issuance_vault;
grant select (id, act, detail, requested_by, terminal, state, expire_time) on issuance.countersignature
    to onecard_issuance_vault;
"""


def upgrade() -> None:
    """What is on a chip is known for as long as it lives."""
    run_script(op.get_bind(), CHIP_KEYS)


def downgrade() -> None:
    """Nobody could say any more which keys a chip has."""
    raise NotImplementedError("restore a backup instead")
