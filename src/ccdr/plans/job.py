"""One asset of one plan: what is asked of it, as every use-case is handed it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccdr.checks import AnyCheck
from ccdr.engines import AnyEngine
from ccdr.engines.base import ControlSettings
from ccdr.host.nearby import Near, near
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import AT, LATEST, Objectives
from ccdr.plans.loader import LoadedPlan
from ccdr.plans.model import LimitsInForce
from ccdr.plans.one_server import of_one_server
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Site

BESIDE_SQLITE = ("-wal", "-shm", "-journal")  # of a database that something has open, or had as it crashed


def below(directory: Path, path: Path) -> Path:
    return directory / path.relative_to("/")


@dataclass(frozen=True)
class Job:
    """One asset of one plan."""

    loaded: LoadedPlan
    asset: str

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def engine(self) -> AnyEngine:
        return self.loaded.plan.assets[self.asset]

    def site(self, wanted: NewServer, mark: str = "") -> Site:
        """Where a new server of it is to be, for the recovery that has this `mark`. Whoever captures other assets there
        is let in too."""
        assets = self.loaded.plan.assets.values()
        users = [getattr(getattr(a, "connection", None), "user", None) for a in assets if of_one_server(self.engine, a)]
        accounts = tuple(dict.fromkeys(user for user in users if user))
        w = wanted
        return Site(w.directory, w.owner, w.address, w.port, w.sockets, w.settings, mark, accounts)

    @property
    def grouped(self) -> list[str]:
        """The assets that are captured together with it, itself included, in the plan's order; else none."""
        group = self.engine.group
        assets = [name for name, engine in self.loaded.plan.assets.items() if group and engine.group == group]
        return assets if len(assets) > 1 else []

    @property
    def looked_into_beside(self) -> bool:
        """Does a check of another asset need programs where this one's files can be seen?"""
        checks = (check for of_asset in self.loaded.checks.values() for check in of_asset)
        return any(check.beside == self.asset and check.needs_sandbox_beside for check in checks)

    def refuse_recovery_only(self, what: str) -> None:
        """UsageProblem where the plan is for recovery alone: it does not say how its sources are reached."""
        if self.loaded.plan.recovery_only:
            raise UsageProblem(
                f"the plan {self.plan} is for recovery alone: {what} would need what it does not state",
                hint=f"`ccdr plan check {self.plan}` says what it lacks; once that is stated, remove `recovery_only`",
            )

    @property
    def objectives(self) -> Objectives:
        return self.loaded.plan.objectives_of(self.asset)

    @property
    def control(self) -> ControlSettings | None:
        """When its restore test is tested by a damaged copy."""
        return self.loaded.plan.control_of(self.asset)

    @property
    def tenant(self) -> str:
        return self.loaded.plan.tenant_of(self.asset)

    @property
    def limits(self) -> LimitsInForce:
        return self.loaded.plan.limits_of(self.asset)

    @property
    def is_tree(self) -> bool:
        """Files that keep their own paths wherever they are brought; else one file, or a server's."""
        return self.engine.engine_name == "files"

    def moved_to(self, directory: Path) -> list[tuple[Path, Path]]:
        """Of what is no server's: each path as it was, and as it is below the directory that it was brought to."""
        paths = self.engine.source_paths
        return [(path, below(directory, path) if self.is_tree else directory / path.name) for path in paths]

    def put_back_from(self, directory: Path, *, in_its_place: bool = False) -> str:
        """A shell's line that moves each from there to where it was. What stands there, and the log of a database that
        was lost, which would be replayed into another, is kept as NAME.lost where it goes `in_its_place`; else it is in
        the way, and named."""
        pairs = self.moved_to(directory)
        lines = (f"mkdir -p {shlex.quote(str(was.parent))} && {self._moved(n, was, in_its_place)}" for was, n in pairs)
        return " && ".join(lines)

    def _moved(self, one: Path, to: Path, in_its_place: bool) -> str:
        moved = shlex.join(["mv", "-T", str(one), str(to)])
        there = shlex.join(f"{to}{end}" for end in ("", *(() if self.is_tree else BESIDE_SQLITE)))
        if in_its_place:
            aside = f'for f in {there}; do [ ! -e "$f" ] || mv -T --backup=numbered "$f" "$f.lost" || exit; done'
            return f"ls -d {shlex.quote(str(one))} && ({aside}) && {moved}"
        if self.is_tree:  # mv replaces an empty one alone, and says so
            return moved
        return f'[ -z "$(find {there} -maxdepth 0 2>/dev/null | tee /dev/stderr)" ] && {moved}'

    def way_back(self, lost: datetime, *, there: bool) -> str | None:
        """What leads on from SOURCE_AWAY, its source being lost since then; `there`: does a snapshot count?"""
        again, paths = f"ccdr backup {self.plan} --asset {self.asset}", self.engine.source_paths
        restore = ["ccdr", "restore", self.plan, "--asset", self.asset, "--to"]
        if not paths:
            step = next_step(Trouble.SOURCE_AWAY if there else Trouble.BACKUP_FAILED, self.plan, self.asset)
            if not there or (beside := self.engine.beside_source()) is None:
                return step
            argv, renamed = beside
            return f"{step}; if its database alone is gone: {shlex.join([*restore, *argv])} && {renamed} && {again}"
        mounted = f"is the file system of {shlex.join(map(str, paths))} mounted?"
        if not there:
            return f"{mounted} else change where the plan says that it is, then {again}"
        to = paths[0].parent / f"{self.asset}-restored-{lost:%Y%m%dT%H%M%S}"
        how = "lost" if self.is_tree else "lost or damaged, end what uses it, then"
        back = self.put_back_from(to, in_its_place=not self.is_tree)
        brought = f"[ -e {shlex.quote(str(to))} ] || {shlex.join([*restore, str(to)])}"  # what is there is whole
        return f"{mounted} if it is {how}: {brought} && {back} && {again}"

    @property
    def beside(self) -> Near | None:
        """Does the repository lie on the source's own disk, or machine? See nearby.py; None for one that is no path."""
        repository = self.loaded.plan.repository
        if not repository.is_local:
            return None
        return near(Path(repository.location), self.engine.source_paths, on_this_host=self.engine.on_this_host)

    @property
    def checks(self) -> tuple[AnyCheck, ...]:
        """In the order they run: first those that must see the data untouched."""
        return tuple(sorted(self.loaded.checks[self.asset], key=lambda c: c.rank))

    @property
    def rules(self) -> tuple[str, ...]:
        """By which the snapshots of its restore tests are chosen, in turn; none where the plan has no restore test."""
        planned = self.engine.restore_test
        stated: tuple[str, ...] = planned.snapshot if planned else ()
        if planned is None or not planned.at or self.engine.shipping is None:
            return stated
        # By the log and from the newest base, whatever a single word says.
        return tuple(AT if rule == LATEST else rule for rule in stated) if len(stated) > 1 else (AT,)
