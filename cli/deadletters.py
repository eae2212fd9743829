"""`onecard deadletters`: records without a verdict: what they are, what mends them, and how they come to an end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cli.counter import RequestIdOption, console, in_the_city, said, tell, time_of
from cli.desk import table_of, words
from cli.place import Place, at_operator
from onecard.payments.v1 import dead_letter_service_pb2 as messages
from onecard.payments.v1.dead_letters_pb2 import Cause as WireCause
from onecard.payments.v1.outcomes_pb2 import Reason as WireReason
from sdk.merchant.access import open_line, service_credentials
from sdk.operator.dead_letters import AT_ONCE, DeadLetters
from services.payments.domain.cause_words import CAUSE_WORDS
from services.payments.domain.verdict import Cause

app = typer.Typer(no_args_is_help=True, help="Records without a verdict: list, explain, replay, refuse.")

_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}
_SAID: Final = {
    messages.STANDING_ENDED: "it has ended",
    messages.STANDING_STANDS: "its cause stands: a replay would leave it as it is",
    messages.STANDING_MENDED: "its cause is mended: a replay decides it",
    messages.STANDING_DECIDED: "its terminal sent it again and that was decided: it is closed within seconds",
    messages.STANDING_UNTRIED: "only a replay can tell whether the database takes it now",
}


def parse_cause(name: str) -> Cause:
    """UNKNOWN_TERMINAL, or unknown-terminal."""
    try:
        return Cause[name.upper().replace("-", "_")]
    except KeyError:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(cause.name for cause in Cause)}") from None


def parse_age(text: str) -> float:
    """Seconds: 90m, 12h or 3d."""
    number, unit = text[:-1], _UNITS.get(text[-1:], 0)
    if not (unit and number.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no age: 90m, 12h or 3d is wanted")
    return int(number) * unit


CauseOption = Annotated[Cause | None, typer.Option("--cause", metavar="CAUSE", parser=parse_cause)]
NumbersArgument = Annotated[list[int] | None, typer.Argument(metavar="NUMBER", help="as `list` shows them", min=1)]
ReasonOption = Annotated[str, typer.Option("--reason", help="why, in a line for those who look later; no names")]
JsonOption = Annotated[bool, typer.Option("--json", help="for programs")]


@app.callback()
def deadletters() -> None:
    """Records without a verdict: what they are, what mends them, and how they come to an end.

    Whoever acts here has the right `operator` and a certificate of one's own; each act is written down.
    The exit status is 0, 1 where records stay dead, 2 for a question that was not accepted, 3 when no answer came.
    """


@app.command("list")
@at_operator
def list_letters(
    at: Place,
    cause: CauseOption = None,
    topic: Annotated[str, typer.Option(help="such as transactions.bus")] = "",
    merchant: Annotated[str, typer.Option(help="whose; as the record names it")] = "",
    older_than: Annotated[float | None, typer.Option(metavar="AGE", parser=parse_age, help="90m, 12h or 3d")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="those that have ended, in place of those that lie open")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="records on a page")] = 20,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="the page that an earlier answer named")] = "",
    as_json: JsonOption = False,
) -> None:
    """How many there are of each kind, then the records.

    Example: onecard deadletters list --cause UNKNOWN_TERMINAL --older-than 12h
    """
    before_ms = int((time.time() - older_than) * 1000) if older_than else 0
    wanted = messages.DeadLetterFilter(
        cause=cause.value if cause else 0,  # type: ignore[arg-type]  # numbers agree, a test holds it
        topic=topic,
        merchant_id=merchant,
        before_time_ms=before_ms,
        ended=ended,
    )
    with _operator(at) as asked:
        counts = asked.count(wanted)
        letters, following = asked.page(wanted, limit, page)
    if as_json:
        _print_json({"counts": list(counts), "letters": list(letters), "next_page": following})
        return
    if not counts:
        console.print(f"no dead letter {'has ended' if ended else 'lies open'}")
        return
    _print_counts(counts)
    _print_letters(letters)
    if following:
        console.print(f"more: the same with --page {following}", soft_wrap=True)


@app.command()
@at_operator
def show(at: Place, number: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False) -> None:
    """All that is known of one: what it means, whether its cause stands at this moment, and what was done about it."""
    with _operator(at) as asked:
        found = asked.get(number)
    if as_json:
        _print_json({"found": found})
        return
    letter = found.letter
    told = CAUSE_WORDS[Cause(letter.cause)]
    table = table_of("", "")
    table.show_header = False
    for name, value in (
        ("number", str(letter.number)),
        ("put aside", time_of(letter.create_time_ms)),
        ("record", f"{letter.topic}, partition {letter.partition}, offset {letter.offset}, {letter.record_bytes} bytes"),
        ("appended", time_of(letter.append_time_ms)),
        ("merchant", letter.merchant_id or "could not be read"),
        ("terminal", f"{letter.terminal_id}, its number {letter.terminal_sequence}" if letter.terminal_id else ""),
        ("card", letter.masked_card),
        ("cause", _name(letter.cause) + (f", SQLSTATE {letter.sqlstate}" if letter.sqlstate else "")),
        ("means", told.meaning),
        ("what to do", told.mends if not letter.end_time_ms else ""),
        ("now", _SAID[found.standing] + (f" ({_name(found.cause_now)})" if found.cause_now else "")),
        ("ended", _ended(letter)),
    ):
        if value:
            table.add_row(name, value)
    console.print(table)
    _print_acts(found.acts)


@app.command()
def explain(
    cause: Annotated[Cause | None, typer.Argument(metavar="[CAUSE]", parser=parse_cause, show_default=False)] = None,
) -> None:
    """What a cause means, and who does what about it; without a cause, all of them. It asks nobody.

    Example: onecard deadletters explain NO_TARIFF
    """
    for one in [cause] if cause else list(Cause):
        told = CAUSE_WORDS[one]
        console.print(f"[bold]{one.name}[/]\n  {told.meaning}\n  {told.mends}")


@app.command()
@at_operator
def replay(
    at: Place,
    numbers: NumbersArgument = None,
    cause: CauseOption = None,
    reason: ReasonOption = "its cause is mended",
    as_json: JsonOption = False,
) -> None:
    """Decide the very bytes again, once their cause is mended; says of each record what became of it.

    Nothing is posted twice: an identity has one verdict, whoever asks how often. No byte is ever changed.

    Example: onecard deadletters replay --cause NO_TARIFF --reason "tariff of May added"
    """
    if bool(numbers) == bool(cause):
        raise typer.BadParameter("name numbers, or --cause")
    results: list[messages.ReplayResult] = []
    with _operator(at) as asked:
        for some in _batches(asked, numbers, cause):
            done = asked.replay(some, reason)
            results += done
            for one in () if as_json else done:
                console.print(f"{one.number}  {_became(one)}")
    counts = Counter(_outcome(one) for one in results)
    if as_json:
        _print_json({"results": results, "counts": counts})
    else:
        console.print(", ".join(f"{n} {name}" for name, n in counts.most_common()) or "nothing lies open of that cause")
    raise typer.Exit(int(any(one.outcome == messages.REPLAY_OUTCOME_STILL_DEAD for one in results)))


@app.command()
@at_operator
def refuse(
    at: Place,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", min=1)],
    reason: ReasonOption,
    request_id: RequestIdOption = "",
) -> None:
    """Ask that records end as refused, for they will never be posted. Somebody else approves it.

    Example: onecard deadletters refuse 17 18 --reason "forged: the terminal's housing was opened"
    """
    with _operator(at) as asked:
        act = asked.ask_refusal(sorted(set(numbers)), reason, request_id=request_id)
    console.print(f"asked under {act.number}; nothing has ended yet. Somebody else looks at the records, and then:")
    console.print(f"onecard deadletters approve {act.number} --operator NAME")


@app.command()
@at_operator
def approve(at: Place, asked_under: Annotated[int, typer.Argument(metavar="ASKED", min=1)]) -> None:
    """Approve what another operator has asked for: its records have ended as refused, for ever.

    Example: onecard deadletters approve 5 --operator operator-2
    """
    with _operator(at) as asked:
        approved = asked.approve_refusal(asked_under)
    others = list(approved.ended_before)
    console.print(f"{len(approved.act.letters) - len(others)} records were refused: {approved.act.reason}")
    if others:
        console.print(f"they had ended otherwise before: {', '.join(map(str, others))}")


@app.command()
@at_operator
def reject(at: Place, asked_under: Annotated[int, typer.Argument(metavar="ASKED", min=1)], reason: ReasonOption) -> None:
    """Say no to what was asked for, or withdraw it; the records stay open."""
    with _operator(at) as asked:
        asked.reject_refusal(asked_under, reason)
    console.print("rejected: the records lie open still")


@app.command()
@at_operator
def acts(
    at: Place,
    waiting: Annotated[bool, typer.Option("--waiting", help="only what waits for a second person")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Who did what to dead letters, and why; newest first."""
    with _operator(at) as asked:
        found = asked.acts(waiting=waiting, size=limit)
    if as_json:
        _print_json({"acts": list(found)})
    elif not _print_acts(found):
        console.print("nothing waits" if waiting else "nothing was done")


@contextmanager
def _operator(at: Place) -> Iterator[DeadLetters]:
    """An operator before the running city, or whatever was named. What goes wrong is said."""
    at = in_the_city(at, lambda city: city.api)
    if not at.api:
        typer.echo(
            "no city runs here: start one with `onecard city run`, or name --api HOST:PORT --certificates FOLDER", err=True
        )
        raise typer.Exit(2)
    try:
        found = service_credentials(at.certificates, at.office) if at.certificates else None
        if at.certificates and not found:
            raise FileNotFoundError(f"{at.certificates} holds no certificate of {at.office}: service+{at.office}.crt")
        line = open_line(at.api, f"onecard://service/{quote(at.office, safe='')}", found)
    except (OSError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None

    def right(reason: str) -> str:
        needed = reason in ("OPERATOR_RIGHT_NEEDED", "UNKNOWN_CALLER")
        return f"the owner gives the right: python -m services.payments grant {at.office} operator" if needed else ""

    with said(right), DeadLetters(line, trouble=tell, answer_seconds=60, patience_seconds=120) as asked:
        yield asked


def _batches(asked: DeadLetters, numbers: Sequence[int] | None, cause: Cause | None) -> Iterator[list[int]]:
    if cause:
        wanted = messages.DeadLetterFilter(cause=cause.value)  # type: ignore[arg-type]  # numbers agree, a test holds it
        for letters in asked.all(wanted):
            yield [letter.number for letter in letters]
    chosen = list(dict.fromkeys(numbers or ()))
    for first in range(0, len(chosen), AT_ONCE):
        yield chosen[first : first + AT_ONCE]


def _print_counts(counts: Sequence[messages.DeadLetterCount]) -> None:
    table = table_of("records", "cause", "topic", "merchant", "since")
    for one in counts:
        table.add_row(f"{one.records:,}", _name(one.cause), one.topic, one.merchant_id, time_of(one.oldest_time_ms))
    console.print(table)


def _print_letters(letters: Sequence[messages.DeadLetterSummary]) -> None:
    table = table_of("number", "cause", "put aside", "topic/partition/offset", "merchant", "terminal", "its number", "card")
    for one in letters:
        place = f"{one.topic}/{one.partition}/{one.offset}"
        read = one.merchant_id, one.terminal_id, str(one.terminal_sequence or ""), one.masked_card
        table.add_row(str(one.number), _name(one.cause), time_of(one.create_time_ms), place, *read)
    console.print(table)


def _print_acts(found: Sequence[messages.DeadLetterAct]) -> int:
    if found:
        table = table_of("act", "when", "who", "what", "records", "why")
        for one in found:
            what = words(messages.ActKind.Name(one.kind), "ACT_KIND_") + (f" {one.asked}" if one.asked else "")
            records = ", ".join(map(str, one.letters[:5])) + (f" … {len(one.letters)} in all" if len(one.letters) > 5 else "")
            table.add_row(str(one.number), time_of(one.time_ms), one.actor, what, records, one.reason)
        console.print(table)
    return len(found)


def _ended(letter: messages.DeadLetterSummary) -> str:
    if not letter.end_time_ms:
        return ""
    return f"{time_of(letter.end_time_ms)}, " + (f"refused by act {letter.refusal}" if letter.refusal else "decided")


def _became(one: messages.ReplayResult) -> str:
    why = f": {WireReason.Name(one.reason).removeprefix('REASON_')}" if one.reason else ""
    return _outcome(one) + why + (f": {_name(one.cause)}" if one.cause else "")


def _outcome(one: messages.ReplayResult) -> str:
    return words(messages.ReplayOutcome.Name(one.outcome), "REPLAY_OUTCOME_")


def _name(cause: int) -> str:
    name = WireCause.Name(cause)
    return name.removeprefix("CAUSE_")


def _print_json(shown: dict[str, Any]) -> None:
    def plain(value: Any) -> Any:
        if isinstance(value, Message):
            return MessageToDict(value, preserving_proto_field_name=True)
        return [plain(one) for one in value] if isinstance(value, list) else value

    typer.echo(json.dumps({name: plain(value) for name, value in shown.items()}, ensure_ascii=False, indent=2))
