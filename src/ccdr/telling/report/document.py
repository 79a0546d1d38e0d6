"""The report as JSON: everything that the page tells, with every run of the period and every test in full."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator

from msgspec import to_builtins

from ccdr.evidence.records import Record
from ccdr.evidence.records.values import BESIDE
from ccdr.host.state_files import plain
from ccdr.model.values import Achieved, rfc3339, stamped
from ccdr.plans.loosened import PlanChange
from ccdr.plans.words import sentence
from ccdr.telling.answer import QUESTION
from ccdr.telling.report.build import LedgerFacts, Report
from ccdr.telling.report.judged import AssetReport, Exposure, Interruption, PlanReport
from ccdr.telling.report.promises import PlanPromises
from ccdr.telling.report.runs import CHECK, CONTROL, COPY, PRUNE, RECOVER, RESTORE, RUNBOOK, TEST, RecordedRun

FORMAT = 2  # raised when a key changes its meaning


def json_lines(report: Report) -> Iterator[bytes]:
    """One document, piece by piece: a key a line, and in long lists an entry a line. Seconds, bytes, UTC."""
    opening = "{"
    for key, value in _keys(report).items():
        yield f'{opening}\n"{key}": '.encode()
        if isinstance(value, Iterable) and not isinstance(value, (str, dict)):
            yield from _listed(value)
        else:
            yield _dumped(value)
        opening = ","
    yield b"\n}\n"


def _keys(report: Report) -> dict[str, object]:
    def whole(*verbs: str) -> Iterator[dict[str, object]]:
        return (_whole(run, run.body) for run in report.runs if run.body is not None and run.verb in verbs)

    return {
        "format": FORMAT,
        "question": QUESTION,
        "answer": {
            "word": report.answer.word,
            "level": report.answer.level.name,
            "sentence": report.answer.sentence,
            "over_the_period": report.over_the_period,
        },
        "period": {
            "from": rfc3339(report.period.start),
            "to": rfc3339(report.period.end),
            "until_now": report.period.until_now,
            "timezone": "UTC",
        },
        "made": {
            "at": rfc3339(report.made_at),
            "by": report.made_by,
            "host": report.host,
            "command": report.command,
            "version": report.version,
        },
        "plans_asked_for": list(report.wanted),
        "ledger": _ledger(report),
        "population": {
            "rows": report.population.rows,
            "csv_sha256": report.population.sha256,
            "tallies": [{"plan": p, "what": v, **tally} for (p, v), tally in sorted(report.tallies.items())],
        },
        "findings": [f.as_json() for f in report.findings],
        "acknowledged": plain(report.noted),
        "plan_versions": [{"plan": one.plan, **one.as_json()} for one in report.judged_by],
        "plan_changes": [_change(change) for one in report.promises for change in one.changes],
        "controls": report.controls and report.controls.as_json(),
        "incidents": [one.as_json() for one in report.incidents],
        "deviations": [one.as_json() for one in report.deviations],
        "sign_offs": [one.as_json() for one in report.sign_offs],
        "due": [_due(one) for one in report.promises],
        "plans": map(_plan, report.plans),
        "assets": map(_asset, report.assets),
        "interruptions": map(_interruption, report.interruptions),
        "tests": whole(TEST),
        "negative_controls": whole(CONTROL),
        "restores": whole(RESTORE),
        "runbooks": whole(RUNBOOK),
        "recoveries": whole(RECOVER),
        "upkeep": whole(PRUNE, CHECK),
        "copying": whole(COPY),
        "runs": map(_run, report.runs),
    }


def _listed(entries: Iterable[object]) -> Iterator[bytes]:
    before = b"[\n"
    for entry in entries:
        yield before + _dumped(entry)
        before = b",\n"
    yield b"\n]" if before != b"[\n" else b"[]"


def _dumped(value: object) -> bytes:
    # Lone surrogates (a file name that is not UTF-8) become JSON's own escapes, and nothing is lost.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


def _ledger(report: Report) -> dict[str, object]:
    verification, before = report.ledger.verification, report.ledger.before
    return {
        "directory": str(report.ledger.directory),
        "ok": not report.ledger.problems,
        "records": verification.records,
        "head": verification.head,
        "first": verification.first_time and rfc3339(verification.first_time),
        "last": verification.last_time and rfc3339(verification.last_time),
        "problems": list(report.ledger.problems),
        "lineage": report.ledger.lineage.as_json,
        "lost_before": list(report.ledger.lost_before),
        "beside": [one.as_json() for one in report.ledger.beside],
        "notes": list(verification.notes),
        "torn_bytes": verification.torn_bytes,
        "anchors": _anchors(report.ledger),
        "verified_before": before and {"upto": before.upto, "at": rfc3339(before.at), "record": before.seq},
    }


def _anchors(ledger: LedgerFacts) -> dict[str, object] | None:
    if ledger.anchors is None:
        return None
    loosened = [{"record": one.seq, "at": one.at, "text": text} for one in ledger.loosened for text in one.sentences]
    return {**ledger.anchors.as_json(), "loosened": loosened}


def _seconds(value: float | None) -> float | None:
    """Infinity is null, as JSON has no number for it."""
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _achieved(value: Achieved | None) -> dict[str, object] | None:
    return None if value is None else value.as_json()


def _exposure(value: Exposure) -> dict[str, object]:
    return {
        "worst_s": _seconds(value.worst_s),
        "since": value.since and rfc3339(value.since),
        "parts": [
            {"to": rfc3339(edge), "worst_s": _seconds(worst)}
            for edge, worst in zip(value.edges[1:], value.parts, strict=True)
        ],
    }


def _plan(plan: PlanReport) -> dict[str, object]:
    grown, check = plan.growth, plan.last_conclusive_check
    return {
        "plan": plan.plan,
        "service": plan.service,
        "owner": plan.owner,
        "in_plans": plan.in_plan,
        "findings": [f.text for f in plan.findings],
        "elsewhere": [one.as_json() for one in plan.elsewhere],
        "copies": [one.as_json() for one in plan.copies],
        "last_prune": plan.last_prune and _run(plan.last_prune),
        "last_check": plan.last_check and _run(plan.last_check),
        "checked": check
        and {
            "part": check.part,
            "parts": check.parts,
            "covered": check.covered,
            "full_since": check.full_since and rfc3339(check.full_since),
        },
        "snapshots_removed": plan.removed,
        "fetched_by_tests": {
            "bytes": plan.fetched.bytes,
            "tests": plan.fetched.tests,
            "by_month": dict(plan.fetched.months),
            "limit_per_month": plan.fetched.limit,
        },
        "growth": {
            "sizes": [{"at": rfc3339(at), "bytes": size} for at, size in grown.sizes],
            "added_bytes": grown.added_bytes,
            "bytes_per_day": _seconds(grown.per_day),
            "bytes_in_90_days": grown.in_90_days,
            "free_bytes": grown.free,
            "full": grown.full and rfc3339(grown.full),
        },
    }


def _asset(asset: AssetReport) -> dict[str, object]:
    objectives = asset.objectives
    return {
        "plan": asset.plan,
        "asset": asset.asset,
        "service": asset.service,
        "engine": asset.engine,
        "in_plans": asset.in_plan,
        "state": asset.state,
        "coverage": asset.coverage,
        "level": asset.level.name,
        "findings": [f.as_json() for f in asset.findings],
        "objectives": objectives and {"rpo_s": objectives.rpo, "rto_s": objectives.rto, "mtd_s": objectives.mtd},
        "rpo": _achieved(asset.rpo),
        "rpo_now": _achieved(asset.rpo_now),
        "exposure_completed": _exposure(asset.completed),
        "exposure_tested": _exposure(asset.tested),
        "rto": _achieved(asset.rto),
        "repository_near_known": asset.near_known,
        "basis": asset.basis,
        "restores": [
            {
                "basis": r.basis,
                "tests": r.count,
                "worst_s": _seconds(r.worst_s),
                "median_s": _seconds(r.median_s),
                "last_s": _seconds(r.last_s),
                "breached": r.breached,
            }
            for r in asset.restores
        ],
        "last_backup": asset.last_backup and _run(asset.last_backup),
        "last_test": asset.last_test and _run(asset.last_test),
        "last_conclusive_test": asset.last_conclusive and _run(asset.last_conclusive),
        "tested_by_rule": {rule: _run(run) for rule, run in sorted(asset.by_rule.items())},
        "left_out": list(asset.left_out),
        "snapshots": {
            "kept": asset.kept,
            "never_tested": [{"id": key, "consistent_point": rfc3339(at)} for key, at in asset.untested],
            "removed_untested": asset.removed_untested,
        },
    }


def _change(change: PlanChange) -> dict[str, object]:
    before, after = change.before, change.after
    return {
        "plan": after.plan,
        "at": rfc3339(after.at),
        "seq": after.number,
        "by": after.actor,
        "before": before and {"digest": before.digest, "seq": before.number},
        "after": {"digest": after.digest},
        "changed_keys": None if change.keys is None else list(change.keys),
        "loosenings": [{**plain(loosening), "text": sentence(loosening)} for loosening in change.loosenings],
        "unapproved_s": change.unapproved_s,
    }


def _due(promised: PlanPromises) -> dict[str, object]:
    """`known_since`: what came due before that is not known; null where all of the period is."""
    return {
        "plan": promised.plan,
        "known_since": promised.since and rfc3339(promised.since),
        "schedules": [
            {
                "asset": one.asset,
                "what": one.verb.value,
                "due": one.due,
                "missed": one.missed,
                "paused": one.paused,
                "waiting": one.waiting,
                "not_known_here": one.elsewhere,
                "gaps": [{"from": rfc3339(g.first), "to": rfc3339(g.last), "count": g.count} for g in one.gaps],
            }
            for one in promised.due
        ],
    }


def _interruption(interruption: Interruption) -> dict[str, object]:
    return {
        "plan": interruption.plan,
        "asset": interruption.asset,
        "what": interruption.verb,
        "from": rfc3339(interruption.runs[0].started),
        "to": rfc3339(interruption.runs[-1].started),
        "outcomes": dict(interruption.outcomes),
        "reasons": dict(interruption.reasons),
        "seqs": [run.number for run in interruption.runs],
        "mended": _good(interruption.mended),
        "no_longer_checked": _good(interruption.unchecked),
    }


def _good(run: RecordedRun | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {"seq": run.number, "end_seq": run.end_number, "time": rfc3339(run.started), **_whose(run)}


def _whose(run: RecordedRun) -> dict[str, object]:
    """Whose numbers they are, where that is not this host's ledger."""
    return {"ledger": run.ledger} if run.ledger else {}


def _run(run: RecordedRun) -> dict[str, object]:
    """One row of the population; what is not there is left out."""
    shown: dict[str, object] = {
        "seq": run.number,
        "end_seq": run.end_number,
        "ledger": run.ledger,
        "what": run.verb,
        "plan": run.plan,
        "asset": run.asset,
        "run": run.run,
        "host": run.host,
        "actor": run.actor,
        "trigger": run.by or None,
        "due": run.due and rfc3339(run.due),
        "started": stamped(run.since),
        "ended": run.until and stamped(run.until),
        "seconds": _seconds(run.seconds),
        "outcome": run.outcome,
        "count": run.count if run.count != 1 else None,
        "reason": run.reason,
        "snapshot": run.snapshot,
        "consistent_point": run.consistent and rfc3339(run.consistent),
        "selected": run.selected,
        "bytes": run.bytes,
        "added_bytes": run.added,
        "left_out": list(run.left_out) or None,
        "findings": run.findings or None,
        "tenant": run.tenant,
        "copy": run.copy,
        "site": run.site,
        "attempt": run.attempt,
        "who": to_builtins(run.who),
        "proof": run.proof,
        "bytes_restored": run.restored,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _whole(run: RecordedRun, body: Record) -> dict[str, object]:
    """A run with everything that its end's record holds, and when it began."""
    who = to_builtins(run.who)
    began = {"what": run.verb, "started": stamped(run.since), "started_seq": run.number, "who": who}
    told = {key: value for key, value in to_builtins(body).items() if key not in BESIDE}
    return {**began, **told, "time": stamped(body.time), **({"ledger": body.of_ledger} if body.of_ledger else {})}
