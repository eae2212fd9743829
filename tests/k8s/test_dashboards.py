"""Grafana on a cluster shows the pages that the checks hold."""

from deploy.grafana.build import texts
from tests.k8s.manifests import Overlay

_MOST_BYTES = 1024 * 1024
"""Of the content of a ConfigMap."""


def test_every_page_is_loaded_by_the_sidecar(overlay: Overlay) -> None:
    pages = overlay.one("ConfigMap", "dashboards")
    assert pages["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert pages["metadata"]["namespace"] == "onecard"
    assert pages["data"] == texts()


def test_half_of_the_room_is_left(overlay: Overlay) -> None:
    assert sum(map(len, overlay.one("ConfigMap", "dashboards")["data"].values())) < _MOST_BYTES / 2
