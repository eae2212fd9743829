"""What processes show of themselves on their metrics endpoints, and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from cli.city.metrics import Scrape, parse
from cli.doctor.finding import Finding, lasting, sick, unseen, well

LATE_LAG_SECONDS: Final = 30
OLD_CHECK_SECONDS: Final = 300
OLD_HOTLIST_SECONDS: Final = 900
OLD_AUDIT_SECONDS: Final = 60
OLD_BANK_SECONDS: Final = 3 * 86_400
_ENDS_SOON_SECONDS: Final = 2 * 86_400

Shown = Mapping[str, Scrape | None]
"""By process; None: it does not answer."""


def read_process(url: str, timeout_seconds: float) -> Scrape | None:
    """Every sample of ours that a process shows."""
    try:
        with urlopen(url, timeout=timeout_seconds) as page:  # noqa: S310 - an operator named it
            return parse(page.read().decode())
    except (URLError, OSError, ValueError):
        return None


def judge_processes(shown: Shown, now: float) -> list[Finding]:
    """Who answers, with which version, and what they measure."""
    if not shown:
        return [unseen("processes", "no metrics address is known", "name them: --metrics NAME=http://HOST:PORT/metrics")]
    found = [_answers(name, scrape) for name, scrape in sorted(shown.items())]
    found += _versions(shown)
    found += [_imbalance(shown, now), _lag(shown), _hotlist(shown, now), _audit(shown), _bank(shown), _duties(shown)]
    return [*found, *_limits(shown), *_terminals(shown, now)]


def _answers(name: str, scrape: Scrape | None) -> Finding:
    if scrape is not None:
        return well(name, "it runs and answers")
    return sick(
        name, "it does not answer", f"start it again; its log says why it ended (.city/logs/{name}.log here)", "processes"
    )


def _values(shown: Shown, metric: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (process, dict(labels), value)
        for process, scrape in shown.items()
        for (name, labels), value in (scrape or {}).items()
        if name == metric
    ]


def _versions(shown: Shown) -> list[Finding]:
    versions = {process: labels.get("version", "?") for process, labels, _ in _values(shown, "onecard_build_info")}
    if not versions:
        return []
    if len(set(versions.values())) == 1:
        return [well("versions", f"all processes are {next(iter(versions.values()))}")]
    told = ", ".join(f"{process} {version}" for process, version in sorted(versions.items()))
    return [sick("versions", f"they differ: {told}", "end the upgrade: start the older ones again with the newer version")]


def _imbalance(shown: Shown, now: float) -> Finding:
    """The elected worker alone measures: the newest check counts."""
    checked = [(at, process) for process, _, at in _values(shown, "onecard_ledger_check_timestamp_seconds") if at]
    if not checked:
        return sick("books", "nobody has added them up since the start", "see that a stream worker runs", "ledger-check")
    at, process = max(checked)
    if now - at > OLD_CHECK_SECONDS:
        said = f"they were added up {lasting(now - at)} ago, and not since"
        return sick("books", said, "see the log of the elected stream worker; then: onecard ledger check", "ledger-check")
    off = [
        (labels, value) for name, labels, value in _values(shown, "onecard_ledger_imbalance_fen") if name == process and value
    ]
    differ = sum(value for name, _, value in _values(shown, "onecard_ledger_difference_accounts") if name == process)
    if off or differ:
        told = "; ".join(f"{labels.get('currency', '')} off by {value:.0f} fen" for labels, value in off)
        said = told or f"{differ:.0f} accounts differ from their transfers"
        return sick("books", said, "stop posting and call whoever answers for the ledger: onecard ledger check", "imbalance")
    return well("books", f"they balance, added up {now - at:.0f} s ago")


def _lag(shown: Shown) -> Finding:
    lags = [(value, labels) for _, labels, value in _values(shown, "onecard_consumer_lag_seconds")]
    if not lags:
        return unseen("lag of the workers", "no worker shows it", "see that a stream worker runs")
    worst, labels = max(lags, key=lambda one: one[0])
    if worst <= LATE_LAG_SECONDS:
        return well("lag of the workers", f"at most {worst:.1f} s")
    said = f"{labels.get('topic')} partition {labels.get('partition')} is {lasting(worst)} behind"
    return sick("lag of the workers", said, "start more stream workers, or see what the database waits for", "lag")


def _hotlist(shown: Shown, now: float) -> Finding:
    published = [value for _, _, value in _values(shown, "onecard_hotlist_published_timestamp_seconds") if value]
    if not published:
        return unseen("hotlist", "no process of the card service shows it", "see that the card service runs")
    age = now - max(published)
    if age <= OLD_HOTLIST_SECONDS:
        return well("hotlist", f"{age:.0f} s old")
    said = f"it is {lasting(age)} old: cards that were lost since are accepted"
    return sick("hotlist", said, "see the log of the card service, and that Kafka answers", "hotlist")


def _audit(shown: Shown) -> Finding:
    waits = [(value, process) for process, _, value in _values(shown, "onecard_audit_oldest_unsealed_seconds")]
    if not waits:
        return unseen("audit", "no process shows its seals", "see that the card service runs")
    worst, process = max(waits)
    if worst <= OLD_AUDIT_SECONDS:
        return well("audit", "what was written down is sealed")
    said = f"at {process} a row waits for its seal since {lasting(worst)}"
    return sick("audit", said, "see its log; then: onecard audit verify", "audit")


def _bank(shown: Shown) -> Finding:
    waits = [value for _, _, value in _values(shown, "onecard_card_bank_oldest_waiting_seconds")]
    if not waits:
        return unseen("bank", "no process of the card service shows it")
    if max(waits) <= OLD_BANK_SECONDS:
        return well("bank", f"it answers: the oldest row waits {lasting(max(waits))}")
    said = f"a row waits for its answer since {lasting(max(waits))}"
    return sick("bank", said, "call the bank; see docs/bank-files.md", "bank")


def _duties(shown: Shown) -> Finding:
    failed = [(value, process, labels) for process, labels, value in _values(shown, "onecard_duty_failures_total") if value]
    if not failed:
        return well("duties", "none has failed since the processes started")
    count, process, labels = max(failed, key=lambda one: one[0])
    said = f"{labels.get('duty')} of {process} has failed {count:.0f} times since its start"
    return sick("duties", said, f"look for duty_failed in the log of {process}", "duties")


def _limits(shown: Shown) -> list[Finding]:
    alone = sorted({process for process, _, value in _values(shown, "onecard_rate_limits_local") if value})
    if not alone:
        return []
    return [
        sick(
            "rate limits",
            f"{', '.join(alone)} limit by themselves: Redis is away, or not set",
            "see ONECARD_REDIS",
            "processes",
        )
    ]


def _terminals(shown: Shown, now: float) -> list[Finding]:
    ends = [
        (value - now, labels.get("kind", ""))
        for _, labels, value in _values(shown, "onecard_card_terminal_ends_timestamp_seconds")
        if value
    ]
    if not ends or min(ends)[0] > _ENDS_SOON_SECONDS:
        return []
    left, kind = min(ends)
    when = f"ends in {lasting(left)}" if left > 0 else f"ended {lasting(-left)} ago"
    return [
        sick(
            "certificates of terminals",
            f"that of a {kind} {when}",
            "onecard admin request-terminal, then approve-terminal",
            "certificates",
        )
    ]
