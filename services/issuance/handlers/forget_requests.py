"""Take away answers to requests that are kept no longer than the city says."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.database import driver_of
from services.issuance.domain.settings import IssuanceRules

_MOST: Final = 1000
_REQUESTS: Final = """
with gone as (
    delete from issuance.request where ctid = any(array(
        select ctid from issuance.request where create_time < now() - make_interval(days => $1) limit $2))
    returning 1)
select count(*) from gone"""


class ForgetRequests:
    """A duty."""

    def __init__(self, rules: IssuanceRules) -> None:
        self._days = rules.request_days

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        gone: int = await (await driver_of(connection)).fetchval(_REQUESTS, self._days, _MOST)
        return gone < _MOST
