"""What a holder takes home from a visit, in lines for a roll of 80 mm. Nothing on it is personal."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum

from onecard.card.v1 import window_pb2 as messages

COLUMNS = 48
"""Of a roll printer's own letters; a Chinese one takes two."""
_CITY_TIME = timezone(timedelta(hours=8))
_WHAT = {
    "SUBMIT": "申领社会保障卡",
    "WITHDRAW": "撤回申领",
    "COLLECT": "领取社会保障卡",
    "ENABLE": "启用社会保障功能",
    "ACTIVATE": "激活金融功能",
    "REPORT_TEMPORARY_LOSS": "临时挂失",
    "REPORT_FORMAL_LOSS": "正式挂失",
    "RELEASE": "解除挂失",
    "UNLOCK": "解除锁定",
    "EXTEND": "延长临时卡有效期",
    "RESET_PIN": "重置密码",
}


class Look(Enum):
    """How a line stands on the paper."""

    AUTHORITY = 1
    TITLE = 2
    REPRINT = 3
    FACT = 4
    PLAIN = 5
    STRONG = 6
    SMALL = 7
    FOOT = 8
    RULE = 9


CENTRED = {Look.AUTHORITY, Look.TITLE, Look.REPRINT, Look.FOOT}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and what stands at its right end."""

    look: Look
    left: str = ""
    right: str = ""


def receipt_lines(receipt: messages.VisitReceipt, authority: str) -> Iterator[Line]:
    """In order. What a clerk has to know of a name (`not_carried`, `hints`) is for the clerk, and stays away."""
    yield Line(Look.AUTHORITY, authority)
    yield Line(Look.TITLE, "业务办理回执")
    if receipt.reprint:
        yield Line(Look.REPRINT, "补打")
    yield Line(Look.RULE)
    if receipt.visit_number:
        yield Line(Look.FACT, "业务编号", str(receipt.visit_number))
    yield Line(Look.FACT, "回执号", receipt.visit_id)
    if receipt.time_ms:
        yield Line(Look.FACT, "办理时间", _time(receipt.time_ms))
    if receipt.outlet:
        yield Line(Look.FACT, "服务网点", receipt.outlet)
    if receipt.staff_id:
        yield Line(Look.FACT, "经办人", str(receipt.staff_id))
    yield Line(Look.RULE)
    for number, line in enumerate(receipt.lines, 1):
        yield from _line(number, line)
    yield Line(Look.RULE)
    yield Line(Look.STRONG, "收费合计", yuan(sum(line.fee_fen for line in receipt.lines if _done(line))))
    if handed := sum(line.hand_out_fen for line in receipt.lines):
        yield Line(Look.STRONG, "退还现金", yuan(handed))
    yield Line(Look.RULE)
    yield Line(Look.FOOT, "请妥善保管本回执")
    yield Line(Look.FOOT, "服务电话 12333")


def receipt_text(receipt: messages.VisitReceipt, authority: str) -> str:
    """For a roll printer with its own letters."""
    return "".join(f"{line}\n" for each in receipt_lines(receipt, authority) for line in _as_text(each))


def wrapped(text: str, room: float, width_of: Callable[[str], float]) -> list[str]:
    """In lines of that room, broken anywhere."""
    lines = [""]
    for character in text:
        if lines[-1] and width_of(lines[-1] + character) > room:
            lines.append("")
        lines[-1] += character
    return lines


def yuan(fen: int) -> str:
    """An amount, exact."""
    return f"{fen // 100:,}.{fen % 100:02d} 元"


def columns_of(text: str) -> int:
    """How many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WFA" else 1 for character in text)


def _line(number: int, line: messages.VisitLine) -> Iterator[Line]:
    what = f"{number}. {_WHAT.get(line.what, line.what)}"
    if not _done(line):
        yield Line(Look.PLAIN, what, "未办理")
        yield Line(Look.SMALL, line.refusal.message)
        return
    yield Line(Look.PLAIN, what, yuan(line.fee_fen) if line.fee_fen else "已办理")
    if line.application_id:
        yield Line(Look.SMALL, f"申请编号 {line.application_id}")


def _done(line: messages.VisitLine) -> bool:
    return not line.HasField("refusal")


def _as_text(line: Line) -> Iterator[str]:
    if line.look is Look.RULE:
        yield "-" * COLUMNS
        return
    if line.look in CENTRED:
        text = f"【{line.left}】" if line.look is Look.REPRINT else line.left
        yield from (" " * ((COLUMNS - columns_of(part)) // 2) + part for part in wrapped(text, COLUMNS, columns_of))
        return
    indent = "   " if line.look is Look.SMALL else ""
    *before, last = wrapped(line.left, COLUMNS - len(indent), columns_of)
    yield from (indent + text for text in before)
    free = COLUMNS - columns_of(indent + last + line.right)
    if line.right and free < 1:
        yield indent + last
        for part in wrapped(line.right, COLUMNS, columns_of):
            yield " " * (COLUMNS - columns_of(part)) + part
        return
    yield (indent + last + " " * free + line.right).rstrip()


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(_CITY_TIME):%Y-%m-%d %H:%M:%S}"
