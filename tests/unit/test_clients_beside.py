"""Clients of several servers in containers at the same time: each has a name of its own, all are of their run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.harness import Quiet

from ccdr.host.processes import Host
from ccdr.jobs.leftovers import CLIENT
from ccdr.ports.capture import ClientNeed, SourceFacts
from ccdr.sandbox.docker import BoxSpec
from ccdr.sandbox.lab import Lab


class Opens:
    """As Docker does, as far as a client needs it."""

    def __init__(self) -> None:
        self.specs: list[BoxSpec] = []

    def image(self, *_: object) -> Any:
        return SimpleNamespace(name="image")

    @contextlib.contextmanager
    def open(self, spec: BoxSpec, disposal: Any) -> Iterator[Any]:
        self.specs.append(spec)
        yield SimpleNamespace()
        disposal.done = True


def test_two_at_a_time_have_two_names_and_a_reaper_finds_their_run(tmp_path: Path) -> None:
    docker, facts = Opens(), SourceFacts("17.2", "17")
    engine: Any = SimpleNamespace(
        client=lambda _: ClientNeed(programs=("psql",), on_host=False),
        image=None,
        image_candidates=lambda _: ("image",),
        probe=lambda _: facts,
        client_major=lambda _: "17",
    )
    lab = Lab(docker, Host())  # type: ignore[arg-type]

    def client(part: str) -> Any:
        return lab.source(
            engine, "20261128T031200-aaaaaa", tmp_path, tmp_path, 60.0, Quiet(), any_client=True, part=part
        )

    with client("crm"), client("dialler"), client(""):
        pass
    assert len({spec.name for spec in docker.specs}) == 3
    assert {spec.run.removesuffix(CLIENT) for spec in docker.specs} == {"20261128T031200-aaaaaa"}
