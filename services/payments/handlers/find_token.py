"""Whose token is shown: a request that has its verdict already needs none, whatever became of the token since."""

from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session
from services.payments.adapters.electronic_tokens import ElectronicTokens
from services.payments.adapters.payments import read_rulings
from services.payments.domain.operation import Token
from services.payments.domain.tap import Terminal


class FindToken:
    """Looks for the request first and for the token then. The ledger alone decides; here its question is prepared."""

    def __init__(self, engine: AsyncEngine, tokens: ElectronicTokens) -> None:
        self._engine = engine
        self._tokens = tokens

    async def __call__(self, caller: Terminal, request_id: str, text: str) -> tuple[Token, str]:
        """The token and its card's identifier, empty where nobody knows it. Raises DomainError while Redis is away."""
        number = sha256(text.encode()).digest()
        async with driver_session(self._engine) as driver:
            known = await read_rulings(driver, [(caller.number, request_id)])
        found = None if known else await self._tokens.find(number)
        return (Token(number, found.expire_time_ms), found.card_identifier) if found else (Token(number), "")
