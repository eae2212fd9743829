"""Apply the overlays to a real API server, by `deploy/k8s/apply` itself; no node and no operator is there.

usage: prove.py KUBE_APISERVER FOLDER OVERLAY…
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import yaml
from api import NAMESPACE, Api, RefusedError, Thing, path_of
from kinds import definitions
from looks import accounts_may_nothing, all_that_stays, changed, kept_whole, pods_are_admitted
from machine import NotThereError, running
from played import namespace_ends, operators_and_controllers

K8S = Path(__file__).parents[1]
KUBECTL = Path(sys.executable).with_name("kubectl")
NEXT_TAG = "0.1.1"


class ProofError(Exception):
    """The server does not do what was to be proved."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print it with its seconds."""
    began = time.monotonic()
    yield
    sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {what}\n")
    sys.stdout.flush()


def none_of(faults: Iterable[str]) -> None:
    """Raises ProofError when there is one."""
    if found := list(faults):
        raise ProofError("\n".join(found))


class Proof:
    """One server, and what is done with it."""

    def __init__(self, api: Api, config: Path, folder: Path) -> None:
        self._api, self._folder = api, folder
        self._env = {**os.environ, "KUBECONFIG": str(config), "KUBECTL": str(KUBECTL), "PATIENCE": "120s"}

    def operators_kinds(self) -> None:
        """The definitions that the operators' installation brings."""
        wanted = []
        for definition in definitions():
            self._api.create(definition)
            wanted.append(definition)
        end = time.monotonic() + 60
        while unserved := list(chain.from_iterable(map(self._unserved, wanted))):
            if time.monotonic() > end:
                raise ProofError("\n".join(unserved))
            time.sleep(0.5)

    def overlay(self, name: str) -> None:
        """From nothing to nothing again."""
        with step(f"{name}: applied to nothing"):
            manifests = self._apply(name)
        with step(f"{name}: every field of {len(manifests)} manifests is kept"):
            none_of(kept_whole(self._api, manifests))
        with step(f"{name}: its pods are admitted, and none that may more"):
            none_of(pods_are_admitted(self._api, manifests))
        with step(f"{name}: its service accounts may ask for nothing"):
            none_of(accounts_may_nothing(self._api, manifests))
        with step(f"{name}: applied again, nothing changes"):
            before = all_that_stays(self._api, manifests)
            self._kubectl("diff", "--server-side", "--field-manager=onecard", "-f", "-", about=manifests)
            self._apply(name)
            none_of(changed(before, all_that_stays(self._api, manifests)))
        if any(one["kind"] == "ScaledObject" for one in manifests):
            with step(f"{name}: who scales workers is not overruled"):
                self._scaled_workers_stay(name)
        with step(f"{name}: applied with another tag"):
            self._next_release(name)

    def removed(self, name: str) -> None:
        """All of an overlay goes, and so does its namespace."""
        manifests = self._render(K8S / "overlays" / name)
        with step(f"{name}: deleted"):
            self._kubectl("delete", "--wait=false", "-f", "-", about=manifests)
            namespace_ends(self._api)
            none_of(f"{one['kind']} {one['metadata']['name']} is still there" for one in manifests if self._is_there(one))

    def _unserved(self, definition: Thing) -> Iterator[str]:
        """Why a kind is not there yet."""
        name = definition["metadata"]["name"]
        said = self._api.get(path_of(definition)).get("status", {}).get("conditions") or ()
        if not any(one["type"] == "Established" and one["status"] == "True" for one in said):
            yield f"{name}: {said}"
        # Without a schema that is structural, the server would keep no field of it.
        yield from (f"{name}: {one['message']}" for one in said if one["type"] == "NonStructuralSchema")

    def _apply(self, overlay: str) -> list[Thing]:
        with operators_and_controllers(self._api) as faults:
            said = self._run(str(K8S / "apply"), overlay)
        none_of(faults)
        none_of(line for line in said.splitlines() if line.startswith("Warning"))
        return self._render(K8S / "overlays" / overlay)

    def _next_release(self, name: str) -> None:
        # An overlay of one's own is a folder anywhere: `apply` is given its path from the overlays.
        own = self._folder / f"{name}-next"
        own.mkdir(exist_ok=True)
        from_overlays = Path(os.path.relpath(own, K8S / "overlays"))
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(K8S / "overlays" / name, own)],
            "images": [{"name": "registry.invalid/onecard/onecard", "newTag": NEXT_TAG}],
        }
        (own / "kustomization.yaml").write_text(yaml.safe_dump(content))
        manifests = self._apply(str(from_overlays))
        none_of(kept_whole(self._api, manifests))
        deployments = list(self._api.all_of("apps/v1", "Deployment"))
        images = {place["image"] for one in deployments for place in one["spec"]["template"]["spec"]["containers"]}
        none_of(f"{image} runs still" for image in images if "onecard/onecard" in image and not image.endswith(f":{NEXT_TAG}"))

    def _scaled_workers_stay(self, name: str) -> None:
        self._kubectl("-n", NAMESPACE, "scale", "deployment/payments-streams", "--replicas=5")
        self._apply(name)
        workers = self._api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/payments-streams")["spec"]["replicas"]
        none_of([f"5 workers became {workers}"] if workers != 5 else [])

    def _is_there(self, thing: Thing) -> bool:
        try:
            self._api.get(path_of(thing))
        except RefusedError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _render(self, overlay: Path) -> list[Thing]:
        return list(yaml.load_all(self._kubectl("kustomize", str(overlay)), Loader=yaml.CSafeLoader))

    def _kubectl(self, *arguments: str, about: Iterable[Thing] = ()) -> str:
        return self._run(str(KUBECTL), *arguments, text=yaml.safe_dump_all(about))

    def _run(self, *command: str, text: str = "") -> str:
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self._env, check=False)
        if done.returncode:
            raise ProofError(f"{' '.join(command)} failed\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        warned = "".join(f"{line}\n" for line in done.stderr.splitlines() if line.startswith("Warning"))
        return warned + done.stdout if warned else done.stdout


def main(server: Path, folder: Path, overlays: list[str]) -> int:
    """Answers the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        with ExitStack() as ends:
            with step("etcd and the API server are ready"):
                api, config = ends.enter_context(running(server, folder))
            proof = Proof(api, config, folder)
            with step("the operators' kinds are defined"):
                proof.operators_kinds()
            for name in overlays:
                proof.overlay(name)
                proof.removed(name)
    except (ProofError, NotThereError, RefusedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{time.monotonic() - began:6.1f} s  in all\n")
    return 0


if __name__ == "__main__":
    server, folder, *names = sys.argv[1:]
    sys.exit(main(Path(server), Path(folder), names))
