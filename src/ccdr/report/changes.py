"""Changes of the plans in sentences, made from codes and values; nobody reads them again but people."""

from __future__ import annotations

from collections.abc import Iterable

from ccdr.model import human_seconds
from ccdr.plans.facts import PlanFacts
from ccdr.plans.loosened import Code, Loosening, Value, loosened
from ccdr.plans.versions import Version
from ccdr.report.build import PlanFile

_SECONDS = frozenset((Code.RPO_LONGER, Code.RTO_LONGER, Code.MTD_LONGER, Code.LOG_RARER, Code.HOLD_LONGER))
# By code: what was loosened, with `{before}`, `{after}` and `{item}`.
_WORDS = {
    Code.RPO_LONGER: "its RPO was {before} and is {after}",
    Code.RTO_LONGER: "its RTO was {before} and is {after}",
    Code.MTD_LONGER: "the service might be away for {before} and now for {after}",
    Code.PLAN_GONE: "the plan is no more: nothing of it is backed up, tested or judged from then on",
    Code.ASSET_GONE: "it is in the plan no more",
    Code.SOURCE_CHANGED: "what it stands for is another source than before",
    Code.BACKUP_RARER: "its backups were due at “{before}” and are due at “{after}”",
    Code.BACKUP_UNSCHEDULED: "its backups were due at “{before}” and are never due any more",
    Code.TEST_RARER: "its restore tests were due at “{before}” and are due at “{after}”",
    Code.TEST_UNSCHEDULED: "its restore tests were due at “{before}” and are never due any more",
    Code.PRUNE_RARER: "what retention lets go was removed at “{before}” and is removed at “{after}”",
    Code.CHECK_RARER: "its repository was checked at “{before}” and is checked at “{after}”",
    Code.PARTS_SMALLER: "all of its repository was read in {before} checks and is read in {after}",
    Code.TIMEZONE_CHANGED: "its schedules were in the zone {before} and are in {after}",
    Code.RULE_GONE: "its restore tests do not choose snapshots by the rule “{item}” any more",
    Code.CHECK_GONE: "its restore tests do not make the check {item} any more",
    Code.CHECK_WEAKER: "its check asked for {item} {before} and asks for {after}",
    Code.CHECK_REPLACED: "a check {item} was replaced by another of its kind: which asks for more, nobody can tell",
    Code.SETTINGS_EASIER: "its restores were measured with {before} settings and are with {after} ones",
    Code.LOG_RARER: "its log was stored every {before} and is stored every {after}",
    Code.LOG_UNSHIPPED: "its log was shipped and is no more",
    Code.GROUP_LEFT: "it was captured together with the group {before} and is not any more",
    Code.RETENTION_SHORTER: "snapshots are kept for shorter: {item} was {before} and is {after}",
    Code.HOLD_LONGER: "a snapshot may be held past its time for {before} and now for {after} before that is told",
}


def sentence(found: Loosening) -> str:
    """What it was, and what it is."""
    if found.code is Code.RETENTION_SHORTER and found.item is None:
        return "snapshots were kept for ever and are removed now"
    before, after = (_value(found, value) for value in (found.before, found.after))
    return _WORDS[found.code].format(before=before, after=after, item=found.item)


def differing(file: PlanFile, now: PlanFacts | None = None) -> list[str]:
    """How a plan's file is to the version that it is judged by; nothing where it is the same. `now`: what the file
    promises."""
    version = file.version
    if file.file in (None, "same"):
        return []
    if version is None:
        return [f"nobody has acted by the plan {file.plan} yet: it is judged by its file, and nothing was due before"]
    by = f"it is judged by the version that was recorded on {version.at:%Y-%m-%d %H:%M} (record {version.seq})"
    by = f"{file.why}: it is judged by its file" if file.why else by
    if file.file == "gone":
        return [f"no file names the plan {file.plan} any more, and no `ccdr run` has seen that it is gone; {by}"]
    return [f"the file of the plan {file.plan} differs, and nobody has acted by it since; {by}", *_less(version, now)]


def _less(version: Version, now: PlanFacts | None) -> Iterable[str]:
    for found in loosened(version.facts, now) if now else ():
        yield f"by its file, of {found.asset or 'the plan'}: {sentence(found)}"


def _value(found: Loosening, value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    seconds = found.code in _SECONDS or (found.item or "").endswith(("within", "apart"))
    return human_seconds(value) if seconds else f"{value:g}"
