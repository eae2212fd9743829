"""etcd and a real API server on loopback, in a folder of their own; ended when the proof ends, however it ends."""

import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api import Api, RefusedError

_PATIENCE_SECONDS = 180


class NotThereError(Exception):
    """A program is missing, or a server does not come."""


@contextmanager
def running(server: Path, folder: Path) -> Iterator[tuple[Api, Path]]:
    """The server, ready, and the kubeconfig of somebody who may do everything. Raises NotThereError."""
    for program in ("etcd", "openssl"):
        if not shutil.which(program):
            raise NotThereError(f"{program} is not installed; on Debian: apt-get install etcd-server openssl")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    store, peers, port = _free_ports(3)
    subprocess.run(["openssl", "genrsa", "-out", folder / "accounts.key", "2048"], check=True, capture_output=True)
    token = secrets.token_hex(32)
    (folder / "tokens").write_text(f"{token},prover,prover,system:masters\n")
    etcd = f"etcd --data-dir etcd --unsafe-no-fsync --listen-peer-urls http://127.0.0.1:{peers}" + "".join(
        f" --{what}-client-urls http://127.0.0.1:{store}" for what in ("listen", "advertise")
    )
    started = []
    try:
        started.append(_start(etcd.split(), folder, "etcd"))
        started.append(_start([str(server.resolve()), *_options(store, port)], folder, "kube-apiserver"))
        config = folder / "kubeconfig"
        url = f"https://127.0.0.1:{port}"
        _until_ready(url, folder, token, started[-1])
        authority = folder / "certificates" / "apiserver.crt"
        config.write_text(json.dumps(_kubeconfig(url, authority, token)))
        yield Api(url, authority, token), config
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _options(store: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        "--cert-dir=certificates",  # it makes its own
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=accounts.key",
        "--service-account-signing-key-file=accounts.key",
        "--token-auth-file=tokens",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--allow-privileged=true",  # as clusters have it: what is refused then, PodSecurity refuses
    ]


def _start(command: list[str], folder: Path, name: str) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def _until_ready(url: str, folder: Path, token: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    authority = folder / "certificates" / "apiserver.crt"
    while time.monotonic() < end:
        if process.poll() is not None:
            raise NotThereError(f"the API server ended: {folder / 'kube-apiserver.log'}")
        try:
            Api(url, authority, token).get("/readyz")
        except (OSError, RefusedError):  # no certificate yet, no listener, not ready
            time.sleep(0.5)
        else:
            return
    raise NotThereError(f"the API server was not ready in {_PATIENCE_SECONDS} s: {folder / 'kube-apiserver.log'}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _kubeconfig(url: str, authority: Path, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proof", "cluster": {"server": url, "certificate-authority": str(authority.resolve())}}],
        "users": [{"name": "prover", "user": {"token": token}}],
        "contexts": [{"name": "proof", "context": {"cluster": "proof", "user": "prover"}}],
        "current-context": "proof",
    }
