"""Consents.

Revision ID: 0013
"""

from alembic import op

from services.common.migrations import run_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CONSENTS = """
-- What people consented to, or do no more. Rows are added, never changed; the newest of a kind counts.
create table card.consent (
    id       bigint generated always as identity primary key,
    holder   bigint not null references card.holder,
    kind     smallint not null check (kind between 1 and 3),   -- services.card.domain.consent.ConsentKind
    given    boolean not null,
    papers   bytea,                             -- sealed: the guardian who said it; null: the holder
    actor    text not null,                     -- who wrote it down
    outlet   text not null,
    at       timestamptz not null
);
create index consent_by_holder on card.consent (holder, kind, id desc);
grant select, insert on card.consent to onecard_card;
"""


def upgrade() -> None:
    """What somebody agreed to."""
    run_script(op.get_bind(), CONSENTS)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
