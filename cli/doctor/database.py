"""What there is to see in PostgreSQL, and how it is judged. Everything is read in a transaction that may write nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from cli.doctor.finding import Finding, lasting, sick, unseen, well

NEWEST_NEEDED: Final = 170_000
LOCKS_NEEDED: Final = 256
FEW_CONNECTIONS: Final = 10
CLOCKS_APART_SECONDS: Final = 2.0
LONG_TRANSACTION_SECONDS: Final = 60
OLD_PROJECTION_SECONDS: Final = 30
OLD_OUTBOX_SECONDS: Final = 60
OLD_UNSEALED_SECONDS: Final = 10
OLD_NOTIFICATION_SECONDS: Final = 3600
_ALONE: Final = {"UNKNOWN_CARD": 600}
"""Causes that mend themselves: seconds in which they may."""

QUERIES: Final[Mapping[str, str]] = {
    "server": """select current_setting('server_version_num')::int, current_setting('max_locks_per_transaction')::int,
        current_setting('synchronous_commit'), current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int - (select count(*) from pg_stat_activity
                where backend_type = 'client backend'), extract(epoch from clock_timestamp())::float8""",
    "transactions": """select coalesce(nullif(application_name, ''), usename::text, '?'), pid,
        extract(epoch from now() - xact_start)::float8 from pg_stat_activity
        where xact_start < now() - interval '1 minute' and backend_type = 'client backend' order by 3 desc limit 3""",
    "payments": "select version_num from payments.alembic_version",
    "card": "select version_num from card.alembic_version",
    "issuance": "select version_num from issuance.alembic_version",
    "letters": """select cause, count(*), extract(epoch from now() - min(create_time))::float8 from payments.dead_letter
        where resolved_time is null group by 1 order by 1""",
    "projection": """select coalesce(extract(epoch from now() - min(committed_up_to)), -1)::float8
        from payments.card_projection""",
    "outbox": "select count(*), coalesce(extract(epoch from now() - min(create_time)), 0)::float8 from payments.outbox",
    "unsealed": """select coalesce(extract(epoch from now() - min(now)), 0)::float8 from payments.batch
        where number > coalesce((select max(last_batch) from payments.seal), 0)""",
    "partitions": """select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'payments.transfer'::regclass
            and pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'""",
    "epochs": """select count(*) filter (where retired_time is null and valid_from <= now()),
        count(*) filter (where retired_time is null) from payments.terminal_epoch""",
    "waiting refusals": """select count(*) from payments.dead_letter_act a
        where kind = 2 and not exists (select from payments.dead_letter_act b where b.asked = a.id)""",
    "notifications": """select count(*), coalesce(extract(epoch from now() - min(due_time)), 0)::float8 from card.notification
        where sent_time is null and give_up_time is null and due_time < now()""",
    "card outbox": "select count(*) from card.event_outbox where sent_time is null",
    "issuance outbox": "select count(*) from issuance.outbox where sent_time is null",
}
HEADS: Final = ("payments", "card", "issuance")


@dataclass(frozen=True, slots=True)
class Database:
    """What was read: rows of each question, or why there are none."""

    trouble: str = ""
    """It cannot be reached: why."""
    rows: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    asked_at: float = 0.0
    """By our clock, when the server told its time."""


async def read_database(url: str, timeout_seconds: float) -> Database:
    """Ask everything, each in a few seconds at most; what cannot be asked is noted."""
    try:
        driver = await asyncpg.connect(
            url.replace("+asyncpg", ""),
            timeout=timeout_seconds,
            server_settings={
                "application_name": "onecard-doctor",
                "default_transaction_read_only": "on",
                "statement_timeout": f"{int(timeout_seconds * 1000)}",
            },
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        return Database(trouble=f"{type(error).__name__}: {error}".strip(": "))
    rows: dict[str, list[Any]] = {}
    refused: dict[str, str] = {}
    asked_at = 0.0
    try:
        for name, query in QUERIES.items():
            before = time.time()
            try:
                rows[name] = [tuple(row) for row in await driver.fetch(query, timeout=timeout_seconds)]
            except (asyncpg.PostgresError, TimeoutError) as error:
                refused[name] = str(error) or type(error).__name__
            if name == "server":
                asked_at = (before + time.time()) / 2
    except (OSError, asyncpg.InterfaceError) as error:
        return Database(trouble=f"it went away meanwhile: {error}")
    finally:
        driver.terminate()
    return Database(rows=rows, refused=refused, asked_at=asked_at)


def judge_database(
    seen: Database, heads: Mapping[str, str], causes: Mapping[int, str], terminals: bool = True
) -> list[Finding]:
    """`heads`: the newest migration of each schema that this program knows; `causes`: names of causes of dead letters."""
    if seen.trouble:
        return [
            sick(
                "database",
                f"PostgreSQL cannot be reached ({seen.trouble})",
                "see whether it runs and its disk has room (its log says why it ended); taps wait in Kafka meanwhile",
                "database",
            )
        ]
    found = [*_server(seen), *_transactions(seen)]
    found += [_head(seen, schema, head) for schema, head in heads.items()]
    if "payments" in seen.rows:
        found += [_letters(seen, causes), _projection(seen), *_outboxes(seen), _unsealed(seen), _partitions(seen)]
        found += [_epochs(seen)] if terminals else []
        found += _refusals(seen)
    if "card" in seen.rows:
        found.append(_notifications(seen))
    return found


def _server(seen: Database) -> list[Finding]:
    if "server" not in seen.rows:
        return [unseen("database", seen.refused.get("server", "it does not tell its settings"))]
    ((version, locks, synchronous, left, their_time),) = seen.rows["server"]
    apart = abs(their_time - seen.asked_at)
    restart = "in postgresql.conf, then restart PostgreSQL"
    return [
        well("database version", f"PostgreSQL {version // 10_000}")
        if version >= NEWEST_NEEDED
        else sick("database version", f"PostgreSQL {version // 10_000}; 17 is needed", "upgrade PostgreSQL to 17 or newer"),
        well("database locks", f"max_locks_per_transaction is {locks}")
        if locks >= LOCKS_NEEDED
        else sick(
            "database locks",
            f"max_locks_per_transaction is {locks}, the card service needs {LOCKS_NEEDED}",
            f"set max_locks_per_transaction = {LOCKS_NEEDED} {restart}",
        ),
        well("database durability", f"synchronous_commit is {synchronous}")
        if synchronous != "off"
        else sick(
            "database durability",
            "synchronous_commit is off: a crash loses acknowledged payments",
            "set synchronous_commit = on in postgresql.conf, then `select pg_reload_conf()`",
        ),
        well("database connections", f"{left} connections are left")
        if left >= FEW_CONNECTIONS
        else sick("database connections", f"only {left} connections are left", f"raise max_connections {restart}"),
        well("clock of the database", f"it differs from ours by {apart:.1f} s")
        if apart <= CLOCKS_APART_SECONDS
        else sick(
            "clock of the database", f"it differs from ours by {apart:.0f} s", "mend NTP on both machines: chronyc tracking"
        ),
    ]


def _transactions(seen: Database) -> list[Finding]:
    if "transactions" not in seen.rows:
        return [unseen("long transactions", seen.refused.get("transactions", "not told"))]
    long = seen.rows["transactions"]
    if not long:
        return [well("long transactions", "none is older than a minute")]
    name, pid, seconds = long[0]
    said = f"a transaction of {name} is open for {lasting(seconds)}: it keeps old rows, and perhaps locks"
    return [sick("long transactions", said, f"see what it does; end it with: select pg_terminate_backend({pid})")]


def _head(seen: Database, schema: str, head: str) -> Finding:
    thing = f"migrations of {schema}"
    if schema in seen.refused:
        return unseen(thing, f"the schema cannot be read: {seen.refused[schema]}", f"python -m services.{schema} migrate")
    rows = seen.rows.get(schema) or [("none",)]
    at = rows[0][0]
    if at == head:
        return well(thing, f"at {head}")
    said = f"the schema is at {at}, this program wants {head}"
    todo = f"python -m services.{schema} migrate, as the owner, says what waits; if the schema is newer, update this program"
    return sick(thing, said, todo)


def _letters(seen: Database, causes: Mapping[int, str]) -> Finding:
    if "letters" not in seen.rows:
        return unseen("dead letters", seen.refused.get("letters", "not told"))
    open_ = [(causes.get(cause, str(cause)), n, age) for cause, n, age in seen.rows["letters"]]
    grave = [one for one in open_ if one[2] >= _ALONE.get(one[0], 0)]
    if not grave:
        return well("dead letters", "none lies open" if not open_ else f"{open_[0][1]} wait for their card, not for long")
    told = ", ".join(f"{n:,} {name} (the oldest for {lasting(age)})" for name, n, age in grave)
    todo = f"onecard deadletters explain {grave[0][0]}, then onecard deadletters list --cause {grave[0][0]}"
    return sick("dead letters", f"open: {told}", todo, "dead-letters")


def _projection(seen: Database) -> Finding:
    if "projection" not in seen.rows:
        return unseen("card projection", seen.refused.get("projection", "not told"))
    ((age,),) = seen.rows["projection"]
    if 0 <= age <= OLD_PROJECTION_SECONDS:
        return well("card projection", f"{age:.0f} s old")
    said = f"it is {lasting(age)} old: online payments are refused" if age >= 0 else "no heartbeat of the cards ever came"
    return sick(
        "card projection", said, "see that the card service and a stream worker run, and that Kafka answers", "card-projection"
    )


def _outboxes(seen: Database) -> list[Finding]:
    found = []
    if "outbox" in seen.rows:
        ((count, age),) = seen.rows["outbox"]
        late = sick(
            "outcomes to be sent",
            f"{count:,} wait, the oldest for {lasting(age)}",
            "see that a stream worker runs and Kafka answers",
        )
        found.append(late if age > OLD_OUTBOX_SECONDS else well("outcomes to be sent", f"{count} wait"))
    for name, service in (("card outbox", "card"), ("issuance outbox", "issuance")):
        if name in seen.rows:
            ((count,),) = seen.rows[name]
            thing = f"events of {service} to be sent"
            many = sick(thing, f"{count:,} wait", f"see that the {service} service runs and Kafka answers")
            found.append(many if count > 10_000 else well(thing, f"{count} wait"))
    return found


def _unsealed(seen: Database) -> Finding:
    if "unsealed" not in seen.rows:
        return unseen("seals of the ledger", seen.refused.get("unsealed", "not told"))
    ((age,),) = seen.rows["unsealed"]
    if age <= OLD_UNSEALED_SECONDS:
        return well("seals of the ledger", f"the oldest batch without a seal is {age:.1f} s old")
    said = f"a batch waits for its seal since {lasting(age)}"
    return sick("seals of the ledger", said, "see that a stream worker runs; its log says elected_for_housekeeping", "seals")


def _partitions(seen: Database) -> Finding:
    if "partitions" not in seen.rows:
        return unseen("partitions of transfers", seen.refused.get("partitions", "not told"))
    ((count,),) = seen.rows["partitions"]
    if count:
        return well("partitions of transfers", f"there are {count}")
    return sick("partitions of transfers", "there is none", "start a stream worker: it makes them when it is elected")


def _epochs(seen: Database) -> Finding:
    if "epochs" not in seen.rows:
        return unseen("epochs of terminals' keys", seen.refused.get("epochs", "not told"))
    ((current, live),) = seen.rows["epochs"]
    if current:
        return well("epochs of terminals' keys", f"{live} count, of which {live - current} begin later")
    return sick(
        "epochs of terminals' keys",
        "no epoch is in force: every tap becomes a dead letter",
        "python -m services.payments epochs add --days 0, then onecard deadletters replay --cause UNKNOWN_EPOCH",
    )


def _refusals(seen: Database) -> list[Finding]:
    if "waiting refusals" not in seen.rows:
        return []
    ((count,),) = seen.rows["waiting refusals"]
    return (
        [well("refusals of dead letters", f"{count} wait for a second operator: onecard deadletters acts --waiting")]
        if count
        else []
    )


def _notifications(seen: Database) -> Finding:
    if "notifications" not in seen.rows:
        return unseen("messages to holders", seen.refused.get("notifications", "not told"))
    ((count, age),) = seen.rows["notifications"]
    if age <= OLD_NOTIFICATION_SECONDS:
        return well("messages to holders", f"{count} are due")
    said = f"{count:,} are due, the oldest for {lasting(age)}"
    return sick("messages to holders", said, "see that the gateway of short messages (ONECARD_SMS) answers")
