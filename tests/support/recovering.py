"""A recovery without the command line: each asset's newest state, into a directory of its name or as told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ccdr.jobs.recover import Decision, Known, Planned, RecoveryResult, newest, recovering, resuming
from ccdr.plans.targets import Target
from tests.support.harness import Site


class Watching:
    """`View` that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, str]] = []

    def begins(self, decision: Decision, done: float) -> None: ...

    def phase(self, asset: str, name: str) -> None:
        self.phases.append((asset, name))

    def step(self, asset: str, text: str) -> None: ...

    def amount(self, asset: str, done: int, total: int | None) -> None: ...


def decision(site: Site, targets: Mapping[str, Target | Path], after: Mapping[str, Sequence[str]] = {}) -> Decision:
    catalogue = site.services().catalogue
    assets = []
    for asset, where in targets.items():
        snapshot = catalogue.snapshots("p", asset)[-1]
        place = where if isinstance(where, Target) else Target(directory=where)
        needs = tuple(after.get(asset, ()))
        assets.append(
            Planned(asset, snapshot.id, snapshot.consistent_point, None, None, 0.0, place, needs, snapshot.bytes)
        )
    return Decision("p", None, tuple(assets), None, None)


def recovered(
    site: Site,
    targets: Mapping[str, Target | Path],
    after: Mapping[str, Sequence[str]] = {},
    view: Watching | None = None,
) -> RecoveryResult:
    loaded, services, view = site.loaded(), site.services(), view or Watching()
    with recovering(loaded, decision(site, targets, after), services, view, Known((loaded,))) as one:
        one.carry_out(view)
    return one.result


def resumed(site: Site, view: Watching | None = None, clock: Any = None) -> RecoveryResult:
    loaded, services, view = site.loaded(), site.services(clock), view or Watching()
    told = newest(services.state, "p")
    assert told is not None
    with resuming(loaded, told, services, view, Known((loaded,))) as one:
        one.carry_out(view)
    return one.result
