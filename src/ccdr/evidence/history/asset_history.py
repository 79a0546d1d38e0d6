"""What the records tell of one asset, of a copy of it, or of the care of one plan's repository: where that is kept, and
what is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Struct

from ccdr.evidence.history.folded import FoldedRecords, id_of
from ccdr.evidence.history.kinds import (
    BACKUP_END,
    BACKUP_START,
    CHECK_START,
    CHECKED,
    CLEAN,
    DAMAGED,
    DUTIES,
    GROUP,
    INTERRUPTED,
    NOT_BEGUN,
    PRUNE_START,
    PRUNED,
    RECOVER_END,
    RECOVER_START,
    RESTORE_END,
    RESTORE_START,
    TEST_START,
)
from ccdr.evidence.pauses import Pause, in_force, let_be_until
from ccdr.evidence.records.values import about
from ccdr.evidence.statements import APPROVED_BEFORE, PLAN_APPROVED
from ccdr.evidence.verdicts import (
    Record,
    does_not_open,
    of_the_newest,
    reached_for,
)
from ccdr.model import parents as chain
from ccdr.model.erasure import Looked
from ccdr.model.leaps import Growth, Sign, signs
from ccdr.model.measure import Point
from ccdr.model.values import (
    PRIMARY,
    Snapshot,
    Verb,
    at_copy,
    duty_of,
    source_digest,
    to_the_second,
    utc,
)
from ccdr.plans.versions import PLAN_VERSION

# What a history tells of one failed backup, and of another host.


@dataclass(frozen=True)
class FailedBackup:
    """A backup that stored nothing: a sentence, where and when the ledger tells of it, the next step that it gave
    itself, and whether somebody stopped it."""

    text: str
    seq: float
    at: datetime
    hint: str | None = None
    interrupted: bool = False
    run: str | None = None
    why: str = "it crashed"  # in few words

    def __str__(self) -> str:
        return self.text

    def step(self, plan: str, asset: str) -> str:
        """What to do next. It leads on: the same command again would mostly say the same."""
        again = f"`ccdr backup {plan} --asset {asset}`"
        if self.interrupted:
            return f"{again} takes a new one"
        if self.hint and f"`ccdr backup {plan}" in self.hint:  # it says so itself
            return self.hint
        return f"{self.hint or f'`ccdr doctor {plan}` looks for the cause'}; then {again}"


@dataclass(frozen=True)
class Elsewhere:
    """Another host that answers for some work, as far as its ledger, which lies beside ours, is known."""

    until: datetime
    host: str
    ledger: str
    since: str | None = None  # its runs are asked for it, if that is recorded

    def __str__(self) -> str:
        return f"known up to {to_the_second(self.until)}, from ledger {self.ledger[:8]} of {self.host}"


RESTORE_TOLD = timedelta(days=7)  # how long a crashed restore is: no schedule brings the next one, which would end it
RECOVERED_LATELY = timedelta(days=1)  # who recovered then may not have opened all of it
TOGETHER = timedelta(days=1)  # ledgers that end so near to one another were taken in together
NEVER, ALL = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))


class RepositorySize(Struct, frozen=True):
    """As a check or a prune found it last."""

    time: str
    repository_bytes: Annotated[int, about("what the repository takes")]
    free_bytes: Annotated[int | None, about("what is free for it; null where nothing tells")]


@dataclass(slots=True)
class AssetHistory(FoldedRecords):
    """What is known of one asset, or (with no asset) of a plan's upkeep, by what is kept of its records."""

    def looked(self, entry: str) -> Looked:
        """What replays have shown of an entry of the register of erasures."""
        found, missing, stated, late, gone = self.looked_for.get(entry, (0, 0, 0, 0, 0))
        at = datetime.fromtimestamp(late, UTC) if late else None
        return Looked(found, missing, bool(stated), at, still=late > gone)

    @property
    def repository_size(self) -> RepositorySize | None:
        """Of a plan; None where nothing has told."""
        told = [r for kind in (PRUNED, CHECKED) if (r := self.newest.get(kind)) and r.get("repository_bytes")]
        newest = max(told, key=lambda r: float(r["seq"]), default=None)
        if newest is None:
            return None
        return RepositorySize(newest["time"], newest["repository_bytes"], newest.get("free_bytes"))

    @property
    def recovering(self) -> bool:
        """Of a plan: has a recovery of it, or its runbook, begun that has not ended?"""
        return bool(self.runbook) or any(begun["kind"] == RECOVER_START for begun in self.open_runs.values())

    @property
    def log_recorded(self) -> datetime | None:
        """When the ledger was last told of its log."""
        return utc(self.log[1]) if self.log else None

    @property
    def log_point(self) -> Point | None:
        """The newest point of it that a record tells of."""
        if not self.log or self.log[2] is None:
            return None
        return Point(utc(self.log[2]), utc(self.log[3]))

    @property
    def awaits_base(self) -> bool:
        """Did its source begin anew, and was nothing stored of it since?"""
        return bool(self.renewed) and not self.renewed[1]

    @property
    def awaits_proof(self) -> bool:
        """… or has nothing of it come back in a test since?"""
        return bool(self.renewed) and not self.renewed[2]

    def damage_since(self, plan: AssetHistory) -> str | None:
        """Damage that a check found in the repository, until a later test of the newest snapshot has passed: one
        sentence. `plan` is the history of the plan's upkeep."""
        return sentence_of(plan.last_damage) if self._open(plan.last_damage) else None

    def _open(self, damage: Record | None) -> bool:
        proof = self.last_latest_pass
        return damage is not None and (proof is None or proof["seq"] < damage["seq"])

    def doubt(self, plan: AssetHistory) -> Record | None:
        """The same damage, or what a test of this asset found of it: the newest record of it."""
        damages = [
            damage for damage in (plan.last_damage, self.last_damage) if damage is not None and self._open(damage)
        ]
        return max(damages, key=lambda damage: float(damage["seq"]), default=None)

    def doubted(self, plan: AssetHistory) -> str | None:
        """The same as one sentence."""
        return sentence_of(self.doubt(plan))

    @property
    def newest_met_damage(self) -> bool:
        """Has a test of the newest snapshot met the damage, and was nothing stored since? The same test again would."""
        damage, last = self.last_damage or {}, self.last_good_backup
        same = last is None or id_of(last) == id_of(damage)
        return self._open(self.last_damage) and of_the_newest(damage) and same

    def counting(self, usable: Sequence[Snapshot], plan: AssetHistory) -> list[Snapshot]:
        """Those that count as backups, of these that do where the repository is whole."""
        until = self.counts_until(((s.id, s.consistent_point) for s in usable), plan)
        return [s for s in usable if s.consistent_point <= until]

    def counts_until(self, usable: Iterable[tuple[str, datetime]], plan: AssetHistory) -> datetime:
        """Up to which consistent point these (by id) count as backups: in a damaged repository up to the newest that
        has itself passed, none in one that does not open for it."""
        if self.closed_by_damage(plan):
            return NEVER
        return ALL if self.doubt(plan) is None else self._shown_until(usable)

    def closed_by_damage(self, plan: AssetHistory) -> bool:
        """Was it found that nothing in the repository can be restored, and has nobody been in there since?"""
        damage, inside = self.doubt(plan), (self.last_good_backup, self.last_conclusive_test)
        if damage is None or not does_not_open(damage):
            return False
        return not any(r and r["seq"] > damage["seq"] and not does_not_open(r) for r in inside)

    def shown(self, usable: Sequence[Snapshot]) -> list[Snapshot]:
        """Those up to the newest that has itself passed a test. In a damaged repository a newer one proves nothing:
        restic stores nothing that its index says is there already, so it may stand on what is missing."""
        until = self._shown_until((s.id, s.consistent_point) for s in usable)
        return [s for s in usable if s.consistent_point <= until]

    def points_beside(self, source: str, besides: Iterable[str]) -> list[tuple[datetime, datetime]]:
        """Consistent point, and since when it could be restored, of each backup of it that only ledgers beside ours
        tell of, and none disproves."""
        gone, wanted = set(self.vanished), source_digest(source)
        out = gone | set(besides)
        return [
            (utc(backup["consistent"]), utc(backup["usable"]))
            for key, backup in self.recorded_beside.items()
            if key not in out and backup["of"] in (None, wanted)
            if not chain.disproved(key, backup["upon"], self.proven) and not gone & set(backup["upon"])
        ]

    def _shown_until(self, usable: Iterable[tuple[str, datetime]]) -> datetime:
        return max((point for key, point in usable if self.proven.get(key) == "PASS"), default=NEVER)

    def captured_together(self, group: str) -> Record | None:
        """Of a plan: the newest run of one of its groups."""
        return self.newest.get(f"{GROUP}.{group}")

    def not_begun(self, verb: str, last: Record | None) -> Record | None:
        """That `ccdr run` could not even begin what was due, if nothing was done since (`last`: its newest end)."""
        record = self.newest.get(f"{NOT_BEGUN}.{verb}")
        return record if record and (last is None or record["seq"] > last["seq"]) else None

    @property
    def broken_glass(self) -> dict[str, Record]:
        """Of a plan: what was done without an approval and nobody has reviewed, by its nonce."""
        return {nonce: record for nonce, record in self.glass.items() if nonce not in self.glass_reviews}

    @property
    def handed_over(self) -> list[tuple[int, str]]:
        """What left quarantine though erased people may be in it, and nobody has reviewed: the record, and its time."""
        return [(int(seq), at) for seq, at in self.returned.items() if seq not in self.handover_reviews]

    @property
    def stored_here(self) -> frozenset[str]:
        """Ids of the snapshots that this ledger has seen stored, and not removed since."""
        return frozenset(self.stored)

    @property
    def last_stored(self) -> float:
        """Where in the ledger the last good backup stands; 0 where there is none."""
        return self.last_good_backup["seq"] if self.last_good_backup else 0

    def failed_since(self, moment: datetime, *, snapshot: str | None = None, mended: float = 0) -> FailedBackup | None:
        """A backup that failed, or crashed, after `snapshot` was stored; None where there is none. What did so before
        the record number `mended` has been made up for.

        By the ledger's own order, whatever a clock said, where it has seen the snapshot stored; else (another host
        took it) after `moment`.
        """

        def newer(record: Record) -> bool:
            if record["seq"] <= mended:
                return False
            if snapshot in self.stored:
                return bool(record["seq"] > self.stored[snapshot])
            return utc(record["time"]) > moment

        failed = self.last_failed_backup
        if failed is not None and newer(failed):
            when = failed["seq"], utc(failed["time"])
            if failed.get("reason") == INTERRUPTED:
                text = f"the backup of {to_the_second(failed['time'])} was interrupted, and stored nothing"
                return FailedBackup(text, *when, interrupted=True, why=INTERRUPTED)
            return FailedBackup(
                f"the backup of {to_the_second(failed['time'])} failed: {failed.get('reason')}",
                *when,
                failed.get("hint"),
                run=failed["run"],
                why=str(failed.get("reason") or ""),
            )
        for record in self._crashed(BACKUP_START):
            if newer(record):
                text = (
                    f"the backup of {to_the_second(record['time'])} crashed: its run {record['run']} never "
                    f"recorded an end"
                )
                return FailedBackup(text, record["seq"], utc(record["time"]))
        return None

    @property
    def crashed_test(self) -> Record | None:
        """The start of a restore test newer than the last one that has an end, and that has none itself."""
        last = self.last_test["seq"] if self.last_test else 0
        return next((record for record in self._crashed(TEST_START) if record["seq"] > last), None)

    def made_good(self, test: Record, newest: Snapshot | None) -> bool:
        """Did this test fail for nothing but a newer backup that had failed, and was the newest good one stored since?
        By the ledger's own order where it has seen that, as in `failed_since`; else by the clock of who left its mark.
        """
        if newest is None or test.get("newer_failed") is not True:
            return False
        newer = test.get("newer") or {"seq": test["seq"], "at": test["time"]}  # not told: as of when the test ended
        if newest.id in self.stored and newer["seq"] is not None:
            return bool(self.stored[newest.id] > newer["seq"])
        return newest.usable_at > utc(newer["at"])

    def crashed_restore(self, now: datetime) -> Record | None:
        """A restore for real of the last days that has no end, and none begun later has one: its start."""
        end = self.newest.get(RESTORE_END)
        for record in self._crashed(RESTORE_START):
            if (end is None or record["seq"] > end["seq"]) and now - utc(record["time"]) < RESTORE_TOLD:
                return record
        return None

    def unfinished_recovery(self, now: datetime) -> Record | None:
        """Of a plan: the newest recovery of the last days, where it has come to no good end, and none is at work: its
        end, or its start if it crashed."""
        end, open_ = self.newest.get(RECOVER_END), [r for r in self.open_runs.values() if r["kind"] == RECOVER_START]
        newest = max([*open_, *([end] if end is not None else [])], key=lambda record: record["seq"], default=None)
        if newest is None or str(newest["run"]) in self.at_work or newest.get("state") == "done":
            return None
        return newest if now - utc(newest["time"]) < RESTORE_TOLD else None

    def recovered_lately(self, asset: str, now: datetime) -> bool:
        """Of a plan: was this asset brought back within the last day, by the newest recovery?"""
        end = self.newest.get(RECOVER_END)
        return (
            end is not None
            and end.get("state") == "done"
            and now - utc(end["time"]) < RECOVERED_LATELY
            and any(one.get("asset") == asset for one in end.get("assets") or ())
        )

    def goes_on_with(self, restore: Record, now: datetime) -> bool:
        """Of a plan: is this restore that crashed a part of its recovery that is not finished? By where it went."""
        recovery, to = self.unfinished_recovery(now), (restore.get("target") or {}).get("name")
        parts = (recovery.get("assets") or ()) if recovery is not None and to else ()
        return any(
            one.get("asset") == restore["asset"] and (one.get("target") or {}).get("name") == to for one in parts
        )

    @property
    def unchecked(self) -> Record | None:
        """A test that failed, and that one has passed since takes nothing of it back: what failed was not checked."""
        return self.unmended[-1][0] if self.unmended and self.failure is None else None

    @property
    def older_failure(self) -> Record | None:
        """The failure that still stands, where it is not the newest test itself."""
        failure, last = self.failure, self.last_test
        return failure if failure and last and failure["seq"] != last["seq"] else None

    @property
    def older_log_failure(self) -> Record | None:
        """The same of a recovery by the log. That the base alone was tested since takes nothing back."""
        failure, last = self.log_failure, self.last_test
        return failure if failure and last and failure["seq"] != last["seq"] else None

    def log_disproved(self, base: Snapshot) -> bool:
        """Was log that leads on from this base to be gone through by a recovery that failed, or found in it what cannot
        be applied? A base that is newer leads on anew."""
        return self.log_stop is not None and reached_for(self.log_stop) >= base.consistent_point

    def answers_for(self, verb: Verb) -> bool:
        """Of a plan: is it this host's to do? All is, where no run here was ever asked for anything."""
        return self.duties is None or duty_of(verb) in self.duties

    def pause(self, now: datetime) -> Pause | None:
        """Of a plan: the pause that is in force here."""
        return in_force(self.pauses, now)

    def let_be(self, now: datetime) -> datetime:
        """Of a plan: up to when what came due here was let be, as the plan was paused; before all time, if never."""
        return let_be_until(self.pauses, now) or NEVER

    def others_at(self, verb: Verb) -> list[Elsewhere]:
        """Of a plan: every other host whose ledger lies beside ours, and tells that this work is done there."""
        return [
            Elsewhere(utc(of["until"]), str(of["host"]), ledger, (of["duties"] or {}).get(duty_of(verb)))
            for ledger, of in self.others.items()
            if duty_of(verb) in (of["did"] if of["duties"] is None else of["duties"])
        ]

    def elsewhere(self, verb: Verb) -> Elsewhere | None:
        """Of a plan: the host that answers for this work, where that is not this one and its ledger lies beside ours.
        Of several the one that is known for longest; what those lack that end with it, it might."""
        if self.answers_for(verb) and self.duties is not None:
            return None
        others = self.others_at(verb)
        last = max((one.until for one in others), default=None)
        near = (one for one in others if last and last - one.until <= TOGETHER)
        return min(near, key=lambda one: (one.until, one.ledger), default=None)

    def backs_up(self, plan: AssetHistory, *, known: bool) -> bool:
        """Is taking this asset's backups this host's to do? By what its runs were asked for; where none ever was, it
        is unless backups are `known` here of which none was begun here. `plan` is the history of the plan's upkeep."""
        if plan.duties is not None:
            return plan.answers_for(Verb.BACKUP)
        return self.begun_here or not known

    def retentions_past(self) -> Iterator[tuple[Mapping[str, float], str, datetime | None]]:
        """Of a plan: the rules of retention that were ever in force here, the time zone, and until when."""
        for number, (_, rules, zone) in enumerate(self.retentions):
            if isinstance(rules, dict) and isinstance(zone, str):
                yield rules, zone, utc(self.retentions[number + 1][0]) if number + 1 < len(self.retentions) else None

    def upkeep_tried(self, verb: Verb) -> str | None:
        """Of a plan: when prune or check was last done, or tried in vain."""
        ends = (self.newest.get(f"{verb}.end"), self.newest.get(f"{NOT_BEGUN}.{verb}"))
        starts = (r for r in self.open_runs.values() if r["kind"] == f"{verb}.start")
        tried = [record for record in (*ends, *starts) if record is not None]
        return max(tried, key=lambda r: r["seq"])["time"] if tried else None

    def crashed(self, kind: str) -> Record | None:
        """The newest start of this kind that has no end, of a run that is not at work."""
        return next(iter(self._crashed(kind)), None)

    def crashed_upkeep(self) -> Record | None:
        """The newest prune or check, if it has no end."""
        for record in self._crashed(PRUNE_START) + self._crashed(CHECK_START):
            end = self.newest.get(record["kind"].replace(".start", ".end"))
            if end is None or record["seq"] > end["seq"]:
                return record
        return None

    @property
    def last_check_read(self) -> float:
        """Of a plan: where in the ledger its newest check stands, if that has read the repository; else 0."""
        checked = self.newest.get(CHECKED)
        return checked["seq"] if checked and checked.get("result") in (CLEAN, DAMAGED) else 0

    def _crashed(self, kind: str) -> list[Record]:
        """Starts without an end of runs that are not at work, newest first."""
        starts = [r for run, r in self.open_runs.items() if r["kind"] == kind and run not in self.at_work]
        return starts[::-1]

    def is_suspect(self, *ids: str) -> bool:
        return any(one in self.suspected for one in ids)

    def is_another(self, number: str | None) -> bool:
        """Is a server of this number another than the one that its backups are known to be of?"""
        return None not in (number, self.server) and number != self.server

    def suspicion(
        self,
        growth: Growth | None,
        canaries: Mapping[str, str | None],
        source: str | None,
        *,
        drains: bool = False,
    ) -> list[Sign]:
        """What a backup that was just stored looks like, against those before it of the same source; a canary is to be
        the same wherever its source is now."""
        found = []
        if growth is not None and source == self.grown_of:
            found = signs(growth, [Growth(*one) for one in self.grown], drains=drains)
        was = [(self.canaries[name], digest) for name, digest in canaries.items() if name in self.canaries]
        found += [Sign.CANARY_CHANGED] if any(now not in (before, None) for before, now in was) else []
        return found + ([Sign.CANARY_GONE] if any(now is None for _, now in was) else [])

    def disproved(self, snapshot: Snapshot) -> bool:
        """By a restore test of it, or of what it builds upon; or as nobody has answered for what it looks like."""
        parents = [needed.id for needed in snapshot.upon]
        return self.is_suspect(snapshot.id, *parents) or chain.disproved(snapshot.id, parents, self.proven)


def sentence_of(damage: Record | None) -> str | None:
    if damage is None:
        return None
    which = {CHECKED: "check", PRUNED: "prune", BACKUP_END: "backup"}.get(damage["kind"], "restore test")
    damaged = f"the {which} of {to_the_second(damage['time'])} found the repository damaged"
    return f"{damaged}, and no test of the newest snapshot has passed since"


# Where histories keep what a record tells: one for each asset of a plan, or of a copy of it; and one for the plan.

Histories = dict[tuple[str | None, str | None], AssetHistory]  # by (plan, asset); a plan's upkeep by (plan, None)


def place_of(record: Mapping[str, Any]) -> str | None:
    """The plan, or the copy of it, that a record is about: each has its own history."""
    plan, copy = record["plan"], record.get("copy")
    if copy is None or copy == PRIMARY or plan is None or not isinstance(copy, str):
        place: str | None = plan
        return place
    return at_copy(plan, copy)


def history_at(histories: Histories, place: tuple[str | None, str | None]) -> AssetHistory:
    """What is known of a place, made where there is nothing yet: only then, as it has many fields, and for millions of
    records one that is made in vain costs as much as all the rest."""
    known = histories.get(place)
    if known is None:
        known = histories[place] = AssetHistory()
    return known


# The records of a plan's copies have a history of their own: what is found at one of them says nothing of another,
# but that a snapshot was captured badly, or looks as if its source had been encrypted, says it of all.

_OF_THE_PLAN = (PLAN_VERSION, DUTIES, PLAN_APPROVED, APPROVED_BEFORE)


def seen_from(known: Histories, plan: str, copy: str) -> Histories:
    """The same where `plan` is seen from its copy: each asset as what was done there tells, the plan itself with its
    own promises, approvals, incidents and duties, and that repository's care."""
    there: Histories = {key: history for key, history in known.items() if key[0] != plan}
    place = at_copy(plan, copy)
    of_plan = [asset for name, asset in known if name == plan]
    for asset in dict.fromkeys([*of_plan, *(asset for name, asset in known if name == place)]):
        own, here = known.get((plan, asset), AssetHistory()), known.get((place, asset), AssetHistory())
        there[plan, asset] = _of_plan(own, here) if asset is None else _of_asset(own, here)
    return there


def _of_asset(own: AssetHistory, here: AssetHistory) -> AssetHistory:
    bad = {one: "FAIL" for one in own.captured_badly if one not in here.proven}
    seen = replace(here, proven={**bad, **here.proven}, begun_here=own.begun_here, checks_at_start={})
    seen = replace(seen, looked_for=own.looked_for)
    return replace(seen, suspect=own.suspect, suspected=own.suspected)  # a copy of it is no better


def _of_plan(own: AssetHistory, here: AssetHistory) -> AssetHistory:
    newest = {kind: own.newest[kind] for kind in _OF_THE_PLAN if kind in own.newest}
    whose = replace(here, duties=own.duties, others=own.others, acks=own.acks, pauses=own.pauses)
    whose = replace(whose, incidents=own.incidents, without_incident=own.without_incident)
    return replace(
        whose, newest={**newest, **here.newest}, nonces=own.nonces, glass=own.glass, glass_reviews=own.glass_reviews
    )
