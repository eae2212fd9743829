"""Every manifest of a rendered overlay against the schema of its kind; a field, or a kind, that nobody knows is a fault.

usage: strict.py RENDERED.yaml…
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from sources import SourceError, custom_kinds

KUBERNETES = "1.37"
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


def closed(schema: Any) -> Any:
    """The same schema with nothing allowed that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource"):
        return {}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    shut = {
        key: {name: closed(one) for name, one in part.items()} if key in _NAMED else part if key == "enum" else closed(part)
        for key, part in schema.items()
        if key not in ("format", "default", "description", "not", "anyOf", "oneOf", "allOf")
    }
    if "properties" in shut:
        shut.setdefault("additionalProperties", False)
    return shut


def faults(document: dict[str, Any], validators: dict[str, Draft202012Validator]) -> Iterator[str]:
    """What is wrong with one manifest, a line each."""
    name = f"{document['apiVersion']} {document['kind']}"
    if validator := validators.get(name):
        for error in validator.iter_errors(document):
            yield f"{name} {document['metadata']['name']}: {error.json_path}: {error.message[:200]}"
        return
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{name} {document['metadata']['name']}: nobody knows this kind"
    except kubernetes_validate.ValidationError as error:
        yield f"{name} {document['metadata']['name']}: {error.message[:200]}"


def validators_of_custom_kinds() -> dict[str, Draft202012Validator]:
    """By `group/version Kind`."""
    made = {}
    for name, schema in custom_kinds().items():
        shut = closed(schema)
        shut["properties"].update(apiVersion={}, kind={}, metadata={"type": "object"})
        made[name] = Draft202012Validator(shut)
    return made


def main(files: list[str]) -> int:
    """Answers the exit status."""
    try:
        validators = validators_of_custom_kinds()
    except SourceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    wrong = 0
    for file in files:
        documents = list(yaml.load_all(Path(file).read_text(), Loader=yaml.CSafeLoader))
        found = [fault for document in documents for fault in faults(document, validators)]
        custom = sum(f"{document['apiVersion']} {document['kind']}" in validators for document in documents)
        said = f"{file}: {len(documents)} manifests, {custom} of custom kinds, {len(found)} faults"
        sys.stdout.write("\n  ".join([said, *found]) + "\n")
        wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
