"""Windows have an account each for the cash in their tills.

Revision ID: 0005
"""

from alembic import op

from services.common.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TILLS = """
-- Those that are registered later get theirs with their registration. Top-ups in cash of the time before stay with the office.
insert into payments.account (id, kind, name, guarded)
select nextval('payments.back_office_account_id'), 7, left('cash:' || m.merchant_id || '/' || t.terminal_id, 59), false
from payments.terminal t join payments.merchant m on m.id = t.merchant
where m.scene = 9 and t.terminal_id <> '*' and m.merchant_id not like 'service:%'
on conflict (name) do nothing;
"""


def upgrade() -> None:
    """Every till by itself."""
    run_script(op.get_bind(), TILLS)


def downgrade() -> None:
    """What was taken in since then stands on these accounts."""
    raise NotImplementedError("restore a backup instead")
