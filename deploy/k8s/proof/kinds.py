"""The kinds of the operators, as their installation would define them: by the schemas that the checks have."""

import sys
from collections.abc import Iterator
from pathlib import Path

from api import Thing

sys.path.append(str(Path(__file__).parents[1] / "checks"))
from sources import custom_kinds


def definitions() -> Iterator[Thing]:
    """Each kind as a CustomResourceDefinition that a server takes."""
    groups: dict[tuple[str, str], list[tuple[str, Thing]]] = {}
    for name, schema in custom_kinds().items():
        api, kind = name.split()
        group, version = api.split("/")
        groups.setdefault((group, kind), []).append((version, schema))
    for (group, kind), versions in groups.items():
        plural = kind.lower() + "s"
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for checks"}},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": place == 0,
                        "subresources": {"status": {}},
                        "schema": _whole(schema),
                    }
                    for place, (version, schema) in enumerate(versions)
                ],
            },
        }


def _whole(schema: Thing) -> Thing:
    """With a status of any content where the source says nothing of it: what is reported is no matter of manifests."""
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"openAPIV3Schema": {**schema, "properties": {"status": status, **schema["properties"]}}}
