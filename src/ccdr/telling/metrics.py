"""Numbers for Prometheus, as a file that its node exporter's textfile collector reads.

docs/reference/metrics.md explains them.

Base units: seconds, bytes, Unix times. What is not known is left out, never zero; an infinite exposure is `+Inf`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr import __version__
from ccdr.evidence.acknowledged import unacknowledged
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import CLEAN, STORED
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.errors import CcdrError
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import ObjectiveVerdict, Verb
from ccdr.telling.copies import CopyStatus, copied_well, of_copy

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge

VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE")
ASSET, PLAN, COPY = ("plan", "asset"), ("plan",), ("plan", "copy")

# Every metric: its labels, and what it says.
METRICS: dict[str, tuple[tuple[str, ...], str]] = {
    "ccdr_asset_rpo_achieved_seconds": (ASSET, "Data that would be lost now; +Inf where no snapshot counts."),
    "ccdr_asset_rpo_objective_seconds": (ASSET, "How much of the newest data may be lost."),
    "ccdr_asset_rto_achieved_seconds": (ASSET, "How long the newest conclusive restore test took."),
    "ccdr_asset_rto_objective_seconds": (ASSET, "How long a restore may take."),
    "ccdr_asset_last_good_backup_timestamp_seconds": (ASSET, "When the newest backup that was stored well ended."),
    "ccdr_asset_last_backup_ok": (ASSET, "1 if the newest backup was stored, 0 if it failed."),
    "ccdr_asset_last_test_timestamp_seconds": (ASSET, "When the newest restore test ended."),
    "ccdr_asset_last_test_verdict": ((*ASSET, "verdict"), "1 for the newest restore test's verdict, 0 for the others."),
    "ccdr_asset_proven": (
        ASSET,
        "1 if a restore test that is not stale has passed, nothing is wrong and no objective is breached.",
    ),
    "ccdr_asset_never_succeeded": (ASSET, "1 until the first backup succeeds."),
    "ccdr_asset_test_overdue": (ASSET, "1 if a restore test has come due twice since the last conclusive one."),
    "ccdr_asset_log_late": (ASSET, "1 if its log is to be shipped and is not."),
    "ccdr_asset_log_gap": (ASSET, "1 if log is missing since its newest backup: only backups can be restored."),
    "ccdr_asset_problems": (ASSET, "How many things are wrong, as `ccdr status` lists them."),
    "ccdr_asset_acknowledged_problems": (ASSET, "How many of them somebody has acknowledged (`ccdr ack`)."),
    "ccdr_asset_repository_near": (
        ASSET,
        "1 if all copies lie on the disk or machine of the source, where that is known; no problem.",
    ),
    "ccdr_asset_snapshot_bytes": (ASSET, "What a restore of the newest good backup writes."),
    "ccdr_plan_problems": (PLAN, "How many things are wrong with the care of the repository."),
    "ccdr_plan_acknowledged_problems": (PLAN, "How many of them somebody has acknowledged (`ccdr ack`)."),
    "ccdr_plan_prune_overdue": (
        PLAN,
        "1 if a prune has come due twice since the last one; left out where another host does them.",
    ),
    "ccdr_plan_check_overdue": (
        PLAN,
        "1 if a check has come due twice since the last one; left out where another host does them.",
    ),
    "ccdr_copy_problems": (COPY, "How many things are wrong with one of the plan's copies."),
    "ccdr_copy_acknowledged_problems": (COPY, "How many of them somebody has acknowledged (`ccdr ack`)."),
    "ccdr_copy_overdue": (
        COPY,
        "1 if copying has come due twice since the last try; left out where another host does it.",
    ),
    "ccdr_copy_last_ok": (COPY, "1 if the newest copying there went well, else 0."),
    "ccdr_copy_last_done_timestamp_seconds": (COPY, "When the newest copying there told what it holds."),
    "ccdr_copy_last_test_timestamp_seconds": (
        (*COPY, "asset"),
        "When the newest restore test that fetched from there ended.",
    ),
    "ccdr_copy_last_test_verdict": (
        (*COPY, "asset", "verdict"),
        "1 for the verdict of the newest restore test that fetched from there, 0 for the others.",
    ),
    "ccdr_copy_exposure_seconds": (
        (*COPY, "asset"),
        "Data that would be lost if the copy were all that is left; +Inf where it holds nothing of the asset.",
    ),
    "ccdr_plan_paused": (PLAN, "1 while the plan is paused (`ccdr pause`)."),
    "ccdr_plan_paused_until_timestamp_seconds": (PLAN, "When its pause ends by itself; left out where there is none."),
    "ccdr_asset_missed_total": (ASSET, "Due times that passed without a try, since the ledger began."),
    "ccdr_repository_bytes": (PLAN, "What the repository takes, as the newest prune or check has measured it."),
    "ccdr_last_prune_timestamp_seconds": (PLAN, "When the newest prune ended."),
    "ccdr_last_check_timestamp_seconds": (PLAN, "When the newest check ended."),
    "ccdr_last_check_clean": (PLAN, "1 if the newest check found nothing wrong, else 0."),
    "ccdr_notification_failures": (PLAN, "Addresses that could not be told the last time."),
    "ccdr_last_run_timestamp_seconds": ((), "When the newest `ccdr run` that looked at the plans ended."),
    "ccdr_last_run_duration_seconds": ((), "How long it took."),
    "ccdr_last_run_exit_code": ((), "Its exit status."),
    "ccdr_ledger_verified_timestamp_seconds": ((), "When the whole ledger was verified for the last time."),
    "ccdr_ledger_holds": ((), "1 if it verified then, and the summary kept of it was true, else 0."),
    "ccdr_build_info": (("version",), "Always 1; the version of ccdr."),
}


@dataclass(frozen=True)
class RunFacts:
    """About the run that writes. `seconds` is its duration, `unreached` counts by plan the addresses that could not
    be told."""

    ended: datetime
    seconds: float
    exit_code: int
    unreached: Mapping[str, int]
    verified: datetime | None = None  # when the ledger was, for the last time
    ledger_holds: bool | None = None


def write(
    path: Path,
    assets: Sequence[AssetStatus],
    care: Mapping[str, Sequence[Problem]],
    histories: Histories,
    run: RunFacts,
    copies: Sequence[CopyStatus] = (),
) -> None:
    """Write the file, whole or not at all. `care` is by plan what is wrong with its repository's care. CcdrError
    where it cannot be written: the run that reports it has done its work."""
    from prometheus_client import write_to_textfile

    registry = collect(assets, care, histories, run, copies)
    try:
        write_to_textfile(str(path), registry)
        path.chmod(0o644)  # another user's node exporter reads it; there is nothing secret in it
    except OSError as error:
        raise CcdrError(
            f"the metrics {path} could not be written: {error.strerror or error}",
            hint="make room there, or name a directory that you may write",
        ) from None


def collect(
    assets: Sequence[AssetStatus],
    care: Mapping[str, Sequence[Problem]],
    histories: Histories,
    run: RunFacts,
    copies: Sequence[CopyStatus] = (),
) -> CollectorRegistry:
    """All of METRICS, filled in."""
    board = _Board()
    for status in assets:
        _asset(board, status)
        _past(board, histories, status.plan, status.asset)
    for plan in dict.fromkeys([*(s.plan for s in assets), *care]):
        _plan(board, plan, histories, care.get(plan, ()), run)
    for copy in copies:
        _copy(board, copy, histories, care.get(copy.plan, ()))
    board.set("ccdr_last_run_timestamp_seconds", run.ended.timestamp())
    board.set("ccdr_last_run_duration_seconds", run.seconds)
    board.set("ccdr_last_run_exit_code", run.exit_code)
    board.set("ccdr_ledger_verified_timestamp_seconds", run.verified.timestamp() if run.verified else None)
    board.set("ccdr_ledger_holds", run.ledger_holds)
    board.set("ccdr_build_info", 1, __version__)
    return board.registry


class _Board:
    """Gauges of a registry of our own, so that nothing of this process gets in."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Gauge | Counter] = {
            name: (Counter if name.endswith("_total") else Gauge)(name, text, labels, registry=self.registry)
            for name, (labels, text) in METRICS.items()
        }

    def set(self, name: str, value: float | bool | None, *labels: str) -> None:
        """Nothing for what is not known."""
        from prometheus_client import Gauge

        if value is None:
            return
        metric = self._metrics[name].labels(*labels) if labels else self._metrics[name]
        if isinstance(metric, Gauge):
            metric.set(float(value))
        else:
            metric.inc(float(value))  # of a registry that is made anew each time


def _asset(board: _Board, status: AssetStatus) -> None:
    where = (status.plan, status.asset)
    if status.rpo.verdict not in (ObjectiveVerdict.NOT_MEASURED, ObjectiveVerdict.NOT_KNOWN_HERE):
        achieved = status.rpo.achieved_s
        board.set("ccdr_asset_rpo_achieved_seconds", math.inf if achieved is None else achieved, *where)
    board.set("ccdr_asset_rpo_objective_seconds", status.rpo.objective_s, *where)
    board.set("ccdr_asset_rto_achieved_seconds", status.rto.achieved_s, *where)
    board.set("ccdr_asset_rto_objective_seconds", status.rto.objective_s, *where)
    kinds = {p.trouble for p in status.wrong}
    board.set("ccdr_asset_proven", status.proven, *where)
    board.set("ccdr_asset_never_succeeded", Trouble.NEVER_SUCCEEDED in kinds, *where)
    board.set("ccdr_asset_test_overdue", Trouble.TEST_LATE in kinds, *where)
    board.set("ccdr_asset_log_late", Trouble.LOG_LATE in kinds, *where)
    board.set("ccdr_asset_log_gap", Trouble.LOG_GAP in kinds, *where)
    board.set("ccdr_asset_problems", len(status.troubles), *where)
    board.set("ccdr_asset_acknowledged_problems", _acknowledged(status.troubles), *where)
    if status.near_known:
        board.set("ccdr_asset_repository_near", bool(status.near), *where)
    if status.last_backup is not None:
        board.set("ccdr_asset_last_backup_ok", status.last_backup.result == STORED, *where)
    if status.last_test is not None:
        board.set("ccdr_asset_last_test_timestamp_seconds", status.last_test.time.timestamp(), *where)
        for verdict in VERDICTS:
            board.set("ccdr_asset_last_test_verdict", status.last_test.verdict == verdict, *where, verdict)


def _past(board: _Board, histories: Histories, plan: str, asset: str) -> None:
    history = histories.get((plan, asset))
    if history is None:
        return
    if (good := history.last_good_backup) is not None:
        board.set("ccdr_asset_last_good_backup_timestamp_seconds", good.time.timestamp(), plan, asset)
        board.set("ccdr_asset_snapshot_bytes", good.snapshot.bytes if good.snapshot else None, plan, asset)
    board.set("ccdr_asset_missed_total", history.missed, plan, asset)


def _plan(board: _Board, plan: str, histories: Histories, care: Sequence[Problem], run: RunFacts) -> None:
    board.set("ccdr_plan_problems", len(care), plan)
    board.set("ccdr_plan_acknowledged_problems", _acknowledged(care), plan)
    board.set("ccdr_notification_failures", run.unreached.get(plan, 0), plan)
    history = histories.get((plan, None), AssetHistory())
    pause = history.pause(run.ended)
    board.set("ccdr_plan_paused", pause is not None, plan)
    board.set("ccdr_plan_paused_until_timestamp_seconds", pause.until.timestamp() if pause else None, plan)
    kinds = {p.trouble for p in care}
    for verb, trouble in ((Verb.PRUNE, Trouble.PRUNE_LATE), (Verb.CHECK, Trouble.CHECK_LATE)):
        board.set(f"ccdr_plan_{verb}_overdue", trouble in kinds if history.answers_for(verb) else None, plan)
    pruned, checked = history.pruned, history.checked
    if pruned is not None:
        board.set("ccdr_last_prune_timestamp_seconds", pruned.time.timestamp(), plan)
    if checked is not None:
        board.set("ccdr_last_check_timestamp_seconds", checked.time.timestamp(), plan)
        board.set("ccdr_last_check_clean", checked.result == CLEAN, plan)
    if history.sizes:
        board.set("ccdr_repository_bytes", history.sizes[max(history.sizes)], plan)


def _copy(board: _Board, copy: CopyStatus, histories: Histories, care: Sequence[Problem]) -> None:
    where, wrong = (copy.plan, copy.copy), of_copy(care, copy.copy)
    board.set("ccdr_copy_problems", len(wrong), *where)
    board.set("ccdr_copy_acknowledged_problems", _acknowledged(wrong), *where)
    board.set("ccdr_copy_overdue", any(p.trouble is Trouble.COPY_LATE for p in wrong) if copy.ours else None, *where)
    board.set("ccdr_copy_last_ok", copied_well(histories, *where), *where)
    if copy.filled is not None:
        board.set("ccdr_copy_last_done_timestamp_seconds", copy.filled.timestamp(), *where)
    for asset, held in copy.assets.items():
        if copy.filled is not None:
            exposed = copy.exposure(asset)
            board.set("ccdr_copy_exposure_seconds", math.inf if exposed is None else exposed, *where, asset)
        if held.tested is not None:
            board.set("ccdr_copy_last_test_timestamp_seconds", held.tested.at.timestamp(), *where, asset)
            for verdict in VERDICTS:
                board.set("ccdr_copy_last_test_verdict", held.tested.verdict == verdict, *where, asset, verdict)


def _acknowledged(problems: Sequence[Problem]) -> int:
    return len(problems) - len(unacknowledged(problems))
