"""What engines look with, clients of servers and this host, and what this machine tells about itself: its name, its
time zone.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import cast

from ccdr.engines.base import EngineConfig
from ccdr.engines.discovery import NO_PROGRESS, DiscoveryReport
from ccdr.jobs.services import Services
from ccdr.model.schema import zone_of
from ccdr.ports.engine import Engine
from ccdr.ports.place import Place, Progress, Source

ZONES = "/zoneinfo/"


def timezone(root: Path = Path("/")) -> str:
    """The IANA name of this machine's zone; UTC where it has none that can be told."""
    guesses = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        guesses.append((root / "etc/timezone").read_text("utf-8").strip())
    with contextlib.suppress(OSError):
        guesses.append(str((root / "etc/localtime").readlink()).partition(ZONES)[2])
    for guess in guesses:
        if guess in ("Etc/UTC", "UTC", "Etc/UCT", "Zulu"):
            return "UTC"
        if guess and not guess.startswith("/"):
            try:
                zone_of(guess)
            except ValueError:
                continue
            return guess
    return "UTC"


def hostname() -> str:
    return socket.gethostname().partition(".")[0] or "localhost"


# What engines look with: clients of servers, and this host.


@dataclass
class Looker:
    """`Looking`."""

    services: Services
    progress: Progress
    report: DiscoveryReport = field(default_factory=DiscoveryReport)

    @property
    def place(self) -> Place:
        return self.services.host.with_(no_progress=NO_PROGRESS)

    @property
    def now(self) -> float:
        return self.services.clock.now().timestamp()

    @property
    def zone(self) -> tzinfo:
        return zone_of(timezone())

    @contextlib.contextmanager
    def clients(self, where: str, *engines: EngineConfig) -> Iterator[Sequence[AbstractContextManager[Source]]]:
        services = self.services
        with services.state.run(services.clock) as run:
            credentials, into = run.directory("credentials"), run.directory("asked")
            services.write_credentials_of(cast("Engine", engines[0]), credentials, what=where)

            @contextlib.contextmanager
            def client(number: int, engine: EngineConfig) -> Iterator[Source]:
                with services.lab.source(
                    cast("Engine", engine),
                    run.id,
                    into,
                    credentials,
                    NO_PROGRESS,
                    self.progress,
                    any_client=True,
                    part="" if len(engines) == 1 else str(number),
                ) as (source, _):
                    yield source

            yield [client(number, engine) for number, engine in enumerate(engines)]
