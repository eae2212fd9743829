"""People: holders and their documents, everything personal as ciphertext; how they are found; what was asked; the audit.

Revision ID: 0001
"""

from alembic import op

from services.common.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTALLATION = """
-- A restored installation raises its epoch: versions are (epoch, version).
create table card.installation (
    only_one boolean primary key default true check (only_one),
    epoch    int not null default 1
);
insert into card.installation default values;
"""

HOLDERS = """
-- A person. The number is the payment account's, too: it belongs to the holder and never changes, whatever card points to it.
create sequence card.holder_id minvalue 4294967296 maxvalue 1152921504606846975;
create table card.holder (
    id               bigint primary key default nextval('card.holder_id'),
    data_key         bytea,                     -- wrapped by the vault; null once the holder's data are deleted
    data_key_version smallint not null,         -- of the vault's key that wraps it
    sealed_version   smallint not null default 1,   -- raised when all fields are sealed anew
    -- Sealed with (holder, field, version) as additional data: services.card.domain.person.Field
    name             bytea,
    birth_date       bytea,
    traits           bytea,                     -- sex and nationality
    phone            bytea,
    address          bytea,
    social_security_number bytea,
    category         text not null,             -- of the city's tariffs
    resident         boolean not null,
    deletion_time    timestamptz,
    version          bigint not null default 1, -- raised by every writer
    create_time      timestamptz not null default now(),
    constraint deleted_holders_have_no_key check ((deletion_time is null) = (data_key is not null))
) with (fillfactor = 90);
alter table card.holder alter column name set storage plain, alter column phone set storage plain;

create table card.document (
    holder      bigint not null references card.holder,
    number      smallint not null,              -- of this holder's documents, from 1
    kind        smallint not null,              -- services.card.domain.document.DocumentKind
    sealed      bytea,                          -- its number
    valid_until date,
    replaced_time timestamptz,                  -- by a newer one of the same kind
    create_time timestamptz not null default now(),
    primary key (holder, number)
);

-- Which concession a holder had, and when.
create table card.holder_category (
    holder     bigint not null references card.holder,
    valid_from timestamptz not null,
    category   text not null,
    resident   boolean not null,
    primary key (holder, valid_from)
);

create table card.photo (
    holder      bigint not null references card.holder,
    number      smallint not null,
    sealed      bytea,
    overrides   smallint[] not null default '{}',   -- points that a clerk let pass
    reason      text not null default '',
    create_time timestamptz not null default now(),
    primary key (holder, number)
);
alter table card.photo alter column sealed set storage external;
"""

LOOK_UP = """
-- Finds a holder by a keyed digest of a document's number, a social security number or a card number.
create table card.lookup (
    field         smallint not null,
    index_version smallint not null,
    digest        bytea not null,
    holder        bigint not null references card.holder,
    primary key (field, index_version, digest)
);
create index lookup_by_holder on card.lookup (holder);
-- People of the same name and birth date: a hint for people, never an identity.
create table card.namesake (
    index_version smallint not null,
    digest        bytea not null,
    holder        bigint not null references card.holder,
    citizen       boolean not null,             -- known by a citizen's number: two of these are two people
    primary key (index_version, digest, holder)
);
create index namesake_by_holder on card.namesake (holder);
"""

REQUESTS = """
-- What was asked under which id, and the answer: a repeat hears the same. No answer that is kept here holds personal data.
create table card.request (
    caller      text not null,
    request_id  text not null,
    digest      bytea not null,                 -- keyed, over method and request: the request itself may name people
    response    bytea not null,
    create_time timestamptz not null default now(),
    primary key (caller, request_id)
);
create index request_by_create_time on card.request using brin (create_time);
"""

AUDIT = """
-- Who did what to whom, and why; inserted in the act's own transaction, and by nobody ever changed.
create table card.audit (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null,                  -- staff:12, holder:4294967300, terminal:…, service:…, timer
    shift       bigint,                         -- the signed-in session
    terminal    text not null default '',       -- the certificate's subject
    act         text not null,
    holder      bigint,
    card        bigint,
    application bigint,
    purpose     text not null default '',
    detail      jsonb not null default '{}'     -- numbers and words of the act; nothing personal
);
create index audit_by_holder on card.audit (holder, id) where holder is not null;
create index audit_by_actor on card.audit (actor, id);
"""

RIGHTS = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'onecard_card') then create role onecard_card nologin; end if;
end $$;
grant usage on schema card to onecard_card;
grant usage on sequence card.holder_id to onecard_card;
grant select on all tables in schema card to onecard_card;
grant insert on card.holder, card.document, card.holder_category, card.photo, card.lookup, card.namesake to onecard_card;
grant insert on card.request, card.audit to onecard_card;
grant update on card.holder, card.document, card.photo to onecard_card;
grant delete on card.lookup, card.namesake, card.request to onecard_card;
"""


def upgrade() -> None:
    """The schema that env.py made, with its people."""
    for script in (INSTALLATION, HOLDERS, LOOK_UP, REQUESTS, AUDIT, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release: its tables hold people's identities."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
