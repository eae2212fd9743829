from concurrent.futures import ThreadPoolExecutor

import grpc
import prometheus_client
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.common.probe import well


@pytest.mark.parametrize("serving", [True, False])
def test_a_process_is_well_while_it_says_that_it_serves(serving: bool) -> None:
    status = health_pb2.HealthCheckResponse
    servicer = health.HealthServicer()
    servicer.set("", status.SERVING if serving else status.NOT_SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert well(f"grpc://127.0.0.1:{port}") is serving
    finally:
        server.stop(0).wait()


def test_a_worker_is_well_while_it_shows_metrics() -> None:
    server, thread = prometheus_client.start_http_server(0, addr="127.0.0.1")
    address = f"127.0.0.1:{server.server_port}"
    assert well(f"http://{address}/metrics")
    server.shutdown()
    server.server_close()
    thread.join()
    assert not well(f"http://{address}/metrics")


def test_what_does_not_answer_is_not_well() -> None:
    assert not well("grpc://127.0.0.1:1")


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no grpc://"):
        well("127.0.0.1:9000")
