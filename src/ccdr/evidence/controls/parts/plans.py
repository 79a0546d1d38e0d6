"""Policies and procedures, and how long data is kept: what a plan says, and whether that is done."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, TOLD_FOR, elsewhere, first_of
from ccdr.evidence.controls.values import Observed, RecordBehind, behind, by_problem
from ccdr.evidence.history.kinds import PRUNED
from ccdr.evidence.verdicts import Record
from ccdr.model.trouble import Trouble
from ccdr.model.values import PRIMARY, so_many, to_the_second, utc
from ccdr.plans.versions import PLAN_STORED, PLAN_VERSION


def versions(known: Known) -> Iterator[Observed]:
    """Each plan's version in force, by its digest, and the files that it stands for."""
    for plan in known.plans:
        newest = known.history(plan.name).newest
        version, stored = newest.get(PLAN_VERSION), newest.get(PLAN_STORED)
        if gone := first_of(plan.care, (Trouble.PLAN_FILES_GONE,)):
            yield by_problem(CONTRADICTED, gone, plan.name, None, version)
        elif version is None:
            text, step = "no version of it is recorded: nobody has acted by it", f"ccdr backup {plan.name}"
            yield Observed(NOTHING, text, plan.name, step=step)
        elif old := first_of(plan.care, (Trouble.PLAN_NOT_STORED,)):
            yield by_problem(EXPIRED, old, plan.name, None, version, stored)
        else:
            text = f"version {str(version['digest'])[:12]} is in force since {to_the_second(version['time'])}"
            yield Observed(SHOWN, text, plan.name, None, behind(version, stored))


def retention(known: Known) -> Iterator[Observed]:
    """Each plan's retention, and that what it lets go was removed."""
    for plan in known.plans:
        history = known.history(plan.name)
        last, done = history.newest.get(PRUNED), history.last_done_prune
        if plan.loaded.plan.retention is None:
            step = "add retention: {keep_within: 35d}, or longer, to the plan"
            yield Observed(NOTHING, "its plan keeps everything for ever", plan.name, step=step)
        elif failed := first_of(plan.care, (Trouble.PRUNE_FAILED,)):
            yield by_problem(CONTRADICTED, failed, plan.name, None, last)
        elif done is None:
            text, step = "what is past its retention was never removed here", f"ccdr upkeep {plan.name} --prune"
            yield Observed(NOTHING, text, plan.name, None, behind(last), step)
        elif late := first_of(plan.care, (Trouble.PRUNE_LATE,)):
            yield by_problem(EXPIRED, late, plan.name, None, done)
        else:
            yield _by_one_alone(known, plan, done) or _before(known, plan, done) or _removed(plan, done)


def _by_one_alone(known: Known, plan: PlanKnown, done: Record) -> Observed | None:
    """A break of the glass prunes by whatever the plan said that day."""
    lately = [one for one in known.history(plan.name).pruned_by_glass if known.now - utc(one[1]) < TOLD_FOR]
    if not lately:
        return None
    gone, last = so_many(sum(int(one[0]) for one in lately), "snapshot"), done["removed"]
    text = (
        f"{last} removed by the prune of {to_the_second(done['time'])}; in the last {TOLD_FOR.days} days {gone} by "
        "break-glass: nothing shows that the approved retention let them go"
    )
    records = [RecordBehind(int(seq), str(time), PRUNED) for _, time, seq in lately]
    return Observed(NOTHING, text, plan.name, None, tuple(dict.fromkeys((*records, *behind(done)))))


def _before(known: Known, plan: PlanKnown, done: Record) -> Observed | None:
    """A prune shows nothing of another repository, nor of a retention that came after it."""
    step, said = f"ccdr upkeep {plan.name} --prune", known.history(plan.name).retentions
    if len(said) > 1 and utc(since := str(said[-1][0])) > utc(done["time"]):
        at = to_the_second(done["time"])
        text = f"its retention was changed on {to_the_second(since)}, and the last prune was on {at}"
        return Observed(NOTHING, text, plan.name, None, behind(done), step)
    return elsewhere(known, plan.name, PRIMARY, done, step)


def _removed(plan: PlanKnown, done: Record) -> Observed:
    """What a prune found: that nothing is past its time shows something where it looked at snapshots."""
    at, held = to_the_second(done["time"]), len(done.get("held") or ())
    kept = sum((done.get("kept") or {}).values())
    if done["removed"]:
        text = f"what was past its retention was removed on {at}: {so_many(done['removed'], 'snapshot')}"
    elif kept > held:
        text = f"nothing was past its retention on {at}: {so_many(kept - held, 'snapshot')} within it"
    else:
        text = f"nothing to show: the prune of {at} found no snapshot within its retention, and removed none"
        return Observed(NOTHING, text, plan.name, None, behind(done))
    text += f"; {so_many(held, 'snapshot')} past it held back" if held else ""
    return Observed(SHOWN, text, plan.name, None, behind(done))
