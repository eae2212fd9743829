"""Holds the dashboards against what a run has stored: `python -m deploy.grafana.check [folder of the data]`."""

import sys
import time
from pathlib import Path

from cli import paths
from deploy.grafana import answers, rules
from deploy.grafana.build import differences
from deploy.grafana.names import exported
from deploy.grafana.pages import read_pages
from deploy.grafana.prometheus import NothingStoredError, prometheus_on


def main(arguments: list[str]) -> int:
    """Exit status."""
    began = time.monotonic()
    data = Path(arguments[0]) if arguments else paths.CITY / "prometheus" / "data"
    pages = read_pages()
    wrong = [f"{name}: is not what deploy/grafana builds (make dashboards)" for name in differences()]
    wrong += rules.refusals(pages, exported())
    asked = 0
    try:
        with prometheus_on(data) as prometheus:
            window = prometheus.window()
            for page in pages:
                for panel in page.panels:
                    asked += len(panel.targets)
                    wrong += answers.refusals(page, panel, prometheus.answer(page, panel, window))
    except NothingStoredError as error:
        wrong.append(str(error))
    for text in wrong:
        sys.stderr.write(f"✗ {text}\n")
    sys.stdout.write(f"{len(pages)} dashboards, {asked} queries, {len(wrong)} refused ({time.monotonic() - began:.1f} s)\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
