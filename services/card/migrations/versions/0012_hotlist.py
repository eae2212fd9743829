"""Versions of the hotlist.

Revision ID: 0012
"""

from alembic import op

from services.common.migrations import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

HOTLIST = """
-- What terminals refuse by themselves, one version after the other. (epoch, version) never goes back: whoever holds a newer one
-- does not look at an older one, so a card that was released is not locked again.
create table card.hotlist (
    epoch        int not null,
    version      bigint not null check (version > 0),
    publish_time timestamptz not null default clock_timestamp(),
    entries      bigint not null check (entries >= 0),      -- how many cards stand on it
    primary key (epoch, version)
);

create function card.keep_going_forward() returns trigger language plpgsql as $$
begin
    if exists (select from card.hotlist h where (h.epoch, h.version) >= (new.epoch, new.version)) then
        raise exception 'a newer hotlist is published already' using errcode = 'CD004';
    end if;
    return new;
end $$;
create trigger keep_going_forward before insert on card.hotlist for each row execute function card.keep_going_forward();

-- A card's stay on the list, by the version of the card that barred it.
alter table card.hotlist_entry
    add column came_in bigint not null,         -- version of the hotlist
    add column left_in bigint check (left_in >= came_in);
create unique index hotlist_standing on card.hotlist_entry (card) where left_in is null;

grant select, insert on card.hotlist to onecard_card;
grant update (left_in) on card.hotlist_entry to onecard_card;

-- Cards that are barred already come onto the first list.
insert into card.event_outbox (card, version) select id, version from card.card where social in (2, 3, 4, 9) order by id;
"""


def upgrade() -> None:
    """A list that is versioned and complete."""
    run_script(op.get_bind(), HOTLIST)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
