"""Each overlay as it would be applied, into build/k8s: as YAML, and as JSON for the tests.

usage: render.py OVERLAY…
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

K8S = Path(__file__).parents[1]
BUILD = K8S.parents[1] / "build" / "k8s"


def render(overlay: str) -> None:
    """Raises CalledProcessError when kustomize refuses it."""
    kubectl = Path(sys.executable).with_name("kubectl")
    command = [kubectl, "kustomize", str(K8S / "overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (BUILD / f"{overlay}.yaml").write_text(text)
    (BUILD / f"{overlay}.json").write_text(json.dumps(list(yaml.load_all(text, Loader=yaml.CSafeLoader))))


if __name__ == "__main__":
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        for name in sys.argv[1:]:
            render(name)
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
