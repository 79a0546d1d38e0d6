"""Changes of the plans in sentences, made from codes and values; nobody reads them again but people."""

from __future__ import annotations

from ccdr.model.schema import format_duration
from ccdr.model.values import so_many
from ccdr.plans.loosened import Code, Loosening, Value, loosened
from ccdr.plans.versions import FileState, Judged

_SECONDS = frozenset(
    (
        Code.RPO_LONGER,
        Code.RTO_LONGER,
        Code.MTD_LONGER,
        Code.LOG_RARER,
        Code.HOLD_LONGER,
        Code.SETTLE_LONGER,
        Code.LOCK_KEPT_SHORTER,
        Code.INCIDENT_CLOCK_GONE,
        Code.INCIDENT_CLOCK_LONGER,
        Code.DEVIATIONS_LATER,
    )
)
# By code: what was loosened, with `{before}`, `{after}` and `{item}`.
_WORDS = {
    Code.RPO_LONGER: "its RPO was {before} and is {after}",
    Code.RTO_LONGER: "its RTO was {before} and is {after}",
    Code.MTD_LONGER: "the service might be away for {before} and now for {after}",
    Code.PLAN_GONE: "the plan was removed: ccdr backs up, tests and judges nothing of it from then on",
    Code.ASSET_GONE: "it was removed from the plan",
    Code.SOURCE_CHANGED: "it names another source than before",
    Code.BACKUP_RARER: "its backups were due at “{before}” and are due at “{after}”",
    Code.BACKUP_UNSCHEDULED: "its backups were due at “{before}” and are never due any more",
    Code.TEST_RARER: "its restore tests were due at “{before}” and are due at “{after}”",
    Code.TEST_UNSCHEDULED: "its restore tests were due at “{before}” and are never due any more",
    Code.CONTROL_RARER: "its restore tests had to find a damaged copy at “{before}” and have to at “{after}”",
    Code.CONTROL_UNSCHEDULED: "its restore tests had to find a damaged copy at “{before}” and never have to any more",
    Code.PRUNE_RARER: "its prunes were due at “{before}” and are due at “{after}”",
    Code.CHECK_RARER: "its repository was checked at “{before}” and is checked at “{after}”",
    Code.PARTS_SMALLER: "all of its repository was read in {before} checks and is read in {after}",
    Code.TIMEZONE_CHANGED: "its schedules were in the zone {before} and are in {after}",
    Code.RULE_GONE: "its restore tests do not choose snapshots by the rule “{item}” any more",
    Code.CHECK_GONE: "its restore tests do not make the check {item} any more",
    Code.CHECK_WEAKER: "its check asked for {item} {before} and asks for {after}",
    Code.CHECK_REPLACED: "a check {item} was replaced by another of its kind: which asks for more, nobody can tell",
    Code.SETTINGS_EASIER: "its restores were measured with {before} settings and are with {after} ones",
    Code.LOG_RARER: "its log was stored every {before} and is stored every {after}",
    Code.LOG_UNSHIPPED: "its log was shipped, and is not any more",
    Code.GROUP_LEFT: "it was captured together with the group {before} and is not any more",
    Code.RETENTION_SHORTER: "snapshots are kept for shorter: {item} was {before} and is {after}",
    Code.SETTLE_LONGER: "its backups leave out what changed within the last {after}; before, {before}: so much more "
    "than "
    "its RPO shows may be lost",
    Code.IMAGE_CHANGED: "its restore tests ran in another image ({before}) than they do ({after})",
    Code.REPOSITORY_CHANGED: "its repository is another one: no snapshot from before is there",
    Code.REPOSITORY_NEARER: "its repository lay on {before} and lies on {after}: one failure destroys both",
    Code.OBJECT_LOCK_SHORTER: "the Object Lock that it wants for its repository was {before} and is {after}",
    Code.LOCK_KEPT_SHORTER: "it kept what is in use locked for {before}, and now for {after}",
    Code.COPY_GONE: "its copy {item} was removed from the plan: nothing is copied there any more",
    Code.COPY_CHANGED: "its copy {item} is another repository: what was copied before is not there",
    Code.COPY_RARER: "its copy {item} was filled at “{before}” and is filled at “{after}”",
    Code.COPY_RETENTION_SHORTER: "its copy {item} keeps snapshots for shorter than before",
    Code.COPY_TESTED_RARER: "its copy {item} was restored from after {before} restore tests and is after {after}",
    Code.APPROVAL_GONE: "nobody is to approve it any more: its `approval:` is gone",
    Code.APPROVAL_CHANGED: "who may approve it stands in another file",
    Code.APPROVAL_WEAKER: "its approval asked for {item} {before} and asks for {after}",
    Code.INCIDENT_CLOCK_GONE: "its incidents had the clock {item} ({before}), and do not have it any more",
    Code.INCIDENT_CLOCK_LONGER: "its incidents had {before} by the clock {item}, and have {after}",
    Code.DEVIATIONS_MILDER: "a finding {item} counted as {before}, and counts as {after}",
    Code.DEVIATIONS_LATER: "a {item} finding was to be over within {before}, and now within {after}",
    Code.DECLARERS_GONE: "{before} were to state {item}, and now whoever may approve the plan is",
    Code.DECLARERS_CHANGED: "{before} were to state {item}, and now {after} are",
    Code.RISK_OWNER_GONE: "{before} was to accept risks, and now whoever may approve the plan may",
    Code.RISK_OWNER_CHANGED: "{before} was to accept risks, and now {after} is",
    Code.NOTIFY_GONE: "its {item} was removed: people or programs get no more messages by it",
    Code.NOTIFY_CHANGED: "its {item} is another file: the people who get messages may have changed",
    Code.HOLD_LONGER: "ccdr reported a snapshot held past its time after {before}, and now after {after}",
}


def sentence(loosening: Loosening) -> str:
    """What it was, and what it is."""
    if loosening.code is Code.RETENTION_SHORTER and loosening.item is None:
        return "snapshots were kept for ever and are removed now"
    before, after = (_value(loosening, value) for value in (loosening.before, loosening.after))
    return _WORDS[loosening.code].format(before=before, after=after, item=loosening.item)


def differing(judged: Judged) -> list[str]:
    """How a plan's file is to the version that it is judged by; nothing where it is the same."""
    version, plan = judged.version, judged.plan
    if version is None or judged.file in (None, FileState.SAME):
        return []
    by = f"the version that was recorded on {version.at:%Y-%m-%d %H:%M} UTC ({version.record})"
    by = f"it is judged by {by}" if judged.why is None else f"{judged.why}: it is judged without"
    if judged.file is FileState.GONE:
        return [f"no file names the plan {plan} any more, and no `ccdr run` has seen that; {by}"]
    less = loosened(version.facts, judged.stated) if judged.stated else []
    about = [f"{plan}/{one.asset}" if one.asset else plan for one in less]
    return [
        f"the file of the plan {plan} was changed, and nobody has acted by it yet; {by}",
        *(f"by that file, of {what}: {sentence(one)}" for what, one in zip(about, less, strict=True)),
    ]


def _value(loosening: Loosening, value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if loosening.code is Code.OBJECT_LOCK_SHORTER:
        return so_many(int(value), "day")
    seconds = loosening.code in _SECONDS or (loosening.item or "").endswith(("within", "apart"))
    return format_duration(value) if seconds else f"{value:g}"
