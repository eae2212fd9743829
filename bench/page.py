"""The page docs/performance.md."""

from textwrap import fill
from typing import Final

from bench import contenders
from bench.bulk import WRITTEN
from bench.figures import FAMILIES, Figures
from bench.h2load import MISSING
from bench.issuance_figures import MOST
from bench.issuance_part import CHIP_SECONDS
from bench.losses import RATE as LOSSES_RATE
from bench.online_figures import OnlineFigures, api_cpu_us
from bench.plan import (
    CALLS_A_CONNECTION,
    CARDS,
    CITY,
    IN_FLIGHT,
    LEDGER_BATCH,
    ONE_BY_ONE_LANES,
    PGBENCH_CLIENTS,
    PGBENCH_SCALE,
)
from bench.programs.look_up import IN_FLIGHT as LOOK_UPS_IN_FLIGHT
from bench.stage import LINGER_MS
from bench.tables import (
    BACKLOG,
    BULK,
    CALLS,
    ISSUES,
    LEDGER,
    LOOK_UPS,
    LOSSES,
    RATIOS,
    STEPS,
    TARGETS,
    VIEWS,
    WAITS,
    Rows,
    machine,
    tables,
)
from services.card.handlers.submit_batch import ROWS_A_TRANSACTION

_WIDTH: Final = 128

_PAGE: Final = """\
# Performance

Written by `make bench`. Every figure on this page is from one run, and the run reconciled: each tap has one verdict and an
outcome, each call that was answered is stored once, and the books balance after every part.

{machine}.

![taps and calls a second, what they cost, how long they wait, and what was aimed at](performance.png)

## Targets

{targets}

## A backlog is emptied

{backlog}

Three topics of {partitions} partitions are filled first, with {taps:,} taps of {cards:,} cards at buses, canteens and gates;
{refused:.1f} % of them are refused, as in any city. The clock starts with the first batch and stops when the last outcome is
readable. Commits are durable. Every state begins with the same ledger and is measured {rounds}; the table shows medians. One
worker: {lowest:,.0f} to {highest:,.0f} taps a second. Of two workers the second half of the backlog is
shown and compared, when both are at work: the first one begins alone until the group has made room for the second.

## How long a tap waits for its outcome

{waits}

From the instant at which a tap was due, not from when it was sent, to its outcome in a reader's hands. The loop is open: the
load does not wait, so a stall counts for every tap that it delays. One worker; producers linger {linger_ms} ms; {seconds} s at
each rate after {warm_up} s of warm-up.

## One against the other

{ratios}

Medians of alternating pairs, {pairs} of each. The plain consumer fetches, posts, answers and commits one batch after the other.
Per-record Faust gathers events with `noack_take` and acknowledges by hand. Both post through the worker's handler into the same
ledger.

## Calls that wait for an answer

{calls}

## The ledger alone

{ledger}

Medians of alternating pairs, {pairs} of each. The ledger part is `Ledger.post` of {ledger_batch:,} taps a transaction, four in
flight, without Kafka: decided, with verdict, transfers, balances and keyed digest. pgbench runs its TPC-B at scale {scale} with
{clients} clients on the same server. COPY writes the transfers that the ledger part wrote, and nothing else, into the same
table of a fresh ledger, as many a transaction, as many in flight. The past was written by the server itself, half of it into
this month's partition, half into those of six months before; its books balance before and after.

## Everything of a holder

{views}

The card service as it runs: mutual TLS, a clerk who is signed in, each view written into the audit before it is answered, the
audit sealed beside it. {viewed:,} holders with a card and a timeline each are asked for in turn by their document, masked, by a
client in Python, which is the same for all three. The RPC that selects one row has the same edge and the same sessions.
Payments is away where nobody listens; with it, the balance and the last entries of each holder come from the payments API on
the same cores.

## Applications in bulk

{bulk}

Photos apart. An employer's row is checked, its person looked for, sealed under a key of their own, and stored with digests,
timeline, verdict and audit; {bulk_rows:,} rows a batch, {in_flight} batches at once, {bulk_rows_a_transaction} rows a
transaction. COPY writes the rows that they left in {bulk_tables} tables, all of them and nothing else, into the same tables of
a fresh registry, as many a transaction, as many in flight.

## Look-ups

{look_ups}

Anybody as likely as anybody else, {lanes} at once in one process: the keyed digest of a number, and the product's statement
that finds its holder. Both registries are loaded by COPY on the same server, and asked in turn, a quarter of a second each.
`SCALE=city` loads {city:,} people.

## From a loss report to the refusal

{losses}

{losses_count} cards are reported lost at a window, four a second, while {losses_rate:,} taps a second flow. From the moment in
which the window asks, which is before the commit: online to the answer that declines a payment as lost, asked again and again;
in the stream to the instant from which on every tap is refused, tapped fifty times a second. The card service, a worker, the
payments API and the generator share the cores.

## Cards made while their holders wait

{issues}

The card service, issuance and the vault of chips' keys, each one process as it runs, with mutual TLS; a client in Python with
virtual chips that take no time, a printer and clerks that take none either, and no PIN keyed in. Every stream is a card: its
blank is read and reserved, its chip written, its keys replaced, read back, printed, handed over and enabled, {commands:.0f}
commands in {messages:.0f} messages of the service. Every round begins with a copy of one registry, in which everybody has
applied through the product's own handler and the blanks came from the factory's file straight into their ledger; at the end
each card that was counted is enabled in the registry, its number on one chip alone, nothing is owed to the card service, and
the ledger of blanks is sound. A card for which the card service is too busy is put in again, as a clerk does. The empty stream
has the same messages behind the same edge in a process of its own, and does nothing for them: the client goes through the same
commands with the very chip whose card they made. Of a second of CPU of issuance, card service, vault and database together come
{per_core:.1f} cards. Where a chip takes {chip_ms:.0f} ms for a command, a card takes {card_seconds:.2f} s by itself; to the
time of its chip we add {share:.1f} %.

## Where the worker's time goes

{steps}

Emptying the backlog, a tap costs {tap_us:.0f} µs of CPU: {worker_us:.0f} in the worker, {postgresql_us:.0f} in PostgreSQL,
{broker_us:.0f} in the broker. The worker's largest steps: {largest}. The steps are timed in a process that posts one batch
at a time. What elapsed beyond the CPU is PostgreSQL's work, and the broker's for what is announced; four lanes overlap it. To
the steps the whole worker adds the fetch, Faust, the lanes and the event loop.

## Memory

One worker held {first_mb:.0f} MB after its first {first_taps:,} taps and {last_mb:.0f} MB after {last_taps:,}; {most_mb:.0f} MB
at most.

## Again

`BROKER=kafka make bench` measures on Apache Kafka (Java 17), and those are the figures that count; `make bench` alone measures
on the embedded broker. `QUICK=1` takes about seven minutes and measures each state once, with a shorter past. Calls need h2load
(Debian's `nghttp2-client`). The same figures for programs, flat: `build/bench.json`.
"""

_CALLS: Final = """\
{table}

The product is asked for payments in one step, over plain loopback, {a_connection} calls a connection; h2load sends the next one
when an answer is there. The empty RPC takes and returns the same messages behind the same edge, in the same process. One
transaction a call is the same poster with batches of one that wait for nobody, {lanes} side by side, through the ordinary
transaction. Every round begins with fresh ledgers; the states take turns at each number of calls in flight, {seconds:g} s each,
of which the first and the last tenth do not count. h2load cannot show a certificate, so mutual TLS is held against plain text
with a client in Python, which costs more than the server: {tls:.2f} × the calls, {tls_cpu:.2f} × the server's CPU. Two
processes that share the port answer {two:.2f} × as many calls as one; the load and the database are on the same cores.
"""


def page(figures: Figures) -> str:
    """As Markdown."""
    measured = figures.measured
    plan, shown, issuance = measured.plan, tables(figures), figures.issuance
    drains = measured.drains[contenders.WORKER.name]
    speeds = figures.speeds(contenders.WORKER)
    costs = {f"{family}_us": figures.cpu_us(contenders.WORKER, family) for family in FAMILIES}
    largest = sorted(measured.steps, key=lambda step: step.cpu_us, reverse=True)[:3]
    text = _PAGE.format(
        machine=machine(figures),
        backlog=markdown(shown[BACKLOG]),
        waits=markdown(shown[WAITS]),
        ratios=markdown(shown[RATIOS]),
        targets=markdown(shown[TARGETS]),
        calls=_calls(figures.online, markdown(shown[CALLS]), plan.call_seconds) if figures.online else MISSING,
        ledger=markdown(shown[LEDGER]),
        ledger_batch=LEDGER_BATCH,
        steps=markdown(shown[STEPS]),
        views=markdown(shown[VIEWS]),
        viewed=plan.viewed,
        bulk=markdown(shown[BULK]),
        bulk_rows=plan.bulk_rows,
        in_flight=IN_FLIGHT,
        bulk_rows_a_transaction=ROWS_A_TRANSACTION,
        bulk_tables=len(WRITTEN),
        look_ups=markdown(shown[LOOK_UPS]),
        lanes=LOOK_UPS_IN_FLIGHT,
        losses=markdown(shown[LOSSES]),
        losses_count=plan.losses,
        losses_rate=LOSSES_RATE,
        city=CITY,
        issues=markdown(shown[ISSUES]),
        commands=issuance.made(MOST, lambda making: making.commands),
        messages=issuance.made(MOST, lambda making: making.messages),
        per_core=issuance.cards_per_core_second,
        chip_ms=CHIP_SECONDS * 1000,
        card_seconds=issuance.card_seconds,
        share=issuance.our_share * 100,
        **costs,
        tap_us=sum(costs.values()),
        largest="; ".join(f"{step.name} ({step.cpu_us:.1f})" for step in largest),
        partitions=measured.machine.partitions,
        taps=plan.backlog,
        cards=CARDS,
        refused=100 * sum(drain.refused for drain in drains) / sum(drain.whole.taps for drain in drains),
        rounds="once" if plan.pairs == 1 else f"{plan.pairs} times, in turn",
        lowest=min(speeds),
        highest=max(speeds),
        linger_ms=LINGER_MS[measured.machine.broker],
        seconds=plan.pace_seconds,
        warm_up=plan.warm_up_seconds,
        pairs=plan.pairs,
        scale=PGBENCH_SCALE,
        clients=PGBENCH_CLIENTS,
        first_mb=measured.memory[0].rss_mb,
        first_taps=measured.memory[0].taps,
        last_mb=measured.memory[-1].rss_mb,
        last_taps=measured.memory[-1].taps,
        most_mb=figures.worker_rss_mb,
    )
    return "\n\n".join(map(_flow, text.rstrip().split("\n\n"))) + "\n"


def _calls(online: OnlineFigures, table: str, seconds: float) -> str:
    return _CALLS.rstrip().format(
        table=table,
        a_connection=CALLS_A_CONNECTION,
        lanes=ONE_BY_ONE_LANES,
        seconds=seconds,
        tls=online.tls_over_plain(),
        tls_cpu=online.tls_over_plain(api_cpu_us),
        two=online.two_processes_over_one,
    )


def _flow(paragraph: str) -> str:
    """Lines of prose filled anew, because figures are of any width."""
    if paragraph.startswith(("#", "|", "!")):
        return paragraph
    return fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def markdown(rows: Rows) -> str:
    """As a table whose figures stand to the right."""
    header, *body = rows
    lines = [header, ["---", *(["---:"] * (len(header) - 1))], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
