"""Places of sites with a quota, counted like money.

Revision ID: 0009
"""

from alembic import op

from services.common.migrations import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PLACES = """
-- A slot's places are a guarded account, opened when somebody first wants one; these two are the other sides. 999 is ISO 4217
-- for no currency.
insert into payments.account (id, kind, name, currency, guarded) values
    (5, 8, 'places_given', 999, false),     -- where a slot's places come from
    (6, 8, 'places_taken', 999, false);     -- collects the places of visitors who have entered
"""


def upgrade() -> None:
    """The accounts that every city has; those of slots follow by themselves."""
    run_script(op.get_bind(), PLACES)


def downgrade() -> None:
    """They may have transfers, which are never taken back."""
    raise NotImplementedError("accounts that were posted to stay; restore a backup instead")
