"""Spans of time as Prometheus and Alertmanager write them, and how a run of faults has them go faster."""

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN: Final = re.compile(r"([1-9][0-9]*)([smhd])")
LONGEST_SCALED_SECONDS: Final = 3600
"""What takes longer is not waited for by any run of faults: it stays as it is."""


def seconds_of(span: str) -> int:
    """Of 5m, 300; 0: that is no span."""
    found = _SPAN.fullmatch(span)
    return int(found[1]) * _SECONDS[found[2]] if found else 0


def scaled(span: str, scale: float) -> str:
    """5m twenty times as fast is 15s."""
    seconds = seconds_of(span)
    if scale == 1 or seconds > LONGEST_SCALED_SECONDS:
        return span
    return f"{round(seconds * 1000 / scale)}ms"


def scaled_seconds(span: str, scale: float) -> str:
    """The same as a plain number of seconds, for expressions that compare."""
    seconds = seconds_of(span)
    return f"{seconds if seconds > LONGEST_SCALED_SECONDS else seconds / scale:g}"
