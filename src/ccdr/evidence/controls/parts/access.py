"""Who may do what: the credential of each role as it was tried at the store, and the review of who has access."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.access import Review
from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    NOTHING,
    SHOWN,
    STATED,
    elsewhere,
    first_of,
)
from ccdr.evidence.controls.values import Observed, SignatureState, StatedBy, behind, by_problem
from ccdr.evidence.history.kinds import ACCESS_REVIEWED, EXAMINED
from ccdr.evidence.judgement.access import broken, too_old, tried
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import UNREADABLE, whose
from ccdr.model.access import SAYS, Held, Promise
from ccdr.model.trouble import Trouble
from ccdr.model.values import PRIMARY, of_another_host, so_many, to_the_second, utc


def roles(known: Known) -> Iterator[Observed]:
    """Each plan's promises, as they were last tried. What its store cannot separate nothing here shows."""
    for plan in known.plans:
        yield from _roles(known, plan)


def _roles(known: Known, plan: PlanKnown) -> Iterator[Observed]:
    last, step = tried(plan.loaded, known.history(plan.name)), f"ccdr access test {plan.name}   tries them"
    if last is None:
        text = "nobody has tried the credentials of its roles at the store of its repository"
        yield Observed(NOTHING, text, plan.name, step=f"{step}; docs/how-to/access.md")
        return
    if wrong := first_of(plan.care, (Trouble.ACCESS_BROKEN,)):
        behind_it = broken(plan.loaded, known.history(plan.name)).values()
        yield by_problem(CONTRADICTED, wrong, plan.name, None, last, *behind_it)
        return
    at = to_the_second(str(last["time"]))
    if too_old(last, known.now):
        yield Observed(EXPIRED, f"the roles' credentials were last tried on {at}", plan.name, None, behind(last), step)
        return
    if (other := _others(known, plan, last)) is not None:
        yield Observed(NOTHING, f"{other} the trial on {at}", plan.name, None, behind(last), step)
        return
    open_ = [one for one in last["promises"] if one["result"] != Held.HELD.value]
    for one in open_:
        what = SAYS[Promise(one["promise"])]
        here = "cannot be separated here" if one["result"] == Held.CANNOT_SEPARATE.value else "was not shown"
        yield Observed(NOTHING, f"that {what} {here}: {one['why']}", plan.name, None, behind(last), step)
    if not open_:
        count = so_many(len(last["promises"]), "promise")
        yield Observed(
            SHOWN, f"{count} of the roles' credentials held when tried on {at}", plan.name, None, behind(last)
        )


def _others(known: Known, plan: PlanKnown, trial: Record) -> str | None:
    """That other credentials were tried than the plan names, or than lie there now; the words that go before when. A
    file has another path on another host."""
    if of_another_host(trial):
        return None
    if trial.get("named_sha256") not in (None, plan.loaded.plan.access.digest):
        return "the plan names other credentials than at"
    looked = known.history(plan.name).newest.get(EXAMINED) or {}
    changed = [
        str(one["place"])
        for one in looked.get("secrets") or ()
        if str(one["place"]).startswith("access.") and one.get("changed") and utc(one["changed"]) > utc(trial["time"])
    ]
    return f"{', '.join(changed)} was changed since" if changed else None


def reviews(known: Known) -> Iterator[Observed]:
    """Each plan's newest review of who has access."""
    for plan in known.plans:
        record = known.history(plan.name).newest.get(ACCESS_REVIEWED)
        step = f"ccdr access review {plan.name} --out FILE   asks the systems; docs/how-to/access.md"
        if (wrong := first_of(plan.care, (Trouble.STATEMENT_REFUSED,))) is not None:
            said = next(one for one in known.history(plan.name).refused if kind_of(one) == ACCESS_REVIEWED)
            yield by_problem(CONTRADICTED, wrong, plan.name, None, said)
        elif record is None:
            yield Observed(NOTHING, "nobody has looked at who has access", plan.name, step=step)
        elif wrong := first_of(plan.care, (Trouble.ACCESS_REVIEW,)):
            yield by_problem(EXPIRED if Review.of(record).in_order else CONTRADICTED, wrong, plan.name, None, record)
        elif (moved := elsewhere(known, plan.name, PRIMARY, record, step)) is not None:
            yield moved
        else:
            yield _review(Review.of(record), record, plan)


def _review(review: Review, record: Record, of: PlanKnown) -> Observed:
    plan, lines, given = of.name, so_many(review.entries, "line"), whose(record)
    by = StatedBy(review.by, review.valid_until, SignatureState.of(given))
    text = f"that {lines} of who has access are in order is {by}"
    things = so_many(review.unread, "thing")
    if given.state == UNREADABLE and of.loaded.plan.approval is not None:
        return Observed(CONTRADICTED, f"{text}: {given.why}", plan, None, behind(record))
    if review.unseen:
        named = f": {', '.join(review.not_read)}" if review.not_read else ""
        text += f"; {things} could not be read, and nobody says who looked there{named}"
        step = f'ccdr access review {plan} --looked-at FILE --found "…" --elsewhere "WHO looked there, and when"'
        return Observed(NOTHING, text, plan, None, behind(record), step)
    if review.unread:
        text += f"; {things} could not be read, and it is stated who looked there"
    if review.key is None and of.loaded.plan.approval is not None:
        step = f'ccdr access review {plan} --looked-at FILE --found "…" --key KEY'
        text += "; where a plan is to be approved, whoever looks signs"
        return Observed(NOTHING, text, plan, None, behind(record), step)
    return Observed(STATED, text, plan, None, behind(record), stated=by)
