"""Checks that compare two assets of one recovery, as both stand before they have their final names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from types import MappingProxyType
from typing import Protocol, cast

from ccdr.checks.base import CheckConfig, looked_at
from ccdr.host.state import Run, State
from ccdr.jobs.recover.put_back import NotLookedAt
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.ways import Held, skipped
from ccdr.model.errors import CcdrError, TestBroken
from ccdr.model.values import CheckResult, Snapshot, Verdict
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext, Counterpart
from ccdr.ports.engine import Engine


class Brought(Protocol):
    """One asset that stands somewhere, and may be looked at. `recovered`: by its log, to the instant `moment`."""

    @property
    def job(self) -> Job: ...

    @property
    def result(self) -> RestoreResult: ...

    @property
    def recovered(self) -> bool: ...

    @property
    def moment(self) -> datetime | None: ...

    def beside(self, *, programs: bool) -> AbstractContextManager[Held | None]: ...


@dataclass
class Comparing:
    """Of one recovery. What was found by name goes into its private notes."""

    run: Run
    state: State
    _compared: int = 0
    _noted: int = 0
    _lock: Lock = field(default_factory=Lock)

    def compare(
        self, one: Brought, others: Mapping[str, Brought], lacking: Mapping[str, str] = MappingProxyType({})
    ) -> list[CheckResult]:
        """The results of all checks of `one` that compare it. With an asset that is not among `others` nothing is
        compared: that is told. Nobody had asked for it; or it is `lacking`, for that reason."""
        results: list[CheckResult] = []
        for check in one.job.checks:
            if check.beside is None:
                continue
            if check.beside in lacking:
                results.append(skipped(check, lacking[check.beside], Verdict.INCONCLUSIVE))
                continue
            if check.beside not in others:
                results.append(skipped(check, f"{check.beside} is not brought back with it"))
                continue
            results += self._compared_with(check, one, others[check.beside])
        return results

    def _compared_with(self, check: CheckConfig, one: Brought, other: Brought) -> list[CheckResult]:
        try:
            with one.beside(programs=True) as mine, other.beside(programs=check.needs_sandbox_beside) as theirs:
                for asset, look in ((one.job.asset, mine), (other.job.asset, theirs)):
                    if look is None:
                        return [skipped(check, f"{asset} stands there as files: no server of it answers")]
                assert mine is not None and theirs is not None
                return list(self._looked(check, one, mine, other, theirs))
        except NotLookedAt as error:
            return [skipped(check, f"{check.beside}: {error}")]
        except (CcdrError, OSError) as error:  # two stores that could not be compared are no reason to have neither
            return [skipped(check, f"could not be compared: {error}", Verdict.INCONCLUSIVE)]

    def _looked(
        self, check: CheckConfig, one: Brought, mine: Held, other: Brought, theirs: Held
    ) -> Iterator[CheckResult]:
        engine, context = mine.restored, mine.context
        if not hasattr(engine, "export"):
            yield skipped(check, f"{one.job.asset} gives no rows in bulk where it stands")
            return
        if check.needs_sandbox_beside and theirs.context.box is None:
            raise TestBroken(f"{other.job.asset} has no sandbox in which its files could be looked at")
        counterpart = self.counterpart(one, context, other, theirs)
        asking = cast("Engine", engine)
        yield from looked_at(check, lambda: check.compare(asking, context, counterpart))

    def counterpart(self, one: Brought, context: CheckContext, other: Brought, theirs: Held) -> Counterpart:
        own, its = _snapshot(one), _snapshot(other)
        point = one.moment or own.consistent_point if one.recovered else context.point
        if point is None:
            raise TestBroken(f"the time of the point that {one.job.asset} was recovered to is not known")
        recovered = one.recovered
        shared = its.group if its.group == own.group and not recovered else None
        with self._lock:
            self._compared += 1
            work = self.run.directory(f"compared-{self._compared}")
        return Counterpart(
            asset=other.job.asset,
            snapshot=its,
            engine=other.job.engine,
            context=theirs.context,
            point=point,
            together=shared.run if shared else None,
            work=work,
            note=self._note,
            recovered=recovered,
        )

    def _note(self, reference: Mapping[str, object]) -> None:
        path = self.run.scratch / "private.jsonl"
        with self._lock, path.open("a", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(json.dumps(reference) + "\n")
            self._noted += 1

    def keep(self) -> None:
        """Where a person can read it: what was found by name."""
        if self._noted:
            with contextlib.suppress(OSError):
                self.state.keep_private(self.run.id, self.run.scratch / "private.jsonl")


def _snapshot(one: Brought) -> Snapshot:
    assert one.result.snapshot is not None
    return one.result.snapshot
