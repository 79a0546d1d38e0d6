"""Incident reporting: has each recovery its incident, and is nothing overdue of any?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, YEARLY
from ccdr.evidence.controls.values import Observed, RecordBehind
from ccdr.evidence.incident_entries import OPENED
from ccdr.evidence.incident_risk import unmet
from ccdr.evidence.incidents import Incident, incidents_of, same_receipts
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339, so_many, to_the_second, utc

UNCLOSED = timedelta(days=90)  # for so long an incident may be open though nothing is left to be notified


def incidents(known: Known) -> Iterator[Observed]:
    """Each plan: the newest incidents, and recoveries of the last year that have none."""
    of_plans = {plan.name: incidents_of(plan.name, known.history(plan.name).incidents) for plan in known.plans}
    same = same_receipts(one for there in of_plans.values() for one in there)
    for plan in known.plans:
        history, there = known.history(plan.name), of_plans[plan.name]
        if overdue := [one for one in plan.care if one.trouble is Trouble.INCIDENT_OVERDUE]:
            for one in overdue:  # each notification that is: they go to different people
                records = tuple(_record(of) for of in there if (one.about or "").split(" ")[0] == of.name)
                yield Observed(CONTRADICTED, one.text, plan.name, None, records, one.step)
        elif left := [(of, lack) for of in there for lack in unmet(of)]:
            for of, lack in left:
                yield Observed(CONTRADICTED, lack.text, plan.name, None, (_record(of),), lack.step)
        elif without := [one for one in history.without_incident if known.now - utc(one[2]) <= YEARLY]:
            run, seq, time, kind = without[-1]
            text = f"{so_many(len(without), 'recovery', 'recoveries')} without an incident, the last one of {time[:10]}"
            step = f'ccdr incident open {plan.name} --kind availability --why "…" --recovery {run}'
            yield Observed(CONTRADICTED, text, plan.name, None, (RecordBehind(seq, time, kind),), step)
        elif not there:
            text = "no incident was ever opened: neither a recovery nor a rehearsal of one has shown that it is"
            step = f"ccdr recover {plan.name} --under DIR   rehearses it; docs/how-to/incidents.md"
            yield Observed(NOTHING, text, plan.name, step=step)
        else:
            yield _of(plan.name, there, known.now, same)


def _of(plan: str, there: list[Incident], now: datetime, same: Mapping[str, list[str]]) -> Observed:
    last, open_ = there[-1], [one for one in there if one.open]
    forgotten = [one for one in open_ if one.next_due is None and now - one.opened_at > UNCLOSED]
    if forgotten:
        text = (
            f"{forgotten[0].name} is open since {forgotten[0].opened_at:%Y-%m-%d}, and nothing is left to be notified"
        )
        step = f"ccdr incident close {forgotten[0].name}   with its cause, its effects and the remedy"
        return Observed(EXPIRED, text, plan, None, (_record(forgotten[0]),), step)
    if not open_ and now - last.opened_at > YEARLY:
        text = f"the last incident, or rehearsal of one, is more than a year old: {last.opened_at:%Y-%m-%d}"
        return Observed(EXPIRED, text, plan, None, (_record(last),), f"ccdr recover {plan} --under DIR   rehearses one")
    how = f"{so_many(len(open_), 'incident')} open, none overdue" if open_ else "all closed"
    text = (
        f"{so_many(len(there), 'incident')}, the last of {to_the_second(last.opened_at)}: {how}{_notified(there, same)}"
    )
    return Observed(SHOWN, text, plan, None, tuple(_record(one) for one in (open_ or [last])))


def _notified(there: list[Incident], same: Mapping[str, list[str]]) -> str:
    """What was late, what one receipt stands for twice, and what nobody was told of: GDPR 33(5) wants it
    documented, and whoever reads asks for it."""
    duties = [duty for one in there for duty in one.duties]
    late, not_due = sum(duty.late for duty in duties), sum(duty.not_due_by is not None for duty in duties)
    said = [*([f"{late} filed late"] if late else []), *([f"{not_due} said not to be due"] if not_due else [])]
    shared = dict.fromkeys(duty.receipt for duty in duties if duty.receipt in same)
    said += [f"one receipt stands for {' and '.join(same[str(receipt)])}" for receipt in shared]
    return f"; of what was to be notified: {', '.join(said)}" if said else ""


def _record(one: Incident) -> RecordBehind:
    return RecordBehind(one.records[0], rfc3339(one.opened_at), OPENED)
