"""What `make prove-k8s` looks at, on servers that do what it must notice."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROOF = Path(__file__).parents[2] / "deploy" / "k8s" / "proof"
Thing = dict[str, Any]
CONTAINER: Thing = {"name": "api", "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}}
DEPLOYMENT: Thing = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "payments-api"},
    "spec": {"template": {"metadata": {"labels": {"app": "payments"}}, "spec": {"containers": [CONTAINER]}}},
}
ACCOUNT: Thing = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "payments"}}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """They are a program's beside the project's packages, and import each other as such."""
    monkeypatch.syspath_prepend(PROOF)
    yield importlib.import_module("looks")
    for name in ("looks", "api"):
        monkeypatch.delitem(sys.modules, name)


class Server:
    """Answers what a test gives it, by the path; an answer may be a function of the body and of who asks."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def get(self, path: str) -> Thing:
        return dict(self._answers[path])

    def ask(self, _method: str, path: str, body: Thing, *, as_account: str = "") -> tuple[Thing, list[str]]:
        answer: tuple[Thing, list[str]] = self._answers[path.partition("?")[0]](body, as_account)
        return answer


@pytest.mark.parametrize(
    ("kept", "faults"),
    [
        ({"a": {"b": [1, 2]}, "c": "set by the server"}, []),
        ({"a": {"b": [1]}}, [".a.b is [1], was sent as [1, 2]"]),
        ({"a": {"b": [1, 3]}}, [".a.b[1] is 3, was sent as 2"]),
        ({"a": {}}, [".a.b is gone"]),
        ({}, [".a is gone"]),
    ],
)
def test_a_field_that_the_server_has_not_or_has_otherwise_is_named(looks: Any, kept: Thing, faults: list[str]) -> None:
    assert list(looks.lost({"a": {"b": [1, 2]}}, kept)) == faults


def test_what_is_empty_may_be_left_out(looks: Any) -> None:
    assert list(looks.lost({"a": {}, "b": [], "c": None, "d": ""}, {})) == []


def test_a_manifest_of_which_something_is_lost_is_named(looks: Any) -> None:
    path = "/apis/apps/v1/namespaces/onecard/deployments/payments-api"
    assert list(looks.kept_whole(Server({path: DEPLOYMENT}), [DEPLOYMENT])) == []
    assert list(looks.kept_whole(Server({path: {**DEPLOYMENT, "spec": {}}}), [DEPLOYMENT])) == [
        "Deployment payments-api: .spec.template is gone"
    ]


def test_what_a_second_application_changes_is_named(looks: Any) -> None:
    before, after = {"Service a": {"spec": {"port": 1}}}, {"Service a": {"spec": {"port": 2}}}
    assert list(looks.changed(before, before)) == []
    assert len(list(looks.changed(before, after))) == 1


def server_of_pods(looks: Any, allows: Callable[[Thing], bool], why: str = "violates PodSecurity", warning: str = "") -> Server:
    def admit(pod: Thing, _: str) -> tuple[Thing, list[str]]:
        if not allows(pod["spec"]):
            raise looks.RefusedError(403, why)
        return pod, [warning] if warning else []

    return Server({"/api/v1/namespaces/onecard/pods": admit})


def is_restricted(spec: Thing) -> bool:
    return bool(spec == DEPLOYMENT["spec"]["template"]["spec"])


def test_a_pod_that_is_taken_and_one_with_more_rights_that_is_refused_are_no_fault(looks: Any) -> None:
    assert list(looks.pods_are_admitted(server_of_pods(looks, is_restricted), [DEPLOYMENT, ACCOUNT])) == []


def test_a_server_that_takes_a_pod_with_more_rights_is_noticed_for_each_of_them(looks: Any) -> None:
    assert list(looks.pods_are_admitted(server_of_pods(looks, lambda _: True), [DEPLOYMENT])) == [
        "Deployment payments-api: its pod is taken when it is privileged",
        "Deployment payments-api: its pod is taken as root",
        "Deployment payments-api: its pod is taken with a capability",
        "Deployment payments-api: its pod is taken in its node's network",
    ]


def test_a_pod_that_is_refused_or_warned_of_is_noticed(looks: Any) -> None:
    refused = list(looks.pods_are_admitted(server_of_pods(looks, lambda _: False), [DEPLOYMENT]))
    assert refused == ["Deployment payments-api: its pod is refused: 403: violates PodSecurity"]
    warned = list(looks.pods_are_admitted(server_of_pods(looks, is_restricted, warning="299 - old"), [DEPLOYMENT]))
    assert warned == ["Deployment payments-api: its pod is warned of: 299 - old"]


def test_a_refusal_for_another_reason_proves_nothing(looks: Any) -> None:
    found = list(looks.pods_are_admitted(server_of_pods(looks, is_restricted, why="quota exceeded"), [DEPLOYMENT]))
    assert len(found) == 4
    assert all("is refused for another reason: 403: quota exceeded" in one for one in found)


def rights(**resources: list[str]) -> Thing:
    rules = [{"verbs": verbs, "apiGroups": [""], "resources": [resource]} for resource, verbs in resources.items()]
    return {"status": {"resourceRules": rules, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}]}}


def test_an_account_that_may_more_than_a_stranger_is_noticed(looks: Any) -> None:
    def answers(of_ours: Thing) -> Server:
        reviews = {"default:stranger": rights(reviews=["create"]), "onecard:payments": of_ours}
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        return Server({path: lambda _, account: (reviews[account], [])})

    assert list(looks.accounts_may_nothing(answers(rights(reviews=["create"])), [ACCOUNT, DEPLOYMENT])) == []
    assert list(looks.accounts_may_nothing(answers(rights(reviews=["create"], secrets=["list"])), [ACCOUNT])) == [
        "payments may list secrets of the core"
    ]
