"""How it stands with a plan's copies, for whoever asks: what each holds, and how much would be lost if it were all that
is left. Never counted as the plan's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import COPY_START, DONE
from ccdr.evidence.records import CopyEnd
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import Verb, at_copy, human_seconds, rfc3339, so_many, to_the_second
from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class CopyTest:
    """The last restore test that fetched from a copy."""

    at: datetime
    verdict: str
    snapshot: str | None


@dataclass(frozen=True)
class CopiedAsset:
    """What a copy holds of an asset: the consistent point of its newest snapshot there, when that came there (None: not
    known), up to when its log leads on. None: nothing."""

    newest: datetime | None = None
    arrived: datetime | None = None
    logged: datetime | None = None
    tested: CopyTest | None = None

    @property
    def point(self) -> datetime | None:
        """Up to when it can be brought back from there."""
        return max(filter(None, (self.newest, self.logged)), default=None)


@dataclass(frozen=True)
class CopyStatus:
    """One of a plan's copies, as its newest copying told."""

    plan: str
    copy: str
    site: str | None
    filled: datetime | None  # when that was told
    result: str | None  # of the newest copying, which may have come to nothing
    assets: Mapping[str, CopiedAsset]
    snapshots: int
    now: datetime
    ours: bool = True  # filled by this host, whose ledger knows of all of it
    wrong: Sequence[Problem] = field(default=())  # with it, of what is wrong with the plan

    def exposure(self, asset: str) -> float | None:
        """Seconds that would be lost of it; None: all."""
        point = self.assets[asset].point
        return None if point is None else (self.now - point).total_seconds()

    def wrong_with(self, asset: str | None) -> list[Problem]:
        """With what it holds of an asset; None: with all of it."""
        return [p for p in self.wrong if _about_asset(p, self.assets) == asset]

    def as_json(self) -> dict[str, object]:
        return {
            "copy": self.copy,
            "site": self.site,
            "filled": self.filled and to_the_second(self.filled),
            "last_result": self.result,
            "snapshots": self.snapshots,
            "assets": {asset: self.told_of(asset) for asset in self.assets},
        }

    def told_of(self, asset: str) -> dict[str, object]:
        """What this copy holds of one asset, as it is told."""
        held, exposed = self.assets[asset], self.exposure(asset)
        return {
            "newest": held.point and to_the_second(held.point),
            "snapshot": held.newest and rfc3339(held.newest),
            "arrived": held.arrived and rfc3339(held.arrived),
            "log_until": held.logged and rfc3339(held.logged),
            "exposure_s": None if exposed is None else round(exposed, 3),
            "last_test": held.tested and held.tested.verdict,
            "last_test_at": held.tested and rfc3339(held.tested.at),
        }

    def __str__(self) -> str:
        where = f"copy {self.copy}" + (f" ({self.site})" if self.site else "")
        if self.filled is None:
            return f"{self.plan}: {where}: nothing was ever copied there"
        lost = {asset: self.exposure(asset) for asset in self.assets}
        lacking = [asset for asset, seconds in lost.items() if seconds is None]
        worst = max((seconds for seconds in lost.values() if seconds is not None), default=None)
        loses = "" if worst is None else f"; if it were all that is left, up to {human_seconds(worst)} would be lost"
        none = f"; nothing of {', '.join(lacking)} is there" if lacking else ""
        tested = sum(held.tested is not None and held.tested.verdict == "PASS" for held in self.assets.values())
        shown = f"; {tested} of {so_many(len(self.assets), 'asset')} restored from there well"
        held = f"{so_many(self.snapshots, 'snapshot')}, filled {to_the_second(self.filled)}"
        return f"{self.plan}: {where}: {held}{loses}{none}{shown}"


def of_copy(problems: Iterable[Problem], copy: str) -> list[Problem]:
    """What of these is wrong with that copy."""
    return [p for p in problems if p.trouble.name.startswith("COPY_") and p.about.split(" ")[0] == copy]


def _about_asset(problem: Problem, assets: Iterable[str]) -> str | None:
    """Tests are of one asset each; all else is of the whole copy."""
    if problem.trouble not in (Trouble.COPY_TEST_FAILED, Trouble.COPY_UNTESTED):
        return None
    return next((asset for asset in assets if asset == problem.about.partition(" ")[2]), None)


def copies_of(
    loaded: LoadedPlan, histories: Histories, now: datetime, wrong: Sequence[Problem] = ()
) -> Iterator[CopyStatus]:
    """As the plan names them; `wrong` is what is not as it should be with the care of the plan."""
    plan, own = loaded.plan.plan, histories.get((loaded.plan.plan, None), AssetHistory())
    for name, copy in loaded.plan.copies.items():
        history = histories.get((at_copy(plan, name), None), AssetHistory())
        told, last = history.last_copy, history.copied
        yield CopyStatus(
            plan,
            name,
            copy.site,
            told.time if told else None,
            last.result if last else None,
            {asset: _held(told, asset, histories, at_copy(plan, name)) for asset in loaded.plan.assets},
            sum((told.there or {}).values()) if told else 0,
            now,
            own.answers_for(Verb.COPY),
            tuple(of_copy(wrong, name)),
        )


def _held(told: CopyEnd | None, asset: str, histories: Histories, place: str) -> CopiedAsset:
    test = histories.get((place, asset), AssetHistory()).last_test
    shown = None
    if test is not None:
        shown = CopyTest(test.time, test.verdict, test.snapshot.id if test.snapshot else None)
    if told is None:
        return CopiedAsset(None, None, None, shown)
    return CopiedAsset(told.newest.get(asset), told.arrived.get(asset), told.log_until.get(asset), shown)


def copied_well(histories: Histories, plan: str, copy: str) -> bool | None:
    """Has the newest copying gone well? None: there was none."""
    history = histories.get((at_copy(plan, copy), None), AssetHistory())
    last, crashed = history.copied, history.crashed(COPY_START)
    if history.could_not_begin(Verb.COPY, last) is not None:
        return False
    if crashed is not None and (last is None or crashed.order > last.order):
        return False
    return None if last is None else last.result == DONE
