"""Do what is asked once, also over a change of keys: a request is known by keyed digests, for it may name people."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters.sealing import Sealing
from services.common import once
from services.common.once import transact
from services.common.points import AtPoint, pass_by

__all__ = ["Once", "transact"]


class Once(once.Once):
    """Requests of the card service."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, at: AtPoint = pass_by) -> None:
        super().__init__(engine, "card", sealing.request_digests, at)
