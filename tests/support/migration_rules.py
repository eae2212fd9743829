"""What a migration of a living city may do, by its step: Squawk's rules on its SQL, and a few of our own.

An expand is refused what older code cannot live with; no step may keep a busy table locked. What must break a rule says so beside the
statement, with the reason: `-- squawk-ignore NAME`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from services.common.migrations import step_of

BASELINE: Final = {"payments": "0013", "card": "0025", "issuance": "0004"}
"""The heads of v0.1.0, the first release. No city ever lived with less: what came before is not asked."""

SQUAWK: Final = Path(sys.executable).with_name("squawk")
# A matter of taste, or what the runner sees to (it sets both timeouts, and no script is outside of its transaction).
_NOT_ASKED: Final = "prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-identity,prefer-robust-stmts,prefer-text-field,prefer-timestamptz,require-timeout-settings,require-lock-timeout,require-statement-timeout"  # fmt: skip
# What a contract is for. A constraint that makes a column NOT NULL is dropped with it.
_OF_CONTRACTS: Final = ",ban-drop-column,ban-drop-table,ban-drop-constraint,ban-drop-function,ban-drop-not-null,ban-drop-view,ban-drop-type,ban-drop-sequence,ban-drop-trigger,renaming-column,renaming-table"  # fmt: skip
_ASIDE: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
"""Comments, texts, and bodies of functions: what those do when they are called is their own affair."""
_TAKES_AWAY: Final = frozenset({"drop", "revoke"})
_CHANGES_ROWS: Final = frozenset({"update", "delete", "merge"})
_LOCKS: Final = frozenset({"lock", "cluster", "vacuum", "reindex", "truncate"})


def problems(module: ModuleType) -> list[str]:
    """Why a migration may not be released; empty where it may."""
    step = step_of(module)
    if "step" not in vars(module):
        return ["it does not say which step it is: step = 'expand', 'backfill' or 'contract'"]
    scripts, beside = _scripts(module), tuple(getattr(module, "concurrently", ()))
    batches = getattr(module, "batches", "")
    found = [f"it holds batches and is of step {step}"] if batches and step != "backfill" else []
    found += ["a backfill has batches"] if step == "backfill" and not batches else []
    found += [f"concurrently: not built beside others: {one}" for one in beside if "concurrently" not in one.lower().split()]
    for script in scripts:
        found += [f"{word}: {_WHY[word]}" for word in _words(script) if word in _refused(step)]
    found += _squawk("\n".join(scripts), in_transaction=True, but=_NOT_ASKED + (_OF_CONTRACTS if step == "contract" else ""))
    for one in beside:
        found += _squawk(f"{one};", in_transaction=False, but=_NOT_ASKED + (_OF_CONTRACTS if step == "contract" else ""))
    return found


_WHY: Final = (
    dict.fromkeys(_TAKES_AWAY, "takes away what older code uses; that is a contract")
    | dict.fromkeys(_CHANGES_ROWS, "changes rows in one go; that is a backfill, in batches")
    | dict.fromkeys(_LOCKS, "keeps a busy table locked")
)


def _refused(step: str) -> frozenset[str]:
    refused = _LOCKS | _CHANGES_ROWS
    return refused if step == "contract" else refused | _TAKES_AWAY


def _words(script: str) -> list[str]:
    """The words with which statements begin."""
    statements = _ASIDE.sub("", script).lower().split(";")
    return [words[0] for statement in statements if (words := statement.split())]


def _scripts(module: Any) -> list[str]:
    """The SQL of a migration, which has nothing but scripts: `run_script` and the connection that it is given are ours."""
    scripts: list[str] = []
    ours, alembic = module.run_script, module.op
    module.run_script, module.op = lambda _, script: scripts.append(script), SimpleNamespace(get_bind=lambda: None)
    try:
        module.upgrade()
    finally:
        module.run_script, module.op = ours, alembic
    return scripts


def _squawk(sql: str, *, in_transaction: bool, but: str) -> list[str]:
    command: list[str | Path] = [SQUAWK, "--pg-version", "17", "--reporter", "json", "--exclude", but]
    command += ["--assume-in-transaction"] if in_transaction else []
    run = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    return [f"{one['rule_name']} in line {one['line'] + 1}: {one['message']}" for one in json.loads(run.stdout or "[]")]
