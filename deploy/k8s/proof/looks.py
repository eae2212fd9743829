"""What the proof looks at, each as a list of faults."""

from collections.abc import Iterator
from typing import Any

from api import NAMESPACE, Api, RefusedError, Thing, path_of

STRANGER = "default:stranger"
"""An account to whom nobody gave anything."""


def named(thing: Thing) -> str:
    """`Kind name`."""
    return f"{thing['kind']} {thing['metadata']['name']}"


def lost(sent: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Fields that were sent, and that the server does not have, or has otherwise."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for name, value in sent.items():
            if name in kept:
                yield from lost(value, kept[name], f"{path}.{name}")
            elif value not in ({}, [], None, ""):
                yield f"{path}.{name} is gone"
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for place, (one, other) in enumerate(zip(sent, kept, strict=True)):
            yield from lost(one, other, f"{path}[{place}]")
    elif sent != kept:
        yield f"{path} is {kept!r}, was sent as {sent!r}"


def kept_whole(api: Api, manifests: list[Thing]) -> Iterator[str]:
    """Every field of every manifest is there."""
    for manifest in manifests:
        for fault in lost(manifest, api.get(path_of(manifest))):
            yield f"{named(manifest)}: {fault}"


def all_that_stays(api: Api, manifests: list[Thing]) -> dict[str, Thing]:
    """What the server has of each manifest, and who set it when; the Job is made anew at each time, and left out."""
    things = {named(one): api.get(path_of(one)) for one in manifests if one["kind"] != "Job"}
    for thing in things.values():
        # It says that something was written, which may be the same: a claim's first version lacks a default that is shown.
        del thing["metadata"]["resourceVersion"]
    return things


def changed(before: dict[str, Thing], after: dict[str, Thing]) -> Iterator[str]:
    """Things of which the server has something else, and what."""
    for name, thing in before.items():
        if thing != after[name]:
            yield f"{name} was changed: {'; '.join([*lost(thing, after[name]), *lost(after[name], thing)])}"


def pods_are_admitted(api: Api, manifests: list[Thing]) -> Iterator[str]:
    """The server would take a pod of each workload, without a warning, and refuses the same pod with more rights."""
    for workload in manifests:
        if workload["kind"] not in ("Deployment", "StatefulSet", "Job", "CronJob"):
            continue
        spec = workload["spec"]
        template = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]
        name = workload["metadata"]["name"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": template["spec"]}
        try:
            yield from (f"{named(workload)}: its pod is warned of: {one}" for one in _try(api, pod))
        except RefusedError as error:
            yield f"{named(workload)}: its pod is refused: {error}"
        for what, more in _MORE.items():
            try:
                _try(api, {**pod, "spec": more(pod["spec"])})
                yield f"{named(workload)}: its pod is taken {what}"
            except RefusedError as error:
                if "PodSecurity" not in str(error):
                    yield f"{named(workload)}: its pod {what} is refused for another reason: {error}"


def _try(api: Api, pod: Thing) -> list[str]:
    return api.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict", pod)[1]


def _with_container(spec: Thing, security: Thing) -> Thing:
    first, *others = spec["containers"]
    return {**spec, "containers": [{**first, "securityContext": {**first["securityContext"], **security}}, *others]}


_MORE = {
    "when it is privileged": lambda spec: _with_container(spec, {"privileged": True, "allowPrivilegeEscalation": True}),
    "as root": lambda spec: _with_container(spec, {"runAsUser": 0}),
    "with a capability": lambda spec: _with_container(spec, {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
    "in its node's network": lambda spec: {**spec, "hostNetwork": True},
}


def accounts_may_nothing(api: Api, manifests: list[Thing]) -> Iterator[str]:
    """No service account may ask more than a stranger, who hears who he is, the version and public certificates."""
    any_may = _rights(api, STRANGER)
    for account in (one["metadata"]["name"] for one in manifests if one["kind"] == "ServiceAccount"):
        yield from (f"{account} may {right}" for right in _rights(api, f"{NAMESPACE}:{account}") - any_may)


def _rights(api: Api, account: str) -> set[str]:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": NAMESPACE}}
    rules = api.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body, as_account=account)[0]["status"]
    found = {
        f"{verb} {resource} of {group or 'the core'}"
        for rule in rules["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    return found | {
        f"{verb} {url}" for rule in rules["nonResourceRules"] for verb in rule["verbs"] for url in rule["nonResourceURLs"]
    }
