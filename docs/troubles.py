"""docs/reference/troubles.md: every trouble by its code, what it means, and the program's own next step."""

from __future__ import annotations

import re
from pathlib import Path

from ccdr.cli import main
from ccdr.evidence.acknowledged import NEVER, REVIEWED
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.telling.notify.message import HEADLINES

DOCS = Path(__file__).parent
HEAD = """\
# Troubles

Made by `python docs/generate.py`; do not edit.

What is wrong with an asset, or with a plan's repository, has a code. `ccdr status`, the report,
messages and `--json` use the same ones. A message's subject says it in words. Beside each trouble
stands the next step, with your own names in it. A trouble ends by itself once it is over.
`ccdr ack CODE` takes one out of the exit code for a while
([how far](reading-records.md#what-is-acknowledged)).
"""
LEVELS = {
    Level.LOST: "The asset cannot be brought back, as far as ccdr knows",
    Level.UNPROVEN: "Nobody has shown that it can be brought back",
    Level.LATE: "It can be brought back, but not within its objectives",
    Level.NEAR: "It can be brought back, but not where its disk or its machine is lost",
    Level.NOTE: "It can be brought back, and something is not as the plan wants",
}
MEANS = {
    Trouble.LEDGER_BROKEN: "somebody changed a record, or nobody can read it; until all of it verifies again",
    Trouble.LEDGER_LOST: (
        "the ledger is gone, and ccdr began a new one; until somebody has answered for it, or brought it back "
        "([Evidence](../explanation/evidence.md#a-ledger-that-is-lost))"
    ),
    Trouble.LEDGER_SPOILT: (
        "somebody changed a whole line of the ledger, the last one of its time, so that it is no record; "
        "until somebody has answered for it"
    ),
    Trouble.LEDGER_CONTRADICTED: (
        "somebody cut the ledger off or rewrote it, or another one lies in its place: snapshots say so, or "
        "this host's state; until it agrees again"
    ),
    Trouble.SUMMARY_WRONG: (
        "somebody changed what is kept of the ledger and read in its place. ccdr makes it anew at once; over "
        "when the next look finds it true"
    ),
    Trouble.ANCHOR_OVERDUE: (
        "an anchor of anchors.yaml holds no checkpoint of newer records, for longer than twice its `every` and an "
        "hour; no key signs the ledger though anchors are configured; or anchors.yaml is wrong. Until it holds one "
        "([Checkpoints](../how-to/checkpoints.md))"
    ),
    Trouble.RECORDS_UNKNOWN: (
        "there are records of a version or a kind that this ccdr does not read; until this host runs one that does"
    ),
    Trouble.RECORDS_WRONG: "there are records that no ccdr can have written; ccdr takes nothing from them",
    Trouble.CATALOGUE_WRONG: "what the state says of a snapshot is not what the ledger says",
    Trouble.PLAN_UNAPPROVED: (
        "the plan has an `approval:` block, and nobody has approved this version of it; or an approved one had the "
        "block, and it was taken out. Backups and restore tests go on, and nothing is pruned; until somebody signs it "
        "([Approve](../how-to/approve.md))"
    ),
    Trouble.BREAK_GLASS: (
        "somebody did without an approval what needs one, and gave a reason; until somebody who may approve has "
        "reviewed it, and signed that ([Break glass](../how-to/approve.md#break-glass))"
    ),
    Trouble.ACCESS_BROKEN: (
        "when the roles' credentials were last tried at the store, one of them could do more than its role; until "
        "`ccdr access test` finds that none can ([Access](../how-to/access.md))"
    ),
    Trouble.ACCESS_REVIEW: (
        "who has access was last looked at more than three months ago, or something was found that is to be changed; "
        "until somebody looks again, and records it ([Access](../how-to/access.md#review-who-has-access))"
    ),
    Trouble.ACCESS_REVIEW_ENDS: "a review of access is three months old within a month; no finding",
    Trouble.PLAN_REVIEW: (
        "the day has passed on which the approved plan was to be looked at again; until somebody signs it anew"
    ),
    Trouble.PLAN_FILES_GONE: "the kept files of a recorded version of the plan are gone or changed",
    Trouble.PLAN_NOT_STORED: (
        "the newest version of the plan and its restore tests is not in the plan's repository, so `ccdr bootstrap` "
        "would bring an older one back; until it was stored there"
    ),
    Trouble.PLAN_ELSEWHERE: (
        "the plan came from a repository (`ccdr bootstrap`), and the state directory knows a plan of that name in "
        "another one: its backups and tests are not this plan's; until the plan was stored in its own"
    ),
    Trouble.PLAN_WRONG: "the file of another plan is wrong, so that plan can tell nobody",
    Trouble.CONTROL_PASSED: (
        "a copy that ccdr had damaged on purpose passed all checks "
        "([Negative controls](../how-to/negative-controls.md)); until the same damage is found"
    ),
    Trouble.TEST_FAILED: "the newest conclusive restore test is FAIL; one that breaks after it does not take that back",
    Trouble.LOG_FAILED: (
        "the shipped log is bad, or led to something bad, whatever its base is; until a recovery that goes as "
        "far, or to `latest`, has passed"
    ),
    Trouble.NEWER_FAILED: "the newest restore test is FAIL for a newer backup that failed; what it restored passed",
    Trouble.BACKUP_FAILED: "a backup failed or crashed since the last good one",
    Trouble.REPOSITORY_AWAY: "the repository did not answer, or did not open, when ccdr last asked it",
    Trouble.REPOSITORY_DAMAGED: (
        "a check found damage; until a test has passed since (asset), or a check read that part clean (plan)"
    ),
    Trouble.REPOSITORY_NEAR: "all copies lie on the disk or machine of the source, as the plan wants it",
    Trouble.SNAPSHOT_VANISHED: (
        "a snapshot is gone from the repository, and no retention removed it ([what to "
        "do](../how-to/recover.md#a-snapshot-that-vanished)); once a newer one has passed a test, only a note"
    ),
    Trouble.SNAPSHOT_SUSPECT: (
        "a snapshot looks as if somebody had encrypted or emptied what it is of, or a canary has changed "
        "([Leaps and canaries](../how-to/leaps-and-canaries.md)); neither it nor a newer one counts until somebody "
        "acknowledges it, which answers for it for good"
    ),
    Trouble.OTHER_CLUSTER: (
        "the newest backup is of another PostgreSQL server than those before it, by its system identifier "
        "([which server it is](postgres.md#which-server-it-is)); until somebody acknowledges it, which agrees to that "
        "server for good, or until the known one is backed up again"
    ),
    Trouble.BREACH_RPO: "more of the newest data would be lost now than the objective allows",
    Trouble.BREACH_RTO: "the newest conclusive restore test took longer than the objective allows",
    Trouble.RTO_UNMEASURED: "no test measured the RTO with the server settings that the plan asks for",
    Trouble.NEVER_SUCCEEDED: (
        "there is no good backup yet; until the first one. After the loss of a ledger that nobody has answered for, "
        "ccdr does not know of earlier ones: then nobody has shown that it can be brought back"
    ),
    Trouble.NOT_BEGUN: "what was due could not even begin: a secret or a file is missing; until it has begun",
    Trouble.SOURCE_AWAY: (
        "nobody answers where the source is to be, says the newest backup, or what ships its log; until one is "
        "stored, or its log is again"
    ),
    Trouble.BACKUP_LATE: "a backup came due twice and did not happen",
    Trouble.TEST_LATE: "a restore test came due twice and did not happen",
    Trouble.LOG_LATE: "the plan wants the log shipped, and it is not",
    Trouble.LOG_GAP: "log is missing since the newest base; until there is a new base",
    Trouble.FINDING: "what else `ccdr status` lists",
    Trouble.GROUP_INCOMPLETE: "assets that belong together have no snapshots that do",
    Trouble.TEST_INCONCLUSIVE: "the newest restore test broke, and proves nothing",
    Trouble.NO_LONGER_CHECKED: "a restore test failed, and only fewer or weaker checks have passed since",
    Trouble.CONTROL_INCONCLUSIVE: (
        "the newest negative control broke, or the copy that nobody damaged did not pass; it shows nothing"
    ),
    Trouble.CONTROL_LATE: "a negative control came due twice and did not happen",
    Trouble.NEVER_TESTED: "no restore test has been conclusive yet; until the first one",
    Trouble.PAUSED: "somebody has paused the plan (`ccdr pause`): no finding, and what is due is let be until then",
    Trouble.NOT_KNOWN_HERE: "another host answers for it: neither well nor a finding here",
    Trouble.RESTORE_CRASHED: (
        "somebody killed a restore for real, and it left no end; for a week, or until a later one has ended"
    ),
    Trouble.ERASED_RETURNED: (
        "somebody broke the glass and had what was restored handed over, though people who were erased may be in it "
        "([Erase a person](../how-to/erase.md#break-the-glass)); until `ccdr erasure review`"
    ),
    Trouble.RUNBOOK_STANDS: (
        "a runbook was begun and has not ended, and nobody is at it: a step failed, waits for a person, or ccdr was "
        "stopped; until it goes on"
    ),
    Trouble.RECOVERY_UNFINISHED: (
        "`ccdr recover` was stopped or killed, or a step of it failed, and nobody has gone on; for a week, or until a "
        "later one has ended"
    ),
    Trouble.PRUNE_FAILED: "the newest prune failed",
    Trouble.PRUNE_LATE: (
        "a prune came due twice since the last try, or since it became this host's to do; only where the plan "
        "states `retention:`"
    ),
    Trouble.CHECK_INCONCLUSIVE: "the newest check of the repository broke, and proves nothing",
    Trouble.CHECK_LATE: (
        "a check of the repository came due twice since the last try, or since it became this host's to do"
    ),
    Trouble.LOCK_SHORT: (
        "what is in use in a bucket can be removed sooner than `lock: keep` of the plan wants, or ccdr could not push "
        "its Object Lock forward; until it did ([Keys and locks](../how-to/keys.md))"
    ),
    Trouble.OBJECTS_OVERWRITTEN: (
        "an object of a repository has another version, with other contents: somebody overwrote it. The "
        "oldest version is locked ([what to do](../how-to/keys.md#somebody-wrote-over-it)); until there is one version "
        "again"
    ),
    Trouble.ACCESS_UNUSUAL: (
        "a host or a user did something for the plan, or stored a snapshot of it, for the first time; a key that was "
        "not there before opens its repository (one that a rotation put there is none); or its data was brought back "
        "outside of a pause, a runbook or an incident. Not in a plan's first week; until somebody acknowledges it, "
        "which answers for it for good"
    ),
    Trouble.COPY_FAILED: (
        "the newest copying to one of the plan's `copies:` failed, crashed or could not start, or some of it could not "
        "be copied ([A second copy](../how-to/second-copy.md)); until one has gone well"
    ),
    Trouble.COPY_LATE: "copying came due twice since the last try, or since it became this host's to do",
    Trouble.COPY_VANISHED: (
        "when a copy was last filled, snapshots that had been there were gone, and no retention had removed them; "
        "until the next copying finds all that it had left"
    ),
    Trouble.COPY_DAMAGED: "a check found some of a copy's data damaged; until the same part is read and found clean",
    Trouble.COPY_TEST_FAILED: "a restore test that fetched from a copy failed; until one from there has passed",
    Trouble.COPY_UNTESTED: (
        "an asset that a copy holds was never restored from there; or a restore test that fetched from there broke; or "
        "the asset had more than twice as many tests as `test_every:` says since it was last restored from there"
    ),
    Trouble.COPY_UPKEEP: "the newest prune or check of a copy failed or broke, or is overdue",
    Trouble.FETCH_LIMIT: (
        "restore tests have fetched 80 % or more of `limits: {fetch_per_month: …}`; until the month is over (UTC). An "
        "acknowledgement from before the limit was reached ends when it is"
    ),
    Trouble.DUTIES: (
        "what this host answers for has changed ([Who tells what](../how-to/tell-people.md#who-tells-what)); told once"
    ),
    Trouble.ATTESTATION_STALE: (
        "what somebody has attested held until a day that has passed; until it is attested anew, or ended "
        "([Attest](../how-to/attest.md))"
    ),
    Trouble.ATTESTATION_ENDS: "an attestation ends within a month; no finding",
    Trouble.INCIDENT_OVERDUE: (
        "an incident has to be notified, the time for that has passed, and nobody has recorded that it was filed; "
        "until somebody does, or says that it is not due ([Incidents](../how-to/incidents.md))"
    ),
    Trouble.INCIDENT_DUE: (
        "an incident has to be notified within a quarter of the time that there is for it; no finding"
    ),
    Trouble.DEVIATION_OVERDUE: (
        "something that went wrong, or that the plan promises no more, was to be over by a day, and that has passed; "
        "until a retest ends it, somebody gives it another day, or its risk is accepted "
        "([Deviations](../how-to/deviations.md))"
    ),
    Trouble.MISSED: "due times passed without a try; told once, and never over",
    Trouble.UNTOLD: (
        "an address did not take a message ([When telling fails](../how-to/tell-people.md#when-telling-fails))"
    ),
}


def page() -> str:
    return HEAD + "".join(_of(level) for level in LEVELS)


def _of(level: Level) -> str:
    troubles = [trouble for trouble in Trouble if Problem(trouble, "").level is level]
    table = "| code | a message says | means | next step |\n|---|---|---|---|\n" + "".join(map(_row, troubles))
    return f"\n## {LEVELS[level]}\n\n{table}"


def _row(trouble: Trouble) -> str:
    step = _in_code(_linked(next_step(trouble, "PLAN", "ASSET") or ""))
    never = trouble in NEVER | REVIEWED and "ccdr ack" not in step  # for some, somebody answers once and for all
    means = MEANS[trouble] + (". Nobody can acknowledge it" if never else "")
    return f"| `{trouble.name}` | {HEADLINES[trouble]} | {means} | {step} |\n"


def _in_code(step: str) -> str:
    """The commands in a step; three spaces stand between one and its explanation."""
    verbs = "|".join(sorted(main.commands, key=len, reverse=True))  # `runbook` before `run`
    word = r'--?[\w-]+|[A-Z_]+|latest|\d+d|…|"…"'
    marked = re.sub(rf"(?<!`)\bccdr (?:{verbs})(?: [a-z]+\b)?(?: (?:{word}))*", lambda match: f"`{match[0]}`", step)
    return re.sub(" +", " ", marked)


def _linked(step: str) -> str:
    def link(match: re.Match[str]) -> str:
        page, heading = match[1], match[2]
        if not heading:
            title = (DOCS / f"{page}.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
            return f"[{title}](../{page}.md)"
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        return f"[{heading}](../{page}.md#{anchor})"

    return re.sub(r"docs/([\w/-]+)\.md(?:, ([A-Z][\w' ]+))?", link, step)
