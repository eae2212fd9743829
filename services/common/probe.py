"""`python -m services.common.probe ADDRESS`: is the process beside us well? Ends with 0 if it is; for those who wait for it.

`grpc://host:port` is where it answers health checks, ONECARD_HEALTH_LISTEN; `http://host:port/path` where it shows metrics.
"""

import sys
from typing import Any, Final

PATIENCE_SECONDS: Final = 5.0


def well(address: str) -> bool:
    """Whether it says so within some seconds. Raises ValueError for another kind of address."""
    kind, separator, where = address.partition("://")
    if separator and kind == "grpc":
        return _serves(where)
    if separator and kind == "http":
        return _answers(address)
    raise ValueError(f"{address!r} is no grpc://host:port, and no http://host:port/path")


def _serves(where: str) -> bool:
    import grpc  # noqa: PLC0415 - each of the two takes its time to import, and a probe is run every few seconds
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(where, options=[("grpc.enable_http_proxy", 0)]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # generated code sets its methods when it is made
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _answers(address: str) -> bool:
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415

    host, slash, path = address.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", slash + path or "/")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """For the health check of a container."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(not well(sys.argv[1]))
    except ValueError as error:
        sys.exit(f"probe: {error}")


if __name__ == "__main__":
    main()
