"""Everything that a restore must not touch: where any plan on this host backs up from, and what ccdr itself keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.jobs.restore.guarded import Guarded
from ccdr.jobs.restore.ways import roots_of
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan, Plan
from ccdr.plans.copies import as_in_file
from ccdr.plans.job import Job
from ccdr.ports.target import KnownSource


@dataclass(frozen=True)
class Sources:
    """Of the asset's own plan and of all `others` that are known."""

    job: Job
    services: Services
    others: Sequence[LoadedPlan]

    @property
    def plans(self) -> list[Plan]:
        """All that are known, this one first."""
        return [as_in_file(self.job.loaded).plan, *(p.plan for p in self.others if p.plan.plan != self.job.plan)]

    def _named(self, plan: Plan, asset: str) -> str:
        return asset if plan.plan == self.job.plan else f"{plan.plan}/{asset}"

    def guarded(self, manifest: Manifest) -> list[Guarded]:
        """What a restore into a directory must stay away from: every source of any plan on this host, as the plan and
        the snapshot name it, the repositories, ccdr's own state."""
        sources = [
            Guarded(Path(path), f"which {self._named(plan, name)} is backed up from")
            for plan in self.plans
            for name, engine in plan.assets.items()
            for path in engine.source_paths
        ]
        sources += [
            Guarded(path, f"which the snapshot of {self.job.asset} is of") for path in roots_of(manifest.contents)
        ]
        sources += [
            Guarded(Path(repository.location), f"the repository of plan {plan.plan}")
            for plan in self.plans
            for repository in (plan.repository, *plan.copies.values())
            if repository.is_local
        ]
        sources.append(Guarded(self.services.state.root, "ccdr's own state"))
        return sources

    def known(self, restored: Manifest) -> list[KnownSource]:
        """Every source that a plan names, with the manifests that tell whose server it was: of each asset the newest,
        and the one that is being restored."""
        known = []
        for plan, name, engine in ((p, name, e) for p in self.plans for name, e in p.assets.items()):
            manifests = [restored] if (plan.plan, name) == (self.job.plan, self.job.asset) else []
            for catalogue in self.services.catalogues:
                for snapshot in catalogue.snapshots(plan.plan, name)[-1:]:
                    with contextlib.suppress(BackupBad):
                        manifests.append(catalogue.manifest(snapshot))
            known.append(KnownSource(self._named(plan, name), engine, tuple(manifests)))
        return known
