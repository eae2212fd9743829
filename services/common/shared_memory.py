"""Redis, or Valkey: what processes share and may forget."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def open_redis(address: str, answer_seconds: float) -> Redis:
    """A client of `host:port` that waits so long for an answer. Raises RedisError and OSError from its calls."""
    host, _, port = address.rpartition(":")
    # One more try at once: a connection that a restarted server has closed is found only when it is used.
    retry = Retry(NoBackoff(), 1)
    return Redis(host=host, port=int(port), socket_timeout=answer_seconds, socket_connect_timeout=answer_seconds, retry=retry)
