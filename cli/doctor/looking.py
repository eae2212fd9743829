"""All looks at an installation, side by side, each for a few seconds at most; nothing is ever changed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from pathlib import Path
from typing import Final

from cli import paths
from cli.doctor import surroundings as around
from cli.doctor.database import HEADS, judge_database, read_database
from cli.doctor.finding import Finding, unseen
from cli.doctor.installation import Installation
from cli.doctor.processes import judge_processes, read_process
from services.common.environment import ConfigError, is_loopback
from services.common.kafka_security import KafkaSecurity
from services.common.keyvault.vault import VaultError
from services.payments.domain.verdict import Cause

LOOK_SECONDS: Final = 3.0
"""How long one question may take."""
_MOST_SECONDS: Final = 12.0
"""How long all questions of one look."""
_REVISION: Final = re.compile(r'^revision = "(\w+)"', re.MULTILINE)

Look = Callable[[], list[Finding]]


def look_at(installation: Installation) -> list[Finding]:
    """Everything, in the order in which it is told."""
    looks = looks_of(installation)
    threads = ThreadPoolExecutor(len(looks), thread_name_prefix="look")
    begun = {name: threads.submit(look) for name, look in looks.items()}
    until = time.monotonic() + _MOST_SECONDS
    found = [finding for name, future in begun.items() for finding in _result(name, future, until - time.monotonic())]
    threads.shutdown(wait=False, cancel_futures=True)
    return found


def looks_of(at: Installation) -> Mapping[str, Look]:
    """What there is to look at."""
    now = time.time()
    looks: dict[str, Look] = {"processes": lambda: judge_processes(_read_processes(at), now)}
    for name, address in at.apis.items():
        looks[f"gRPC of {name}"] = lambda name=name, address=address: [  # type: ignore[misc]
            around.judge_api(name, address, around.ask_api(address, LOOK_SECONDS), now)
        ]
    looks["database"] = lambda: _database(at)
    looks["Kafka"] = lambda: _kafka(at)
    looks["Redis"] = lambda: [around.judge_redis(at.redis, around.ask_redis(at.redis, LOOK_SECONDS) if at.redis else None)]
    looks["certificates"] = lambda: around.judge_certificates(around.read_certificates(at.certificates), now)
    for service, (file, pin) in at.vaults.items():
        looks[f"vault of {service}"] = lambda service=service, file=file, pin=pin: [  # type: ignore[misc]
            _vault(at, service, file, pin)
        ]
    looks["disk"] = lambda: [around.look_at_disk(at.folder)]
    looks["settings"] = lambda: around.judge_settings(at.env, is_loopback)
    return looks


def _result(name: str, future: Future[list[Finding]], seconds: float) -> list[Finding]:
    try:
        return future.result(max(0.0, seconds))
    except LateError:
        return [unseen(name, f"no answer within {_MOST_SECONDS:.0f} s")]
    except Exception as error:  # noqa: BLE001 - one look that fails must not hide what the others have seen
        return [unseen(name, f"the look failed: {type(error).__name__}: {error}")]


def _read_processes(at: Installation) -> dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float] | None]:
    if not at.metrics:
        return {}
    with ThreadPoolExecutor(len(at.metrics)) as threads:
        reading = {name: threads.submit(read_process, url, LOOK_SECONDS) for name, url in at.metrics.items()}
        return {name: None if (read := future.result()) is None else dict(read) for name, future in reading.items()}


def _database(at: Installation) -> list[Finding]:
    if not at.database_url:
        return [unseen("database", "none is named", "set ONECARD_OWNER_DATABASE_URL, or ONECARD_DATABASE_URL")]
    seen = asyncio.run(read_database(at.database_url, LOOK_SECONDS))
    return judge_database(seen, newest_migrations(), {cause.value: cause.name for cause in Cause})


def newest_migrations(root: Path = paths.ROOT) -> dict[str, str]:
    """By schema, as this program has them."""
    heads = {}
    for schema in HEADS:
        files = sorted((root / "services" / schema / "migrations" / "versions").glob("[0-9]*.py"))
        if files and (named := _REVISION.search(files[-1].read_text())):
            heads[schema] = named[1]
    return heads


def _kafka(at: Installation) -> list[Finding]:
    if not at.kafka:
        return [unseen("Kafka", "none is named", "set ONECARD_KAFKA")]
    try:
        security = KafkaSecurity.from_environment(at.env).arguments()
    except (ConfigError, OSError) as error:
        return around.judge_topics(str(error), kafka=True)
    seen = around.read_topics(at.kafka, security, LOOK_SECONDS)
    return around.judge_topics(seen, kafka=at.broker == "kafka")


def _vault(at: Installation, service: str, file: str, pin: str) -> Finding:
    from services.common.keyvault.commands import open_vault  # noqa: PLC0415

    loopback = all(is_loopback(address.rpartition(":")[0]) for address in at.apis.values())
    if not Path(file).exists():
        return around.judge_vault(service, f"{file} is not there", development=False, loopback=loopback)
    try:
        vault = open_vault(Path(file), pin)
    except VaultError as error:
        return around.judge_vault(service, str(error), development=False, loopback=loopback)
    return around.judge_vault(service, "", development=vault.development, loopback=loopback)
