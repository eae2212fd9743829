"""Ports that nobody listens on."""

from cli.servers.ports import RANGE, free_port


def test_no_two_servers_get_the_same_port_though_neither_listens_yet() -> None:
    given = [free_port() for _ in range(2000)]
    assert len(set(given)) == len(given)
    assert all(port in RANGE for port in given)
