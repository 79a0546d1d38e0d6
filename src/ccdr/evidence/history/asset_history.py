"""What the records tell of one asset, of a copy of it, or of the care of one plan's repository: where that is kept, and
what is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Annotated

from msgspec import Struct

from ccdr.evidence.history.folded import Damage, FoldedRecords, OpenRun, Placed, Replays
from ccdr.evidence.history.kinds import (
    BACKUP_END,
    BACKUP_START,
    CHECKED,
    CLEAN,
    DAMAGED,
    INTERRUPTED,
    PRUNED,
    RESTORE_START,
    TEST_START,
)
from ccdr.evidence.pauses import Pause, in_force, let_be_until
from ccdr.evidence.records import GlassBroken, NotBegun, Record, RecoverEnd, RecoverStart, RestoreStart, TestEnd
from ccdr.evidence.records.recovery import PlannedAsset, RecoveredAsset
from ccdr.evidence.verdicts import does_not_open, reached_for
from ccdr.model import parents as chain
from ccdr.model.erasure import Looked
from ccdr.model.kinds import about
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
)

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
    since: datetime | None = None  # its runs are asked for it, if that is recorded

    def __str__(self) -> str:
        return f"known up to {to_the_second(self.until)}, from ledger {self.ledger[:8]} of {self.host}"


RESTORE_TOLD = timedelta(days=7)  # how long a crashed restore is: no schedule brings the next one, which would end it
RECOVERED_LATELY = timedelta(days=1)  # who recovered then may not have opened all of it
TOGETHER = timedelta(days=1)  # ledgers that end so near to one another were taken in together
NEVER, ALL = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))


class RepositorySize(Struct, frozen=True):
    """As a check or a prune found it last."""

    time: datetime
    repository_bytes: Annotated[int, about("what the repository takes")]
    free_bytes: Annotated[int | None, about("what is free for it; null where nothing tells")]


@dataclass(slots=True)
class AssetHistory(FoldedRecords):
    """What is known of one asset, or (with no asset) of a plan's upkeep, by what is kept of its records."""

    def looked(self, entry: str) -> Looked:
        """What replays have shown of an entry of the register of erasures."""
        of = self.looked_for.get(entry, Replays())
        at = datetime.fromtimestamp(of.late, UTC) if of.late else None
        return Looked(of.found, of.missing, of.stated, at, still=of.late > of.gone)

    @property
    def repository_size(self) -> RepositorySize | None:
        """Of a plan; None where nothing has told."""
        told = [one for one in (self.pruned, self.checked) if one is not None and one.repository_bytes]
        newest = max(told, key=lambda one: one.order, default=None)
        if newest is None or newest.repository_bytes is None:
            return None
        return RepositorySize(newest.time, newest.repository_bytes, newest.free_bytes)

    @property
    def recovering(self) -> bool:
        """Of a plan: has a recovery of it, or its runbook, begun that has not ended?"""
        return self.runbook is not None or any(begun.recovery is not None for begun in self.open_runs.values())

    @property
    def log_recorded(self) -> datetime | None:
        """When the ledger was last told of its log."""
        return self.log.time if self.log else None

    @property
    def log_point(self) -> Point | None:
        """The newest point of it that a record tells of."""
        if self.log is None or self.log.point is None or self.log.usable is None:
            return None
        return Point(self.log.point, self.log.usable)

    @property
    def awaits_base(self) -> bool:
        """Did its source begin anew, and was nothing stored of it since?"""
        return self.renewed is not None and not self.renewed.stored

    @property
    def awaits_proof(self) -> bool:
        """… or has nothing of it come back in a test since?"""
        return self.renewed is not None and not self.renewed.shown

    def damage_since(self, plan: AssetHistory) -> str | None:
        """Damage that a check found in the repository, until a later test of the newest snapshot has passed: one
        sentence. `plan` is the history of the plan's upkeep."""
        return sentence_of(plan.last_damage) if self._open(plan.last_damage) else None

    def _open(self, damage: Damage | None) -> bool:
        proof = self.last_latest_pass
        return damage is not None and (proof is None or proof.order < damage.order)

    def doubt(self, plan: AssetHistory) -> Damage | None:
        """The same damage, or what a test of this asset found of it: the newest record of it."""
        damages = [
            damage for damage in (plan.last_damage, self.last_damage) if damage is not None and self._open(damage)
        ]
        return max(damages, key=lambda damage: damage.order, default=None)

    def doubted(self, plan: AssetHistory) -> str | None:
        """The same as one sentence."""
        return sentence_of(self.doubt(plan))

    @property
    def newest_met_damage(self) -> bool:
        """Has a test of the newest snapshot met the damage, and was nothing stored since? The same test again would."""
        damage, last = self.last_damage, self.last_good_backup
        if damage is None or not damage.newest or not self._open(damage):
            return False
        return last is None or last.snapshot is None or last.snapshot.id == damage.snapshot

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
        if damage is None or not damage.closes:
            return False
        return not any(r is not None and r.order > damage.order and not does_not_open(r) for r in inside)

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
            (backup.consistent, backup.usable)
            for key, backup in self.recorded_beside.items()
            if key not in out and backup.source in (None, wanted)
            if not chain.disproved(key, backup.upon, self.proven) and gone.isdisjoint(backup.upon)
        ]

    def _shown_until(self, usable: Iterable[tuple[str, datetime]]) -> datetime:
        return max((point for key, point in usable if self.proven.get(key) == "PASS"), default=NEVER)

    def could_not_begin(self, verb: str, last: Record | None) -> NotBegun | None:
        """That `ccdr run` could not even begin what was due, if nothing was done since (`last`: its newest end)."""
        record = self.not_begun.get(verb)
        return record if record and (last is None or record.order > last.order) else None

    @property
    def broken_glass(self) -> dict[str, GlassBroken]:
        """Of a plan: what was done without an approval and nobody has reviewed, by its nonce."""
        return {nonce: record for nonce, record in self.glass.items() if nonce not in self.glass_reviews}

    @property
    def handed_over(self) -> list[tuple[int, datetime]]:
        """What left quarantine though erased people may be in it, and nobody has reviewed: the record, and its time."""
        return [(int(seq), at) for seq, at in self.returned.items() if seq not in self.handover_reviews]

    @property
    def stored_here(self) -> frozenset[str]:
        """Ids of the snapshots that this ledger has seen stored, and not removed since."""
        return frozenset(self.stored)

    @property
    def last_stored(self) -> float:
        """Where in the ledger the last good backup stands; 0 where there is none."""
        return self.last_good_backup.order if self.last_good_backup else 0

    def failed_since(self, moment: datetime, *, snapshot: str | None = None, mended: float = 0) -> FailedBackup | None:
        """A backup that failed, or crashed, after `snapshot` was stored; None where there is none. What did so before
        the record number `mended` has been made up for.

        By the ledger's own order, whatever a clock said, where it has seen the snapshot stored; else (another host
        took it) after `moment`.
        """

        def newer(record: Placed) -> bool:
            if record.order <= mended:
                return False
            if snapshot in self.stored:
                return record.order > self.stored[snapshot]
            return record.time > moment

        failed = self.last_failed_backup
        if failed is not None and newer(failed):
            when = failed.order, failed.time
            if failed.reason == INTERRUPTED:
                text = f"the backup of {to_the_second(failed.time)} was interrupted, and stored nothing"
                return FailedBackup(text, *when, interrupted=True, why=INTERRUPTED)
            text = f"the backup of {to_the_second(failed.time)} failed: {failed.reason}"
            return FailedBackup(text, *when, failed.hint, run=failed.run, why=failed.reason or "")
        for record in self._crashed(BACKUP_START):
            if newer(record):
                text = f"the backup of {to_the_second(record.time)} crashed: its run {record.run} never recorded an end"
                return FailedBackup(text, record.order, record.time)
        return None

    @property
    def crashed_test(self) -> OpenRun | None:
        """The start of a restore test newer than the last one that has an end, and that has none itself."""
        last = self.last_test.order if self.last_test else 0
        return next((record for record in self._crashed(TEST_START) if record.order > last), None)

    def made_good(self, test: TestEnd, newest: Snapshot | None) -> bool:
        """Did this test fail for nothing but a newer backup that had failed, and was the newest good one stored since?
        By the ledger's own order where it has seen that, as in `failed_since`; else by the clock of who left its mark.
        """
        if newest is None or not test.newer_failed:
            return False
        of = test.newer
        order, at = (test.order, test.time) if of is None else (of.seq, of.at)  # not told: as of when the test ended
        if newest.id in self.stored and order is not None:
            return self.stored[newest.id] > order
        return newest.usable_at > at

    def crashed_restore(self, now: datetime) -> OpenRun | None:
        """A restore for real of the last days that has no end, and none begun later has one: its start."""
        end = self.restored
        for record in self._crashed(RESTORE_START):
            if (end is None or record.order > end.order) and now - record.time < RESTORE_TOLD:
                return record
        return None

    def unfinished_recovery(self, now: datetime) -> RecoverEnd | RecoverStart | None:
        """Of a plan: the newest recovery of the last days, where it has come to no good end, and none is at work: its
        end, or its start if it crashed."""
        told: list[RecoverEnd | RecoverStart] = [
            r for one in self.open_runs.values() if (r := one.recovery) is not None
        ]
        told += [self.recovered] if self.recovered is not None else []
        newest = max(told, key=lambda record: record.order, default=None)
        if newest is None or newest.run in self.at_work or (isinstance(newest, RecoverEnd) and newest.state == "done"):
            return None
        return newest if now - newest.time < RESTORE_TOLD else None

    def recovered_lately(self, asset: str, now: datetime) -> bool:
        """Of a plan: was this asset brought back within the last day, by the newest recovery?"""
        end = self.recovered
        if end is None or end.state != "done" or now - end.time >= RECOVERED_LATELY:
            return False
        return any(one.asset == asset for one in end.assets)

    def goes_on_with(self, restore: RestoreStart, now: datetime) -> bool:
        """Of a plan: is this restore that crashed a part of its recovery that is not finished? By where it went."""
        recovery, to = self.unfinished_recovery(now), restore.target.name
        if recovery is None or not to:
            return False
        parts: Sequence[PlannedAsset | RecoveredAsset] = recovery.assets
        return any((one.asset, one.target.name) == (restore.asset, to) for one in parts)

    @property
    def unchecked(self) -> TestEnd | None:
        """A test that failed, and that one has passed since takes nothing of it back: what failed was not checked."""
        return self.unmended[-1].test if self.unmended and self.failure is None else None

    @property
    def older_failure(self) -> TestEnd | None:
        """The failure that still stands, where it is not the newest test itself."""
        failure, last = self.failure, self.last_test
        return failure if failure and last and failure.order != last.order else None

    @property
    def older_log_failure(self) -> TestEnd | None:
        """The same of a recovery by the log. That the base alone was tested since takes nothing back."""
        failure, last = self.log_failure, self.last_test
        return failure if failure and last and failure.order != last.order else None

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
            Elsewhere(of.until, of.host, ledger, (of.duties or {}).get(duty_of(verb)))
            for ledger, of in self.others.items()
            if duty_of(verb) in (of.did if of.duties is None else of.duties)
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
        ends = [one.since for one in self.retentions[1:]]
        for one, until in zip_longest(self.retentions, ends):
            if one.rules is not None:
                yield one.rules, one.timezone, until

    def last_end(self, verb: Verb) -> Record | None:
        """The newest end of such work, whatever it came to."""
        ends: dict[Verb, Record | None] = {
            Verb.BACKUP: self.last_backup,
            Verb.TEST: self.last_test,
            Verb.CONTROL: self.controlled,
            Verb.PRUNE: self.pruned,
            Verb.CHECK: self.checked,
            Verb.COPY: self.copied,
            Verb.PACKAGE: self.packaged,
        }
        return ends[verb]

    def upkeep_tried(self, verb: Verb) -> datetime | None:
        """Of a plan: when prune or check was last done, or tried in vain."""
        ends: tuple[Placed | None, ...] = (self.last_end(verb), self.not_begun.get(verb))
        starts = (one for one in self.open_runs.values() if one.kind == f"{verb}.start")
        tried = [record for record in (*ends, *starts) if record is not None]
        return max(tried, key=lambda one: one.order).time if tried else None

    def crashed(self, kind: str) -> OpenRun | None:
        """The newest start of this kind that has no end, of a run that is not at work."""
        return next(iter(self._crashed(kind)), None)

    def crashed_upkeep(self) -> OpenRun | None:
        """The newest prune or check, if it has no end."""
        for verb in (Verb.PRUNE, Verb.CHECK):
            for record in self._crashed(f"{verb}.start"):
                end = self.last_end(verb)
                if end is None or record.order > end.order:
                    return record
        return None

    @property
    def last_check_read(self) -> float:
        """Of a plan: where in the ledger its newest check stands, if that has read the repository; else 0."""
        return self.checked.order if self.checked and self.checked.result in (CLEAN, DAMAGED) else 0

    def _crashed(self, kind: str) -> list[OpenRun]:
        """Starts without an end of runs that are not at work, newest first."""
        starts = [one for run, one in self.open_runs.items() if one.kind == kind and run not in self.at_work]
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
            found = signs(growth, self.grown, drains=drains)
        was = [(self.canaries[name], digest) for name, digest in canaries.items() if name in self.canaries]
        found += [Sign.CANARY_CHANGED] if any(now not in (before, None) for before, now in was) else []
        return found + ([Sign.CANARY_GONE] if any(now is None for _, now in was) else [])

    def disproved(self, snapshot: Snapshot) -> bool:
        """By a restore test of it, or of what it builds upon; or as nobody has answered for what it looks like."""
        parents = [needed.id for needed in snapshot.upon]
        return self.is_suspect(snapshot.id, *parents) or chain.disproved(snapshot.id, parents, self.proven)


def sentence_of(damage: Damage | None) -> str | None:
    if damage is None:
        return None
    which = {CHECKED: "check", PRUNED: "prune", BACKUP_END: "backup"}.get(damage.kind, "restore test")
    damaged = f"the {which} of {to_the_second(damage.time)} found the repository damaged"
    return f"{damaged}, and no test of the newest snapshot has passed since"


# Where histories keep what a record tells: one for each asset of a plan, or of a copy of it; and one for the plan.

Histories = dict[tuple[str | None, str | None], AssetHistory]  # by (plan, asset); a plan's upkeep by (plan, None)


def place_of(record: Record) -> str | None:
    """The plan, or the copy of it, that a record is about: each has its own history."""
    plan, copy = record.plan, copy_of(record)
    return plan if copy is None or plan is None else at_copy(plan, copy)


def copy_of(record: Record) -> str | None:
    """Which of the plan's copies it is about; None: the plan's own repository."""
    copy: str | None = getattr(record, "copy", None)
    return None if copy == PRIMARY else copy


def history_at(histories: Histories, place: tuple[str | None, str | None]) -> AssetHistory:
    """What is known of a place, made where there is nothing yet: only then, as it has many fields, and for millions of
    records one that is made in vain costs as much as all the rest."""
    known = histories.get(place)
    if known is None:
        known = histories[place] = AssetHistory()
    return known


# The records of a plan's copies have a history of their own: what is found at one of them says nothing of another,
# but that a snapshot was captured badly, or looks as if its source had been encrypted, says it of all.


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
    whose = replace(here, duties=own.duties, others=own.others, acks=own.acks, pauses=own.pauses, asked=own.asked)
    whose = replace(whose, incidents=own.incidents, without_incident=own.without_incident, version=own.version)
    whose = replace(whose, approval=own.approval, approval_before=own.approval_before, nonces=own.nonces)
    return replace(whose, glass=own.glass, glass_reviews=own.glass_reviews)
