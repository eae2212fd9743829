"""Tokens of electronic cards as the card service leaves them in Redis, and what a restored snapshot brings back."""

from contextlib import closing
from hashlib import sha256
from secrets import token_urlsafe

from redis import Redis

from cli.servers.valkey import Valkey
from onecard.card.v1.card_events_pb2 import CardState, ElectronicPeriod, ElectronicUse
from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_PAY, ElectronicToken, TokenPurpose
from services.payments.domain.card import CardStatus
from tests.support.town import LONG_AGO_MS, card_identifier, card_state, now_ms


def leave(
    valkey: Valkey, card: int, token: str = "", *, seconds: int = 60, purpose: "TokenPurpose" = TOKEN_PURPOSE_PAY
) -> str:  # fmt: skip
    """A token of this card, which Redis knows; one that is given is put there again."""
    token = token or token_urlsafe(32)
    value = ElectronicToken(card_identifier=card_identifier(card), purpose=purpose, expire_time_ms=now_ms() + seconds * 1000)
    with closing(redis_of(valkey)) as redis:
        redis.set(f"electronic:token:{sha256(token.encode()).hexdigest()}", value.SerializeToString(), px=60_000)
    return token


def redis_of(valkey: Valkey) -> "Redis":
    host, _, port = valkey.address.rpartition(":")
    return Redis(host=host, port=int(port))


def electronic(
    card: int, use: "ElectronicUse", *, status: CardStatus = CardStatus.NORMAL, version: int = 2
) -> CardState:  # fmt: skip
    """A card whose electronic card may be used like this, and that has been in this state for a second."""
    state = card_state(card, periods=((CardStatus.NORMAL, LONG_AGO_MS, 0), (status, now_ms() - 1000, 0)), version=version)
    state.electronic_periods.append(ElectronicPeriod(use=use, valid_from_ms=now_ms() - 1000))
    return state
