"""Of each part: a history that has its evidence, one that lacks it, one in which it failed, one in which it went stale.
Whoever adds a part adds them here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.controls.values import ControlState
from tests.support.chronicle import NOUGHT, Chronicle

DAY = 24.0
YEAR = 366 * DAY


@dataclass(frozen=True)
class History:
    """What was recorded, and how many hours after its `end` somebody asks; `records` are behind the answer, by their
    numbers."""

    tell: Callable[[Chronicle], object]
    records: tuple[int, ...] = ()
    at: float = 0.1


def nothing(_: Chronicle) -> None: ...


def well(past: Chronicle) -> None:
    """1: an older backup, 2: its test, 3: a newer backup."""
    past.stored(-5, "old")
    past.tested(-4, "old")
    past.stored(-0.5, "new")


def recovered(past: Chronicle, hours: float, state: str = "done", verdict: str = "MET", **more: Any) -> None:
    target = {"kind": "directory", "name": "/back"}
    asset = {"asset": past.asset, "state": state if state == "done" else "failed", "snapshot": NOUGHT, "target": target}
    rpo = {"objective_s": 3600.0, "achieved_s": 60.0, "verdict": "MET"}
    rto = {
        "objective_s": 1800.0,
        "achieved_s": 90.0,
        "machine_s": 90.0,
        "waited_s": 0.0,
        "away_s": 0.0,
        "verdict": verdict,
    }
    past.wrote(hours, "recover.end", asset=None, state=state, rpo=rpo, rto=rto, assets=[asset], **more)


def recovery_crashed(past: Chronicle) -> None:
    past.wrote(-9 * DAY, "recover.start", asset=None, plan_sha256=NOUGHT, assets=[])


def then(*told: Callable[[Chronicle], object]) -> Callable[[Chronicle], None]:
    def tell(past: Chronicle) -> None:
        for one in told:
            one(past)

    return tell


PRESENT, FAILING = ControlState.EVIDENCE_PRESENT, ControlState.FAILING
STALE, LACKING = ControlState.STALE, ControlState.NOT_COVERED

HISTORIES: dict[str, dict[ControlState, list[History]]] = {
    "backup-and-recovery/backups": {
        PRESENT: [History(well, (3,))],
        LACKING: [History(nothing)],
        FAILING: [History(then(well, lambda p: p.failed(-0.1)), (3, 4))],
        STALE: [History(well, (3,), at=9)],
    },
    "backup-and-recovery/restore-tests": {
        PRESENT: [
            History(well, (2,)),
            History(then(well, lambda p: p.tested(-0.1, "new", "INCONCLUSIVE")), (2,)),
        ],
        LACKING: [
            History(lambda p: p.stored(-0.5, "new")),
            History(lambda p: (p.stored(-0.5, "new"), p.tested(-0.1, "new", "INCONCLUSIVE")), (2,)),
        ],
        FAILING: [History(then(well, lambda p: p.tested(-0.1, "new", "FAIL")), (4,))],
        STALE: [History(well, (2,), at=3 * DAY)],
    },
    "backup-and-recovery/objectives": {
        PRESENT: [History(well, (2, 3))],
        LACKING: [History(lambda p: p.stored(-0.5, "new"), (1,))],
        FAILING: [
            History(well, (2, 3), at=0.9),
            History(lambda p: (p.stored(-0.5, "new"), p.tested(-0.2, "new", took=3600.0)), (1, 2)),
        ],
        STALE: [History(lambda p: (p.stored(-5, "a"), p.tested(-4, "a"), p.stored(71.5, "b")), (2, 3), at=72)],
    },
    "backup-and-recovery/checks": {
        PRESENT: [History(lambda p: p.checked(-1, parts=2), (1,))],
        LACKING: [History(nothing), History(lambda p: p.checked(-1, "INCONCLUSIVE", parts=2), (1,))],
        FAILING: [History(lambda p: (p.checked(-3, "DAMAGED", parts=2), p.checked(-2, part=2, parts=2)), (1, 2))],
        STALE: [History(lambda p: p.checked(-1, parts=2), (1,), at=3 * DAY)],
    },
    "backup-and-recovery/recoveries": {
        PRESENT: [History(lambda p: recovered(p, -1), (1,))],
        LACKING: [History(nothing)],
        FAILING: [
            History(lambda p: recovered(p, -1, "failed"), (1,)),
            History(lambda p: recovered(p, -30 * DAY, "paused_by_failed_step"), (1,)),
            History(lambda p: recovered(p, -1, verdict="BREACHED"), (1,)),
            History(lambda p: (recovered(p, -99 * DAY), recovery_crashed(p)), (2,)),
        ],
        STALE: [History(lambda p: recovered(p, -YEAR - 1), (1,))],
    },
}  # fmt: skip

CASES = [
    (part, state, history) for part, states in HISTORIES.items() for state, all_ in states.items() for history in all_
]
