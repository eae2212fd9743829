"""Which metrics a query reads, and which there are."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from prometheus_client.registry import REGISTRY

from services.card import metrics as _card
from services.common import build, housekeeping, sessions
from services.common.audit import seal
from services.common.grpc import metrics as _calls
from services.issuance import metrics as _issuance
from services.payments import metrics as _payments

DECLARING: Final = (build, housekeeping, sessions, seal, _calls, _card, _issuance, _payments)
"""Importing them declares every metric of the services in the registry."""
OF_PROMETHEUS: Final = frozenset({"up", "ALERTS"})
"""That it makes by itself."""

_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_NOT_NAMES: Final = (
    re.compile(r"\{[^{}]*\}"),
    re.compile(r"\[[^\[\]]*\]"),
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"),
)
_NAME: Final = re.compile(r"(?<![\w.:$])([A-Za-z_:][\w:]*)\b(?!\s*\()")
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "inf", "nan", "e"})


def metrics_in(expr: str) -> set[str]:
    """Names of the series that a query selects: what is left of it without strings, labels, ranges, groupings and functions."""
    left = _STRING.sub("", expr)
    for pattern in _NOT_NAMES:
        left = pattern.sub(" ", left)
    return {name for name in _NAME.findall(left) if name.lower() not in _WORDS}


@cache
def exported() -> frozenset[str]:
    """Every series that the services' code declares, whether or not something has happened that it counts."""
    found = set(OF_PROMETHEUS)
    for family in REGISTRY.collect():
        found.update(_series(family.name, family.type))
    return frozenset(found)


def _series(name: str, kind: str) -> Iterable[str]:
    if kind == "histogram":
        return (f"{name}_bucket", f"{name}_count", f"{name}_sum")
    return (name + {"counter": "_total", "info": "_info"}.get(kind, ""),)
