"""What engines look with: clients of servers, and this host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import cast

from ccdr.engines.base import EngineConfig
from ccdr.engines.discovery.contract import NO_PROGRESS, DiscoveryReport
from ccdr.jobs.services import Services
from ccdr.model.schema import zone_of
from ccdr.ports.engine import Engine
from ccdr.ports.place import Place, Progress, Source
from ccdr.setup.discover import machine


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
        return zone_of(machine.timezone())

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
