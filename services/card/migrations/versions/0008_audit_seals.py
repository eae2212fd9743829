"""Seals of the audit.

Revision ID: 0008
"""

from alembic import op

from services.common.migrations import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEALS = """
-- One link of the chain over the audit: docs/decisions/0019-audit-seals.md.
create table card.audit_seal (
    number      bigint primary key check (number > 0),
    rows        int not null,
    last_row    bigint not null,
    head        bytea not null,                 -- keyed, by a key that is not in the database
    key_version smallint not null,
    at          timestamptz not null,
    sent_time   timestamptz                     -- published to audit.seals
);
create index audit_seal_unsent on card.audit_seal (number) where sent_time is null;

-- Which seal a row of the audit is in, and its digest, which stays when the row is taken away after its time.
create table card.audit_sealed (
    audit  bigint primary key,
    seal   bigint not null references card.audit_seal,
    digest bytea not null
);
create index audit_sealed_by_seal on card.audit_sealed (seal, audit);

-- Up to which seal rows were taken away because their time was over; written by the owner of the database.
create table card.audit_retired (
    up_to_seal bigint primary key references card.audit_seal,
    rows       bigint not null,
    at         timestamptz not null default now()
);

grant select, insert on card.audit_seal, card.audit_sealed to onecard_card;
grant update (sent_time) on card.audit_seal to onecard_card;
grant select on card.audit_retired to onecard_card;
"""


def upgrade() -> None:
    """A chain that shows what was changed."""
    run_script(op.get_bind(), SEALS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
