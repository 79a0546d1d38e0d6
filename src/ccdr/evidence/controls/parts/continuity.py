"""Measures that bring data back: is it backed up, was it restored, is the evidence whole, and was what is due done?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    LOOKED_AT,
    NOTHING,
    SHOWN,
    YEARLY,
    elsewhere,
    failed_before,
    first_of,
    taken_out,
)
from ccdr.evidence.controls.values import Known, Observed, PlanKnown, RecordBehind, behind, by_problem
from ccdr.evidence.history.accesses import HOST, KEY, LEARNED, USER
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import Placed
from ccdr.evidence.history.kinds import RECOVER_START
from ccdr.evidence.judgement.asset_status import STALE, UNTESTED, AssetStatus
from ccdr.evidence.lineage.own_records import AGREES, VERIFIED
from ccdr.evidence.records import BackupEnd, CheckEnd, RecoverEnd, TestEnd
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import (
    DUTIES,
    PRIMARY,
    Achieved,
    ObjectiveVerdict,
    human_seconds,
    so_many,
    to_the_second,
    utc,
)

_NOT_BACKED_UP = (
    Trouble.BACKUP_FAILED,
    Trouble.NOT_BEGUN,
    Trouble.SOURCE_AWAY,
    Trouble.REPOSITORY_AWAY,
    Trouble.SNAPSHOT_VANISHED,
    Trouble.LOG_GAP,
    Trouble.GROUP_INCOMPLETE,
)
_NOT_RESTORED = (
    Trouble.TEST_FAILED,
    Trouble.LOG_FAILED,
    Trouble.NEWER_FAILED,
    Trouble.NO_LONGER_CHECKED,
    Trouble.REPOSITORY_DAMAGED,
)


def backups(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup that counts."""
    for plan, asset in known.assets:
        yield _backup(known, plan, asset)


def _backup(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    last, good = asset.last_backup, known.history(plan.name, asset.asset).last_good_backup
    own = [p for p in asset.troubles if p.verb in (None, "backup")]
    if wrong := first_of(own, _NOT_BACKED_UP):
        return by_problem(CONTRADICTED, wrong, plan.name, asset.asset, last, good)
    if late := first_of(own, (Trouble.BACKUP_LATE, Trouble.LOG_LATE)):
        return by_problem(EXPIRED, late, plan.name, asset.asset, last, good)
    if asset.good is None:
        text = "no backup of it counts, or none is known here"
        return Observed(NOTHING, text, plan.name, asset.asset, behind(last), f"ccdr backup {plan.name}")
    point = to_the_second(asset.good.consistent_point)
    return Observed(SHOWN, f"backed up as of {point}", plan.name, asset.asset, behind(good))


def restore_tests(known: Known) -> Iterator[Observed]:
    """Each asset's newest restore test with a verdict."""
    for plan, asset in known.assets:
        yield _restore_test(known, plan, asset)
    for name, out, history in taken_out(known):
        yield from failed_before(known, name, out, history.failure or history.log_failure, "its restore test failed")


def _restore_test(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    name, history = asset.asset, known.history(plan.name, asset.asset)
    last, conclusive = asset.last_test, history.last_conclusive_test
    if failed := first_of(asset.troubles, _NOT_RESTORED):
        return by_problem(CONTRADICTED, failed, plan.name, name, conclusive, history.failure, history.log_failure)
    if late := first_of(asset.troubles, (Trouble.TEST_LATE,)):
        return by_problem(EXPIRED, late, plan.name, name, conclusive)
    if asset.coverage == UNTESTED or conclusive is None:
        never = first_of(asset.troubles, (Trouble.NEVER_TESTED, Trouble.NOT_KNOWN_HERE))
        text = never.text if never else "no restore test of it has a verdict"
        step = (never and never.step) or f"ccdr test {plan.name} --asset {name}"
        return Observed(NOTHING, text, plan.name, name, behind(last), step)
    if asset.coverage == STALE:  # another host's, as far as its ledger tells
        return Observed(EXPIRED, "its restore test is overdue", plan.name, name, behind(conclusive))
    return Observed(SHOWN, _restored(conclusive, last), plan.name, name, behind(conclusive))


def _restored(test: TestEnd, last: TestEnd | None) -> str:
    of = f" the state of {to_the_second(test.snapshot.consistent_point)}" if test.snapshot else ""
    later = "; a later test was INCONCLUSIVE" if last is not None and last.verdict == "INCONCLUSIVE" else ""
    return f"restored{of} on {to_the_second(test.time)}: {so_many(len(test.checks), 'check')} passed{later}"


def objectives(known: Known) -> Iterator[Observed]:
    """Each asset's RPO and RTO against what was measured."""
    for plan, asset in known.assets:
        history = known.history(plan.name, asset.asset)
        stale = asset.coverage == STALE
        yield _objective(plan, asset, "RPO", asset.rpo, (Trouble.BREACH_RPO,), history.last_good_backup, stale=False)
        yield _objective(
            plan, asset, "RTO", asset.rto, (Trouble.BREACH_RTO,), history.last_conclusive_test, stale=stale
        )


def _objective(
    plan: PlanKnown,
    asset: AssetStatus,
    which: str,
    achieved: Achieved,
    troubles: Collection[Trouble],
    record: Placed | None,
    *,
    stale: bool,
) -> Observed:
    wanted, got = human_seconds(achieved.objective_s), human_seconds(achieved.achieved_s)
    if achieved.verdict is ObjectiveVerdict.BREACHED:
        text, breach = f"{which} breached: {got} of {wanted}", first_of(asset.breaches, troubles)
        if breach is not None:
            return by_problem(CONTRADICTED, breach, plan.name, asset.asset, record)
        return Observed(CONTRADICTED, text, plan.name, asset.asset, behind(record))
    if achieved.verdict is not ObjectiveVerdict.MET:
        word = achieved.verdict.value.lower().replace("_", " ")
        text, step = f"{which} {word}: the objective is {wanted}", f"ccdr test {plan.name} --asset {asset.asset}"
        return Observed(NOTHING, text, plan.name, asset.asset, behind(record), step)
    if stale:
        text = f"{which} of {got} was measured by a test that is too old by now"
        return Observed(EXPIRED, text, plan.name, asset.asset, behind(record))
    text = f"{which} achieved {got}, objective {wanted}"
    return Observed(SHOWN, text, plan.name, asset.asset, behind(record))


def checks(known: Known) -> Iterator[Observed]:
    """Each repository's newest check of the data that it holds."""
    for plan in known.plans:
        history = known.history(plan.name)
        last, read = history.checked, history.read
        if damaged := first_of(plan.care, (Trouble.REPOSITORY_DAMAGED,)):
            yield by_problem(CONTRADICTED, damaged, plan.name, None, history.last_damage, last)
        elif read and (late := first_of(plan.care, (Trouble.CHECK_LATE,))):
            yield by_problem(EXPIRED, late, plan.name, None, last)
        elif not read:
            text = "none of its repository's data was ever checked, or that is not known here"
            yield Observed(NOTHING, text, plan.name, None, behind(last), f"ccdr upkeep {plan.name} --check")
        else:
            moved = history.moved.get(PRIMARY)
            times = [one.time for one in read.values() if moved is None or one.time > moved.time]
            if times:
                yield _read(plan, len(times), history.parts, max(times), last)
                continue
            since = to_the_second(moved.time) if moved else ""
            text = f"its repository lies elsewhere since {since}: none of its data"
            step = f"ccdr upkeep {plan.name} --check --all-data"
            yield Observed(NOTHING, f"{text} was checked there", plan.name, None, behind(last), step)


def _read(plan: PlanKnown, read: int, parts: int, newest: datetime, last: CheckEnd | None) -> Observed:
    """All of it: what nobody has read yet may be damaged."""
    text = f"{read} of {so_many(parts, 'part')} of its data were read and found clean, up to {to_the_second(newest)}"
    if read < parts:
        text, step = f"{text}: never all of it yet", f"ccdr upkeep {plan.name} --check --all-data"
        return Observed(NOTHING, text, plan.name, None, behind(last), step)
    return Observed(SHOWN, text, plan.name, None, behind(last))


def recoveries(known: Known) -> Iterator[Observed]:
    """Each plan's newest recovery: when was all of it last brought back, for real or as a rehearsal?"""
    for plan in known.plans:
        yield _recovery(known, plan)


def _recovery(known: Known, plan: PlanKnown) -> Observed:
    history = known.history(plan.name)
    end, crashed = history.recovered, history.crashed(RECOVER_START)
    if unfinished := first_of(plan.care, (Trouble.RECOVERY_UNFINISHED,)):
        return by_problem(CONTRADICTED, unfinished, plan.name, None, crashed, end)
    if crashed is not None and (end is None or crashed.order > end.order):
        text = f"the recovery of {to_the_second(crashed.time)} crashed, and none was carried out since"
        return Observed(CONTRADICTED, text, plan.name, None, behind(crashed))
    if end is None:
        return Observed(NOTHING, "it was never recovered as a whole", plan.name, None, (), _all_of_it(plan))
    at, assets = to_the_second(end.time), plan.loaded.plan.assets
    if lost := {asset: record for asset, record in history.not_recovered.items() if asset in assets}:
        text = f"{', '.join(lost)} did not come back in the newest recovery of {'it' if len(lost) == 1 else 'them'}"
        return Observed(CONTRADICTED, text, plan.name, None, behind(*lost.values()))
    if end.state != "done":
        return Observed(CONTRADICTED, f"the recovery of {at} came to no good end", plan.name, None, behind(end))
    if (slow := next((one for one in (end, history.whole_recovery) if one and _breached(one)), None)) is not None:
        text = f"the recovery of {to_the_second(slow.time)} took {_took(slow)}"
        return Observed(CONTRADICTED, text, plan.name, None, behind(slow))
    return _whole(known, plan, history.whole_recovery, end)


def _whole(known: Known, plan: PlanKnown, whole: RecoverEnd | None, newest: RecoverEnd) -> Observed:
    """What came back of some assets alone, with nothing to be said against it, shows nothing of all of them."""
    done = {one.asset for one in whole.assets} if whole is not None else set()
    if missing := [asset for asset in plan.loaded.plan.assets if asset not in done]:
        text = "it was never recovered as a whole" if whole is None else "it has other assets now than were recovered"
        text += f"; never with the others: {', '.join(missing)}" if whole is not None else ""
        return Observed(NOTHING, text, plan.name, None, behind(whole or newest), _all_of_it(plan))
    assert whole is not None
    at = to_the_second(whole.time)
    if known.now - whole.time > YEARLY:  # DORA 11(6): tests at least yearly
        return Observed(EXPIRED, f"the last recovery is more than a year old: {at}", plan.name, None, behind(whole))
    text = f"{so_many(len(whole.assets), 'asset')} recovered on {at}, in {_took(whole)}"
    return Observed(SHOWN, text, plan.name, None, behind(whole))


def _breached(end: RecoverEnd) -> bool:
    return end.rto.verdict == ObjectiveVerdict.BREACHED.value


def _took(end: RecoverEnd) -> str:
    return f"{human_seconds(end.rto.achieved_s)} of {human_seconds(end.rto.objective_s)}"


def _all_of_it(plan: PlanKnown) -> str:
    return f"ccdr recover {plan.name} --under DIR   brings all of it back beside what is there"


# Monitoring and audit: is the evidence whole, do the repositories say the same, and was what is due done?

_LOOK = "ccdr controls --examine   looks now; `ccdr run` looks once a day"
_HOLDS, _DIFFERS = "HOLDS", "DIFFERS"
MISSED_LATELY = timedelta(days=7)  # for as long due times that passed without a run are a finding
_OVERDUE = (
    Trouble.BACKUP_LATE,
    Trouble.LOG_LATE,
    Trouble.TEST_LATE,
    Trouble.PRUNE_LATE,
    Trouble.CHECK_LATE,
    Trouble.COPY_LATE,
)


def ledger(known: Known) -> Iterator[Observed]:
    """The newest verification of the whole ledger."""
    last = known.lineage.verified
    records = () if last is None else (RecordBehind(last.seq, last.at, VERIFIED),)
    if wrong := first_of(known.of_ledger, [t for t in Trouble if t.tampering or t is Trouble.LEDGER_LOST]):
        yield Observed(CONTRADICTED, wrong.text, records=records, step=wrong.step)
    elif last is None:
        text, step = "it was never verified as a whole", "ccdr run   verifies it, once a day"
        yield Observed(NOTHING, text, step=step)
    elif last.result != _HOLDS or last.summary == _DIFFERS:
        problem = next(iter(last.problems), "its record does not say what is wrong")
        yield Observed(CONTRADICTED, problem, records=records, step="ccdr ledger verify   lists all damage")
    elif known.now - utc(last.at) > LOOKED_AT:
        text = f"it was last verified on {to_the_second(last.at)}"
        yield Observed(EXPIRED, text, records=records, step="check that cron calls `ccdr run`")
    else:
        text = f"all {so_many(last.records, 'record')} were verified on {to_the_second(last.at)}"
        yield Observed(SHOWN, text, records=records)


def comparisons(known: Known) -> Iterator[Observed]:
    """Each repository's snapshots against the ledger: do they attest it as it is, and are they all there?"""
    for plan in known.plans:
        yield _comparison(known, plan)


def _comparison(known: Known, plan: PlanKnown) -> Observed:
    last, name = known.history(plan.name).compared, plan.name
    gone = [(s.asset, p) for s in plan.statuses for p in s.troubles if p.trouble is Trouble.SNAPSHOT_VANISHED]
    if gone:
        asset, wrong = min(gone, key=lambda one: one[1].acknowledged is not None)
        return by_problem(CONTRADICTED, wrong, name, asset, last)
    if (lost := first_of(plan.care, (Trouble.COPY_VANISHED,))) is not None:
        return by_problem(CONTRADICTED, lost, name, None, last)
    if last is None:
        step = f"ccdr ledger verify --repository {name}"
        return Observed(NOTHING, "its repository was never compared with the ledger", name, step=step)
    at = to_the_second(last.time)
    if last.result != AGREES:
        text = f"its repository contradicted the ledger on {at}"
        return Observed(CONTRADICTED, text, name, None, behind(last), "ccdr ledger verify --repository   lists it")
    if known.now - last.time > LOOKED_AT:
        text = f"its repository was last compared with the ledger on {at}"
        return Observed(EXPIRED, text, name, None, behind(last), "check that cron calls `ccdr run`")
    if (moved := elsewhere(known, name, PRIMARY, last, f"ccdr ledger verify --repository {name}")) is not None:
        return moved
    if not last.snapshots:
        text, step = f"its repository held no snapshot that attests the ledger on {at}", f"ccdr backup {name}"
        return Observed(NOTHING, text, name, None, behind(last), step)
    count = so_many(last.snapshots, "snapshot attests", "snapshots attest")
    return Observed(SHOWN, f"{count} the ledger, none is missing, on {at}", name, None, behind(last))


def accesses(known: Known) -> Iterator[Observed]:
    """Who and what came near each plan's data, and whether somebody has looked at what was new of it."""
    for plan in known.plans:
        history = known.history(plan.name)
        last = history.examined
        if unusual := first_of(plan.care, (Trouble.ACCESS_UNUSUAL,)):
            yield by_problem(CONTRADICTED, unusual, plan.name, None, last)
        elif last is None:
            yield Observed(NOTHING, "nobody has looked yet which keys its repositories have", plan.name, step=_LOOK)
        elif known.now - last.time > LOOKED_AT:
            text = f"its repositories' keys were last looked at on {to_the_second(last.time)}"
            yield Observed(EXPIRED, text, plan.name, None, behind(last), _LOOK)
        elif unseen := [name for name, of in last.repositories.items() if not of.key_ids]:
            text = f"nobody could look which keys {', '.join(unseen)} has: it did not open"
            yield Observed(NOTHING, text, plan.name, None, behind(last), _LOOK)
        elif (since := history.access_since) is None or known.now - since < LEARNED:
            until = "" if since is None else f", until {to_the_second(since + LEARNED)}"
            text = f"nothing to compare with yet: in its first week everything is new{until} ({_seen(history)})"
            yield Observed(NOTHING, text, plan.name, None, behind(last))
        else:
            text = f"nothing that was not seen before: {_seen(history)}"
            yield Observed(SHOWN, text, plan.name, None, behind(last))


def _seen(history: AssetHistory) -> str:
    count = dict.fromkeys((HOST, USER, KEY), 0)
    for what, names in history.accesses.items():
        if (of := what.partition(" ")[0]) in count:
            count[of] += len(names)
    return ", ".join(so_many(number, word) for word, number in count.items())


def runs(known: Known) -> Iterator[Observed]:
    """Each plan's schedules against what was run."""
    for plan in known.plans:
        yield _runs(known, plan)


def _runs(known: Known, plan: PlanKnown) -> Observed:
    name, assets = plan.name, [known.history(plan.name, status.asset) for status in plan.statuses]
    histories = [*assets, known.history(name)]
    passed = (one for history in histories if (one := history.last_missed) is not None)
    missed = max(passed, key=lambda one: one.due, default=None)
    wrong = [*((s.asset, p) for s in plan.statuses for p in s.troubles), *((None, p) for p in plan.care)]
    if (refused := _worst(wrong, (Trouble.NOT_BEGUN,))) is not None:
        begun = [history.not_begun[verb] for verb in DUTIES for history in histories if verb in history.not_begun]
        newest = max(begun, key=lambda one: one.order, default=None)
        return by_problem(CONTRADICTED, refused[1], name, refused[0], newest)
    if (late := _worst(wrong, _OVERDUE)) is not None:
        return by_problem(EXPIRED, late[1], name, late[0], *(_last(status) for status in plan.statuses))
    if missed is not None and known.now - missed.due <= MISSED_LATELY:
        when = to_the_second(missed.due)
        text = f"{so_many(missed.count, 'due time')} passed without a run, the last one {when}"
        return Observed(CONTRADICTED, text, name, missed.asset, behind(missed), "check that cron calls `ccdr run`")
    done = [_last(status) for status in plan.statuses]
    if not any(done):
        return Observed(NOTHING, "no run of it is recorded here", name, step="have cron call `ccdr run`")
    return Observed(SHOWN, "nothing is overdue, and nothing could not begin", name, None, behind(*done, missed))


def _last(status: AssetStatus) -> BackupEnd | TestEnd | None:
    """The newest run of an asset."""
    there = [record for record in (status.last_backup, status.last_test) if record is not None]
    return max(there, key=lambda record: record.time, default=None)


def _worst(wrong: list[tuple[str | None, Problem]], troubles: tuple[Trouble, ...]) -> tuple[str | None, Problem] | None:
    there = [one for one in wrong if one[1].trouble in troubles]
    return min(there, key=lambda one: one[1].acknowledged is not None, default=None)
