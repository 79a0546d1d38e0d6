"""What of a long period a page shows: the worst, the newest, of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccdr.plans.due import DueGap
from ccdr.telling.deviations import Told
from ccdr.telling.report import charts
from ccdr.telling.report.build import Report
from ccdr.telling.report.charts import Chart
from ccdr.telling.report.judged import AssetReport, Interruption
from ccdr.telling.report.runs import CRASHED, MISSED, RUNNING, SKIPPED, RecordedRun

MOST_TESTS = 250  # told in full on the page; all are in the JSON
MOST_PANELS = 24  # assets with charts of their own
MOST_INTERRUPTIONS = 500
MOST_DEVIATIONS = 300
MOST_GAPS = 200
MOST_LISTED = 12  # findings of one kind that stand open; more are folded away
# What the worst test of a part of the period was, first of these.
WORST = ("FAIL", "INCONCLUSIVE", CRASHED, "PASS", MISSED, SKIPPED, RUNNING)


@dataclass(frozen=True)
class Panel:
    """One asset's two charts."""

    asset: AssetReport
    exposure: Chart
    restore: Chart


def chosen_tests(tests: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Newest first: those that did not pass, the newest that passed of each asset, then the newest of all."""
    newest: dict[tuple[str | None, str | None], RecordedRun] = {}
    for run in tests:
        if run.outcome == "PASS":
            newest[run.plan, run.asset] = run
    wanted = [run for run in reversed(tests) if run.outcome not in ("PASS", RUNNING)]
    wanted += sorted(newest.values(), key=lambda run: -run.seq)
    wanted += reversed(tests)
    chosen: dict[float, RecordedRun] = {}
    for run in wanted:
        if len(chosen) < MOST_TESTS:
            chosen.setdefault(run.seq, run)
    return sorted(chosen.values(), key=lambda run: -run.seq)


def chosen_interruptions(interruptions: Sequence[Interruption]) -> list[Interruption]:
    """Newest first; what is not mended yet before all else."""
    ordered = sorted(interruptions, key=lambda i: (i.mended is not None, -i.runs[-1].seq))
    return ordered[:MOST_INTERRUPTIONS]


def chosen_deviations(deviations: Sequence[Told]) -> list[Told]:
    """Overdue ones first, then what is open; the newest of each first."""
    ordered = sorted(deviations, key=lambda one: one.deviation.opened_at, reverse=True)
    ordered.sort(key=lambda one: (not one.overdue, one.state == "closed"))
    return ordered[:MOST_DEVIATIONS]


def asset_panels(judged: Sequence[AssetReport], report: Report) -> list[Panel]:
    def badness(asset: AssetReport) -> tuple[float, float]:
        shares = [
            a.achieved_s / a.objective_s if a.achieved_s is not None else 0.0
            for a in (asset.rpo, asset.rto)
            if a is not None
        ]
        return float(asset.level), max(shares, default=0.0)

    some = sorted(judged, key=badness, reverse=True)[:MOST_PANELS] if len(judged) > MOST_PANELS else judged
    return [
        Panel(
            asset,
            charts.exposure_chart(asset, report.period, f"e{n}"),
            charts.restore_chart(asset, report.period, f"r{n}"),
        )
        for n, asset in enumerate(some)
    ]


def worst_first(counts: Mapping[str, int]) -> str | None:
    return next((word for word in WORST if counts.get(word)), None)


def gaps(report: Report) -> list[tuple[str, str | None, str, DueGap]]:
    """Of each schedule, the newest due times for which nothing was begun; newest first."""
    entries = [
        (one.plan, due.asset, due.verb.value, gap) for one in report.promises for due in one.due for gap in due.gaps
    ]
    return sorted(entries, key=lambda entry: entry[3].last, reverse=True)[:MOST_GAPS]
