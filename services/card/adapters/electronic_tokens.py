"""One-time tokens in Redis, for whoever meets them, by their digests: electronic_tokens.proto says where and how."""

from hashlib import sha256
from typing import Final

from google.protobuf.message import DecodeError
from redis.exceptions import RedisError

from onecard.card.v1.electronic_tokens_pb2 import ElectronicToken
from services.card.domain.electronic import TokenPurpose
from services.common.errors import Code, DomainError
from services.common.shared_memory import open_redis

_KEY: Final = "electronic:token:"
_CURRENT: Final = "electronic:current:"
"""Behind it a card and a purpose; the value is the number of their newest token."""
_ANSWER_SECONDS: Final = 1.0
# The token before it dies in the same moment.
_LEAVE: Final = """
local before = redis.call('GET', KEYS[2])
if before then redis.call('DEL', ARGV[4] .. before) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
"""


def number_of(token: str) -> bytes:
    """By which a token is known."""
    return sha256(token.encode()).digest()


class ElectronicTokens:
    """While Redis does not answer there are no tokens."""

    def __init__(self, redis_address: str) -> None:
        """`redis_address` is host:port; empty: there is none."""
        self._redis = redis_address and open_redis(redis_address, _ANSWER_SECONDS)

    async def leave(
        self, token: str, card_identifier: str, purpose: TokenPurpose, seconds: int, now_ms: int
    ) -> int:  # fmt: skip
        """Make it known; answers until when it is good. Raises DomainError while Redis is away: then nobody has a token."""
        if not self._redis:
            raise _away()
        until_ms = now_ms + seconds * 1000
        value = ElectronicToken(card_identifier=card_identifier, purpose=purpose, expire_time_ms=until_ms)  # type: ignore[arg-type]  # numbers agree, a test holds it
        number = number_of(token).hex()
        keys = (_KEY + number, f"{_CURRENT}{card_identifier}:{purpose.value}")
        try:
            await self._redis.eval(_LEAVE, 2, *keys, value.SerializeToString(), number, seconds * 1000, _KEY)
        except (RedisError, OSError):
            raise _away() from None
        return until_ms

    async def find(self, token: str) -> ElectronicToken | None:
        """What a token stands for; None: nothing. Raises DomainError while Redis is away."""
        if not self._redis:
            raise _away()
        try:
            value = await self._redis.get(_KEY + number_of(token).hex())
            return None if value is None else ElectronicToken.FromString(value)  # type: ignore[arg-type]  # bytes: it decodes nothing
        except (RedisError, OSError):
            raise _away() from None
        except DecodeError:
            return None

    async def close(self) -> None:
        """End the connections."""
        if self._redis:
            await self._redis.aclose()


def _away() -> DomainError:
    return DomainError(Code.UNAVAILABLE, "TOKENS_AWAY", "电子社保卡动态码暂时不可用，请稍后再试，或使用实体卡")
