"""What lies around the processes: Kafka, Redis, addresses, files, disk; and how it is judged."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cli.doctor.finding import Finding, lasting, sick, unseen, well
from services.common import topics

ENDS_SOON_SECONDS: Final = 14 * 86_400
DISK_FULL: Final = 0.90
_ONE_PARTITION: Final = 1


class Topic(NamedTuple):
    """As the broker describes it."""

    partitions: int
    replicas: int
    settings: Mapping[str, str]
    """Empty: the broker tells none."""


class CertificateSeen(NamedTuple):
    """A certificate in a file."""

    name: str
    ends_at: float
    fits: bool
    """Whether the key beside it is its own."""
    trouble: str = ""


def read_topics(bootstrap: str, arguments: Mapping[str, Any], timeout_seconds: float) -> Mapping[str, Topic] | str:
    """Topics by name, or why they cannot be read."""
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient  # noqa: PLC0415 - half a second
    from kafka.errors import KafkaError  # noqa: PLC0415

    milliseconds = int(timeout_seconds * 1000)
    reachable = any(_reaches(address, timeout_seconds) for address in bootstrap.split(","))
    if not reachable:
        return "nothing listens there"
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            request_timeout_ms=milliseconds,
            bootstrap_timeout_ms=milliseconds,
            **arguments,
        )
    except (KafkaError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    try:
        described = admin.describe_topics([name for name in admin.list_topics() if name in topics.ALL])
        settings: dict[str, dict[str, str]] = {}
        try:
            asked = [ConfigResource(ConfigResourceType.TOPIC, one["topic"]) for one in _named(described)]
            settings = _settings(admin.describe_configs(asked)) if asked else {}
        except (KafkaError, OSError, AttributeError, TypeError, IndexError, KeyError):
            settings = {}  # not every broker tells them
        return {
            one["topic"]: Topic(
                len(one["partitions"]),
                min((len(part.get("replicas", part.get("replica_nodes", [0]))) for part in one["partitions"]), default=0),
                settings.get(one["topic"], {}),
            )
            for one in _named(described)
        }
    except (KafkaError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        admin.close()


def _named(described: Iterable[Any]) -> list[dict[str, Any]]:
    return [{**one, "topic": one.get("topic") or one.get("name")} for one in described]


def _settings(responses: Any) -> dict[str, dict[str, str]]:
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]} for response in responses for resource in response.resources
    }


def judge_topics(seen: Mapping[str, Topic] | str, kafka: bool) -> list[Finding]:
    """`kafka`: Apache Kafka, of which more is asked than of a broker in memory."""
    if isinstance(seen, str):
        todo = "see whether the broker runs and ONECARD_KAFKA names it; terminals keep their taps meanwhile"
        return [sick("Kafka", f"it cannot be reached ({seen})", todo, "processes")]
    missing = [name for name in topics.ALL if name not in seen]
    found = [well("Kafka", f"it answers, with {len(seen)} topics of ours")]
    if missing:
        found.append(sick("topics", f"missing: {', '.join(missing)}", "python -m services.payments create-topics"))
    counts = {seen[name].partitions for name in seen if name.startswith("transactions.")}
    if len(counts) > 1:
        found.append(sick("topics", "the transactions topics differ in their number of partitions", "kafka-topics.sh --alter"))
    for name in sorted(topics.ORDERED & seen.keys()):
        if seen[name].partitions != _ONE_PARTITION:
            said = f"{name} has {seen[name].partitions} partitions, and its records follow each other in one"
            found.append(sick("topics", said, f"make {name} anew with one partition"))
    if kafka:
        found += _configured(seen)
    return found if len(found) > 1 else [*found, well("topics", "all are there")]


def _configured(seen: Mapping[str, Topic]) -> list[Finding]:
    found = []
    for name, topic in sorted(seen.items()):
        if not topic.settings:
            continue
        wanted = {"message.timestamp.type": "LogAppendTime"}
        if name in topics.COMPACTED:
            wanted["cleanup.policy"] = "compact"
        for setting, value in wanted.items():
            if topic.settings.get(setting) != value:
                todo = f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {setting}={value}"
                found.append(sick("topics", f"{name}: {setting} is {topic.settings.get(setting)}, not {value}", todo))
        kept_ms = int(topic.settings.get("retention.ms", -1))
        if name not in topics.COMPACTED and 0 <= kept_ms < topics.WEEK_MS:
            said = f"{name} is kept for {lasting(kept_ms / 1000)}: a way back to a moment before that finds nothing to read"
            todo = f"retention.ms of at least {topics.WEEK_MS}, and longer than your oldest backup (docs/backup.md)"
            found.append(sick("topics", said, todo))
    return found


def judge_redis(address: str, answers: bool | None) -> Finding:
    """None: none is set."""
    if answers is None:
        return unseen("Redis", "none is set: each process limits callers by itself, and there are no tokens", "ONECARD_REDIS")
    if answers:
        return well("Redis", f"it answers on {address}")
    todo = "start Redis or Valkey again; nothing is lost: limits are local and electronic cards cannot pay meanwhile"
    return sick("Redis", f"nothing answers on {address}", todo, "processes")


def ask_redis(address: str, timeout_seconds: float) -> bool:
    """Whether it says PONG."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout_seconds) as line:
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except (OSError, ValueError):
        return False


def ask_api(address: str, timeout_seconds: float) -> float | str | None:
    """When the certificate that it shows ends; None: it answers and shows none; otherwise what is wrong."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout_seconds) as line:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            try:
                with context.wrap_socket(line, server_hostname=host) as shown:
                    certificate = shown.getpeercert(binary_form=True)
            except (ssl.SSLError, TimeoutError, ConnectionError):
                return None
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    if not certificate:
        return None
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()


def judge_api(name: str, address: str, shown: float | str | None, now: float) -> Finding:
    """A gRPC address of a service."""
    thing = f"gRPC of {name}"
    if isinstance(shown, str):
        return sick(
            thing, f"{address} does not answer ({shown})", f"start it: python -m services.{name} serve; its log says why"
        )
    if shown is None:
        return well(thing, f"{address} answers")
    if shown < now:
        said = f"{address} shows a certificate that ended {lasting(now - shown)} ago: nobody can call"
        return sick(
            thing, said, "put a new one in the place of ONECARD_TLS_CERTIFICATE; it is read without a restart", "certificates"
        )
    if shown < now + ENDS_SOON_SECONDS:
        return sick(
            thing,
            f"its certificate ends in {lasting(shown - now)}",
            "renew the file of ONECARD_TLS_CERTIFICATE",
            "certificates",
        )
    return well(thing, f"{address} answers; its certificate is good for {lasting(shown - now)}")


def read_certificates(files: Iterable[Path]) -> list[CertificateSeen]:
    """Each with the key beside it, where there is one that can be read."""
    return [_read_certificate(file) for file in sorted(set(files))]


def _read_certificate(file: Path) -> CertificateSeen:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        key = file.with_suffix(".key")
        fits = True
        if key.exists():
            own = load_pem_private_key(key.read_bytes(), None).public_key()
            fits = _public(own) == _public(certificate.public_key())
    except (OSError, ValueError, TypeError) as error:
        return CertificateSeen(file.name, 0.0, fits=False, trouble=str(error) or type(error).__name__)
    return CertificateSeen(file.name, certificate.not_valid_after_utc.timestamp(), fits)


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def judge_certificates(seen: Sequence[CertificateSeen], now: float) -> list[Finding]:
    """Those that ended, end soon, or do not fit; one line where all is well."""
    found = []
    for one in seen:
        thing = f"certificate {one.name}"
        if one.trouble:
            found.append(sick(thing, f"it cannot be read: {one.trouble}", "put the file there again", "certificates"))
        elif not one.fits:
            found.append(
                sick(thing, "the key beside it is another one's", "put both files there again, of one issue", "certificates")
            )
        elif one.ends_at < now + ENDS_SOON_SECONDS:
            over = (
                f"it ended {lasting(now - one.ends_at)} ago"
                if one.ends_at < now
                else f"it ends in {lasting(one.ends_at - now)}"
            )
            until = datetime.fromtimestamp(one.ends_at, UTC)
            found.append(
                sick(
                    thing, f"{over}, on {until:%Y-%m-%d}", "onecard authority issue SUBJECT, or your authority", "certificates"
                )
            )
    if not found and seen:
        found.append(
            well("certificates", f"all {len(seen)} are good, the first ends in {lasting(min(o.ends_at for o in seen) - now)}")
        )
    return found


def judge_disk(folder: Path, total: int, used: int) -> Finding:
    """Of one folder."""
    free = f"{(total - used) / 2**30:.0f} GiB of {total / 2**30:.0f} are free under {folder}"
    if used < DISK_FULL * total:
        return well("disk", free)
    return sick("disk", f"only {free}", "make room or enlarge the volume: PostgreSQL ends when its disk is full", "database")


def look_at_disk(folder: Path) -> Finding:
    """As it is now."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return unseen("disk", str(error))
    return judge_disk(folder, usage.total, usage.total - usage.free)


def judge_vault(service: str, trouble: str, development: bool, loopback: bool) -> Finding:
    """The token of a service, as it opens or does not."""
    thing = f"vault of {service}"
    if trouble:
        return sick(
            thing, f"it does not open: {trouble}", "see ONECARD_VAULT and ONECARD_VAULT_PIN; do not make a new one", "processes"
        )
    if development and not loopback:
        return sick(thing, "it is a development token, and others are served", f"python -m services.{service} vault create")
    return well(thing, "it opens" + (", with development keys for this machine alone" if development else ""))


def judge_settings(env: Mapping[str, str], is_loopback: Callable[[str], bool]) -> list[Finding]:
    """Settings that are unsafe for an installation that serves others."""
    found = []
    listen = env.get("ONECARD_GRPC_LISTEN", "")
    if env.get("ONECARD_GRPC_PLAINTEXT") == "1" and listen and not is_loopback(listen.rpartition(":")[0]):
        found.append(
            sick("settings", f"gRPC is in plain text on {listen}", "unset ONECARD_GRPC_PLAINTEXT, set ONECARD_TLS_CERTIFICATE")
        )
    away = [at for at in env.get("ONECARD_KAFKA", "").split(",") if at and not is_loopback(at.rpartition(":")[0])]
    if away and not env.get("ONECARD_KAFKA_AUTHORITY"):
        found.append(
            sick("settings", f"Kafka is spoken to in plain text: {away[0]}", "set ONECARD_KAFKA_AUTHORITY and its companions")
        )
    return found or [well("settings", "none is unsafe")]


def _reaches(address: str, timeout_seconds: float) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout_seconds):
            return True
    except (OSError, ValueError):
        return False
