"""What is to be done of each asset, as it was decided: for the journal, from which another process has it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ccdr.evidence.records.recovery import PlannedAsset
from ccdr.evidence.records.recovery import RecoveryTarget as RecordedTarget
from ccdr.evidence.records.values import code
from ccdr.host.state_files import made_of, plain
from ccdr.jobs.recover.choice import newer_than_the_copy
from ccdr.jobs.recover.journal import FILE, edited
from ccdr.jobs.recover.journal import Told as Journaled
from ccdr.jobs.recover.states import AssetStep, Predicted, RecoveryOutlook
from ccdr.jobs.restore.request import Before, Reached, Request, Told
from ccdr.model.instant import Instant
from ccdr.plans import LoadedPlan
from ccdr.plans.targets import Target
from ccdr.plans.trust import Command, commands_of
from ccdr.ports.log import RecoveryTarget


@dataclass(frozen=True)
class Planned:
    """One asset: which snapshot, and how far by its log; where to, after which others. Sizes are bytes, `lost_s` is
    what it lacks against the moment; `primary` the newest state that the primary is known to have had by then, where it
    is fetched from a copy that lacks it."""

    asset: str
    snapshot: str
    point: Instant | None
    target: RecoveryTarget | None
    proof: str | None
    lost_s: float | None
    where: Target
    after: tuple[str, ...] = ()
    bytes: int = 0
    memory: int = 0
    predicted: Predicted | None = None
    primary: Instant | None = None
    spare_of: str | None = None  # that one is to be started, and this one is not

    @classmethod
    def of(cls, step: AssetStep) -> Planned:
        state = step.state
        return cls(
            step.asset,
            state.snapshot.id,
            state.point,
            state.target,
            state.proof,
            state.lost_s,
            step.where,
            step.after,
            step.bytes,
            step.memory,
            step.predicted,
            step.primary,
            step.instead.asset if step.instead is not None and step.instead.in_full else None,
        )

    @property
    def newer_elsewhere(self) -> str | None:
        """That the primary had something newer; None where it is not known to."""
        if self.primary is None or self.point is None:
            return None
        return newer_than_the_copy(self.primary, (self.primary - self.point).total_seconds())

    @property
    def starts(self) -> tuple[str, ...]:
        """The command that starts the new server; none where a person does. `look` sees that it was confirmed."""
        new = self.where.new_server
        return tuple(new.start or ()) if new is not None else ()

    @property
    def place(self) -> Path | None:
        """The directory that it is brought to, or a new server's home."""
        where = self.where
        return where.new_server.directory if where.new_server is not None else where.directory

    @property
    def onto(self) -> RecordedTarget:
        return RecordedTarget(kind=code(self.where.kind), name=self.where.shown)

    def recorded(self) -> PlannedAsset:
        return PlannedAsset(
            asset=self.asset,
            snapshot=self.snapshot,
            point=self.point,
            by_log=self.target is not None,
            proof=code(self.proof),
            lost_s=self.lost_s,
            primary=self.primary,
            target=self.onto,
            after=list(self.after),
            predicted=self.predicted.recorded if self.predicted else None,
        )

    def request(
        self,
        others: Iterable[LoadedPlan],
        unknown: Iterable[str],
        *,
        onto_source_server: bool,
        before: Before | None,
        reached: Reached,
        working: str,
        makes: Path | None,
        told: Told | None = None,
    ) -> Request:
        """As the restore of this one asset is asked for, in the recovery `working`."""
        where = self.where
        place = self.place
        return Request(
            to=str(place) if place is not None else cast("str", where.server),
            snapshot=self.snapshot,
            at=self.target,
            password_file=where.password_file,
            ca_file=where.ca_file,
            onto_source_server=onto_source_server,
            others=tuple(others),
            unknown=tuple(unknown),
            goes_on=True,
            before=before,
            reached=reached,
            new_server=where.new_server,
            makes=makes,
            told=told,
            working=working if where.new_server is not None else None,
        )


@dataclass(frozen=True)
class Decision:
    """All of it, as it was decided before anything was done."""

    plan: str
    moment: Instant | None
    assets: tuple[Planned, ...]
    predicted: Predicted | None
    skew_s: float | None
    onto_source_server: bool = False
    site: str | None = None  # of the copy that it is fetched from
    under: Path | None = None  # is made if it is not there

    @classmethod
    def of(
        cls,
        outlook: RecoveryOutlook,
        *,
        onto_source_server: bool = False,
        site: str | None = None,
        under: Path | None = None,
    ) -> Decision:
        assets = tuple(map(Planned.of, outlook.steps))
        return cls(
            outlook.plan, outlook.moment, assets, outlook.predicted, outlook.skew_s, onto_source_server, site, under
        )

    @property
    def starts(self) -> list[Command]:
        """All that was decided to run on this host, wherever it was named: what a journal says is no more than what its
        file says."""
        return [command for one in self.assets for command in commands_of(one.where, "targets", one.asset)]

    @classmethod
    def read(cls, journal: Journaled) -> Decision:
        """CcdrError where no ccdr has written the journal so."""
        try:
            return made_of(journal.decided, cls)
        except ValueError:
            raise edited(journal.directory / FILE) from None

    @property
    def journaled(self) -> dict[str, object]:
        """As the journal has it."""
        return dict(plain(self))
