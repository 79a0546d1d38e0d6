"""What is kept of the records of one asset, or of the care of one plan's repository: record by record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from ccdr.evidence.acknowledged import ACK, ACK_ENDED, known_by
from ccdr.evidence.deviations.values import KINDS as DEVIATIONS
from ccdr.evidence.deviations.values import Kept, take_entry
from ccdr.evidence.history.accesses import answer_access
from ccdr.evidence.history.kinds import (
    ACCESS_REVIEWED,
    ACCESS_TESTED,
    BACKUP_END,
    BACKUP_START,
    CAUGHT,
    CHECKED,
    CLEAN,
    CONTROLLED,
    COPIED,
    DAMAGED,
    DONE,
    DUTIES,
    ERASURE_ADD,
    ERASURE_NOBODY,
    ERASURE_REVIEW,
    ERASURES,
    FAILED,
    GROUP,
    KEY_ADDED,
    KEY_REMOVED,
    LOCK_EXTENDED,
    LOGS,
    MADE_BY_CCDR,
    MISSED,
    NOT_BEGUN,
    PASSED,
    PRUNED,
    RECOVER_END,
    RESTORE_END,
    RUNBOOK_END,
    RUNBOOK_START,
    RUNBOOK_STEP,
    RUNBOOKS,
    STARTS,
    STATED,
    STORED,
    TEST_END,
    TEST_START,
    VERB_OF,
    VERDICTS,
)
from ccdr.evidence.incidents import KINDS as INCIDENTS
from ccdr.evidence.incidents import Entry, take_incident, take_recovery, told_of
from ccdr.evidence.pauses import take_pause
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import (
    APPROVAL_USED,
    APPROVED_BEFORE,
    ATTESTATION,
    ENDED,
    GLASS_BROKEN,
    GLASS_REVIEWED,
    MOST_NONCES,
    PLAN_APPROVED,
    Operation,
    key_of,
    written_later,
)
from ccdr.evidence.verdicts import (
    Record,
    as_strict,
    blames_the_log,
    failed_again,
    log_failure,
    of_a_newer,
    of_the_newest,
    still_stands,
    whole_until,
)
from ccdr.model.access import Held
from ccdr.model.fetched import month_of
from ccdr.model.leaps import KNOWN, Growth
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import (
    LATEST,
    PRIMARY,
    RULES,
    TOLD_BY,
    Verb,
    of_another_host,
    rfc3339,
    utc,
)
from ccdr.plans.versions import PLAN_VERSION

COUNTED = tuple(one.name for one in fields(Growth))
SUSPECT = Trouble.SNAPSHOT_SUSPECT.name
BROKEN, NOT_SHOWN = Held.BROKEN.value, Held.NOT_SHOWN.value
MOST_UNMENDED = 20  # failures that wait for a test of what had failed
MOST_NOT_CAUGHT = 20  # damages of one kind that wait for being caught: the newest
MOST_BESIDE = 100  # backups by ledgers beside ours that are kept: the newest that nobody disproves counts
MOST_RETURNED = 50  # hand-overs that are kept: those that wait for a review before all others
MOST_BROKEN = 50  # breaks of the glass, and prunes by one, of a plan: the newest
MOST_KEYS = 100  # passwords of a plan's repositories of which it is known that they came or went: the newest
_OF_NO_END = frozenset((
    NOT_BEGUN, GROUP, *STATED, GLASS_BROKEN, *ERASURES, KEY_ADDED,
    KEY_REMOVED, MADE_BY_CCDR, LOCK_EXTENDED, *INCIDENTS, LOGS, *RUNBOOKS,
))  # fmt: skip
# Troubles that are over with what went well since: whoever took note of one has not seen the next.
_ENDED_BY = {verb: [t.name for t in Trouble if t.row.ended_by is verb] for verb in Verb}
_WELL = {(BACKUP_END, STORED): Verb.BACKUP, (PRUNED, DONE): Verb.PRUNE, (CHECKED, CLEAN): Verb.CHECK}
BY_HAND = "by_hand"  # the purpose of a replay on what stands somewhere
MOST_SIZES = 400  # days of a repository's size that are kept
MOST_MONTHS = 24  # of what tests fetched: one asks for this month, and a clock may have been ahead


@dataclass(slots=True)  # an object of more than thirty fields is a third slower without
class FoldedRecords:
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
    # Snapshots that failed a test, wherever they were fetched from, for what they hold and not for what the repository
    # could not give back: as bad wherever they lie.
    captured_badly: list[str] = field(default_factory=list)
    stored: dict[str, int | float] = field(default_factory=dict)
    # Backups that ledgers beside ours tell of, not removed since, by id: the catalogue learns of them at a test.
    recorded_beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Tests that failed, each with what was checked then (by the plan's version), until one has passed that checks as
    # much: one that checks less takes none of them back.
    unmended: list[list[Any]] = field(default_factory=list)
    checks_at_start: dict[str, Any] = field(default_factory=dict)  # of tests that have no end yet, by run
    failure: Record | None = None  # the test that failed, until one of a snapshot at least as new has passed
    log_failure: Record | None = None  # the recovery by the log that failed, until one that goes as far has passed
    log_stop: Record | None = None  # the same, or one that found in the log what cannot be applied
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
    last_done_prune: Record | None = None  # of a plan; of what it `removed`, the number
    last_copy: Record | None = None  # of a plan's copy: the newest that tells what is there
    tests: int = 0  # restore tests of an asset that have ended, wherever it was fetched from
    tests_then: int = 0  # of an asset at a copy: how many its own repository had seen, when it was last tested there
    # Of negative controls, by what was damaged: where in the ledger the last one ended, however …
    controls: dict[str, int | float] = field(default_factory=dict)
    # … and those of which the damaged copy passed, until one of the same damage is caught: the newest of each; by its
    # kind alone the one that is done again next.
    not_caught: dict[str, Record] = field(default_factory=dict)
    # Of its backups that count, the newest: what restic counted of each (`Growth`), of which source; and the digest of
    # each of the owner's canaries, by name, as it is to be.
    grown: list[list[int]] = field(default_factory=list)
    grown_of: str | None = None
    canaries: dict[str, str] = field(default_factory=dict)
    # The backup that looks as if somebody had encrypted its data, until that is acknowledged: none counts from there on
    suspect: Record | None = None
    suspected: list[str] = field(default_factory=list)  # … by id
    # The number of the server that its backups are of, as somebody agreed, or as the first one had it; and the newest
    # backup of another, until somebody agrees.
    server: str | None = None
    other_cluster: Record | None = None
    last_control: Record | None = None  # the newest that has shown anything
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
    # … and where each of its repositories lies (a digest of the address, by what records call it); of those that lie
    # elsewhere than before, since when, and by which record.
    addresses: dict[str, str] = field(default_factory=dict)
    moved: dict[str, list[Any]] = field(default_factory=dict)
    acks: dict[str, Record] = field(default_factory=dict)  # the newest record of acknowledging, by its trouble's code
    # Of its log: the newest record of what was stored of it here (its number and time), and the newest point that one
    # tells of, and since when that could be restored. Only times that records tell.
    log: list[Any] = field(default_factory=list)
    # Since when its source is another than before (recovered, failed over), as far as records tell; whether a backup of
    # it was stored since, and whether that has come back in a test.
    renewed: list[Any] = field(default_factory=list)
    source_away: str | None = None  # since when its backups fail since nobody answers where the source is to be
    # Records that nothing here was taken from, by why: how many, and where the last one stands.
    passed_over: dict[str, list[int]] = field(default_factory=dict)
    # Of a plan: its runbook's run that has not ended here: which, since when; by step what it came to last, and when.
    runbook: dict[str, Any] = field(default_factory=dict)
    # Of the host: lines that were changed, and nobody has answered for, by the number that each bore; whose ledger's.
    spoilt: list[tuple[str | None, int]] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)  # of a plan: of requests that were carried out, newest last
    glass: dict[str, Record] = field(default_factory=dict)  # of a plan: broken, by their nonces …
    glass_reviews: dict[str, Record] = field(default_factory=dict)  # … and the newest review of each
    # … and the newest of all, reviewed or not: nonce, operation, time, number, who has reviewed it and by which record
    broken: list[list[Any]] = field(default_factory=list)
    # Of a plan: was the glass broken for a prune that has not ended well yet? And what prunes by one removed: how many
    # snapshots, when, and where that stands.
    glass_to_prune: bool = False
    pruned_by_glass: list[list[Any]] = field(default_factory=list)
    attested: dict[str, Record] = field(default_factory=dict)  # of the host: the newest record of each attestation
    # What would be in force, but for its signature, which is not by who may sign: none of it is above. As it was
    # verified for whoever asks (`ccdr.jobs.statements`): no summary has it.
    refused: list[Record] = field(default_factory=list)
    pauses: list[dict[str, Any]] = field(default_factory=list)  # of a plan: the newest, as `pauses.py` has them

    # Of a plan: the newest recovery that brought back every asset that it had then; and of each asset that the newest
    # one of it did not bring back, where that stands, and when it was.
    whole_recovery: Record | None = None
    not_recovered: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Of a plan: its incidents by their names, the closed ones up to a point, as `incidents.py` has them; and recoveries
    # that none of them tells of.
    incidents: dict[str, Entry] = field(default_factory=dict)
    without_incident: list[list[Any]] = field(default_factory=list)

    # What was handed over though erased people may be in it: by the number of each replay's record its time …
    returned: dict[str, str] = field(default_factory=dict)
    handover_reviews: dict[str, Record] = field(default_factory=dict)  # … and the newest review of each
    # Of each entry of the register of erasures that stands: the most that was found of it, how many snapshots that
    # should hold it did not, 1 where somebody has stated that nobody is to be found; in seconds since 1970 the newest
    # instant after the erasure at which the source held them still, and the newest at which it did not (`Looked`).
    looked_for: dict[str, list[int]] = field(default_factory=dict)

    # The replay that failed, until one of what is at least as new has not.
    replay_failed: Record | None = None

    # Of a plan: keys of its repositories, by id: when each was added, as far as records tell, and where that stands …
    repository_keys: dict[str, list[Any]] = field(default_factory=dict)
    removed_keys: list[str] = field(default_factory=list)  # … and those that were removed since
    fast_keys: dict[str, str] = field(default_factory=dict)  # that ccdr has made, with restic's own for the password
    made_passwords: list[str] = field(default_factory=list)  # what ccdr made itself here, by its digests: the newest

    # Of a plan: since when somebody came near its data; who and what did so far (hosts, users, keys), by what it is …
    access_since: str | None = None
    accesses: dict[str, list[str]] = field(default_factory=dict)
    unusual: list[list[Any]] = field(default_factory=list)  # … and what of that nobody has answered for: accesses.py

    # What went wrong, and what people have said of it.
    deviations: Kept = field(default_factory=Kept)

    def pass_over(self, why: str, seq: int) -> None:
        count, _ = self.passed_over.get(why, (0, 0))
        self.passed_over[why] = [count + 1, seq]

    def take(self, record: Record, checks: list[Any] | None = None) -> None:
        """`checks`: of a test, by the plan's version in force, as its record has them; None where none is known."""
        kind, run = kind_of(record), str(record["run"])
        if self.first is None or record["time"] < self.first:  # a clock may have been ahead
            self.first = record["time"]
        if kind in STARTS:
            self._take_start(kind, run, record, checks)
        elif kind in _OF_NO_END:  # one look for all of them: there are millions of the others
            self._take_of_no_end(kind, run, record)
        else:
            self._take_end(kind, run, record, checks)

    def _take_of_no_end(self, kind: str, run: str, record: Record) -> None:
        """What is neither a run's start nor, as a rule, kept as the newest end of its kind."""
        if kind in (NOT_BEGUN, GROUP):
            self.newest[f"{kind}.{record.get('verb' if kind == NOT_BEGUN else 'group')}"] = record
        elif kind in (ACK, ACK_ENDED):
            self.acks[record["about"]["code"]] = record
            if kind == ACK:
                self._take_answer(record["about"])
                answer_access(self, record["about"])
        elif kind in (ATTESTATION, ENDED):
            if written_later(record, self.attested.get(key_of(record["about"]))):
                self.attested[key_of(record["about"])] = record
        elif kind in (PLAN_APPROVED, ACCESS_REVIEWED):
            if written_later(record, there := self.newest.get(kind)):
                if there is not None and there["about"].get("asks") is True:
                    self.newest[APPROVED_BEFORE] = there
                self.newest[kind] = record
        elif kind in (APPROVAL_USED, GLASS_BROKEN, GLASS_REVIEWED):
            self._take_approval(kind, record)
        elif kind in ERASURES:
            self._take_erasure(kind, record)
            self.newest[kind] = record
        elif kind in (KEY_ADDED, KEY_REMOVED):
            self._take_key(kind, record)
            self.newest[kind] = record
        elif kind == MADE_BY_CCDR:
            self.made_passwords = [*self.made_passwords, str(record["password"])][-MOST_KEYS:]
        elif kind == LOCK_EXTENDED:
            self.newest[f"{kind}.{record['repository']}"] = record
            if record["result"] == DONE:
                self.newest[f"{kind}.{record['repository']}.done"] = record
        elif kind in INCIDENTS:
            take_incident(self.incidents, record)
            self.without_incident = told_of(self.without_incident, record.get("recovery"))
        elif kind in DEVIATIONS:
            take_entry(self.deviations.said, record)
        elif kind == LOGS:
            self._take_log(record)
        elif kind in RUNBOOKS:
            self._take_runbook(kind, run, record)
        else:
            take_pause(self.pauses, record)

    def _take_end(self, kind: str, run: str, record: Record, checks: list[Any] | None) -> None:
        if kind == BACKUP_END and not self.begun_here:
            self.begun_here = not of_another_host(record)
        if kind == PRUNED:
            record = _counted(record)
        self.newest[kind] = record
        if (verb := _WELL.get((kind, str(record.get("result"))))) is not None:
            self._end_acks(verb)
        start = self.open_runs.pop(run, None) or {}
        if kind == BACKUP_END:
            self._take_backup(record)
        elif kind == TEST_END:
            self.tests += 1
            self._take_fetched(record)
            begun = self.checks_at_start.pop(run, checks)  # by which it was carried out, whatever was changed since
            if record.get("verdict") in VERDICTS:
                self._take_test(record, begun, start.get("selection"))
        elif kind == RESTORE_END:
            self.log_stop = log_failure(self.log_stop, record, stops=True)
        elif kind == ACCESS_TESTED:
            self._take_trial(record)
        elif kind == CONTROLLED:
            self._take_fetched(record)
            self._take_control(record)
        elif kind == RECOVER_END:
            self._take_recovery(record)
        elif kind == CHECKED:
            self._take_check(record)
        elif kind == MISSED:
            self.missed += record.get("count") or 1
        elif kind == DUTIES:
            before, time = self.duties or {}, str(record["time"])
            self.duties = {verb: before.get(verb, time) for verb in record.get("verbs") or ()}
        elif kind == COPIED and isinstance(record.get("there"), dict):
            self.last_copy = record
        elif kind == PRUNED:
            self._take_prune(record)
        elif kind == PLAN_VERSION and isinstance(facts := record.get("facts"), dict):
            retention = [facts.get("retention"), facts.get("timezone")]
            if not self.retentions or self.retentions[-1][1:] != retention:
                self.retentions.append([record["time"], *retention])
            self._take_addresses(record, facts)
        if kind in (CHECKED, PRUNED) and isinstance(record.get("repository_bytes"), int):
            self._take_size(record["time"], record["repository_bytes"])

    def _end_acks(self, verb: Verb) -> None:
        for code in _ENDED_BY[verb]:
            self.acks.pop(code, None)

    def _take_addresses(self, record: Record, facts: Mapping[str, Any]) -> None:
        there = {PRIMARY: facts["repository"]} | {name: of["repository"] for name, of in facts["copies"].items()}
        for name, of in there.items():
            if self.addresses.get(name, of["location"]) != of["location"]:
                self.moved[name] = [record["time"], record["seq"]]
            self.addresses[name] = str(of["location"])

    def _take_start(self, kind: str, run: str, record: Record, checks: list[Any] | None) -> None:
        self.open_runs[run] = record
        if kind == BACKUP_START and not self.begun_here:
            self.begun_here = not of_another_host(record)
        if kind == TEST_START:
            self.checks_at_start[run] = checks
        if kind == TEST_START and record.get("selection") in RULES:
            due = None if of_another_host(record) else (record.get("trigger") or {}).get("due")
            self.tried[record["selection"]] = [record["seq"], due]

    def _take_approval(self, kind: str, record: Record) -> None:
        if kind == APPROVAL_USED:
            self.nonces = [*(one for one in self.nonces if one != record["nonce"]), str(record["nonce"])][-MOST_NONCES:]
            self.newest[kind] = record
        elif kind == GLASS_BROKEN:
            self.glass[str(record["nonce"])] = record
            one = [record["nonce"], record["operation"], record["time"], record["seq"], None, None]
            self.broken = [*self.broken, one][-MOST_BROKEN:]
            self.glass_to_prune = self.glass_to_prune or record["operation"] == Operation.PRUNE.value
        else:
            if (of := str(record["about"]["glass"])) in self.glass:
                self.glass_reviews[of] = record
            for done in [*self.glass_reviews][:-MOST_BROKEN]:
                del self.glass[done], self.glass_reviews[done]
            self.newest[kind] = record
            by = [record["by"]["name"], record["seq"]]
            self.broken = [[*one[:4], *by] if one[0] == of else one for one in self.broken]

    def _take_prune(self, record: Record) -> None:
        """What a prune by a broken glass left to be counted, the next one that ends well counts."""
        done = record.get("result") == DONE
        if done:
            self.last_done_prune = record
        if self.glass_to_prune and not of_another_host(record):
            if removed := record["removed"]:
                self.pruned_by_glass = [*self.pruned_by_glass, [removed, record["time"], record["seq"]]][-MOST_BROKEN:]
            self.glass_to_prune = not done

    def _take_erasure(self, kind: str, record: Record) -> None:
        if kind == ERASURE_REVIEW:
            replay = str(record["about"]["replay"])
            if (at := self.returned.get(replay)) is not None and utc(at) == utc(record["about"]["at"]):
                self.handover_reviews[replay] = record
        elif kind == ERASURE_ADD:
            self.looked_for.pop(str(record.get("withdraws")), None)
            if record.get("withdraws") is None:
                self.looked_for[str(record["entry"])] = [0, 0, 0, 0, 0]  # also of a register that was begun anew
        elif kind == ERASURE_NOBODY:
            self.looked_for.setdefault(str(record["about"]["entry"]), [0, 0, 0, 0, 0])[2] = 1
        else:
            self._take_replay(record)

    def _take_replay(self, record: Record) -> None:
        if record["result"] == FAILED:
            if not _points_further(self.replay_failed, record):
                self.replay_failed = record
        elif self.replay_failed is not None and self._replayed_since(self.replay_failed, record):
            self.replay_failed = None
        if record.get("handed_over") is True:
            self.returned[str(record["seq"])] = str(record["time"])
            if len(self.returned) > MOST_RETURNED:
                oldest = next((one for one in self.returned if one in self.handover_reviews), next(iter(self.returned)))
                del self.returned[oldest]
                self.handover_reviews.pop(oldest, None)
        for one in record.get("found") or ():
            of = self.looked_for.setdefault(str(one["id"]), [0, 0, 0, 0, 0])
            of[0] = max(of[0], int(one["found_before"]))
        for entry in record.get("missing") or ():
            self.looked_for.setdefault(str(entry), [0, 0, 0, 0, 0])[1] += 1
        if record["result"] != FAILED and record.get("point"):
            late = {str(one["id"]) for one in record.get("found") or () if one.get("late")}
            at = utc(record["point"]).timestamp()
            for entry, of in self.looked_for.items():
                of[3 if entry in late else 4] = max(of[3 if entry in late else 4], math.ceil(at))

    def _replayed_since(self, failed: Record, record: Record) -> bool:
        """Is it of what is at least as new? Of what stands somewhere, or came back in part, nothing tells the time."""
        if record.get("point") is None:
            return bool(failed["purpose"] == record["purpose"] == BY_HAND)
        if failed.get("point") is not None:
            return utc(record["point"]) >= utc(failed["point"])
        before, now = (self.stored.get(str(of.get("snapshot"))) for of in (failed, record))
        return before is None or (now is not None and now >= before)

    def _take_key(self, kind: str, record: Record) -> None:
        key = str(record["key"])
        self.repository_keys.pop(key, None)
        self.removed_keys = [one for one in self.removed_keys if one != key]
        self.fast_keys.pop(key, None)
        if kind == KEY_ADDED:
            if record.get("twin_of"):
                self.fast_keys[key] = str(record["twin_of"])
            self.repository_keys[key] = [record["time"], record["seq"]]
            while len(self.repository_keys) > MOST_KEYS:
                del self.repository_keys[next(iter(self.repository_keys))]
        else:
            self.removed_keys = [*self.removed_keys, key][-MOST_KEYS:]

    def _take_trial(self, record: Record) -> None:
        """What was broken at a repository stays so until somebody could try it there again."""
        for one in record["promises"]:
            name = f"{ACCESS_TESTED}.{one['promise']}"
            before = self.newest.get(name) or {}
            if one["result"] == BROKEN:
                self.newest[name] = record
            elif one["result"] != NOT_SHOWN and before.get("repository") == record["repository"]:
                del self.newest[name]

    def take_recovery(self, record: Record) -> None:
        """Of a plan: something of it is brought back for real."""
        self.without_incident = take_recovery(self.without_incident, self.incidents, record)

    def nothing_done(self, run: object) -> None:
        """Of a plan: in a run that was to bring something back."""
        self.without_incident = told_of(self.without_incident, run)

    def _take_runbook(self, kind: str, run: str, record: Record) -> None:
        """Of the run that is open; one that is begun anew stands for those before it."""
        if kind == RUNBOOK_START:
            self.runbook = {"run": run, "begun": record["time"], "steps": {}}
        elif self.runbook.get("run") == run and kind == RUNBOOK_STEP:
            self.runbook["steps"][str(record["step"])] = [record["result"], record["at"], record.get("reason")]
        elif kind == RUNBOOK_END:
            self.newest[kind] = record
            if self.runbook.get("run") == run:
                self.runbook = {}

    def _take_backup(self, record: Record) -> None:
        self.last_backup = record
        away = record.get("source") == "away"
        self.source_away = (self.source_away or str(record["time"])) if away else None
        if record.get("result") == STORED:
            self.last_good_backup = record
            self._take_growth(record)
            self._take_server(record)
            self._renewed_by(record, 1)
            self.stored[id_of(record)] = record["seq"]
            if TOLD_BY in record:
                self._take_beside(id_of(record), record)
        else:
            self.last_failed_backup = record

    def _take_server(self, record: Record) -> None:
        number = record.get("server")
        if number is None:
            return
        if self.server in (None, number) or record.get("made_by_recovery"):
            self.server, self.other_cluster = number, None
        else:
            self.other_cluster = record

    def _take_growth(self, record: Record) -> None:
        """What looks like an attack is nothing to judge others by, nor is what came after it."""
        if record.get("suspect") and self.suspect is None:
            self.suspect = record
        if self.suspect is not None:
            self.suspected.append(id_of(record))
            return
        source = (record.get("snapshot") or {}).get("source_sha256")
        if source != self.grown_of:
            self.grown, self.grown_of = [], source
        if growth := record.get("growth"):
            self.grown = [*self.grown, [growth[key] for key in COUNTED]][-KNOWN:]
        if canaries := record.get("canaries"):
            self.canaries |= {name: digest for name, digest in canaries.items() if digest}

    def _take_answer(self, about: Mapping[str, Any]) -> None:
        """Somebody has looked, and says that all is well with it: what there is now is as it is to be."""
        other = self.other_cluster
        if other is not None and about["code"] == Trouble.OTHER_CLUSTER.name:
            number = str(other["server"])
            if known_by(Problem(Trouble.OTHER_CLUSTER, "", about=number)) in about["known_by"]:
                self.server, self.other_cluster = number, None
        of = self.suspect
        if of is None or about["code"] != SUSPECT or answer_to(of) not in about["known_by"]:
            return
        self.suspect, self.suspected, self.grown, self.canaries = None, [], [], {}
        if self.last_good_backup is not None:
            self._take_growth({**self.last_good_backup, "suspect": None})

    def _take_beside(self, snapshot: str, record: Record) -> None:
        stored = record["snapshot"]
        self.recorded_beside[snapshot] = {
            "consistent": rfc3339(whole_until(stored)),
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
            self._renewed_by(record, 2)
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
        self.log_stop = log_failure(self.log_stop, record, stops=True)
        # A good old snapshot says nothing of a newer one that failed; nor a log that is bad of its base.
        if record["verdict"] == "FAIL" and not blames_the_log(record) and not of_a_newer(self.failure, record):
            self.failure = record
            left = [one for one in self.unmended if not (one[1] == checks and failed_again(one[0], record))]
            self.unmended = [*left, [record, checks]][-MOST_UNMENDED:]
        elif record["verdict"] == "PASS" and (
            (newest := snapshot.get("selected") == LATEST) or not still_stands(self.failure, record)
        ):
            self.unmended = [
                [failed, then]
                for failed, then in self.unmended
                if not as_strict(failed, then, checks) or (not newest and still_stands(failed, record))
            ]
            self.failure = None
            self._end_acks(Verb.TEST)

    def _take_fetched(self, record: Record) -> None:
        size, month = record.get("bytes_restored"), month_of(utc(record["time"]))
        if isinstance(size, int):
            self.fetched[month] = self.fetched.get(month, 0) + size
            for old in sorted(self.fetched)[:-MOST_MONTHS]:
                del self.fetched[old]

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

    @property
    def damaged_parts(self) -> list[str]:
        """Of a plan: parts of the repository's data that were found damaged, and not read clean since."""
        return sorted((part for part, (_, result) in self.read.items() if result == DAMAGED), key=int)

    def renew(self, time: str, branch: int | None = None) -> None:
        """Its source began anew then, or goes on by that branch of its log. A backup may be of it, and have come back,
        before anybody has told of it."""
        self.renewed = [time, False, False, branch]
        for shown, of in enumerate((self.last_good_backup, self.last_conclusive_test), start=1):
            if of is not None:
                self._renewed_by(of, shown)

    def _renewed_by(self, record: Record, shown: int) -> None:
        """A backup was stored (1), or a test had a verdict (2): of the source as it is now? A backup says of which
        branch it is, whenever anybody told of that; else its time says it."""
        snapshot = record.get("snapshot") or {}
        if not self.renewed or (point := snapshot.get("consistent_point")) is None:
            return
        time, stored, _, branch = self.renewed
        of_it = utc(point) >= utc(time)
        if branch is not None:
            of_it = snapshot.get("branch") == branch if shown == 1 else stored and of_it
            if of_it and not stored:
                self.renewed[0] = point
        if of_it:
            self.renewed[shown] = True

    def _take_control(self, record: Record) -> None:
        if record["result"] in (CAUGHT, PASSED):
            self.last_control = record
        if (damage := record.get("damage")) is not None:
            self.controls[damage["kind"]] = record["seq"]
            if record["result"] in (CAUGHT, PASSED):
                self._take_damage(record, damage)

    def _take_damage(self, record: Record, damage: Mapping[str, Any]) -> None:
        kind = str(damage["kind"])
        of_kind = [one for one in self.not_caught.values() if one["damage"]["kind"] == kind]
        left = [one for one in of_kind if not _same_damage(one, damage)]
        if record["result"] == PASSED:
            left = [*left, record][-MOST_NOT_CAUGHT:]
        self.not_caught = {name: one for name, one in self.not_caught.items() if one["damage"]["kind"] != kind}
        self.not_caught |= {f"{kind} {one['seq']}" if n else kind: one for n, one in enumerate(left)}

    def _take_recovery(self, record: Record) -> None:
        done = {str(one["asset"]) for one in record["assets"] if one["state"] == "done"}
        named = ((self.newest.get(PLAN_VERSION) or {}).get("facts") or {}).get("assets")
        if named is None:
            named = [one["asset"] for one in (self.whole_recovery or {}).get("assets") or ()]
        if record["state"] == "done" and done.issuperset(named):
            self.whole_recovery = record
        where = {key: record[key] for key in ("seq", "time", "kind", TOLD_BY) if key in record}
        for one in record["assets"]:
            self.not_recovered.pop(str(one["asset"]), None)
            if one["state"] != "done":
                self.not_recovered[str(one["asset"])] = where

    def _take_log(self, record: Record) -> None:
        anew, branch = record.get("anew"), record.get("branch")
        if anew is not None:
            self.renew(str(anew))
        elif branch is not None:
            self.renew(str(record["time"]), branch)
        known = [None, None] if anew is not None else self.log[2:] or [None, None]
        if points := record.get("points"):
            since = utc(record["since"])
            known = [rfc3339(since + timedelta(seconds=seconds)) for seconds in points[-1]]
        self.log = [record["seq"], record["time"], *known]

    def _take_size(self, time: str, count: int) -> None:
        self.sizes[time[:10]] = count
        while len(self.sizes) > MOST_SIZES:
            del self.sizes[min(self.sizes)]

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

    def take_capture(self, snapshot: str, *, bad: bool) -> None:
        """What a test has shown of a snapshot that is the same wherever it lies."""
        if bad and snapshot not in self.captured_badly:
            self.captured_badly.append(snapshot)
        elif not bad and snapshot in self.captured_badly:
            self.captured_badly.remove(snapshot)

    def forget(self, snapshot_id: str, *, ours: bool = True) -> None:
        """Retention removed it: nothing has to be known of it any more. That another host's has, its ledger says, which
        takes no FAIL back: should it be there all the same, it counts no more than before."""
        if ours or self.proven.get(snapshot_id) != "FAIL":
            self.proven.pop(snapshot_id, None)
        self.stored.pop(snapshot_id, None)
        self.recorded_beside.pop(snapshot_id, None)
        self.vanished.pop(snapshot_id, None)


def _same_damage(missed: Record, damage: Mapping[str, Any]) -> bool:
    """Was it done to the same table, or (of a file, a key) by the same choice? What one table's checks find, another's
    need not."""
    before = missed["damage"]
    return before["seed"] == damage["seed"] or (before.get("table") or "") == damage.get("table")


def _points_further(failed: Record | None, record: Record) -> bool:
    """Is the one that failed before of a newer state?"""
    before, now = (failed or {}).get("point"), record.get("point")
    return before is not None and now is not None and utc(before) > utc(now)


def answer_to(suspect: Record) -> str:
    """By which an acknowledgement names it."""
    return known_by(Problem(Trouble.SNAPSHOT_SUSPECT, "", about=str(suspect["run"])))


def _counted(prune: Record) -> Record:
    """A prune as it is kept: how many snapshots it removed. Which ones they were is a third of all that would be kept
    of a large contact centre, and nobody asks."""
    removed = prune.get("removed")
    return {**prune, "removed": len(removed) if isinstance(removed, list) else 0}


def id_of(stored: Record) -> str:
    return str((stored.get("snapshot") or {}).get("id"))
