"""Measures that people decide on: plans and their approval, what only people can say, where copies lie, incidents, and
erasures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    NOTHING,
    SHOWN,
    STATED,
    TOLD_FOR,
    YEARLY,
    elsewhere,
    first_of,
)
from ccdr.evidence.controls.values import (
    Known,
    Observed,
    PlanKnown,
    Query,
    RecordBehind,
    SignatureState,
    StatedBy,
    behind,
    by_problem,
)
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import DonePrune
from ccdr.evidence.history.kinds import PRUNED
from ccdr.evidence.incidents import OPENED, Incident, incidents_of, same_receipts, unmet
from ccdr.evidence.judgement.asset_status import STALE, AssetStatus
from ccdr.evidence.judgement.statements import refusal
from ccdr.evidence.judgement.upkeep import review_by, unapproved
from ccdr.evidence.records import ErasureAdd, ErasureReplay, GlassBroken, StatementRecord
from ccdr.evidence.records.statements import MeasurePart, RequestedOperation, SignedBy, kind_of
from ccdr.evidence.statements import (
    ATTESTABLE,
    ATTESTATION,
    GLASS_BROKEN,
    PLAN_APPROVED,
    Attestation,
    named_for,
    same_files,
    standing,
)
from ccdr.evidence.whose import UNREADABLE, whose
from ccdr.model.erasure import Looked
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import PRIMARY, at_copy, rfc3339, so_many, stamped, to_the_second
from ccdr.plans.one_server import sharing

# Who approved the plan in force, and by what they were known.

_BLOCK = "write `approval:` into the plan; docs/how-to/approve.md"


def approvals(known: Known) -> Iterator[Observed]:
    """Each plan's version in force: approved by somebody else, and looked at again in time."""
    for plan in known.plans:
        yield _trouble(known, plan) or _approved(known, plan)


def _trouble(known: Known, plan: PlanKnown) -> Observed | None:
    """What is wrong with its approval, as the judgement has it."""
    approved = known.history(plan.name).approval
    if wrong := first_of(plan.care, (Trouble.PLAN_UNAPPROVED,)):
        return by_problem(CONTRADICTED, wrong, plan.name, None, approved)
    if due := first_of(plan.care, (Trouble.PLAN_REVIEW,)):
        return by_problem(EXPIRED, due, plan.name, None, approved)
    return None


def _approved(known: Known, plan: PlanKnown) -> Observed:
    history = known.history(plan.name)
    approved = history.approval
    if approved is None or unapproved(plan.loaded, history, known.now) is not None:
        return Observed(NOTHING, "nobody has approved the version in force", plan.name, step=_BLOCK)
    until = review_by(plan.loaded, approved)
    if until <= known.now:
        return Observed(EXPIRED, f"its review was due on {until:%Y-%m-%d}", plan.name, None, behind(approved))
    text = f"approved by {whose(approved)} on {to_the_second(approved.time)}, to be reviewed by {until:%Y-%m-%d}"
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
            used, what = history.approval_used, "none was needed yet"
            if used is not None and isinstance(used.about, RequestedOperation):
                what = f"used last for {used.about.operation} on {to_the_second(used.time)}"
            text = f"another person approves what removes backups out of turn: {what}"
            yield Observed(SHOWN, text, plan.name, None, behind(history.approval, used))


def _waiting(broken: Problem, plan: str, *glass: GlassBroken) -> Observed:
    found = by_problem(CONTRADICTED, broken, plan, None, *glass)
    return replace(found, text=f"{found.text}; {len(glass)} wait for a review") if len(glass) > 1 else found


def _alone(known: Known, plan: PlanKnown) -> Observed | None:
    """What was done without a second person, and was reviewed since: looked at afterwards, and by one person all the
    same."""
    lately = [one for one in known.history(plan.name).broken if known.now - one.time < TOLD_FOR]
    if not lately:
        return None
    of = Counter(one.operation for one in lately)
    what = ", ".join(f"{operation} {count}" for operation, count in sorted(of.items()))
    reviewers = ", ".join(sorted({one.reviewed_by for one in lately if one.reviewed_by})) or "nobody"
    text = f"{len(lately)} without a second person in the last {TOLD_FOR.days} days ({what}), reviewed by {reviewers}"
    records = [RecordBehind(one.seq, stamped(one.time), GLASS_BROKEN) for one in lately]
    return Observed(NOTHING, text, plan.name, None, tuple(records))


def second_factors(known: Known) -> Iterator[Observed]:
    """Each plan's newest approval: did the key that signed it know its user?"""
    for plan in known.plans:
        history = known.history(plan.name)
        refused = next((one for one in history.refused if kind_of(one) == PLAN_APPROVED), None)
        approved = history.approval or refused
        if approved is None:
            yield Observed(NOTHING, "nobody has approved it", plan.name, step=_BLOCK)
        elif (wrong := _trouble(known, plan)) is not None:
            yield wrong
        elif unapproved(plan.loaded, history, known.now) is not None:
            text = "nobody has approved the version in force"
            yield Observed(NOTHING, text, plan.name, None, behind(approved), step=_BLOCK)
        elif (by := _signer(approved)).user_verified:
            text = f"{by.name} signed by a security key that knew its user"
            yield Observed(SHOWN, text, plan.name, None, behind(approved))
        else:
            text = f"{by.name} signed, and no second factor is told of"
            step = "set `second_factor: true` in the plan's `approval:`, and sign by a security key"
            yield Observed(NOTHING, text, plan.name, None, behind(approved), step)


def _signer(approved: StatementRecord) -> SignedBy:
    assert approved.by is not None, "an approval that nobody signed is no record"
    return approved.by


# What only people can say: a declaration with its files, good until a day. It never counts as shown.


def attested(item: str) -> Query:
    """Each declaration of this item that nobody has ended."""

    def shown(known: Known) -> Iterator[Observed]:
        step = f'ccdr attest {item} --statement "…" --evidence FILE --until {ATTESTABLE[item].until}'
        there = standing(known.history(None).attested)
        mine, same = [one for one in there if one.item == item], same_files(there)
        noted = {p.about: p.acknowledged for p in known.of_people}
        for one in mine:
            records = (RecordBehind(one.seq, rfc3339(one.made), ATTESTATION),)
            by = stated_by(one)
            said = f"{one.name}: {by}"
            if others := same.get(one.seq):
                said += f", by a file that stands for {', '.join(others)}, too"
            if one.holds(known.now) and _unread(one, known):
                yield Observed(CONTRADICTED, f"{said}: {one.whose.why}", records=records)
            elif one.holds(known.now) and (lack := _lack(one, known)) is not None:
                yield Observed(NOTHING, f"{said}; {lack}", records=records, step=f"{step} --key KEY")
            elif one.holds(known.now):
                yield Observed(STATED, said, records=records, stated=by)
            else:
                noted_until = noted.get(one.name)
                yield Observed(EXPIRED, f"{said}, and no longer", None, None, records, step, noted_until, by)
        refused = known.history(None).refused
        strange = [one for one in refused if isinstance(one.about, MeasurePart) and one.about.item == item]
        for record in strange:
            text = f"{Attestation.of(record).name}: {refusal(record)}"
            yield Observed(CONTRADICTED, text, records=behind(record), step=f"{step} --key KEY")
        if not mine and not strange:
            yield Observed(NOTHING, f"nobody states that {ATTESTABLE[item].what}", step=step)
        wanted = _WANTED.get(item, _none)(known) if mine else ()
        if lacking := sorted(name for name in wanted if attests(item, known, name) is None):
            text = f"nobody states it of {', '.join(lacking)}"
            yield Observed(NOTHING, text, step=f"{step} --of {lacking[0]}")

    return shown


def _hosts(known: Known) -> set[str]:
    """On which an asset was tested last."""
    tests = (known.history(plan.name, asset.asset).last_conclusive_test for plan, asset in known.assets)
    return {test.host for test in tests if test is not None}


def _tenants(known: Known) -> set[str]:
    """Whose data the plans hold, as they say."""
    plans = (plan.loaded.plan for plan in known.plans)
    return {plan.tenant_of(asset) for plan in plans for asset in plan.assets} - {"default"}


def _none(_: Known) -> set[str]:
    return set()


_WANTED = {"disk-encryption": _hosts, "processor-agreements": _tenants}  # of each of these, or of all by one word


def attests(item: str, known: Known, of: str) -> Attestation | None:
    """Who states this of the host, or the tenant, `of`, or of all; None where nobody does whose word counts now."""
    mine = [one for one in standing(known.history(None).attested) if one.item == item and one.scope in (None, of)]
    counts = (one for one in mine if _lack(one, known) is None and not _unread(one, known))
    return next((one for one in counts if one.holds(known.now)), None)


def stated_by(one: Attestation) -> StatedBy:
    return StatedBy(one.by, one.valid_until, SignatureState.of(one.whose))


def _lack(one: Attestation, known: Known) -> str | None:
    """Why it does not count, in words that end a sentence: where plans name who may state it, nobody else's word
    does."""
    if not one.whose.signed and _to_be_approved(known):
        return "where plans are to be approved, whoever states it signs"
    if (named := named_for(one.item, [plan.loaded for plan in known.plans])) and one.by not in named:
        return f"for that the plans name {', '.join(named)}, so it does not count"
    return None


def _unread(one: Attestation, known: Known) -> bool:
    """Where plans name who may sign, what nobody can verify shows nothing."""
    return one.whose.state == UNREADABLE and _to_be_approved(known)


def _to_be_approved(known: Known) -> bool:
    return any(plan.loaded.plan.approval is not None for plan in known.plans)


# Policies and procedures, and how long data is kept: what a plan says, and whether that is done.


def versions(known: Known) -> Iterator[Observed]:
    """Each plan's version in force, by its digest, and the files that it stands for."""
    for plan in known.plans:
        history = known.history(plan.name)
        version, stored = history.version, history.files_stored
        if gone := first_of(plan.care, (Trouble.PLAN_FILES_GONE,)):
            yield by_problem(CONTRADICTED, gone, plan.name, None, version)
        elif version is None:
            text, step = "no version of it is recorded: nobody has acted by it", f"ccdr backup {plan.name}"
            yield Observed(NOTHING, text, plan.name, step=step)
        elif old := first_of(plan.care, (Trouble.PLAN_NOT_STORED,)):
            yield by_problem(EXPIRED, old, plan.name, None, version, stored)
        else:
            text = f"version {version.digest[:12]} is in force since {to_the_second(version.time)}"
            yield Observed(SHOWN, text, plan.name, None, behind(version, stored))


def retention(known: Known) -> Iterator[Observed]:
    """Each plan's retention, and that what it lets go was removed."""
    for plan in known.plans:
        history = known.history(plan.name)
        last, done = history.pruned, history.last_done_prune
        if plan.loaded.plan.retention is None:
            step = "add retention: {keep_within: 35d}, or longer, to the plan"
            yield Observed(NOTHING, "its plan keeps everything for ever", plan.name, step=step)
        elif failed := first_of(plan.care, (Trouble.PRUNE_FAILED,)):
            yield by_problem(CONTRADICTED, failed, plan.name, None, last)
        elif done is None:
            text, step = "what is past its retention was never removed here", f"ccdr upkeep {plan.name} --prune"
            yield Observed(NOTHING, text, plan.name, None, behind(last), step)
        elif late := first_of(plan.care, (Trouble.PRUNE_LATE,)):
            yield by_problem(EXPIRED, late, plan.name, None, done.end)
        else:
            yield _by_one_alone(known, plan, done) or _before(known, plan, done) or _removed(plan, done)


def _by_one_alone(known: Known, plan: PlanKnown, done: DonePrune) -> Observed | None:
    """A break of the glass prunes by whatever the plan said that day."""
    lately = [one for one in known.history(plan.name).pruned_by_glass if known.now - one.time < TOLD_FOR]
    if not lately:
        return None
    gone = so_many(sum(one.removed for one in lately), "snapshot")
    text = (
        f"{done.removed} removed by the prune of {to_the_second(done.end.time)}; in the last {TOLD_FOR.days} days "
        f"{gone} by break-glass: nothing shows that the approved retention let them go"
    )
    records = [RecordBehind(one.seq, stamped(one.time), PRUNED) for one in lately]
    return Observed(NOTHING, text, plan.name, None, tuple(dict.fromkeys((*records, *behind(done.end)))))


def _before(known: Known, plan: PlanKnown, done: DonePrune) -> Observed | None:
    """A prune shows nothing of another repository, nor of a retention that came after it."""
    step, said = f"ccdr upkeep {plan.name} --prune", known.history(plan.name).retentions
    if len(said) > 1 and (since := said[-1].since) > done.end.time:
        at = to_the_second(done.end.time)
        text = f"its retention was changed on {to_the_second(since)}, and the last prune was on {at}"
        return Observed(NOTHING, text, plan.name, None, behind(done.end), step)
    return elsewhere(known, plan.name, PRIMARY, done.end, step)


def _removed(plan: PlanKnown, done: DonePrune) -> Observed:
    """What a prune found: that nothing is past its time shows something where it looked at snapshots."""
    end = done.end
    at, held, kept = to_the_second(end.time), len(end.held), sum(end.kept.values())
    if done.removed:
        text = f"what was past its retention was removed on {at}: {so_many(done.removed, 'snapshot')}"
    elif kept > held:
        text = f"nothing was past its retention on {at}: {so_many(kept - held, 'snapshot')} within it"
    else:
        text = f"nothing to show: the prune of {at} found no snapshot within its retention, and removed none"
        return Observed(NOTHING, text, plan.name, None, behind(end))
    text += f"; {so_many(held, 'snapshot')} past it held back" if held else ""
    return Observed(SHOWN, text, plan.name, None, behind(end))


# Physical security: where the copies lie.

_BAD = (Trouble.COPY_FAILED, Trouble.COPY_VANISHED, Trouble.COPY_DAMAGED, Trouble.COPY_TEST_FAILED)
_OLD = (Trouble.COPY_LATE, Trouble.COPY_UPKEEP)


def copies(known: Known) -> Iterator[Observed]:
    """Each plan's further copies: filled, whole, and restored from."""
    for plan in known.plans:
        for name in plan.loaded.plan.copies:
            yield _copy(known, plan, name)
        if not plan.loaded.plan.copies:
            step = "docs/how-to/second-copy.md   tells how to have a second one"
            yield Observed(NOTHING, "its backups lie in one repository alone", plan.name, step=step)


def _copy(known: Known, plan: PlanKnown, name: str) -> Observed:
    history = known.history(at_copy(plan.name, name))
    last, told = history.copied, history.last_copy
    own = [p for p in plan.care if p.about.partition(" ")[0] == name]
    if wrong := first_of(own, _BAD):
        return by_problem(CONTRADICTED, wrong, plan.name, None, last, told)
    if late := first_of(own, _OLD):
        return by_problem(EXPIRED, late, plan.name, None, last, told)
    if untested := first_of(own, (Trouble.COPY_UNTESTED,)):
        place = at_copy(plan.name, name)
        ever = any(known.history(place, asset).last_test for asset in plan.loaded.plan.assets)
        return by_problem(EXPIRED if ever else NOTHING, untested, plan.name, None, last, told)
    if told is None:
        text = f"nothing was copied to {name} yet"
        return Observed(NOTHING, text, plan.name, None, behind(last), f"ccdr copy {plan.name}")
    if (moved := elsewhere(known, plan.name, name, told, f"ccdr copy {plan.name}")) is not None:
        return moved
    site = plan.loaded.plan.copies[name].site
    where = f"{name} ({site})" if site else name
    count = sum((told.there or {}).values())
    held = so_many(count, "snapshot")
    if not count:
        text = f"{where} holds no snapshot that is known, as of {to_the_second(told.time)}"
        return Observed(NOTHING, text, plan.name, None, behind(told), f"ccdr copy {plan.name}")
    tests = [known.history(at_copy(plan.name, name), asset).last_test for asset in plan.loaded.plan.assets]
    if all(one is None or elsewhere(known, plan.name, name, one) for one in tests):
        text = f"{where} holds {held}, and nothing was restored from there, as far as is known here"
        return Observed(NOTHING, text, plan.name, None, behind(told), f"ccdr test {plan.name} --from {name}")
    return Observed(SHOWN, f"{where} holds {held}, filled {to_the_second(told.time)}", plan.name, None, behind(told))


# Incident reporting: has each recovery its incident, and is nothing overdue of any?

UNCLOSED = timedelta(days=90)  # for so long an incident may be open though nothing is left to be notified


def incidents(known: Known) -> Iterator[Observed]:
    """Each plan: the newest incidents, and recoveries of the last year that have none."""
    own = {plan.name: known.history(plan.name).incidents for plan in known.plans}
    of_plans = {plan: incidents_of(plan, there, known.now) for plan, there in own.items()}
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
        elif without := [one for one in history.without_incident if known.now - one.time <= YEARLY]:
            count, last = so_many(len(without), "recovery", "recoveries"), without[-1]
            text = f"{count} without an incident, the last one of {last.time:%Y-%m-%d}"
            step = f'ccdr incident open {plan.name} --kind availability --why "…" --recovery {last.run}'
            record = RecordBehind(last.seq, stamped(last.time), last.kind)
            yield Observed(CONTRADICTED, text, plan.name, None, (record,), step)
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
    settled = [one.decided_by for one in there if one.decided_by and any(duty.settled for duty in one.duties)]
    by = StatedBy(settled[-1], None, SignatureState.UNSIGNED) if settled else None
    text += f"; {by}" if by else ""
    return Observed(
        STATED if by else SHOWN, text, plan, None, tuple(_record(one) for one in (open_ or [last])), stated=by
    )


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


_FAILED = "FAILED"
_AT_THE_SOURCE = "erase them there; ccdr backup {plan} --asset {asset}; ccdr erasure prove {plan} --asset {asset}"
_ANSWER = "ccdr erasure list {plan}   shows which; look in the source, then mend or answer for it: docs/how-to/erase.md"


def erasures(known: Known) -> Iterator[Observed]:
    """Each asset that somebody was erased of: its newest replay of the register. A plan of which nobody was, is not
    covered: who answers for data protection says that nobody asked for it."""
    for plan in known.plans:
        of_plan = [one for status in plan.statuses for one in _erasures_of(known, plan.name, status)]
        yield from of_plan
        yield from _in_another(plan, {str(one.asset) for one in of_plan})
        if not of_plan:
            text, step = "nobody is in its register of erasures", f"ccdr erasure add {plan.name}   if somebody asked"
            yield Observed(NOTHING, text, plan.name, step=step)


def _in_another(plan: PlanKnown, of: Collection[str]) -> Iterator[Observed]:
    """Assets whose register has nobody, though there is somebody in that of another one of the same server."""
    for asset in (status.asset for status in plan.statuses if status.asset not in of):
        if same := sharing(plan.loaded.plan.assets, asset, of):
            text = f"people were erased of {', '.join(same)}, of the same server, and nobody of this one"
            step = f"ccdr erasure add {plan.name}   for each of them: one entry is one person in one asset"
            yield Observed(NOTHING, text, plan.name, asset, (), step)


def _erasures_of(known: Known, plan: str, status: AssetStatus) -> Iterator[Observed]:
    asset = status.asset
    history, where = known.history(plan, asset), (plan, asset)
    added, replayed = history.erasure_added, history.replayed
    if returned := first_of(status.troubles, (Trouble.ERASED_RETURNED,)):
        yield by_problem(CONTRADICTED, returned, *where, added, replayed)
    elif _nobody(history, added, replayed):
        return  # nobody of it was erased, or only by mistake
    elif (failed := history.replay_failed) is not None:
        text = f"the register was replayed on {to_the_second(failed.time)}, and somebody may still be there"
        yield Observed(CONTRADICTED, text, *where, behind(added, failed), f"ccdr erasure prove {plan} --asset {asset}")
    elif late := [one for one in history.looked_for if history.looked(one).still]:
        text = f"{_listed(late)} was in a snapshot taken after the person was erased: the source may hold them still"
        yield Observed(
            CONTRADICTED, text, *where, behind(added, replayed), _AT_THE_SOURCE.format(plan=plan, asset=asset)
        )
    elif replayed is None:
        text = "nothing restored of it was cleared of erased people yet"
        yield Observed(NOTHING, text, *where, behind(added), f"ccdr test {plan} --asset {asset}")
    elif status.coverage == STALE or _far(replayed) < _far(added):
        at = to_the_second(replayed.time)
        text = f"the register was last replayed on {at}: before its newest entry, or too long ago"
        yield Observed(EXPIRED, text, *where, behind(added, replayed), f"ccdr test {plan} --asset {asset}")
    elif unshown := _unshown(history, replayed):
        yield Observed(NOTHING, _nobody_found(unshown), *where, behind(added, replayed), _look(plan, unshown[0].id))
    elif not replayed.canaries:
        text = "erased people were looked for and not found; no canary shows that the probe finds anybody"
        yield Observed(NOTHING, text, *where, behind(added, replayed))
    elif never := _never_there(history, replayed):
        text = (
            f"{so_many(never, 'entry', 'entries')} of its register found nobody, and no snapshot is from before the "
            "erasure: nothing shows that key and date are right"
        )
        yield Observed(NOTHING, text, *where, behind(added, replayed), _ANSWER.format(plan=plan))
    else:
        text, stated = _erased(history, replayed), history.stated_of_nobody
        by = StatedBy(stated.actor, None, SignatureState.UNSIGNED) if stated and _stated(history) else None
        yield Observed(STATED if by else SHOWN, text, *where, behind(added, replayed, stated), stated=by)


def _nobody(history: AssetHistory, added: ErasureAdd | None, replayed: ErasureReplay | None) -> bool:
    """Does no entry stand, as far as is known here? Once none does, nothing is replayed, and no replay is recorded; of
    what another host has added a replay tells."""
    if replayed is not None and _since(added, replayed):
        return not replayed.entries and replayed.result != _FAILED
    return added is None or (added.withdraws is not None and not history.looked_for)


def _since(added: ErasureAdd | None, replayed: ErasureReplay) -> bool:
    """Is the replay of a register that has this entry? One that could not be trusted tells no head."""
    if added is None or replayed.head is None:
        return added is None or replayed.order > added.order
    return _far(replayed) >= _far(added)


def _far(record: ErasureAdd | ErasureReplay | None) -> int:
    """How many entries the register had then."""
    return record.head.entries if record is not None and record.head is not None else 0


@dataclass(frozen=True)
class _Unshown:
    id: str
    looked: Looked


def _unshown(history: AssetHistory, replayed: ErasureReplay) -> list[_Unshown]:
    """Entries that nothing shows to find anybody: of the newest replay, without those that were found, answered for or
    withdrawn since."""
    standing = [one for one in replayed.not_shown if one in history.looked_for]
    each = [_Unshown(one, history.looked(one)) for one in standing]
    return [one for one in each if not one.looked.found and not one.looked.stated]


def _nobody_found(unshown: Sequence[_Unshown]) -> str:
    never = [one.id for one in unshown if one.looked.missing]
    later = [one.id for one in unshown if not one.looked.missing]
    told = []
    if never:
        told.append(f"{_listed(never)} found nobody in snapshots from before the erasure: is its key mistyped?")
    if later:
        told.append(f"{_listed(later)} was not looked for in a snapshot from before the erasure")
    return "; ".join(told)


def _look(plan: str, entry: str) -> str:
    return f"ccdr erasure prove {plan} --entry {entry}   then mend or answer for it: docs/how-to/erase.md"


def _stated(history: AssetHistory) -> list[str]:
    each = {one: history.looked(one) for one in history.looked_for}
    return [one for one, looked in each.items() if looked.stated and not looked.found]


def _never_there(history: AssetHistory, replayed: ErasureReplay) -> int:
    """Entries of which no replay found anybody, and nobody answers for that."""
    found = sum(history.looked(one).found > 0 for one in history.looked_for)
    return max(0, replayed.entries - found - len(_stated(history)))


def _erased(history: AssetHistory, replayed: ErasureReplay) -> str:
    """What the newest replay, and those before it, show of all entries. A canary is nobody."""
    entries, canaries = replayed.entries, replayed.canaries
    stated = _stated(history)
    found = max(0, entries - canaries - len(stated))
    text = f"{so_many(entries, 'entry', 'entries')} of the register replayed on {to_the_second(replayed.time)}: "
    text += f"{so_many(canaries, 'canary was', 'canaries were')} found, and nobody after; "
    text += f"{so_many(found, 'person', 'people')} found in a snapshot before"
    return f"{text}, {_listed(stated)} with nobody to be found, as a person states" if stated else text


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"
