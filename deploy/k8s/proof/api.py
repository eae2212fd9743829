"""The API of Kubernetes, as far as the proof speaks it itself; manifests are applied by kubectl."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

Thing = dict[str, Any]
"""A manifest, or what the server keeps of it."""
NAMESPACE = "onecard"
_PLURALS = {"NetworkPolicy": "networkpolicies"}
_EVERYWHERE = {"Namespace", "CustomResourceDefinition", "ClusterRoleBinding"}


class RefusedError(Exception):
    """The server said no; `status` is the HTTP status."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class Api:
    """One server, and who we are for it."""

    def __init__(self, url: str, authority: Path, token: str) -> None:
        self._url, self._token = url, token
        self._tls = ssl.create_default_context(cafile=str(authority))

    def get(self, path: str) -> Thing:
        """What is there. Raises RefusedError."""
        return self.ask("GET", path)[0]

    def ask(
        self, method: str, path: str, body: Thing | None = None, *, as_account: str = "", merge: bool = False
    ) -> tuple[Thing, list[str]]:
        """The answer, and the server's warnings; `as_account` is NAMESPACE:NAME of who asks instead. Raises RefusedError."""
        # Always the server on loopback that the proof has started.
        request = urllib.request.Request(self._url + path, json.dumps(body).encode() if body else None, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Content-Type", "application/merge-patch+json" if merge else "application/json")
        if as_account:
            request.add_header("Impersonate-User", f"system:serviceaccount:{as_account}")
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:  # noqa: S310
                return _content(answer.read()), _warnings(answer.headers)
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, str(_content(error.read()).get("message", "no reason given"))) from None

    def create(self, thing: Thing) -> None:
        """Raises RefusedError."""
        self.ask("POST", path_of({"apiVersion": thing["apiVersion"], "kind": thing["kind"]}), thing)

    def say(self, thing: Thing, status: Thing) -> None:
        """Play whoever reports a status."""
        self.ask("PATCH", f"{path_of(thing)}/status", {"status": status}, merge=True)

    def all_of(self, api_version: str, kind: str) -> Iterator[Thing]:
        """Everything of one kind in our namespace, with the names that a list leaves out."""
        for thing in self.get(path_of({"apiVersion": api_version, "kind": kind}))["items"]:
            yield {"apiVersion": api_version, "kind": kind, **thing}


def path_of(thing: Thing) -> str:
    """Where a thing is; without a name, where all of its kind are."""
    api, kind = thing["apiVersion"], thing["kind"]
    path = f"/apis/{api}" if "/" in api else f"/api/{api}"
    if kind not in _EVERYWHERE:
        path += f"/namespaces/{NAMESPACE}"
    path += "/" + _PLURALS.get(kind, kind.lower() + "s")
    return f"{path}/{thing['metadata']['name']}" if "metadata" in thing else path


def _content(body: bytes) -> Thing:
    try:
        return json.loads(body)  # type: ignore[no-any-return]
    except ValueError:
        return {"message": body.decode(errors="replace")[:500]}


def _warnings(headers: HTTPMessage) -> list[str]:
    return [str(line) for line in headers.get_all("Warning") or ()]
