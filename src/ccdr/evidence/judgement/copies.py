"""What is wrong with a plan's copies: each by what was done at it. None of it says anything of the plan's own
repository, and nothing there makes up for what is wrong here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ccdr.evidence.acknowledged import acknowledged, steady
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.copies import seen_from as history_at
from ccdr.evidence.history.kinds import COPIED, COPY_START, DONE
from ccdr.evidence.history.places import Histories
from ccdr.evidence.judgement.troubles import as_problem, distinct, findings_in
from ccdr.evidence.judgement.upkeep import judge_repository, late_since
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import Verb, at_copy, so_many, to_the_second, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import seen_from
from ccdr.plans.model import Copy

_NAMED = 3  # assets, or ids


def of_copies(loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False) -> tuple[Problem, ...]:
    """The same, told apart, and marked where they are acknowledged."""
    acks = histories.get((loaded.plan.plan, None), AssetHistory()).acks
    return tuple(acknowledged(distinct(judge_copies(loaded, histories, now, at_work=at_work)), acks, now))


def judge_copies(loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool) -> Iterator[Problem]:
    """Of each copy that the plan names. `at_work`: a copying, prune or check is, so that none of these is overdue."""
    plan = loaded.plan.plan
    for name, copy in loaded.plan.copies.items():
        history = histories.get((at_copy(plan, name), None), AssetHistory())
        where = f"the copy {name}" + (f" ({copy.site})" if copy.site else "")
        for p in _of_copy(loaded, name, copy, history, histories, now, at_work=at_work):
            step = p.step or (next_step(p.trouble, plan, None) or "").replace("--from COPY", f"--from {name}")
            text, about = f"{where}: {p.text}", f"{name} {p.about}".strip()
            yield replace(p, text=text, about=about, step=step or None, cause=f"{name} {p.cause}".strip())


def _of_copy(
    loaded: LoadedPlan,
    name: str,
    copy: Copy,
    history: AssetHistory,
    histories: Histories,
    now: datetime,
    *,
    at_work: bool,
) -> Iterator[Problem]:
    last = history.newest.get(COPIED)
    plan, own = loaded.plan.plan, histories.get((loaded.plan.plan, None), AssetHistory())
    yield from _copying(history)
    if not at_work:
        seen = replace(history, duties=own.duties, others=own.others, pauses=own.pauses)
        if late := late_since(loaded, seen, own, Verb.COPY, copy.schedule, _first(loaded, histories), now):
            last_one = f"the last one was at {to_the_second(last['time'])}" if last else "nothing was ever copied there"
            yield Problem(Trouble.COPY_LATE, f"copying is overdue: {last_one}", late, verb=Verb.COPY)
    view, there = seen_from(loaded, name), history_at(histories, plan, name)
    if history.last_copy is None:
        return
    for p in judge_repository(view, there, now, at_work=at_work):
        if (code := p.trouble.row.at_copy) is not None:
            yield replace(p, trouble=Trouble[code], about=f"{p.trouble} {p.about}".strip(), step=None)
    for asset in loaded.plan.assets:
        yield from _tests(loaded, name, copy, asset, histories)


def _first(loaded: LoadedPlan, histories: Histories) -> str | None:
    times = (h.first for (plan, _), h in histories.items() if plan == loaded.plan.plan and h.first)
    return min(times, default=None)


def _copying(history: AssetHistory) -> Iterator[Problem]:
    last, told = history.newest.get(COPIED), history.last_copy
    if (begun := history.not_begun(Verb.COPY, last)) is not None:
        why = str(begun.get("reason"))
        yield Problem(
            Trouble.COPY_FAILED, f"copying could not start: {why}", utc(begun["time"]), "begin", Verb.COPY, why=why
        )
    if (crashed := history.crashed(COPY_START)) and (last is None or crashed["seq"] > last["seq"]):
        text = f"the copying of {to_the_second(crashed['time'])} crashed: its run never recorded an end"
        yield Problem(Trouble.COPY_FAILED, text, utc(crashed["time"]), "crash", Verb.COPY, why="it crashed")
    if last is not None and last.get("result") != DONE:
        why = str(last.get("reason") or "some of it could not be copied")
        held = f"; what it holds is of {_newest(told)}" if told else "; nothing was ever copied there"
        text = f"the last copying, {to_the_second(last['time'])}, failed: {why}{held}"
        about = str(last.get("repository") or "")
        yield Problem(
            Trouble.COPY_FAILED, text, utc(last["time"]), about, Verb.COPY, run=last["run"], why=why, cause=steady(why)
        )
    gone = {one: asset for asset, ids in ((told or {}).get("vanished") or {}).items() for one in ids}
    if told is not None and gone:
        which = ", ".join(f"{one[:8]} ({asset})" for one, asset in list(gone.items())[:_NAMED])
        text = f"{so_many(len(gone), 'snapshot')} had vanished when it was last asked: {which}"
        yield Problem(Trouble.COPY_VANISHED, text, utc(told["time"]), verb=Verb.COPY, cause=" ".join(sorted(gone)))
    yield from (as_problem(one, Verb.COPY, Trouble.COPY_FAILED) for one in findings_in(told))


def _newest(told: object) -> str:
    newest = sorted(str(at) for at in (told.get("newest") or {}).values()) if isinstance(told, dict) else []
    return f"{to_the_second(newest[0])}" if newest else "nothing that counts"


def _tests(loaded: LoadedPlan, name: str, copy: Copy, asset: str, histories: Histories) -> Iterator[Problem]:
    plan = loaded.plan.plan
    here = histories.get((at_copy(plan, name), asset), AssetHistory())
    held = (histories.get((at_copy(plan, name), None), AssetHistory()).last_copy or {}).get("there") or {}
    own = histories.get((plan, asset), AssetHistory())
    last = here.last_test
    step = f"ccdr test {plan} --asset {asset} --from {name}   tests it again"
    if (failed := here.failure) is not None:
        text = f"the restore test of {asset} from there, {to_the_second(failed['time'])}, is FAIL: {failed['reason']}"
        why = str(failed.get("reason") or "")
        yield Problem(
            Trouble.COPY_TEST_FAILED, text, utc(failed["time"]), asset, Verb.TEST, step=step, run=failed["run"],
            why=why, cause=steady(why),
        )  # fmt: skip
    elif last is not None and last["verdict"] == "INCONCLUSIVE":
        why = str(last.get("reason") or "")
        text = f"the restore test of {asset} from there, {to_the_second(last['time'])}, is INCONCLUSIVE: {why}"
        yield Problem(
            Trouble.COPY_UNTESTED, text, utc(last["time"]), asset, Verb.TEST, step=step, run=last["run"], why=why,
            cause=steady(why),
        )  # fmt: skip
    elif loaded.plan.assets[asset].restore_test and _tested_here(histories.get((plan, None)), own):
        text = None
        if last is None and held.get(asset):
            text = f"{asset} was never restored from there"
        elif last is not None and own.tests - here.tests_then > 2 * copy.test_every:
            count = so_many(own.tests - here.tests_then, "restore test")
            text = f"{asset} was not restored from there for {count} of it, one in {copy.test_every} should be"
        if text is not None:
            yield Problem(Trouble.COPY_UNTESTED, text, about=asset, verb=Verb.TEST, step=step)


def _tested_here(of_plan: AssetHistory | None, own: AssetHistory) -> bool:
    """Does this host test it, or know of such tests? Another host's alone know whether it was restored from there."""
    return own.tests > 0 or (of_plan or AssetHistory()).answers_for(Verb.TEST)
