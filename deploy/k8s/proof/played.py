"""What nobody is there to do: the words of operators and controllers that `apply` waits for. All of it is played."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from api import NAMESPACE, Api, RefusedError, Thing, path_of

WAITED_FOR = (
    ("external-secrets.io/v1", "ExternalSecret"),
    ("kafka.strimzi.io/v1", "Kafka"),
    ("kafka.strimzi.io/v1", "KafkaTopic"),
    ("kafka.strimzi.io/v1", "KafkaUser"),
    ("postgresql.cnpg.io/v1", "Cluster"),
)


@contextmanager
def operators_and_controllers(api: Api) -> Iterator[list[str]]:
    """They say `ready`, `complete` and `available` of whatever comes, and do nothing else; the list is their faults."""
    ended, faults = threading.Event(), list[str]()

    def play() -> None:
        while not ended.wait(0.5):
            try:
                _once(api)
            except (
                RefusedError
            ) as error:  # a thing that went between the look and the word, or a namespace that is not there yet
                if error.status not in (404, 409):
                    faults.append(f"what was played is refused: {error}")
                    return

    player = threading.Thread(target=play, daemon=True)
    player.start()
    try:
        yield faults
    finally:
        ended.set()
        player.join()


def _once(api: Api) -> None:
    for api_version, kind in WAITED_FOR:
        for thing in api.all_of(api_version, kind):
            if not thing.get("status"):
                api.say(thing, {"conditions": [_true("Ready")]})
    for job in api.all_of("batch/v1", "Job"):
        if not job["status"].get("conditions"):
            times = {"startTime": _now(), "completionTime": _now()}
            api.say(job, {**times, "succeeded": 1, "conditions": [_true("SuccessCriteriaMet"), _true("Complete")]})
    for deployment in api.all_of("apps/v1", "Deployment"):
        generation, count = deployment["metadata"]["generation"], deployment["spec"]["replicas"]
        if deployment["status"].get("observedGeneration") != generation:
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
            api.say(deployment, {"observedGeneration": generation, **counts})


def namespace_ends(api: Api, seconds: float = 30) -> None:
    """Let protected claims go, then the namespace, as controllers do. Raises RefusedError, TimeoutError."""
    for claim in api.all_of("v1", "PersistentVolumeClaim"):
        api.ask("PATCH", path_of(claim), {"metadata": {"finalizers": None}}, merge=True)
    here = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    api.ask("PUT", f"{path_of(here)}/finalize", {**here, "spec": {"finalizers": []}})
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            api.get(path_of(here))
        except RefusedError as error:
            if error.status == 404:
                return
            raise
        time.sleep(0.2)
    raise TimeoutError("the namespace does not go")


def _true(condition: str) -> Thing:
    return {"type": condition, "status": "True", "reason": "Played", "message": "played", "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
