"""The definitions of custom kinds, from the packages that sources.toml names; kept in build/k8s until that file changes."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from typed import Typed

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build" / "k8s"
STRIMZI = HERE / "strimzi"
Kinds = dict[str, dict[str, Any]]
"""By `group/version Kind`: an OpenAPI schema."""


class SourceError(Exception):
    """A package is not what sources.toml says, or cannot be had."""


def custom_kinds() -> Kinds:
    """All of them; fetched when they are not there. Raises SourceError."""
    parts = [HERE / "sources.toml", HERE / "typed.py", HERE / "sources.py", *sorted(STRIMZI.iterdir())]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]
    kept = BUILD / f"kinds-{digest}.json"
    if not kept.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        sources = tomllib.loads((HERE / "sources.toml").read_text())
        kinds: Kinds = {}
        for definition in _of_go(sources["go"]):
            kinds |= _kinds_of(definition)
        kinds |= _of_npm(**sources["npm"])
        kinds |= {f"{sources['maven']['api']} {kind}": schema for kind, schema in _of_maven().items()}
        kept.write_text(json.dumps(kinds, sort_keys=True))
    return json.loads(kept.read_text())  # type: ignore[no-any-return]


def _kinds_of(definition: dict[str, Any]) -> Kinds:
    spec = definition["spec"]
    return {
        f"{spec['group']}/{version['name']} {spec['names']['kind']}": version["schema"]["openAPIV3Schema"]
        for version in spec["versions"]
        if version["served"]
    }


def _of_go(modules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for module in modules:
        name = f"{module['module']}@{module['version']}"
        found = json.loads(_run("go", "mod", "download", "-json", name))
        if found["Sum"] != module["sum"]:
            raise SourceError(f"{name} has the sum {found['Sum']}, not {module['sum']}")
        for file in module["files"]:
            yield yaml.safe_load((Path(found["Dir"]) / file).read_text())


def _of_npm(package: str, version: str, integrity: str, file: str, api: str, kinds: list[str]) -> Kinds:
    (packed,) = json.loads(_run("npm", "pack", f"{package}@{version}", "--json", "--pack-destination", str(BUILD)))
    if packed["integrity"] != integrity:
        raise SourceError(f"{package}@{version} has the sum {packed['integrity']}, not {integrity}")
    with tarfile.open(BUILD / packed["filename"]) as archive:
        content = archive.extractfile(f"package/{file}")
        assert content is not None
        typed = Typed(content.read().decode())
    return {f"{api} {kind}": typed.schema_of(kind) for kind in kinds}


def _of_maven() -> Kinds:
    jars = BUILD / "jars"
    shutil.rmtree(jars, ignore_errors=True)
    _run("mvn", "-q", "-B", "-f", str(STRIMZI / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={jars}")
    return json.loads(_run("java", "-cp", f"{jars}/*", str(STRIMZI / "StrimziSchemas.java")))  # type: ignore[no-any-return]


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SourceError(f"{' '.join(command)} failed\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout
