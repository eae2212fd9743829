"""Staff, shifts, approvals, terminals.

Revision ID: 0002
"""

from alembic import op

from services.common.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STAFF = """
-- Who works here. The login is a staff number, nobody's name; it stands inside the password's digest and never changes.
create table card.staff (
    id          bigint generated always as identity primary key,
    login       text not null unique check (login ~ '^[a-z0-9][a-z0-9-]{1,31}$'),
    outlet      text not null,                  -- where the person belongs; empty for none
    roles       smallint[] not null,            -- services.card.domain.actor.Role
    state       smallint not null default 1 check (state between 1 and 3),   -- services.card.domain.staff.StaffState
    password    text not null,                  -- argon2id over a keyed digest
    password_key_version smallint not null,
    must_change boolean not null default true,  -- the password is known to whoever made the account
    totp        bytea not null,                 -- the second factor's secret, wrapped by the vault
    totp_key_version smallint not null,
    totp_step   bigint not null default 0,      -- the last one used: it and those before it are never accepted again
    failures    smallint not null default 0,    -- in a row; counted before a password is looked at
    create_time timestamptz not null default now(),
    constraint roles_exist check (roles <@ '{1, 2, 3, 4, 5, 6, 7, 8, 9}'),
    -- Audit, security and database administration: 三员分立.
    constraint administrators_are_separate check (
        (6 = any (roles))::int + (7 = any (roles))::int + (8 = any (roles))::int <= 1)
) with (fillfactor = 70);
"""

TERMINALS = """
-- A terminal's certificate: asked for by one person, approved by another. A renewed one has a row of its own.
create table card.terminal (
    id           bigint generated always as identity primary key,
    subject      text not null,                 -- onecard://merchant/CITY-HALL/terminal/WINDOW-1
    kind         smallint not null check (kind between 1 and 4),     -- services.card.domain.terminal.TerminalKind
    outlet       text not null,
    state        smallint not null default 1 check (state between 1 and 4),  -- services.card.domain.terminal.TerminalState
    request      text not null,                 -- the signing request, PEM; empty for a certificate issued elsewhere
    key_digest   bytea not null,                -- SHA-256 of the public key: a revoked one is never certified again
    certificate  text,
    serial       text unique,                   -- lower-case hexadecimal digits without leading zeros
    not_after    timestamptz,
    requested_by bigint references card.staff,  -- null: by the platform's own command
    approved_by  bigint references card.staff,
    create_time  timestamptz not null default now(),
    constraint nobody_approves_their_own_terminal check (approved_by <> requested_by),
    constraint enrolled_ones_have_certificates check (
        (state in (1, 4)) = (certificate is null) and num_nulls(certificate, serial, not_after) in (0, 3))
);
create unique index terminal_pending on card.terminal (key_digest) where state = 1;
create index terminal_by_subject on card.terminal (subject, id);
create index terminal_by_key on card.terminal (key_digest);

-- Refused from now on, whatever the certificate itself says.
create table card.revoked_certificate (
    serial      text primary key check (serial ~ '^[1-9a-f][0-9a-f]*$'),
    reason      text not null,
    revoke_time timestamptz not null default now()
);
"""

SHIFTS = """
-- A person signed in at a terminal.
create table card.shift (
    id         bigint generated always as identity primary key,
    token      bytea not null unique,           -- SHA-256 of what the terminal holds
    staff      bigint not null references card.staff,
    terminal   text not null,                   -- subject and serial of the certificate that it is bound to
    serial     text not null,
    outlet     text not null,                   -- where that terminal stands
    begin_time timestamptz not null,
    expire_time timestamptz not null,
    end_time   timestamptz,                     -- null: open, until it expires
    ended_by   smallint check (ended_by between 1 and 4),   -- services.card.domain.staff.Ending
    constraint ended_ones_say_how check ((end_time is null) = (ended_by is null))
);
create unique index one_open_shift_a_person on card.shift (staff) where end_time is null;
create index open_shift_by_serial on card.shift (serial) where end_time is null;
"""

APPROVALS = """
-- A second person's word on one exact request, good for one use.
create table card.approval (
    id              bigint generated always as identity primary key,
    verb            smallint not null,          -- services.card.domain.staff.Right
    digest          bytea not null,             -- keyed, over method and request
    holder          bigint,                     -- the case
    card            bigint,
    application     bigint,
    handled_by      bigint[] not null,          -- staff who have a part in the case
    requested_by    bigint not null references card.staff,
    requested_shift bigint not null references card.shift,
    terminal        text not null,
    outlet          text not null,
    state           smallint not null default 1 check (state between 1 and 5),  -- services.card.domain.approval.ApprovalState
    decided_by      bigint references card.staff,
    decided_shift   bigint references card.shift,
    reason          text not null default '',   -- of a rejection
    expire_time     timestamptz not null,       -- with the shift of the one or the other, whichever ends first
    create_time     timestamptz not null default now(),
    constraint nobody_approves_their_own_request check (decided_by <> requested_by),
    constraint nobody_approves_their_own_case check (decided_by <> all (handled_by)),
    constraint decided_ones_name_who check (
        num_nulls(decided_by, decided_shift) in (0, 2) and (state not in (2, 3, 4) or decided_by is not null))
);
create unique index one_open_approval_a_request on card.approval (digest) where state in (1, 2);
create index approval_pending on card.approval (id) where state = 1;
create index approval_by_requester on card.approval (requested_by, id);
"""

RIGHTS = """
grant select, insert on card.staff, card.terminal, card.revoked_certificate, card.shift, card.approval to onecard_card;
grant update (outlet, roles, state, password, password_key_version, must_change, totp, totp_key_version, totp_step, failures)
    on card.staff to onecard_card;
grant update (state, certificate, serial, not_after, approved_by) on card.terminal to onecard_card;
grant update (end_time, ended_by) on card.shift to onecard_card;
grant update (state, decided_by, decided_shift, reason, expire_time) on card.approval to onecard_card;
"""


def upgrade() -> None:
    """People who act, where they act, and what two of them agreed on."""
    for script in (STAFF, TERMINALS, SHIFTS, APPROVALS, RIGHTS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    """There is no way back behind the first release."""
    raise NotImplementedError("the first release cannot be taken back; restore a backup instead")
