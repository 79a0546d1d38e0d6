"""The kinds of records that history is made of, and their results."""

from __future__ import annotations

from typing import Final

from ccdr.evidence.records.statements import (
    ANSWER_ENTRY,
    ANSWER_LEDGER,
    REVIEW_ACCESS,
    REVIEW_HANDOVER,
    SIGN_PERIOD,
    TABLE,
)

BACKUP_START, BACKUP_END = "backup.start", "backup.end"
TEST_START, TEST_END = "restore_test.start", "restore_test.end"
CONTROL_START, CONTROLLED = "negative_control.start", "negative_control.end"
CAUGHT: Final = "CAUGHT"  # a damaged copy was found bad, as it must be
PASSED: Final = "PASSED"  # … or was not
NOT_BEGUN = "not_begun"
DUTIES = "duties"
LOGS, STOPPED = "log.shipped", "stopped"  # the kind, and the trouble of one that was told to stop
RESTORE_START, RESTORE_END = "restore.start", "restore.end"
RECOVER_START, RECOVER_END = "recover.start", "recover.end"
MISSED, PRUNED, CHECKED = "missed", "prune.end", "check.end"
SKIPPED = "skipped"  # due times of a plan that was paused then
RECOVERED, COMPARED, ANSWERED = "ledger.recovered", "ledger.compared", ANSWER_LEDGER.kind
RUNBOOK_START, RUNBOOK_STEP, RUNBOOK_END = "runbook.start", "runbook.step", "runbook.end"
RUNBOOKS = frozenset((RUNBOOK_START, RUNBOOK_STEP, RUNBOOK_END))
GROUP = "group"  # several assets captured together; of the plan
PRUNE_START, CHECK_START = "prune.start", "check.start"
COPY_START, COPIED = "copy.start", "copy.end"  # of a plan's copies
EXAMINED = "plan.examined"  # how a plan's secrets and repositories are protected, on this host
ACCESS_TESTED = "access.tested"  # by whom a plan's store is reached, on this host
ACCESS_REVIEWED = REVIEW_ACCESS.kind
STATED = frozenset(TABLE) - {SIGN_PERIOD.kind}  # that of a period is read when it is asked for
KEY_ADDED, KEY_REMOVED, KEY_SWITCHED = "repository.key.added", "repository.key.removed", "repository.key.switched"
MADE_BY_CCDR = "repository.password.made"  # by ccdr, of random bits
LOCK_EXTENDED = "lock.extended"  # of one of a plan's repositories
PACKAGED = "package.end"  # for a Unix group
ERASURE_ADD, ERASURE_REPLAY, ERASURE_REVIEW = "erasure.add", "erasure.replay", REVIEW_HANDOVER.kind
ERASURE_NOBODY = ANSWER_ENTRY.kind  # of an entry: somebody states that nobody is to be found by it
ERASURES = frozenset((ERASURE_ADD, ERASURE_REPLAY, ERASURE_REVIEW, ERASURE_NOBODY))
STORED: Final = "STORED"
FAILED: Final = "FAILED"
INTERRUPTED = "interrupted"  # the reason of what somebody has stopped
DONE: Final = "DONE"
CLEAN: Final = "CLEAN"
DAMAGED: Final = "DAMAGED"
INCONCLUSIVE: Final = "INCONCLUSIVE"
VERDICTS = ("PASS", "FAIL", INCONCLUSIVE)
STARTS = frozenset(
    (BACKUP_START, TEST_START, CONTROL_START, RESTORE_START, RECOVER_START, PRUNE_START, CHECK_START, COPY_START)
)

VERB_OF = {
    f"{kind}.{edge}": kind
    for kind in ("backup", "negative_control", "prune", "check", "copy")
    for edge in ("start", "end")
} | {TEST_START: "test", TEST_END: "test"}
START_BY_VERB = {verb: kind for kind, verb in VERB_OF.items() if kind.endswith(".start")}
START_OF = {
    BACKUP_END: BACKUP_START,
    TEST_END: TEST_START,
    CONTROLLED: CONTROL_START,
    RESTORE_END: RESTORE_START,
    RECOVER_END: RECOVER_START,
    PRUNED: PRUNE_START,
    CHECKED: CHECK_START,
    COPIED: COPY_START,
}


def outcome_of_not_begun(verb: str) -> str:
    """Of what was due, was tried, and could not even begin."""
    return FAILED if verb in ("backup", "prune", "copy") else INCONCLUSIVE
