"""Monitoring and audit: is the evidence whole, do the repositories say the same, and was what is due done?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, LOOKED_AT, NOTHING, SHOWN, elsewhere, first_of
from ccdr.evidence.controls.values import Observed, RecordBehind, behind, by_problem
from ccdr.evidence.history.accesses import HOST, KEY, LEARNED, USER
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import COMPARED, EXAMINED, MISSED, NOT_BEGUN
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.lineage.values import AGREES, VERIFIED
from ccdr.evidence.verdicts import Record
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import DUTIES, PRIMARY, rfc3339, so_many, to_the_second, utc

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
    last, name = known.history(plan.name).newest.get(COMPARED), plan.name
    gone = [(s.asset, p) for s in plan.statuses for p in s.troubles if p.trouble is Trouble.SNAPSHOT_VANISHED]
    if gone:
        asset, wrong = min(gone, key=lambda one: one[1].acknowledged is not None)
        return by_problem(CONTRADICTED, wrong, name, asset, last)
    if (lost := first_of(plan.care, (Trouble.COPY_VANISHED,))) is not None:
        return by_problem(CONTRADICTED, lost, name, None, last)
    if last is None:
        step = f"ccdr ledger verify --repository {name}"
        return Observed(NOTHING, "its repository was never compared with the ledger", name, step=step)
    at = to_the_second(last["time"])
    if last.get("result") != AGREES:
        text = f"its repository contradicted the ledger on {at}"
        return Observed(CONTRADICTED, text, name, None, behind(last), "ccdr ledger verify --repository   lists it")
    if known.now - utc(last["time"]) > LOOKED_AT:
        text = f"its repository was last compared with the ledger on {at}"
        return Observed(EXPIRED, text, name, None, behind(last), "check that cron calls `ccdr run`")
    if (moved := elsewhere(known, name, PRIMARY, last, f"ccdr ledger verify --repository {name}")) is not None:
        return moved
    if not last.get("snapshots"):
        text, step = f"its repository held no snapshot that attests the ledger on {at}", f"ccdr backup {name}"
        return Observed(NOTHING, text, name, None, behind(last), step)
    count = so_many(int(last["snapshots"]), "snapshot attests", "snapshots attest")
    return Observed(SHOWN, f"{count} the ledger, none is missing, on {at}", name, None, behind(last))


def accesses(known: Known) -> Iterator[Observed]:
    """Who and what came near each plan's data, and whether somebody has looked at what was new of it."""
    for plan in known.plans:
        history = known.history(plan.name)
        last = history.newest.get(EXAMINED)
        if unusual := first_of(plan.care, (Trouble.ACCESS_UNUSUAL,)):
            yield by_problem(CONTRADICTED, unusual, plan.name, None, last)
        elif last is None:
            yield Observed(NOTHING, "nobody has looked yet which keys its repositories have", plan.name, step=_LOOK)
        elif known.now - utc(last["time"]) > LOOKED_AT:
            text = f"its repositories' keys were last looked at on {to_the_second(last['time'])}"
            yield Observed(EXPIRED, text, plan.name, None, behind(last), _LOOK)
        elif unseen := [name for name, of in last["repositories"].items() if not of.get("key_ids")]:
            text = f"nobody could look which keys {', '.join(unseen)} has: it did not open"
            yield Observed(NOTHING, text, plan.name, None, behind(last), _LOOK)
        elif (since := history.access_since) is None or known.now - utc(since) < LEARNED:
            until = "" if since is None else f", until {to_the_second(rfc3339(utc(since) + LEARNED))}"
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
    missed = max(_of(histories, MISSED), key=lambda r: str(r["due"]), default=None)
    wrong = [*((s.asset, p) for s in plan.statuses for p in s.troubles), *((None, p) for p in plan.care)]
    if (refused := _worst(wrong, (Trouble.NOT_BEGUN,))) is not None:
        newest = [r for verb in DUTIES for r in _of(histories, f"{NOT_BEGUN}.{verb}")]
        return by_problem(
            CONTRADICTED, refused[1], name, refused[0], max(newest, key=lambda r: float(r["seq"]), default=None)
        )
    if (late := _worst(wrong, _OVERDUE)) is not None:
        return by_problem(EXPIRED, late[1], name, late[0], *(_last(status) for status in plan.statuses))
    if missed is not None and known.now - utc(missed["due"]) <= MISSED_LATELY:
        when = to_the_second(missed["due"])
        text = f"{so_many(int(missed['count']), 'due time')} passed without a run, the last one {when}"
        return Observed(
            CONTRADICTED, text, name, missed.get("asset"), behind(missed), "check that cron calls `ccdr run`"
        )
    done = [_last(status) for status in plan.statuses]
    if not any(done):
        return Observed(NOTHING, "no run of it is recorded here", name, step="have cron call `ccdr run`")
    return Observed(SHOWN, "nothing is overdue, and nothing could not begin", name, None, behind(*done, missed))


def _of(histories: list[AssetHistory], kind: str) -> list[Record]:
    return [history.newest[kind] for history in histories if kind in history.newest]


def _last(status: AssetStatus) -> Record | None:
    """The newest run of an asset."""
    there = [record for record in (status.last_backup, status.last_test) if record is not None]
    return max(there, key=lambda record: str(record["time"]), default=None)


def _worst(wrong: list[tuple[str | None, Problem]], troubles: tuple[Trouble, ...]) -> tuple[str | None, Problem] | None:
    there = [one for one in wrong if one[1].trouble in troubles]
    return min(there, key=lambda one: one[1].acknowledged is not None, default=None)
