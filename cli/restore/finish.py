"""What stands on a restored database is brought to where that is, and what a person must look at is named."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from cli.backup.tools import BackupError, ask
from cli.services import run_card, run_issuance, run_payments
from services.common import topics
from services.common.clock import instant, read_moment
from services.common.errors import BrokerAwayError
from services.common.kafka_security import KafkaSecurity

_UNFINISHED = "select pg_is_in_recovery(), current_setting('restore_command') <> ''"
_MOMENT = "select current_setting('recovery_target_time')"
_READY_SECONDS = 3600.0
_FINISH = """
alter system reset restore_command; alter system reset recovery_target_timeline; alter system reset recovery_target_time;
alter system reset recovery_target_action; select pg_reload_conf()"""
_END = "select coalesce(max(now)::text, 'before its first posting') from payments.batch"
_OPEN_LETTERS = "select count(*) from payments.dead_letter where resolved_time is null"
_ANSWER_SECONDS = 5.0
NOT_SO = "not so: "
_ROAD_CUT = "taps of before, which the ledger lacks, can be read no more: have merchants emit them again from their own records"
# What the way back to a moment reads, by who may read it; and what a person does for what is not there any more.
_READ_BACK = {
    "payments": {
        topics.TRANSACTIONS_BUS: _ROAD_CUT,
        topics.TRANSACTIONS_CAMPUS: _ROAD_CUT,
        topics.TRANSACTIONS_SCENIC: _ROAD_CUT,
        topics.OUTCOMES: "`onecard restore compare` does not know what was answered before: ask merchants for their records",
        topics.SEALS: "seals of before count only if the file of checkpoints has them: keep it with the papers of this day",
    },
    "card": {topics.AUDIT_SEALS: "seals of before are in no list any more: compare their numbers with the auditor's copy"},
    "issuance": {topics.ISSUANCE_EVENTS: "blanks that were used before are not known: count every depot, window and kit"},
}


@dataclass(frozen=True, slots=True)
class Look:
    """Something for a person."""

    cause: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a service."""

    what: str
    run: Callable[[list[str], Mapping[str, str]], int]
    service: str
    command: list[str]
    when_it_fails: str
    """What a person does then."""
    proof: bool = False
    """It changes nothing."""


def _lost(what: str) -> str:
    return f"the restored database ends before what was published, so the log that was received ended early: {what}"


# Proofs come first: what follows them writes into the audit, and the seals of that must not be taken for the lost ones.
STEPS = (
    Step("the books balance", run_payments, "payments", ["check"], "serve nobody; find the account that is named", True),
    Step(
        "the ledger's seals are those that were published",
        run_payments,
        "payments",
        ["verify", "--with-topic"],
        _lost(
            "taps are read again by themselves; online payments since are in payments.outcomes and not in the ledger: "
            "compare them by merchant, and post what was given for them by two people's word"
        ),
        True,
    ),
    Step(
        "the card service's audit is the one that was published",
        run_card,
        "card",
        ["verify-audit"],
        _lost("losses, collections and deletions since are in card.events; windows repeat what their clerks noted"),
        True,
    ),
    Step(
        "issuance's audit is the one that was published",
        run_issuance,
        "issuance",
        ["verify-audit"],
        _lost("count every depot and kit; blanks that were used since are in issuance.events"),
        True,
    ),
    Step("every blank is in one place", run_issuance, "issuance", ["check-blanks"], "count the place that is named", True),
    Step(
        "cards are announced anew, in another epoch, and no number is drawn twice",
        run_card,
        "card",
        ["after-restore"],
        "serve nobody; run `python -m services.card after-restore` again",
    ),
    Step(
        "who was deleted since the backup is deleted again",
        run_card,
        "card",
        ["reapply-deletions"],
        "serve nobody; run `python -m services.card reapply-deletions` again",
    ),
    Step(
        "taps that the ledger may lack are read again",
        run_payments,
        "payments",
        ["wind-back"],
        "end the workers, and run `python -m services.payments wind-back` again before they start",
    ),
)


def _steps_back(moment: str, lists: Path) -> tuple[Step, ...]:
    """What comes before all else when the log was read up to a moment only."""
    to = ["go-back", "--to", moment]
    again = "serve nobody; run `onecard restore finish` again"
    return (
        Step("the ledger's seals and numbers behind the moment are given up", run_payments, "payments", to, again),
        Step(
            "losses and cancellations since are done again, cards made since are cancelled",
            run_card,
            "card",
            [*to, "--list", str(lists / "cards.txt")],
            again,
        ),
        Step("blanks used since are not used again", run_issuance, "issuance", to, again),
    )


def moment_of(owner_url: str) -> str:
    """The moment up to which the log was read, in ISO 8601; empty where it was read to its end."""
    return ask(owner_url, _MOMENT).strip().replace(" ", "T", 1)


def wait_for_end_of_log(owner_url: str, within_seconds: float = _READY_SECONDS) -> None:
    """Until PostgreSQL has read all of the received log. Raises BackupError where no restore is to be finished."""
    deadline = time.monotonic() + within_seconds
    while True:
        recovering, unfinished = ask(owner_url, _UNFINISHED).split("|")
        if unfinished != "t":
            raise BackupError(
                "this database was not laid by `onecard restore place`, or its restore is finished: nothing is done"
            )
        if recovering == "f":
            return
        if time.monotonic() > deadline:
            raise BackupError(f"PostgreSQL still reads its log after {within_seconds:.0f} s: see its log, and ask again")
        time.sleep(0.2)


def finish(
    owner_url: str,
    settings: Mapping[str, Mapping[str, str]],
    services: frozenset[str],
    say: Callable[[str], None],
    lists: Path = Path(),
) -> list[Look]:
    """Do all of it, before anybody is served; answers what a person must look at. It may be cut off and run again.

    `settings` of each service; `services`: which of them this installation has; `lists`: a folder for what a person looks at.
    """
    look, undone = [], False
    moment = moment_of(owner_url)
    if moment:
        lists.mkdir(parents=True, exist_ok=True)
    for step in (*(_steps_back(moment, lists) if moment else ()), *STEPS):
        if step.service not in services:
            continue
        began = time.monotonic()
        done = step.run(step.command, settings[step.service]) == 0
        say(f"{'✓' if done else '✗'} {step.what} ({time.monotonic() - began:.1f} s)")
        if not done:
            undone = undone or not step.proof
            look.append(Look(f"{NOT_SO}{step.what}", step.when_it_fails))
    look += _forget_what_was_shared(settings["payments"].get("ONECARD_REDIS", ""), say)
    if moment:
        look += _given_up(moment, lists, services)
        look += not_kept(moment, settings, services)
    look += _named(owner_url)
    if not undone:
        ask(owner_url, _FINISH)
    return look


def _forget_what_was_shared(redis: str, say: Callable[[str], None]) -> Iterator[Look]:
    """Tokens that were given and not spent: the ledger may not know that one was spent, so none of them may pay."""
    if not redis:
        return
    host, _, port = redis.rpartition(":")
    try:
        with Redis(host=host, port=int(port), socket_timeout=_ANSWER_SECONDS) as client:
            client.flushdb()
    except RedisError as error:
        yield Look(f"Redis at {redis} did not forget ({type(error).__name__})", f"redis-cli -h {host} -p {port} flushdb")
    else:
        say("✓ Redis has forgotten what it held: codes that were shown and not spent pay no more")


def _given_up(moment: str, lists: Path, services: frozenset[str]) -> Iterator[Look]:
    yield Look(
        "the workers and what was answered since",
        f"when taps run again: `onecard restore compare --since {moment}`, until nothing waits; settle what it names",
    )
    if "card" in services:
        yield Look(
            "cards that were made, used or changed since", f"{lists / 'cards.txt'}, a card a line; by what it says above"
        )
    yield Look(
        "what the office did since",
        "merchants, terminals, tariffs, staff, rights, epochs of keys, payouts and withholdings: do it again by its own papers",
    )


def not_kept(moment: str, settings: Mapping[str, Mapping[str, str]], services: frozenset[str]) -> Iterator[Look]:
    """Topics that do not reach back to the moment: what lies between would vanish in silence."""
    from services.common.topic_reader import kept_since  # noqa: PLC0415 - half a second

    back_to = read_moment(moment)
    for service in sorted(services & _READ_BACK.keys()):
        kafka, security = settings[service].get("ONECARD_KAFKA", ""), KafkaSecurity.from_environment(settings[service])
        for topic, todo in _READ_BACK[service].items():
            try:
                since = kept_since(kafka, topic, security)
            except BrokerAwayError as error:
                yield Look(f"how far back {topic} reaches is not known", str(error))
                continue
            if since is not None and since > back_to:
                yield Look(f"{topic} keeps all of its records only from {instant(since):%Y-%m-%d %H:%M:%S} UTC on", todo)


def _named(owner_url: str) -> Iterator[Look]:
    end, letters = ask(owner_url, _END), int(ask(owner_url, _OPEN_LETTERS))
    yield Look(
        f"the ledger's newest batch is of {end}",
        "if it is older than the loss by more than a moment, the second place had stopped receiving: ask why",
    )
    if letters:
        yield Look(f"{letters} dead letters are open", "as on any day: they came back with the ledger")
    yield Look(
        "commits wait for nobody, and nobody receives", "receive into another folder, take a backup, then synchronous on"
    )
