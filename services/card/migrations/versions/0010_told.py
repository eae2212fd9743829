"""What people are told, once an occasion; and when a card's holder was told that it ends.

Revision ID: 0010
"""

from alembic import op

from services.common.migrations import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NOTIFICATIONS = """
-- One message an occasion: a card may be lost twice. It is the step on an application's timeline, or the card's version.
alter table card.notification
    drop constraint notification_kind_subject_holder_key,
    add column occasion bigint not null default 0,
    add column create_time timestamptz not null default now(),
    add constraint one_message_an_occasion unique (kind, subject, occasion);
"""

RENEWALS = """
alter table card.card add column renewal_time timestamptz;     -- since when it is due for renewal, and its holder was told so
grant update (renewal_time) on card.card to onecard_card;
create index card_coming_to_its_end on card.card (valid_until) where kind = 1 and social in (1, 3, 4) and renewal_time is null;
create index card_for_renewal on card.card (id) where kind = 1 and social in (1, 3, 4) and renewal_time is not null;
"""


def upgrade() -> None:
    """What is told, and on which occasion."""
    for script in (NOTIFICATIONS, RENEWALS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
