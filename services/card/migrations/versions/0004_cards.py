"""Cards, what happened to them, fees, and the outbox of card.events.

Revision ID: 0004
"""

from alembic import op

from services.common.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CARDS = """
-- Numbers are drawn from these and never used again.
create sequence card.card_id;
create sequence card.card_serial minvalue 1 maxvalue 4294967295;
create sequence card.card_number_serial minvalue 10000000 maxvalue 99999999;

create table card.card (
    id              bigint primary key default nextval('card.card_id'),
    holder          bigint not null references card.holder,
    card_identifier text not null unique,       -- the one name by which the card is known outside
    sealed_number   bytea,                      -- the printed card number
    kind            smallint not null,          -- services.card.domain.card.CardKind
    social          smallint not null,          -- the official code
    financial       smallint not null,
    production      smallint not null,
    bank_account    bytea,                      -- sealed
    application     bigint not null references card.application,
    predecessor     bigint references card.card,
    successor       bigint references card.card,
    issue_date      date not null,
    valid_until     date not null,
    loss_until      timestamptz,
    wrong_pins      smallint not null default 0,
    version         bigint not null,
    create_time     timestamptz not null default now(),
    constraint lost_for_a_time_ends check ((social = 4) = (loss_until is not null)),
    constraint successor_only_of_cancelled check (successor is null or social = 9)
) with (fillfactor = 80);
create index card_by_holder on card.card (holder, id);
-- One live card a person and kind, and beside it one that is being made.
create unique index one_live_card on card.card (holder, kind) where social in (1, 2, 3, 4);
create unique index one_card_in_production on card.card (holder, kind) where social = 0;
create unique index one_successor on card.card (successor) where successor is not null;
create index card_loss_ending on card.card (loss_until) where social = 4;
create index card_ending on card.card (valid_until) where kind = 2 and social <> 9;

-- Everything that happened to a card. Rows are added, never changed; (card, version) is its order.
create table card.transition (
    card       bigint not null references card.card,
    version    bigint not null,
    verb       smallint not null,               -- services.card.domain.life_cycle.Verb; 0: it was made
    party      smallint not null,
    social     smallint not null,               -- after it
    financial  smallint not null,
    production smallint not null,
    at         timestamptz not null,
    actor      text not null,
    outlet     text not null default '',
    reason     smallint not null default 0,
    papers     bytea,                           -- sealed: who acted for the holder
    primary key (card, version)
);

-- A formally lost card has been lost for ever, a cancelled one cancelled.
create function card.keep_the_end() returns trigger language plpgsql as $$
begin
    if old.social = 9 and new.social <> 9 then
        raise exception 'a cancelled card stays cancelled' using errcode = 'CD001';
    end if;
    if old.social = 2 and new.social not in (2, 9) then
        raise exception 'a formally lost card is never released' using errcode = 'CD002';
    end if;
    if new.version < old.version then
        raise exception 'a card never goes back to an older version' using errcode = 'CD003';
    end if;
    return new;
end $$;
create trigger keep_the_end before update on card.card for each row execute function card.keep_the_end();
"""

EVENTS = """
-- Which cards have changed since they were last published. What is published is the card's state when it is sent.
create table card.event_outbox (
    id          bigint generated always as identity primary key,
    card        bigint not null references card.card,
    version     bigint not null,
    create_time timestamptz not null default clock_timestamp(),
    sent_time   timestamptz
);
create index event_unsent on card.event_outbox (id) where sent_time is null;

-- From when on terminals refuse a card by themselves: the hotlist that names it was published. It is kept by the version that
-- barred the card, so that a later release is not undone by an older list.
create table card.hotlist_entry (
    card         bigint not null references card.card,
    version      bigint not null,
    publish_time timestamptz not null,
    primary key (card, version)
);
"""

MONEY = """
-- What a card's making costs its holder. One row an application; at rest each has a card, an open application or a refund.
create table card.fee (
    application   bigint primary key references card.application,
    amount_fen    int not null check (amount_fen > 0),
    source        smallint not null,            -- services.card.domain.fee.FeeSource
    state         smallint not null,            -- services.card.domain.fee.FeeState
    terminal      text not null,                -- whose cash it lies in
    payment_request text not null default '',   -- the request id under which payments holds it
    create_time   timestamptz not null default now(),
    update_time   timestamptz not null default now()
);
create index fee_to_do on card.fee (application) where state in (1, 3);
"""

RIGHTS = """
grant usage on sequence card.card_id, card.card_serial, card.card_number_serial to onecard_card;
grant select on card.card, card.transition, card.event_outbox, card.hotlist_entry, card.fee to onecard_card;
grant insert on card.card, card.transition, card.event_outbox, card.hotlist_entry, card.fee to onecard_card;
grant update (social, financial, production, bank_account, successor, issue_date, valid_until,
    loss_until, wrong_pins, version, sealed_number) on card.card to onecard_card;
grant update (sent_time) on card.event_outbox to onecard_card;
grant delete on card.event_outbox to onecard_card;
grant update (state, payment_request, update_time) on card.fee to onecard_card;
"""


def upgrade() -> None:
    """What is held in hand."""
    for script in (CARDS, EVENTS, MONEY, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
