"""Where one asset stands: what is known of it at one moment, and what is judged by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ccdr.evidence.acknowledged import unacknowledged
from ccdr.evidence.judgement.coverage import TESTED
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.verdicts import Record
from ccdr.model.groups import Together
from ccdr.model.measure import Point
from ccdr.model.trouble import (
    Problem,
    Trouble,
)
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    as_written,
    rfc3339,
)

ENVELOPE = ("seq", "prev", "time", "host", "actor", "kind")

Disproved = Callable[[Snapshot], bool]


def _no_log(_: Sequence[Snapshot], __: Disproved) -> Sequence[Point]:
    return ()


@dataclass(frozen=True)
class Seen:
    """What is known of an asset at one moment beside its history: its snapshots, oldest first; how far the log leads
    on from some of them whose log is not disproved (`logged`), and how this host's shipping of it stands; whether a
    backup of it, or a shipper, is at work. Of a moment that is past, what is not in the
    ledger is not known: as by default."""

    snapshots: Sequence[Snapshot]
    logged: Callable[[Sequence[Snapshot], Disproved], Sequence[Point]] = _no_log
    standing: LogStanding | None = None
    ships: bool = False  # is what this host knows of its shipping of the log to be judged?
    backing_up: bool = False
    shipping: bool = False
    changed: tuple[Problem, ...] = ()  # what the catalogue says of them, and the ledger does not
    lost: bool = False  # was the ledger lost that may have told of its backups, and has nobody answered for that?
    by_records: bool = False  # does the catalogue know of none of them?


@dataclass(frozen=True)
class AssetStatus:
    """One asset's line. `rto` is from its newest conclusive test."""

    plan: str
    asset: str
    rpo: Achieved
    rto: Achieved
    last_backup: Record | None  # the last that was tried, here
    good: Snapshot | None  # the newest that counts, whichever host took it
    failed: bool  # a backup was tried since, and stored nothing
    last_test: Record | None
    coverage: str
    wrong: tuple[Problem, ...]
    # By how its snapshot was selected: the last conclusive test's time and verdict; None where the plan names a rule
    # that has had none.
    by_rule: Mapping[str, tuple[str, str] | None] = field(default_factory=dict)
    counting: tuple[Snapshot, ...] = ()  # those that count as backups, oldest first
    usable: tuple[Snapshot, ...] = ()  # those that would where the repository is whole
    group: Together | None = None  # the newest of its group's captures that it has a snapshot of
    breaches: tuple[Problem, ...] = ()  # objectives that are not met
    near: tuple[Problem, ...] = ()  # that its copies lie where it does, as the plan wants it: told, and nothing wrong
    near_known: bool = True  # does anybody here know whether they do? Only who backs it up can look
    backs_up: bool = True  # is that this host's to do?
    private: tuple[str, ...] = ()  # where programs' own words on its last runs are kept, for a person's eyes

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, as sentences."""
        return tuple(p.text for p in self.wrong)

    @property
    def troubles(self) -> tuple[Problem, ...]:
        """All that is wrong, objectives that are not met among it."""
        return (*self.wrong, *self.breaches)

    @property
    def away(self) -> bool:
        """Was its repository not to be had when it was last asked?"""
        return any(p.trouble is Trouble.REPOSITORY_AWAY for p in self.wrong)

    @property
    def unreachable(self) -> bool:
        """Was it not there, or did it not answer? Then nobody knows where it lies now."""
        return any(p.trouble is Trouble.REPOSITORY_AWAY and p.about in ("missing", "unavailable") for p in self.wrong)

    @property
    def proven(self) -> bool:
        """A restore test has passed and is not stale, nothing is wrong, and no objective is breached. Where another
        host backs up, exposure is for that one to know."""
        met = self.rto.verdict is ObjectiveVerdict.MET and self.rpo.verdict is not ObjectiveVerdict.BREACHED
        return self.coverage == TESTED and not self.wrong and met

    @property
    def not_known_here(self) -> bool:
        """Does another host test it, and does nobody here know all that is to be known of that?"""
        return any(p.trouble is Trouble.NOT_KNOWN_HERE for p in self.wrong)

    def _good(self) -> dict[str, object] | None:
        if self.good is None:
            return None
        snapshot = {"id": self.good.id, "consistent_point": rfc3339(self.good.consistent_point)}
        return {"time": rfc3339(self.good.usable_at), "snapshot": snapshot}

    @property
    def finding(self) -> bool:
        """Is something wrong that nobody has acknowledged?"""
        return bool(unacknowledged(self.troubles))

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "rpo": self.rpo.as_json(),
            "rto": self.rto.as_json(),
            "last_backup": _shown(self.last_backup),
            "last_good_backup": self._good(),
            "last_test": _shown(self.last_test),
            "coverage": self.coverage,
            "tested_by_rule": {
                rule: last and {"time": last[0], "verdict": last[1]} for rule, last in self.by_rule.items()
            },
            "group": self.group and self.group.as_json(),
            "problems": list(self.problems),
            "troubles": [p.as_json() for p in self.troubles],
            "near": [p.as_json() for p in self.near],
            "near_known": self.near_known,
            "private": list(self.private),
        }


def _shown(record: Record | None) -> Mapping[str, object] | None:
    """A record's body with its time and place in the ledger."""
    if record is None:
        return None
    shown = as_written(record)
    return {**{k: v for k, v in shown.items() if k not in ENVELOPE}, "time": record["time"], "seq": shown["seq"]}
