"""The documents against the code: what they name exists, under that name, with those options and labels."""

import ast
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
import typer
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import REGISTRY

from cli.main import app as onecard
from services.card import __main__ as card
from services.card import metrics as card_metrics
from services.common import build, housekeeping, sessions
from services.common.audit import seal as sealing
from services.common.grpc import metrics as edge_metrics
from services.issuance import __main__ as issuance
from services.issuance import metrics as issuance_metrics
from services.payments import __main__ as payments
from services.payments import metrics as payments_metrics
from services.payments.adapters import tariff_file, tariff_prices, tariff_quota, tariff_rules
from services.payments.domain.verdict import Cause
from simulation import __main__ as simulation
from simulation import metrics as simulation_metrics

ROOT = Path(__file__).parents[2]
NOT_OURS = {"build", "dist", "gen"}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
METRIC = re.compile(r"((?:onecard|grpc_server|issuance|blank)_[a-z_]+)(?:\{([a-z_,]*)\})?")
FILE_NAME = re.compile(r"[\w./-]*\w\.(?:py|md|toml|proto|csv|txtpb|xml)|(?:[\w.-]+/)+")
COMMANDS: dict[str, Any] = {
    name: typer.main.get_command(app)
    for name, app in {
        "onecard": onecard,
        "python -m services.card": card.app,
        "python -m services.issuance": issuance.app,
        "python -m services.payments": payments.app,
        "python -m simulation": simulation.app,
    }.items()
}
VALUES_OF_MAKE = re.compile(r"[A-Z]+=\S+")


def documents() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(ROOT):
        # Cut here: a running city makes and removes files below.
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NOT_OURS]
        found += [Path(folder) / name for name in files if name.endswith(".md")]
    return sorted(found)


each_document = pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose_of(path: Path) -> str:
    return re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL)


def links_of(path: Path) -> Iterator[tuple[str, str]]:
    for label, target in LINK.findall(prose_of(path)):
        if "://" not in target:
            yield label, target


def code_of(path: Path) -> Iterator[str]:
    """Inline code, and each line of blocks, without what stands behind it as a comment."""
    for block, inline in CODE.findall(text_of(path)):
        for line in (block or inline).splitlines():
            yield re.split(r"\s{2,}|\s#", line.strip())[0]


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def names_in(path: Path) -> set[str]:
    """Classes, functions and methods (as Class.method) of a Python file."""
    names: set[str] = set()
    for node in ast.parse(text_of(path)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for _, target in links_of(document):
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            broken.append(target)
    assert not broken


@each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    missing = [
        code
        for code in code_of(document)
        if "/" in code and FILE_NAME.fullmatch(code) and not any((base / code).exists() for base in _bases(document))
    ]
    assert missing == []


def _bases(document: Path) -> list[Path]:
    return [ROOT, document.parent, ROOT / "services" / "payments"]


def test_the_functions_on_the_way_of_a_payment_exist() -> None:
    document = ROOT / "docs" / "follow-a-payment.md"
    named = [(label.strip("`"), target) for label, target in links_of(document) if target.endswith(".py")]
    assert len({target for _, target in named if "/services/" in target}) == 4, "at most four files are walked through"
    assert not [(name, target) for name, target in named if name not in names_in((document.parent / target).resolve())]


@each_document
def test_every_target_of_make_that_is_named_exists(document: Path) -> None:
    known = set(re.findall(r"^([a-z0-9-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = set()
    for code in code_of(document):
        words = [word for word in code.split() if not VALUES_OF_MAKE.fullmatch(word)]
        if words[:1] == ["make"] and words[1:]:
            named.add(words[1])
    assert named <= known


@each_document
def test_every_command_that_is_named_exists_with_its_options(document: Path) -> None:
    wrong = []
    for code in code_of(document):
        for prefix, command in COMMANDS.items():
            if code.startswith(prefix + " "):
                try:
                    _resolve(command, code.removeprefix(prefix))
                except LookupError as error:
                    wrong.append(f"{code}: {error}")
    assert not wrong


def _resolve(command: Any, line: str) -> None:
    """Walk down to the command that a line names; raises LookupError for a name or an option that does not exist."""
    words = [word for word in shlex.split(line) if word != "…"]
    while hasattr(command, "commands") and words:
        if words[0].startswith("--") and command.invoke_without_command:
            break  # it does something by itself
        word = words.pop(0)
        if word not in command.commands:
            raise LookupError(word)
        command = command.commands[word]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    if unknown := [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]:
        raise LookupError(unknown)


SERVICES = [payments_metrics, card_metrics, issuance_metrics, edge_metrics, housekeeping, sealing, sessions, build]
SHOWN = (*SERVICES, simulation_metrics)


def declared_in(module: ModuleType) -> dict[str, frozenset[str]]:
    """Metric name, as a scrape shows it → labels."""
    found = {}
    for value in vars(module).values():
        if isinstance(value, type) or value is REGISTRY or not hasattr(value, "collect"):
            continue
        for family in value.collect():
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            labels = value._labelnames if isinstance(value, MetricWrapperBase) else family._labelnames
            found[family.name + suffix] = frozenset({"version"} if family.type == "info" else labels)
    return found


@pytest.mark.parametrize(
    ("modules", "belongs"),
    [
        (SERVICES, lambda name: not name.startswith("onecard_simulation_")),
        ([simulation_metrics], lambda name: name.startswith("onecard_simulation_")),
    ],
    ids=["services", "simulation"],
)
def test_the_metrics_are_those_that_are_declared(modules: list[ModuleType], belongs: Callable[[str], bool]) -> None:
    documented = {
        match[1]: frozenset((match[2] or "").split(",")) - {""}
        for code in code_of(ROOT / "docs" / "operations.md")
        if (match := METRIC.fullmatch(code)) and belongs(match[1]) and match[1] != "onecard_payments"
    }
    assert documented == {name: labels for module in modules for name, labels in declared_in(module).items()}


@each_document
def test_no_document_names_a_metric_that_does_not_exist(document: Path) -> None:
    known = {name for module in SHOWN for name in declared_in(module)}
    known.add("onecard_payments")
    assert {match[1] for code in code_of(document) if (match := METRIC.fullmatch(code))} <= known


def test_the_settings_are_those_that_are_read() -> None:
    variable = re.compile(r"\bONECARD_[A-Z_]*[A-Z]\b")
    read = {name for path in (ROOT / "services").rglob("*.py") for name in variable.findall(text_of(path))}
    assert {code for code in code_of(ROOT / "docs" / "operations.md") if variable.fullmatch(code)} == read


def test_the_causes_of_dead_letters_are_all_there_with_their_numbers() -> None:
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", text_of(ROOT / "docs" / "operations.md"), re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(cause.value, cause.name) for cause in Cause]


def test_the_events_in_the_log_are_those_that_are_written() -> None:
    section = text_of(ROOT / "docs" / "operations.md").partition("## In the log")[2].partition("\n## ")[0]
    documented = {name for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    written = {
        name
        for path in (ROOT / "services").rglob("*.py")
        for name in re.findall(r"log\.(?:info|warning|error)\(\s*\"(\w+)\"", text_of(path))
    }
    assert documented == written


def test_the_example_of_a_tariff_can_be_read_and_its_keys_are_all_explained(tmp_path: Path) -> None:
    document = text_of(ROOT / "tariffs" / "README.md")
    example = tmp_path / "example.toml"
    example.write_text(document.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    tariff = tariff_file.read_tariff(example, {"concession_fund": 2})
    assert [rule.name for rule in tariff.rules] == ["transfer", "concessions"]
    parts: dict[str, Iterable[type[msgspec.Struct]]] = {
        "": [tariff_file._File],
        "rounding.": [tariff_file._Rounding],
        "line.": [tariff_file._Line],
        "track.": [tariff_file._Track],
        "price.": get_args(tariff_prices.AnyPrice),
        "bands.": [tariff_prices.BandTable],
        "stretches.": [tariff_prices.StretchTable],
        "quota.": [tariff_quota.QuotaTable],
        "window.": [tariff_quota.WindowTable],
        "tier.": [tariff_rules.TierTable],
        "meal.": [tariff_rules.MealTable],
        **{f"{rule.__struct_config__.tag}.": [rule] for rule in get_args(tariff_rules.AnyRule)},
    }
    tables = {"price", "rule", "line", "track", "rounding", "quota"}
    keys = {f"{part}{key}" for part, structs in parts.items() for struct in structs for key in struct.__struct_fields__}
    rows = re.findall(r"^\| (`.+?`) \|", document, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    every = {"name", "payer", "period", "day_starts", "rolling_minutes", "modes", "lines"}
    lists = {"price.bands", "price.stretches", "tiers.tiers", "meals.meal"}
    wanted = {key for key in keys - lists if key.rpartition(".")[2] not in every and key not in tables}
    more = {"price.bands", "price.stretches", "price.kind", "rule.kind", *(f"rule.{key}" for key in every)}
    assert documented == (wanted - {"line.price", "meal.name"}) | more


def test_both_readmes_lead_to_the_same_places_and_show_the_same_commands() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    each_other = {english.name, chinese.name}
    places = [{target for _, target in links_of(readme)} - each_other for readme in (english, chinese)]
    assert places[0] == places[1]
    commands = [[c for c in code_of(readme) if c.startswith(("make ", "onecard "))] for readme in (english, chinese)]
    assert sorted(commands[0]) == sorted(commands[1])


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("0*.md")), ids=lambda page: page.stem)
def test_a_decision_has_its_four_parts_and_a_line_in_the_list(page: Path) -> None:
    title, *parts = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "What would change our mind"]
    assert title.startswith(page.name[:4] + " ")
    assert f"[{page.name[:4]}]({page.name}) | {title[5:]} |" in text_of(page.parent / "README.md")


def test_every_document_that_code_refers_to_exists() -> None:
    named = {
        name
        for folder in ("services", "sdk", "cli", "simulation")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|csv)", text_of(path))
    }
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_words_of_the_glossary_stand_in_code() -> None:
    sources = [*(ROOT / "proto").rglob("*.proto")]
    for folder in ("services", "sdk", "cli"):
        sources += (ROOT / folder).rglob("*.py")
    code = "\n".join(map(text_of, sources))
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| (`[^|]+`) \|", text_of(ROOT / "docs" / "glossary.md"), re.MULTILINE)
    words = {part for row in rows for name in re.findall(r"`(?:payments\.)?([^`]+)`", row) for part in re.findall(r"\w+", name)}
    assert rows
    assert sorted(word for word in words if word not in code) == []
