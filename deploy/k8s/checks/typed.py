"""OpenAPI schemas of custom kinds from a package that has them as TypeScript, with the name that each property had."""

import re
from typing import Any

_BLOCK = re.compile(r"^export (?:declare )?(interface|enum|class) (\w+)[^{]*\{\n(.*?)^\}", re.M | re.S)
_PROPERTY = re.compile(r"@schema \w+#(\S+)\s+\*/\s+readonly \w+(\??): (\{[^}]*\}|[^;{]+);")
_WORD = re.compile(r'= "([^"]*)"')
_SIMPLE = {"string": "string", "Date": "string", "number": "number", "boolean": "boolean"}


class Typed:
    """The types of one file."""

    def __init__(self, text: str) -> None:
        self._types = {name: (what, body) for what, name, body in _BLOCK.findall(text)}

    def schema_of(self, kind: str) -> dict[str, Any]:
        """Of a kind whose content is its `spec`."""
        return {"type": "object", "properties": {"spec": self._schema(f"{kind}Spec")}}

    def _schema(self, name: str) -> dict[str, Any]:
        name = name.strip()
        if name.endswith("[]"):
            return {"type": "array", "items": self._schema(name[:-2])}
        if name.startswith("{"):
            return {"type": "object", "additionalProperties": self._schema(name.partition("]:")[2].strip(" ;}\n"))}
        if name == "any":
            return {"x-kubernetes-preserve-unknown-fields": True}
        if name in _SIMPLE:
            return {"type": _SIMPLE[name]}
        what, body = self._types[name]
        if what == "enum":
            return {"type": "string", "enum": _WORD.findall(body)}
        if what == "class":  # a value that may be a number or a text
            return {"x-kubernetes-int-or-string": True}
        found = _PROPERTY.findall(body)
        schema: dict[str, Any] = {"type": "object", "properties": {field: self._schema(kind) for field, _, kind in found}}
        if required := [field for field, optional, _ in found if not optional]:
            schema["required"] = required
        return schema
