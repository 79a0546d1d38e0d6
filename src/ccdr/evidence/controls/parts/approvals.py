"""Who approved the plan in force, and by what they were known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ccdr.evidence.approvals import APPROVAL_USED, GLASS_BROKEN, PLAN_APPROVED
from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, TOLD_FOR, first_of
from ccdr.evidence.controls.values import Observed, RecordBehind, behind, by_problem
from ccdr.evidence.judgement.approvals import review_by, unapproved
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import whose
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import to_the_second, utc

_BLOCK = "write `approval:` into the plan; docs/how-to/approve.md"


def approvals(known: Known) -> Iterator[Observed]:
    """Each plan's version in force: approved by somebody else, and looked at again in time."""
    for plan in known.plans:
        yield _trouble(known, plan) or _approved(known, plan)


def _trouble(known: Known, plan: PlanKnown) -> Observed | None:
    """What is wrong with its approval, as the judgement has it."""
    approved = known.history(plan.name).newest.get(PLAN_APPROVED)
    if wrong := first_of(plan.care, (Trouble.PLAN_UNAPPROVED,)):
        return by_problem(CONTRADICTED, wrong, plan.name, None, approved)
    if due := first_of(plan.care, (Trouble.PLAN_REVIEW,)):
        return by_problem(EXPIRED, due, plan.name, None, approved)
    return None


def _approved(known: Known, plan: PlanKnown) -> Observed:
    history = known.history(plan.name)
    approved = history.newest.get(PLAN_APPROVED)
    if approved is None or unapproved(plan.loaded, history, known.now) is not None:
        return Observed(NOTHING, "nobody has approved the version in force", plan.name, step=_BLOCK)
    until = review_by(plan.loaded, approved)
    if until <= known.now:
        return Observed(EXPIRED, f"its review was due on {until:%Y-%m-%d}", plan.name, None, behind(approved))
    text = f"approved by {whose(approved)} on {to_the_second(approved['time'])}, to be reviewed by {until:%Y-%m-%d}"
    return Observed(SHOWN, text, plan.name, None, behind(approved))


def four_eyes(known: Known) -> Iterator[Observed]:
    """Each plan: what removes backups out of turn needs another person's signature, and nobody went on without one."""
    for plan in known.plans:
        history = known.history(plan.name)
        if broken := first_of(plan.care, (Trouble.BREAK_GLASS,)):
            yield _waiting(broken, plan.name, *history.broken_glass.values())
        elif plan.loaded.plan.approval is None:
            text = "its plan asks for nobody's approval, so one person alone may remove backups"
            yield Observed(NOTHING, text, plan.name, step=_BLOCK)
        elif (wrong := _trouble(known, plan)) is not None:
            yield wrong
        elif (alone := _alone(known, plan)) is not None:
            yield alone
        else:
            used, approved = history.newest.get(APPROVAL_USED), history.newest.get(PLAN_APPROVED)
            what = (
                f"used last for {used['about']['operation']} on {to_the_second(used['time'])}"
                if used
                else "none was needed yet"
            )
            text = f"another person approves what removes backups out of turn: {what}"
            yield Observed(SHOWN, text, plan.name, None, behind(approved, used))


def _waiting(broken: Problem, plan: str, *glass: Record) -> Observed:
    found = by_problem(CONTRADICTED, broken, plan, None, *glass)
    return replace(found, text=f"{found.text}; {len(glass)} wait for a review") if len(glass) > 1 else found


def _alone(known: Known, plan: PlanKnown) -> Observed | None:
    """What was done without a second person, and was reviewed since: looked at afterwards, and by one person all the
    same."""
    lately = [one for one in known.history(plan.name).broken if known.now - utc(one[2]) < TOLD_FOR]
    if not lately:
        return None
    of = Counter(str(operation) for _, operation, *_ in lately)
    what = ", ".join(f"{operation} {count}" for operation, count in sorted(of.items()))
    reviewers = ", ".join(sorted({str(one[4]) for one in lately if one[4]})) or "nobody"
    text = f"{len(lately)} without a second person in the last {TOLD_FOR.days} days ({what}), reviewed by {reviewers}"
    records = [RecordBehind(int(seq), str(time), GLASS_BROKEN) for _, _, time, seq, *_ in lately]
    return Observed(NOTHING, text, plan.name, None, tuple(records))


def second_factors(known: Known) -> Iterator[Observed]:
    """Each plan's newest approval: did the key that signed it know its user?"""
    for plan in known.plans:
        history = known.history(plan.name)
        refused = next((one for one in history.refused if kind_of(one) == PLAN_APPROVED), None)
        approved = history.newest.get(PLAN_APPROVED) or refused
        if approved is None:
            yield Observed(NOTHING, "nobody has approved it", plan.name, step=_BLOCK)
        elif (wrong := _trouble(known, plan)) is not None:
            yield wrong
        elif unapproved(plan.loaded, history, known.now) is not None:
            text = "nobody has approved the version in force"
            yield Observed(NOTHING, text, plan.name, None, behind(approved), step=_BLOCK)
        elif approved["by"].get("user_verified") is True:
            text = f"{approved['by']['name']} signed by a security key that knew its user"
            yield Observed(SHOWN, text, plan.name, None, behind(approved))
        else:
            text = f"{approved['by']['name']} signed, and no second factor is told of"
            step = "set `second_factor: true` in the plan's `approval:`, and sign by a security key"
            yield Observed(NOTHING, text, plan.name, None, behind(approved), step)
