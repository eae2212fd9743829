"""Writes what Prometheus and Alertmanager read: `python -m deploy.prometheus.build`; `--check` only says what differs.

An installation names its own receivers and keeps the files with it: `--receivers FOLDER --into FOLDER`. A run of faults has
them go faster: `--scale 20 --into FOLDER`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.prometheus.alertmanager import RECEIVERS, alertmanager_of
from deploy.prometheus.alerts import read_alerts
from deploy.prometheus.rules import rules_of

DEPLOY: Final = Path(__file__).parents[1]
RULES: Final = "prometheus/rules.yml"
ALERTMANAGER: Final = "alertmanager/alertmanager.yml"
ON_A_CLUSTER: Final = "k8s/base/monitoring/rules.yaml"
_MADE: Final = "# Made by deploy.prometheus.build of deploy/prometheus/alerts.toml; change it there.\n"


class _Plain(yaml.SafeDumper):  # type: ignore[misc]  # the library has no types
    """Several lines as they are."""


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def texts(receivers: Path = RECEIVERS, scale: float = 1) -> dict[str, str]:
    """The files, by their place below deploy/."""
    table = read_alerts()
    rules = rules_of(table, scale)
    made: dict[str, Mapping[str, Any]] = {
        RULES: rules,
        ON_A_CLUSTER: _as_object(rules),
        ALERTMANAGER: alertmanager_of(table, receivers, scale),
    }
    return {
        name: _MADE + yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
        for name, content in made.items()
    }


def _as_object(rules: Mapping[str, Any]) -> Mapping[str, Any]:
    """As the operator of Prometheus takes them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "onecard", "labels": {"onecard/stage": "services"}},
        "spec": rules,
    }


def differences(folder: Path = DEPLOY) -> list[str]:
    """Files that are missing or are not what would be written."""
    return [
        name
        for name, text in texts().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.prometheus.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing: say what differs")
    parser.add_argument("--scale", type=float, default=1, help="times up to an hour go so many times faster")
    parser.add_argument("--receivers", type=Path, default=RECEIVERS, help="folder with the address of each receiver")
    parser.add_argument("--into", type=Path, default=DEPLOY, help="folder to write into")
    asked = parser.parse_args(arguments)
    if asked.check:
        for name in (different := differences()):
            sys.stderr.write(f"deploy/{name} is not what deploy.prometheus.build makes: make alerts\n")
        return 1 if different else 0
    if asked.into == DEPLOY and (asked.scale != 1 or asked.receivers != RECEIVERS):
        parser.error("what is for one run or one installation is written elsewhere: --into FOLDER")
    for name, text in texts(asked.receivers, asked.scale).items():
        file = asked.into / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
