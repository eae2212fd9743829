"""Tokens of electronic cards, as the card service leaves them in Redis: electronic_tokens.proto says where and how."""

from typing import Final

from google.protobuf.message import DecodeError
from redis.exceptions import RedisError

from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_PAY, ElectronicToken
from services.common.errors import Code, DomainError
from services.common.shared_memory import open_redis

_KEY: Final = "electronic:token:"
_ANSWER_SECONDS: Final = 1.0


class ElectronicTokens:
    """Finds cards by tokens. While Redis does not answer nothing is paid by token, and everything else goes on."""

    def __init__(self, redis_address: str) -> None:
        """`redis_address` is host:port; empty: there is none."""
        self._redis = redis_address and open_redis(redis_address, _ANSWER_SECONDS)

    async def find(self, number: bytes) -> ElectronicToken | None:
        """What a token stands for; None: nothing that pays. Raises DomainError while Redis is away."""
        if not self._redis:
            raise _away()
        try:
            value = await self._redis.get(_KEY + number.hex())
            token = None if value is None else ElectronicToken.FromString(value)  # type: ignore[arg-type]  # bytes: it decodes nothing
        except (RedisError, OSError):
            raise _away() from None
        except DecodeError:
            return None
        return token if token and token.purpose == TOKEN_PURPOSE_PAY else None

    async def close(self) -> None:
        """End the connections."""
        if self._redis:
            await self._redis.aclose()


def _away() -> DomainError:
    return DomainError(Code.UNAVAILABLE, "TOKENS_AWAY", "暂时无法核验付款码，请用同一请求号重试")
