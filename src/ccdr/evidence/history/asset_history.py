"""What the records tell of one asset, or of the care of one plan's repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ccdr.evidence.acknowledged import ACK
from ccdr.evidence.history.kinds import (
    BACKUP_END,
    BACKUP_START,
    CHECK_START,
    CHECKED,
    CLEAN,
    DAMAGED,
    DONE,
    DUTIES,
    GROUP,
    INTERRUPTED,
    LOGS,
    MISSED,
    NOT_BEGUN,
    PRUNE_START,
    PRUNED,
    RESTORE_END,
    RESTORE_START,
    STARTS,
    STORED,
    TEST_END,
    TEST_START,
    VERB_OF,
    VERDICTS,
)
from ccdr.evidence.verdicts import (
    Record,
    as_strict,
    blames_the_log,
    does_not_open,
    log_failure,
    of_a_newer,
    of_the_newest,
    reached_for,
    still_stands,
)
from ccdr.model import parents as chain
from ccdr.model.fetched import month_of
from ccdr.model.measure import Point
from ccdr.model.values import (
    LATEST,
    RULES,
    TOLD_BY,
    Snapshot,
    Verb,
    of_another_host,
    rfc3339,
    source_digest,
    to_the_second,
    utc,
)
from ccdr.plans.versions import PLAN_VERSION

MOST_UNMENDED = 20  # failures that wait for a test of what had failed
MOST_BESIDE = 100  # backups by ledgers beside ours that are kept: the newest that nobody disproves counts
MOST_MONTHS = 24  # of what tests fetched: one asks for this month, and a clock may have been ahead
MOST_SIZES = 400  # days of a repository's size that are kept
RESTORE_TOLD = timedelta(days=7)  # how long a crashed restore is: no schedule brings the next one, which would end it
TOGETHER = timedelta(days=1)  # ledgers that end so near to one another were taken in together
NEVER, ALL = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))


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


@dataclass(slots=True)  # an object of more than thirty fields is a third slower without
class AssetHistory:
    """The newest records of one asset, or (with no asset) of a plan's upkeep.

    `proven` holds each tested snapshot's latest verdict on itself, in the order of these tests, `stored` where in the
    ledger each snapshot was stored (its record's `seq`), `newest` the newest record of each kind. Where ledgers lie
    beside ours, all that any of them tells; but what this host answers for, promises and acknowledges is its own.
    """

    first: str | None = None  # the earliest time of a record
    last_backup: Record | None = None
    last_good_backup: Record | None = None
    last_failed_backup: Record | None = None
    last_test: Record | None = None
    last_conclusive_test: Record | None = None
    # By how a test's snapshot was to be selected: where in the ledger the last one began, and for which due time …
    tried: dict[str, list[Any]] = field(default_factory=dict)
    by_rule: dict[str, list[str]] = field(default_factory=dict)  # … and when the last conclusive one ended, its verdict
    newest: dict[str, Record] = field(default_factory=dict)
    proven: dict[str, str] = field(default_factory=dict)
    stored: dict[str, int | float] = field(default_factory=dict)
    # Backups that ledgers beside ours tell of, not removed since, by id: the catalogue learns of them at a test.
    recorded_beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Tests that failed, each with what was checked then (by the plan's version), until one has passed that checks as
    # much: one that checks less takes none of them back.
    unmended: list[list[Any]] = field(default_factory=list)
    checks_at_start: dict[str, Any] = field(default_factory=dict)  # of tests that have no end yet, by run
    failure: Record | None = None  # the test that failed, until one of a snapshot at least as new has passed
    log_failure: Record | None = None  # the recovery by the log that failed, until one that goes as far has passed
    open_runs: dict[str, Record] = field(default_factory=dict)  # starts without an end, by run, in order …
    at_work: list[str] = field(
        default_factory=list
    )  # … and those of these that have not crashed; empty in what is kept
    last_latest_pass: Record | None = None  # the newest test of `latest` that passed
    # Of a plan: the newest check that found the repository damaged, or whatever run found that it does not open for
    # damage; of an asset: the newest test that found it damaged.
    last_damage: Record | None = None
    parts: int = 0  # of a plan: into how many parts its checks divide the data …
    read: dict[str, list[str]] = field(default_factory=dict)  # … and when each was last read, and what it was then
    # … and what had been found damaged before they came to be others: its parts, of how many, and since when
    damaged_before: list[str] = field(default_factory=list)
    cycle: list[str] = field(default_factory=list)  # parts read since the last one that was read twice
    last_done_prune: Record | None = None  # of a plan
    duties: dict[str, str] | None = None  # of a plan: what runs here were asked for (verbs), and since when
    missed: int = 0  # due times that passed without a try
    sizes: dict[str, int] = field(default_factory=dict)  # of a plan's repository: the last of a day, bytes
    begun_here: bool = False  # was a backup of it?
    # Of a plan: other hosts whose ledgers lie beside ours, by these: what runs there are for, what they have done.
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Bytes that its restore tests fetched, by month (`2026-11`, UTC): of the newest ones.
    fetched: dict[str, int] = field(default_factory=dict)
    # Snapshots that were gone when its repository was last looked at, and when each was first missed.
    vanished: dict[str, str] = field(default_factory=dict)
    # Of a plan: what each version of it here said of retention: since when, its rules, in which time zone.
    retentions: list[list[Any]] = field(default_factory=list)
    acks: dict[str, Record] = field(default_factory=dict)  # the newest record of acknowledging, by its trouble's code
    # Of its log: the newest record of what was stored of it here (its number and time), and the newest point that one
    # tells of, and since when that could be restored. Only times that records tell.
    log: list[Any] = field(default_factory=list)
    # Records that nothing here was taken from, by why: how many, and where the last one stands.
    passed_over: dict[str, list[int]] = field(default_factory=dict)
    # Of the host: lines that were changed, and nobody has answered for, by the number that each bore; whose ledger's.
    spoilt: list[tuple[str | None, int]] = field(default_factory=list)

    def _take_fetched(self, record: Record) -> None:
        size, month = record.get("bytes_restored"), month_of(utc(record["time"]))
        if isinstance(size, int):
            self.fetched[month] = self.fetched.get(month, 0) + size
            for old in sorted(self.fetched)[:-MOST_MONTHS]:
                del self.fetched[old]

    def pass_over(self, why: str, seq: int) -> None:
        count, _ = self.passed_over.get(why, (0, 0))
        self.passed_over[why] = [count + 1, seq]

    def take(self, record: Record, checks: list[Any] | None = None) -> None:
        """`checks`: of a test, by the plan's version in force, as its record has them; None where none is known."""
        kind, run = record["kind"], str(record["run"])
        if self.first is None or record["time"] < self.first:  # a clock may have been ahead
            self.first = record["time"]
        if kind in STARTS:
            self._take_start(kind, run, record, checks)
            return
        if kind in (NOT_BEGUN, GROUP):
            self.newest[f"{kind}.{record.get('verb' if kind == NOT_BEGUN else 'group')}"] = record
            return
        if kind == ACK:
            self.acks[record["code"]] = record
            return
        if kind == LOGS:
            self._take_log(record)
            return
        if kind == BACKUP_END and not self.begun_here:
            self.begun_here = not of_another_host(record)
        self.newest[kind] = record
        start = self.open_runs.pop(run, None) or {}
        if kind == BACKUP_END:
            self._take_backup(record)
        elif kind == TEST_END:
            self._take_fetched(record)
            begun = self.checks_at_start.pop(run, checks)  # by which it was carried out, whatever was changed since
            if record.get("verdict") in VERDICTS:
                self._take_test(record, begun, start.get("selection"))
        elif kind == CHECKED:
            self._take_check(record)
        elif kind == MISSED:
            self.missed += record.get("count") or 1
        elif kind == DUTIES:
            before, time = self.duties or {}, str(record["time"])
            self.duties = {verb: before.get(verb, time) for verb in record.get("verbs") or ()}
        elif kind == PRUNED and record.get("result") == DONE:
            self.last_done_prune = record
        elif kind == PLAN_VERSION and isinstance(facts := record.get("facts"), dict):
            retention = [facts.get("retention"), facts.get("timezone")]
            if not self.retentions or self.retentions[-1][1:] != retention:
                self.retentions.append([record["time"], *retention])
        if kind in (CHECKED, PRUNED) and isinstance(record.get("repository_bytes"), int):
            self._take_size(record["time"], record["repository_bytes"])

    def _take_start(self, kind: str, run: str, record: Record, checks: list[Any] | None) -> None:
        self.open_runs[run] = record
        if kind == BACKUP_START and not self.begun_here:
            self.begun_here = not of_another_host(record)
        if kind == TEST_START:
            self.checks_at_start[run] = checks
        if kind == TEST_START and record.get("selection") in RULES:
            due = None if of_another_host(record) else (record.get("trigger") or {}).get("due")
            self.tried[record["selection"]] = [record["seq"], due]

    def _take_backup(self, record: Record) -> None:
        self.last_backup = record
        if record.get("result") == STORED:
            self.last_good_backup = record
            self.stored[_id_of(record)] = record["seq"]
            if TOLD_BY in record:
                self._take_beside(_id_of(record), record)
        else:
            self.last_failed_backup = record

    def _take_beside(self, snapshot: str, record: Record) -> None:
        stored = record["snapshot"]
        self.recorded_beside[snapshot] = {
            "consistent": stored["consistent_point"],
            "usable": record["time"],
            "of": stored.get("source_sha256"),
            "upon": list(stored.get("upon") or ()),
            "ours": not of_another_host(record),
        }
        while len(self.recorded_beside) > MOST_BESIDE:
            del self.recorded_beside[next(iter(self.recorded_beside))]

    def _take_test(self, record: Record, checks: list[Any] | None, asked: object) -> None:
        """`asked`: how a snapshot was to be selected, which says it of a test that found none."""
        self.last_test = record
        if record["verdict"] != "INCONCLUSIVE":
            self.last_conclusive_test = record
        snapshot = record.get("snapshot") or {}
        rule = snapshot.get("selected") if snapshot else asked
        if rule in RULES and record["verdict"] in ("PASS", "FAIL"):
            self.by_rule[str(rule)] = [record["time"], record["verdict"]]
        if snapshot.get("verdict") in ("PASS", "FAIL"):
            self.proven.pop(snapshot["id"], None)  # so that the newest verdict stands last
            self.proven[snapshot["id"]] = snapshot["verdict"]

        if record["verdict"] == "PASS" and of_the_newest(record):
            self.last_latest_pass = record
        if record.get("damaged") is True:
            self.last_damage = record
        self.log_failure = log_failure(self.log_failure, record)
        # A good old snapshot says nothing of a newer one that failed; nor a log that is bad of its base.
        if record["verdict"] == "FAIL" and not blames_the_log(record) and not of_a_newer(self.failure, record):
            self.failure = record
            self.unmended = [*self.unmended, [record, checks]][-MOST_UNMENDED:]
        elif record["verdict"] == "PASS" and (
            snapshot.get("selected") == LATEST or not still_stands(self.failure, record)
        ):
            self.unmended = [[failed, then] for failed, then in self.unmended if not as_strict(failed, then, checks)]
            self.failure = None

    def _take_check(self, record: Record) -> None:
        if record.get("result") not in (CLEAN, DAMAGED):
            return
        if record["result"] == DAMAGED:
            self.last_damage = record
        parts = record.get("parts") or 1
        if parts != self.parts:
            if damaged := self.damaged_parts:
                since = min(self.read[part][0] for part in damaged)
                self.damaged_before = self.damaged_before or [", ".join(damaged), str(self.parts), since]
            self.parts, self.read, self.cycle = parts, {}, []
        all_of_them = record.get("all_data") is True
        for part in map(str, range(1, parts + 1) if all_of_them else (record.get("part") or 1,)):
            if part in self.cycle:
                self.cycle = []
            self.cycle.append(part)
            self.read[part] = [record["time"], record["result"]]
        if all_of_them:
            self.cycle = sorted(self.read, key=int)
        if len(self.read) == self.parts and not self.damaged_parts:
            self.damaged_before = []  # wherever it was, all has been read since

    def _take_log(self, record: Record) -> None:
        known = [None, None] if record.get("anew") is True else self.log[2:] or [None, None]
        if points := record.get("points"):
            since = utc(record["since"])
            known = [rfc3339(since + timedelta(seconds=seconds)) for seconds in points[-1]]
        self.log = [record["seq"], record["time"], *known]

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

    def _take_size(self, time: str, count: int) -> None:
        self.sizes[time[:10]] = count
        while len(self.sizes) > MOST_SIZES:
            del self.sizes[min(self.sizes)]

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
        same = last is None or _id_of(last) == _id_of(damage)
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

    def forget(self, snapshot_id: str, *, ours: bool = True) -> None:
        """Retention removed it: nothing has to be known of it any more. That another host's has, its ledger says, which
        takes no FAIL back: should it be there all the same, it counts no more than before."""
        if ours or self.proven.get(snapshot_id) != "FAIL":
            self.proven.pop(snapshot_id, None)
        self.stored.pop(snapshot_id, None)
        self.recorded_beside.pop(snapshot_id, None)
        self.vanished.pop(snapshot_id, None)

    def captured_together(self, group: str) -> Record | None:
        """Of a plan: the newest run of one of its groups."""
        return self.newest.get(f"{GROUP}.{group}")

    def not_begun(self, verb: str, last: Record | None) -> Record | None:
        """That `ccdr run` could not even begin what was due, if nothing was done since (`last`: its newest end)."""
        record = self.newest.get(f"{NOT_BEGUN}.{verb}")
        return record if record and (last is None or record["seq"] > last["seq"]) else None

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
        newer = test.get("newer") or {"seq": test["seq"], "at": test["time"]}  # of an older record: when the test ended
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
        """Was log that leads on from this base to be gone through by a recovery that failed? A base that is newer leads
        on anew."""
        return self.log_failure is not None and reached_for(self.log_failure) >= base.consistent_point

    @property
    def damaged_parts(self) -> list[str]:
        """Of a plan: parts of the repository's data that were found damaged, and not read clean since."""
        return sorted((part for part, (_, result) in self.read.items() if result == DAMAGED), key=int)

    def answers_for(self, verb: Verb) -> bool:
        """Of a plan: is it this host's to do? All is, where no run here was ever asked for anything."""
        return self.duties is None or verb in self.duties

    def take_another_host(self, record: Record) -> None:
        """Of a plan: what a record of another host tells of that host."""
        origin, kind = record[TOLD_BY], record["kind"]
        nothing: dict[str, Any] = {"duties": None, "did": [], "checks": {}}
        of = self.others.setdefault(origin["ledger"], nothing)
        of["host"], of["until"] = origin["host"], origin["until"]
        if kind == DUTIES:
            before, time = of["duties"] or {}, str(record["time"])
            of["duties"] = {str(verb): before.get(verb, time) for verb in record["verbs"]}
        elif kind == PLAN_VERSION:
            assets = (record.get("facts") or {}).get("assets") or {}
            of["checks"] = {asset: list(facts["checks"]) for asset, facts in assets.items()}
        elif (verb := VERB_OF.get(kind)) and verb not in of["did"]:
            of["did"].append(verb)

    def others_at(self, verb: Verb) -> list[Elsewhere]:
        """Of a plan: every other host whose ledger lies beside ours, and tells that this work is done there."""
        return [
            Elsewhere(utc(of["until"]), str(of["host"]), ledger, (of["duties"] or {}).get(verb))
            for ledger, of in self.others.items()
            if verb in (of["did"] if of["duties"] is None else of["duties"])
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

    def disproved(self, snapshot: Snapshot) -> bool:
        """By a restore test of it, or of what it builds upon."""
        return chain.disproved(snapshot.id, (needed.id for needed in snapshot.upon), self.proven)


def _id_of(stored: Record) -> str:
    return str((stored.get("snapshot") or {}).get("id"))


def sentence_of(damage: Record | None) -> str | None:
    if damage is None:
        return None
    which = {CHECKED: "check", PRUNED: "prune", BACKUP_END: "backup"}.get(damage["kind"], "restore test")
    damaged = f"the {which} of {to_the_second(damage['time'])} found the repository damaged"
    return f"{damaged}, and no test of the newest snapshot has passed since"
