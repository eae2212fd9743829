"""How often PostgreSQL has ended a posting because it waited in a ring, by the product's own metric."""

from prometheus_client import REGISTRY

_LABELS = {"sqlstate": "40P01", "then": "AGAIN"}


class Deadlocks:
    """Counted from here on, in this process."""

    def __init__(self) -> None:
        self._before = _all()

    def new(self) -> float:
        return _all() - self._before


def _all() -> float:
    return REGISTRY.get_sample_value("onecard_database_trouble_total", _LABELS) or 0
