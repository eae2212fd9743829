"""The page docs/performance.md."""

from textwrap import fill
from typing import Final

from bench import contenders
from bench.figures import FAMILIES, Figures
from bench.plan import CARDS, PGBENCH_CLIENTS, PGBENCH_SCALE
from bench.stage import LINGER_MS
from bench.tables import BACKLOG, RATIOS, STEPS, WAITS, Rows, machine, tables

_WIDTH: Final = 128

_PAGE: Final = """\
# Performance

Written by `make bench`. Every figure on this page is from one run, and the run reconciled: each tap has one verdict and an
outcome, and the books balance after every part.

{machine}.

![taps a second, CPU a tap, and waiting times](performance.png)

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
ledger. The ledger part is `Ledger.post` with four batches in flight and no Kafka; pgbench runs its TPC-B at scale {scale} with
{clients} clients on the same server.

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
on the embedded broker. `QUICK=1` takes about two
minutes and measures each state once. The same figures for programs, flat: `build/bench.json`.
"""


def page(figures: Figures) -> str:
    """As Markdown."""
    measured = figures.measured
    plan, shown = measured.plan, tables(figures)
    drains = measured.drains[contenders.WORKER.name]
    speeds = figures.speeds(contenders.WORKER)
    costs = {f"{family}_us": figures.cpu_us(contenders.WORKER, family) for family in FAMILIES}
    largest = sorted(measured.steps, key=lambda step: step.cpu_us, reverse=True)[:3]
    text = _PAGE.format(
        machine=machine(figures),
        backlog=_markdown(shown[BACKLOG]),
        waits=_markdown(shown[WAITS]),
        ratios=_markdown(shown[RATIOS]),
        steps=_markdown(shown[STEPS]),
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


def _flow(paragraph: str) -> str:
    """Lines of prose filled anew, because figures are of any width."""
    if paragraph.startswith(("#", "|", "!")):
        return paragraph
    return fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _markdown(rows: Rows) -> str:
    header, *body = rows
    lines = [header, ["---", *(["---:"] * (len(header) - 1))], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
