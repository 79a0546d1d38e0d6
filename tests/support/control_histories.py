"""Of each part: a history that has its evidence, one that lacks it, one in which it failed, one in which it went stale.
Whoever adds a part adds them here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.controls.values import ControlState
from ccdr.evidence.history.kinds import ACCESS_REVIEWED, ERASURE_NOBODY
from ccdr.evidence.records.statements import APPROVE_OPERATION, DECIDE_CLOSED, DECIDE_FILED, REVIEW_GLASS, Row
from ccdr.evidence.statements import ATTESTATION, PLAN_APPROVED
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from tests.support.chronicle import DISPOSED, NOUGHT, PASSED, Chronicle
from tests.support.records import body_of

DAY = 24.0
YEAR = 366 * DAY


@dataclass(frozen=True)
class History:
    """What was recorded, and how many hours after its `end` somebody asks; `records` are behind the answer, by their
    numbers."""

    tell: Callable[[Chronicle], object]
    records: tuple[int, ...] = ()
    at: float = 0.1
    wrong: tuple[Trouble, ...] = ()  # what only the host knows of
    plan: str = "p"  # or one that is to be `approved`, or whose packs are to be `locked`


def nothing(_: Chronicle) -> None: ...


def well(past: Chronicle) -> None:
    """1: an older backup, 2: its test, 3: a newer backup."""
    past.stored(-5, "old")
    past.tested(-4, "old")
    past.stored(-0.5, "new")


def recovered(past: Chronicle, hours: float, state: str = "done", verdict: str = "MET", **more: Any) -> None:
    target = {"kind": "directory", "name": "/back"}
    asset = {"asset": past.asset, "state": state if state == "done" else "failed", "snapshot": NOUGHT, "target": target}
    rpo = {"objective_s": 3600.0, "achieved_s": 60.0, "verdict": "MET"}
    rto = {
        "objective_s": 1800.0,
        "achieved_s": 90.0,
        "machine_s": 90.0,
        "waited_s": 0.0,
        "away_s": 0.0,
        "verdict": verdict,
    }
    past.wrote(hours, "recover.end", asset=None, state=state, rpo=rpo, rto=rto, assets=[asset], **more)


def recovery_crashed(past: Chronicle) -> None:
    past.wrote(-9 * DAY, "recover.start", asset=None, plan_sha256=NOUGHT, assets=[], decided_sha256=NOUGHT)


CLOCK = {"clock": "gdpr-33", "law": "GDPR 33(1)", "to": "authority", "within_s": 259200.0, "before_s": 64800.0}


def opened(past: Chronicle, hours: float, name: str = "inc-1", run: str | None = None, **more: Any) -> int:
    """An incident whose one clock is due 72 hours later."""
    body = {
        "incident": name,
        "by": "recover" if run else "person",
        "kinds": ["availability"],
        "aware_at": rfc3339(past.at(hours)),
        "role": "controller",
        "clocks": [{**CLOCK, "due": rfc3339(past.at(hours + 72))}],
        "recovery": run,
        "boot": None,
        "elapsed_s": 1.0,
    }
    return past.wrote(hours, "incident.opened", asset=None, **body | more)


def filed(past: Chronicle, hours: float, name: str = "inc-1", clock: str = "gdpr-33", **more: Any) -> int:
    about = {"incident": name, "clock": clock, "filed_at": rfc3339(past.at(hours))}
    return said_of_incident(past, hours, DECIDE_FILED, **about | more)


def said_of_incident(past: Chronicle, hours: float, row: Row[Any], **about: Any) -> int:
    """What somebody states of one."""
    body = body_of(row.kind, full=False) | {"files": [NOUGHT] if "files" in row.needs else []}
    return past.wrote(hours, row.kind, asset=None, **body | {"about": {"of": row.of} | about})


def closed(past: Chronicle, hours: float, name: str = "inc-1", cause: str = "rehearsal", **more: Any) -> int:
    about = {"incident": name, "cause": cause, "effects_sha256": NOUGHT, "remedy_sha256": NOUGHT}
    return said_of_incident(past, hours, DECIDE_CLOSED, **about | {"not_due": ["gdpr-33"]} | more)


def begun(past: Chronicle, hours: float, run: str) -> int:
    return past.wrote(hours, "recover.start", run, asset=None, plan_sha256=NOUGHT, assets=[], decided_sha256=NOUGHT)


def then(*told: Callable[[Chronicle], object]) -> Callable[[Chronicle], None]:
    def tell(past: Chronicle) -> None:
        for one in told:
            one(past)

    return tell


def verified(past: Chronicle, hours: float, result: str = "HOLDS", summary: str = "EQUAL") -> None:
    problems = [] if result == "HOLDS" else ["record 3 was changed"]
    past.wrote(
        hours, "ledger.verified", asset=None, result=result, records=7, head=NOUGHT, summary=summary, problems=problems
    )


def compared(past: Chronicle, hours: float, result: str = "AGREES") -> None:
    past.wrote(
        hours,
        "ledger.compared",
        asset=None,
        result=result,
        snapshots=2,
        elsewhere=0,
        newest=1,
        whole=True,
        vanished={},
    )


def missed(past: Chronicle, hours: float) -> None:
    due = rfc3339(past.at(hours))
    past.wrote(hours, "missed", verb="backup", due=due, first_due=due, count=3)


def not_begun(past: Chronicle, hours: float) -> None:
    past.wrote(hours, "not_begun", verb="backup", due=rfc3339(past.at(hours)), reason="no disk")


def copied(past: Chronicle, hours: float, result: str = "DONE", *, tested: bool = True, **more: Any) -> None:
    """1: to the copy `farther`, which is filled once a year; 2, 3: both restored from; 4: to the copy `far`."""
    point = rfc3339(past.at(hours - 1))
    there = {"there": {past.asset: 2}, "newest": {past.asset: point}}
    past.wrote(hours - 0.1, "copy.end", asset=None, copy="farther", result="DONE", **there)
    for copy in ("farther", "far") if tested else ():
        past.tested(hours - 0.1, "old", copy=copy)
    reason = None if result == "DONE" else "no disk"
    past.wrote(hours, "copy.end", asset=None, copy="far", result=result, reason=reason, **there | more)


def tended(past: Chronicle) -> None:
    past.pruned(-3)
    past.checked(-3, parts=2)
    copied(past, -2)


def version(past: Chronicle, hours: float, **more: Any) -> None:
    facts = {
        "format": 2, "timezone": "UTC", "mtd": None, "retention": None, "prune": "0 5 * * *", "check": "0 6 * * *",
        "parts": 2, "assets": {}, "copies": {},
        "repository": {"location": NOUGHT, "on_host": False, "apart": True},
    } | more  # fmt: skip
    files = {"plans/p.yaml": NOUGHT}
    past.wrote(hours, "plan.version", asset=None, digest=NOUGHT, predecessor=None, files=files, facts=facts)


def kept(past: Chronicle, hours: float) -> None:
    past.wrote(hours, "plan.stored", asset=None, digest=NOUGHT, snapshot=NOUGHT, repository=past.repository)


def versioned(past: Chronicle, restic: str) -> None:
    past.stored(-5, "old", tools={"source": "1", "ccdr": "0.1.0"})
    past.tested(-4, "old", tools={"restic": restic, "ccdr": "0.1.0"})


OPENED = {
    "way": "tls", "site": "Cluj", "format": 2, "keys": 1, "oldest_key": "2026-11-01T00:00:00Z", "key_ids": [NOUGHT],
}  # fmt: skip
UNOPENED = {"way": "tls", "site": "Cluj"}
AT_THE_SOURCE = OPENED | {"site": "Iasi"}
SPOKEN = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "verified": True, "ca_sha256": NOUGHT}
SECRET = {
    "place": "repository.password_file", "there": True, "open_to_others": False, "changed": "2026-11-01T00:00:00Z",
    "weak": False, "also_in": [],
}  # fmt: skip


def examined(past: Chronicle, site: str | None = "Iasi", repository: dict[str, Any] = OPENED, **more: Any) -> None:
    body = {"site": site, "repositories": {"primary": repository}, "sources": {}, "secrets": [SECRET]}
    past.wrote(-3, "plan.examined", asset=None, **body | more)


def begun_from(past: Chronicle, hours: float = -1.0, host: str = "h") -> None:
    """A backup that was begun, and ended."""
    past.stored(hours, f"s{hours}{host}", begun=True)
    past.records[-2]["host"] = host


def extended(past: Chronicle, hours: float, result: str = "DONE", **more: Any) -> None:
    """Locks of what is in use were pushed forward; they end after 39 days."""
    body = {"repository": "primary", "objects": 9, "extended": 9, "held": 0, "keep": 35 * 86400.0, "seconds": 1.0}
    ends = rfc3339(past.at(39 * DAY)) if result == "DONE" else None
    past.wrote(hours, "lock.extended", asset=None, result=result, holds_until=ends, **body | more)


GROWTH = {"processed": 5, "added": 5, "packed": 5, "files": 1, "new": 1, "changed": 0}


def grown(past: Chronicle) -> None:
    for n in range(4):
        past.stored(-4 + n, f"s{n}", growth=GROWTH)


SIGNED = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
BY = {"name": "Ana", "key": f"SHA256:{NOUGHT[:43]}", "user_verified": True, "signature": SIGNED}


def stated(past: Chronicle, hours: float, kind: str, about: dict[str, Any], **more: Any) -> None:
    """As `body_of` has it, of now."""
    whole = body_of(kind)
    body = whole | {"about": whole["about"] | about, "made": rfc3339(past.at(hours)), "by": BY, "nonce": NOUGHT[:32]}
    past.wrote(hours, kind, asset=None, **body | more)


def approval_used(past: Chronicle, hours: float) -> None:
    about = {"operation": "prune", "digest": NOUGHT, "repository": NOUGHT, "requested_by": "Ion", "key": BY["key"]}
    stated(
        past, hours, APPROVE_OPERATION.kind, about, until=rfc3339(past.at(hours + 1)), requested=BY | {"name": "Ion"}
    )


def glass_broken(past: Chronicle, hours: float, operation: str = "prune") -> None:
    past.wrote(hours, "approval.glass", asset=None, operation=operation, digest=NOUGHT, repository=NOUGHT,
               why_sha256=NOUGHT, nonce=NOUGHT[:32])  # fmt: skip


def glass_reviewed(past: Chronicle, hours: float) -> None:
    stated(past, hours, REVIEW_GLASS.kind, {"glass": NOUGHT[:32]}, nonce="1" * 32)


HELD = {"asset": "crm", "id": NOUGHT, "since": "2026-01-01T00:00:00Z", "why": ["it is under a hold"]}


def roles_tried(
    past: Chronicle,
    hours: float,
    result: str = "HELD",
    repository: str | None = None,
    state: str = "works",
    named: str | None = None,
) -> None:
    promises = [
        {"promise": "credentials_differ", "result": "HELD", "tried": 5},
        {
            "promise": "verify_cannot_write",
            "result": result,
            "tried": 13,
            "why": None if result == "HELD" else "so it is",
        },
    ]
    past.wrote(hours, "access.tested", asset=None, repository=repository or past.repository, versioning="Enabled",
               roles={"verify": state}, promises=promises, named_sha256=named or past.credentials)  # fmt: skip


def access_reviewed(
    past: Chronicle, hours: float, result: str = "in_order", unread: int = 0, by: Any = None, **about: Any
) -> None:
    about = {"exported": rfc3339(past.at(hours)), "entries": 9, "unread": unread, "result": result, **about}
    about = {"not_read": [], "elsewhere_sha256": None} | about
    stated(past, hours, ACCESS_REVIEWED, about, until=rfc3339(past.at(hours + 92 * DAY)), by=by)


def _register(entries: int) -> dict[str, Any]:
    return {"register": "r", "entries": entries, "hash": NOUGHT}


def erased(past: Chronicle, hours: float, entries: int = 1) -> None:
    at = rfc3339(past.at(hours))
    past.wrote(hours, "erasure.add", entry=f"e-{entries:06}", what="rows", canary=False, erased_at=at, pseudonym=NOUGHT,
               rule_version=1, head=_register(entries), snapshot=NOUGHT)  # fmt: skip


PERSON = {"id": "e-000001", "canary": False, "found_before": 2, "found_after": 0}
PLANTED = {"id": "e-000002", "canary": True, "found_before": 1, "found_after": 0}


def replayed(past: Chronicle, hours: float, result: str = "PROVEN", **more: Any) -> None:
    """Of somebody, and where that is proven of a canary, too."""
    proven = result == "PROVEN"
    body = {
        "purpose": "test",
        "result": result,
        "head": _register(1),
        "entries": 1 + proven,
        "canaries": int(proven),
        "found": [PERSON, PLANTED] if proven else [],
    }
    past.wrote(hours, "erasure.replay", **body | more)


def nobody_found(past: Chronicle, hours: float, missing: Sequence[str] = ("e-000001",)) -> None:
    """By an entry that was to be found; the canary of another was."""
    not_shown = {"missing": [*missing], "not_shown": ["e-000001"]}
    replayed(past, hours, "ERASED", entries=2, canaries=1, found=[PLANTED], **not_shown)


def answered_for(past: Chronicle, hours: float) -> None:
    past.wrote(
        hours, ERASURE_NOBODY, **body_of(ERASURE_NOBODY) | {"about": {"of": "entry", "entry": "e-000001", "missing": 1}}
    )


def approved(past: Chronicle, hours: float, digest: str = NOUGHT, *, verified: bool | None = True) -> None:
    review = rfc3339(past.at(hours + 900 * DAY))
    stated(past, hours, PLAN_APPROVED, {"digest": digest}, until=review, by=BY | {"user_verified": verified})


def controlled(past: Chronicle, hours: float, result: str) -> None:
    """A copy was damaged on purpose, and tested."""
    damaged = {"CAUGHT": "FAIL", "PASSED": "PASS"}[result]
    snapshot = {"id": NOUGHT, "consistent_point": rfc3339(past.at(hours)), "bytes": 5, "manifest_sha256": NOUGHT}
    copies = {"healthy": {"verdict": "PASS", "checks": [PASSED]}, "damaged": {"verdict": damaged}}
    damage = {"kind": "file_truncated", "table": None, "seed": 7}
    past.wrote(
        hours, "negative_control.end", result=result, phases={}, snapshot=snapshot, damage=damage, **copies, **DISPOSED
    )


def approvals(lacking: list[History]) -> dict[ControlState, list[History]]:
    here = "approved"
    return {
        ControlState.SHOWN: [History(lambda p: (version(p, -2), approved(p, -1)), (2,), plan=here)],
        ControlState.NOTHING: [History(nothing), *lacking],
        ControlState.CONTRADICTED: [History(lambda p: (approved(p, -3, "1" * 64), version(p, -2)), (1,), plan=here)],
        ControlState.EXPIRED: [History(lambda p: (version(p, -2), approved(p, -1)), (2,), at=91 * DAY, plan=here)],
    }


BOX: dict[str, Any] = {
    "image": "i",
    "network": "none",
    "root": "read-only",
    "capabilities": "none",
    "storage": "memory",
}


def boxed(past: Chronicle, hours: float = -0.2, left: tuple[str, ...] = (), **more: Any) -> None:
    past.stored(-5, "old")
    past.tested(hours, "old", sandbox=BOX | more, disposal={"left_behind": list(left)})


PLAIN = {"kept": "plain", "filesystem": "ext4", "device": "254:0"}


def fetched(past: Chronicle, scratch: dict[str, Any] | None, **more: Any) -> None:
    """A restore test whose sandbox lay in memory, and what it fetched there."""
    past.stored(-5, "old")
    told = {} if scratch is None else {"scratch": scratch}
    past.tested(-0.2, "old", sandbox=BOX | more, disposal={"left_behind": []}, **told)


def attested(
    past: Chronicle,
    hours: float,
    item: str,
    until: float,
    kind: str = ATTESTATION,
    scope: str | None = None,
    by: Any = None,
) -> None:
    lasts = {"until": rfc3339(past.at(until))} if kind == ATTESTATION else {}
    stated(past, hours, kind, {"item": item, "scope": scope}, by=by, **lasts)
    past.records[-1]["plan"] = None  # it is of this host


CONTRADICTED, EXPIRED, SHOWN, STATED, NOTHING = ControlState

HISTORIES: dict[str, dict[ControlState, list[History]]] = {
    "backup-and-recovery/backups": {
        SHOWN: [History(well, (3,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [History(then(well, lambda p: p.failed(-0.1)), (3, 4))],
        EXPIRED: [History(well, (3,), at=9)],
    },
    "backup-and-recovery/restore-tests": {
        SHOWN: [
            History(well, (2,)),
            History(then(well, lambda p: p.tested(-0.1, "new", "INCONCLUSIVE")), (2,)),
        ],
        NOTHING: [
            History(lambda p: p.stored(-0.5, "new")),
            History(lambda p: (p.stored(-0.5, "new"), p.tested(-0.1, "new", "INCONCLUSIVE")), (2,)),
        ],
        CONTRADICTED: [History(then(well, lambda p: p.tested(-0.1, "new", "FAIL")), (4,))],
        EXPIRED: [History(well, (2,), at=3 * DAY)],
    },
    "backup-and-recovery/objectives": {
        SHOWN: [History(well, (2, 3))],
        NOTHING: [History(lambda p: p.stored(-0.5, "new"), (1,))],
        CONTRADICTED: [
            History(well, (2, 3), at=0.9),
            History(lambda p: (p.stored(-0.5, "new"), p.tested(-0.2, "new", took=3600.0)), (1, 2)),
        ],
        EXPIRED: [History(lambda p: (p.stored(-5, "a"), p.tested(-4, "a"), p.stored(71.5, "b")), (2, 3), at=72)],
    },
    "backup-and-recovery/checks": {
        SHOWN: [History(lambda p: (p.checked(-2, parts=2), p.checked(-1, part=2, parts=2)), (2,))],
        NOTHING: [History(nothing), History(lambda p: p.checked(-1, parts=2), (1,)), History(lambda p: p.checked(-1, "INCONCLUSIVE", parts=2), (1,))],
        CONTRADICTED: [History(lambda p: (p.checked(-3, "DAMAGED", parts=2), p.checked(-2, part=2, parts=2)), (1, 2))],
        EXPIRED: [History(lambda p: p.checked(-1, parts=2), (1,), at=3 * DAY)],
    },
    "backup-and-recovery/recoveries": {
        SHOWN: [History(lambda p: recovered(p, -1), (1,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [
            History(lambda p: recovered(p, -1, "failed"), (1,)),
            History(lambda p: recovered(p, -30 * DAY, "paused_by_failed_step"), (1,)),
            History(lambda p: recovered(p, -1, verdict="BREACHED"), (1,)),
            History(lambda p: (recovered(p, -99 * DAY), recovery_crashed(p)), (2,)),
        ],
        EXPIRED: [History(lambda p: recovered(p, -YEAR - 1), (1,))],
    },
    "policies-and-training/plan-versions": {
        SHOWN: [History(lambda p: (version(p, -2), kept(p, -1)), (1, 2))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [History(lambda p: version(p, -2), (1,), wrong=(Trouble.PLAN_FILES_GONE,))],
        EXPIRED: [History(lambda p: (version(p, -9), p.stored(-1, "new")), (1,))],
    },
    "encryption/sandbox-storage": {
        SHOWN: [
            History(lambda p: fetched(p, {"kept": "memory", "filesystem": "tmpfs", "device": "0:30"}), (2,)),
            History(lambda p: fetched(p, PLAIN | {"kept": "encrypted"}), (2,)),
        ],
        STATED: [
            History(lambda p: (fetched(p, PLAIN), attested(p, -0.1, "disk-encryption", 300)), (2, 3)),
            History(lambda p: (fetched(p, PLAIN, storage="disk"), attested(p, -0.1, "disk-encryption", 300, scope="h")), (2, 3)),
        ],
        EXPIRED: [History(lambda p: fetched(p, PLAIN), (2,), at=3 * DAY)],
        NOTHING: [
            History(nothing),
            History(well, (2,)),
            History(lambda p: fetched(p, None), (2,)),
            History(lambda p: fetched(p, PLAIN), (2,)),
            History(lambda p: fetched(p, PLAIN | {"kept": "unknown"}), (2,)),
            History(lambda p: fetched(p, PLAIN | {"kept": "encrypted"}, storage="disk"), (2,)),
            History(lambda p: (fetched(p, PLAIN), attested(p, -0.1, "disk-encryption", 300, scope="another")), (2,)),
            History(lambda p: (fetched(p, PLAIN), attested(p, -0.3, "disk-encryption", 0.05)), (2,)),
        ],
        CONTRADICTED: [History(lambda p: boxed(p, left=("a volume",)), (2,))],
    },
    "security-testing/isolation": {
        SHOWN: [History(boxed, (2,)), History(well, (2,))],
        EXPIRED: [History(boxed, (2,), at=3 * DAY), History(well, (2,), at=3 * DAY)],
        NOTHING: [History(nothing), History(lambda p: boxed(p, network=None), (2,))],
        CONTRADICTED: [
            History(lambda p: boxed(p, network="bridge"), (2,)),
            History(lambda p: boxed(p, differs=[{"fact": "root", "asked": "read-only", "observed": "writable"}]), (2,)),
        ],
    },
    "monitoring-and-audit/ledger": {
        SHOWN: [History(lambda p: verified(p, -3), (1,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [
            History(lambda p: verified(p, -3, "BROKEN"), (1,)),
            History(lambda p: verified(p, -3, summary="DIFFERS"), (1,)),
            History(lambda p: verified(p, -3), (1,), wrong=(Trouble.LEDGER_SPOILT,)),
            History(lambda p: verified(p, -3), (1,), wrong=(Trouble.LEDGER_LOST,)),
        ],
        EXPIRED: [History(lambda p: verified(p, -2 * DAY - 1), (1,))],
    },
    "monitoring-and-audit/comparisons": {
        SHOWN: [History(lambda p: compared(p, -3), (1,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [
            History(lambda p: compared(p, -3, "DIFFERS"), (1,)),
            History(then(well, lambda p: p.gone(-0.2, "old")), (4,)),
            History(lambda p: (compared(p, -3), copied(p, -2, vanished={"crm": [NOUGHT]})), (1,)),
        ],
        EXPIRED: [History(lambda p: compared(p, -2 * DAY - 1), (1,))],
    },
    "monitoring-and-audit/runs": {
        SHOWN: [History(well, (3,)), History(then(lambda p: missed(p, -8 * DAY), tended, well), (1, 10))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [History(then(well, lambda p: missed(p, -0.2)), (4,)), History(then(well, lambda p: not_begun(p, -0.2)), (4,))],
        EXPIRED: [History(well, (3,), at=9)],
    },
    "monitoring-and-audit/access": {
        SHOWN: [
            History(then(lambda p: begun_from(p, -30 * DAY), examined), (3,)),
            History(then(lambda p: begun_from(p, -30 * DAY), examined, begun_from), (3,)),
        ],
        NOTHING: [
            History(nothing),
            History(examined, (1,)),
            History(then(lambda p: begun_from(p, -6 * DAY), examined), (3,)),
            History(lambda p: examined(p, repositories={"primary": OPENED, "far": UNOPENED}), (1,)),
        ],
        CONTRADICTED: [
            History(then(lambda p: begun_from(p, -30 * DAY), examined, lambda p: begun_from(p, -1, "h2")), (3,)),
            History(then(lambda p: begun_from(p, -30 * DAY), *(lambda p, k=k: examined(p, repository=OPENED | {"key_ids": k}) for k in ([NOUGHT], [NOUGHT, "1" * 64]))), (4,)),
        ],
        EXPIRED: [History(examined, (1,), at=3 * DAY)],
    },
    "threats/object-locks": {
        SHOWN: [History(lambda p: extended(p, -3), (1,), plan="locked")],
        NOTHING: [
            History(nothing),
            History(nothing, plan="locked"),
            History(lambda p: (extended(p, -3), extended(p, -2, objects=0)), (2,), plan="locked"),
        ],
        CONTRADICTED: [
            History(lambda p: (extended(p, -3), extended(p, -2, "FAILED", reason="refused")), (2,), plan="locked"),
            History(lambda p: extended(p, -3, overwritten=1), (1,), plan="locked"),
            History(lambda p: extended(p, -3), (1,), at=9 * DAY, plan="locked"),
        ],
        EXPIRED: [History(lambda p: extended(p, -3), (1,), at=3 * DAY, plan="locked")],
    },
    "physical-security/copies": {
        SHOWN: [History(lambda p: copied(p, -2), (1, 4))],
        NOTHING: [
            History(lambda p: p.stored(-0.5, "new")),
            History(lambda p: (well(p), copied(p, -2, tested=False)), (4, 5)),
        ],
        CONTRADICTED: [
            History(lambda p: (copied(p, -9), copied(p, -2, "FAILED", there=None)), (4, 5, 8)),
            History(lambda p: copied(p, -2, vanished={"crm": [NOUGHT]}), (1, 4)),
        ],
        EXPIRED: [History(lambda p: copied(p, -2), (1, 4), at=3 * DAY)],
    },
    "legal-compliance/retention": {
        SHOWN: [
            History(lambda p: p.pruned(-3, kept={"crm": 5}), (1,)),
            History(lambda p: (p.stored(-9, "old"), p.pruned(-3, "DONE", "old")), (2,)),
            History(lambda p: (glass_broken(p, -99 * DAY), p.stored(-99 * DAY, "old"), p.pruned(-98 * DAY, "DONE", "old"), p.pruned(-3, kept={"crm": 5})), (4,)),
            History(lambda p: (glass_broken(p, -9, "register"), p.pruned(-3, kept={"crm": 5})), (2,)),
        ],
        NOTHING: [
            History(nothing),
            History(lambda p: p.pruned(-3), (1,)),
            History(lambda p: p.pruned(-3, kept={"crm": 1}, held=[HELD]), (1,)),
            History(lambda p: (p.stored(-9, "good"), glass_broken(p, -8), p.pruned(-7, "DONE", "good"), glass_reviewed(p, -6), p.pruned(-3, kept={"crm": 5})), (3, 5)),
            History(lambda p: (p.stored(-9, "good"), glass_broken(p, -8), p.pruned(-7, "FAILED", reason="no disk"), p.pruned(-3, "DONE", "good")), (4,)),
        ],
        CONTRADICTED: [History(lambda p: (p.pruned(-3), p.pruned(-2, "FAILED", reason="no disk")), (2,))],
        EXPIRED: [History(lambda p: p.pruned(-3), (1,), at=3 * DAY)],
    },
    "policies-and-training/approval": approvals([]),
    "backup-and-recovery/approval": approvals([]),
    "access-control/second-factor": approvals(
        [History(lambda p: (version(p, -2), approved(p, -1, verified=None)), (2,), plan="approved")]
    ),
    "security-testing/negative-controls": {
        SHOWN: [History(lambda p: controlled(p, -3, "CAUGHT"), (1,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [History(lambda p: (controlled(p, -3, "CAUGHT"), controlled(p, -2, "PASSED")), (2,))],
        EXPIRED: [History(lambda p: (version(p, -4), controlled(p, -3, "CAUGHT")), (2,), at=3 * DAY)],
    },
    "updates/versions": {
        SHOWN: [History(lambda p: versioned(p, "0.18.0"), (1, 2))],
        NOTHING: [History(well)],
        CONTRADICTED: [History(lambda p: versioned(p, "0.9.6"), (2,))],
        EXPIRED: [History(lambda p: versioned(p, "0.18.0"), (1, 2), at=32 * DAY)],
    },
    "updates/images": {
        SHOWN: [History(lambda p: boxed(p, image_created=rfc3339(p.at(-99 * DAY))), (2,))],
        NOTHING: [History(boxed, (2,)), History(nothing)],
        CONTRADICTED: [History(lambda p: boxed(p, image_created=rfc3339(p.at(99 * DAY))), (2,))],
        EXPIRED: [History(lambda p: boxed(p, image_created=rfc3339(p.at(-181 * DAY))), (2,))],
    },
    "encryption/repositories": {
        SHOWN: [History(examined, (1,))],
        NOTHING: [History(nothing), History(lambda p: examined(p, repository={"way": "tls"}), (1,))],
        CONTRADICTED: [History(lambda p: examined(p, repository=OPENED | {"way": "plain"}), (1,))],
        EXPIRED: [
            History(examined, (1,), at=3 * DAY),
            History(lambda p: examined(p, repository=OPENED | {"oldest_key": "2024-01-01T00:00:00Z"}), (1,)),
        ],
    },
    "encryption/sources": {
        SHOWN: [History(examined, (1,)), History(lambda p: examined(p, sources={"crm": "tls"}), (1,))],
        NOTHING: [History(nothing)],
        CONTRADICTED: [History(lambda p: examined(p, sources={"crm": "plain"}), (1,))],
        EXPIRED: [History(examined, (1,), at=3 * DAY)],
    },
    "encryption/tls": {
        SHOWN: [
            History(lambda p: examined(p, repository=OPENED | {"tls": SPOKEN}), (1,)),
            History(lambda p: (examined(p, repository=OPENED | {"way": "this_host"}), p.stored(-2, "s", tls=SPOKEN)), (2,)),
            History(lambda p: (examined(p, repository=OPENED | {"tls": SPOKEN}), p.stored(-2, "s", tls=SPOKEN)), (1, 2)),
        ],
        NOTHING: [
            History(nothing),
            History(examined, (1,)),
            History(lambda p: examined(p, repository=OPENED | {"way": "this_host"}), (1,)),
        ],
        CONTRADICTED: [
            History(lambda p: examined(p, repository=OPENED | {"tls": SPOKEN | {"version": "TLSv1.1"}}), (1,)),
            History(lambda p: examined(p, repository=OPENED | {"tls": SPOKEN | {"verified": False}}), (1,)),
            History(lambda p: (examined(p, repository=OPENED | {"tls": SPOKEN}), p.stored(-2, "s", tls=SPOKEN | {"version": "TLSv1"})), (1, 2)),
        ],
        EXPIRED: [History(lambda p: examined(p, repository=OPENED | {"tls": SPOKEN}), (1,), at=3 * DAY)],
    },
    "physical-security/sites": {
        SHOWN: [
            History(examined, (1,)),
            History(lambda p: examined(p, repositories={"primary": AT_THE_SOURCE, "far": OPENED}), (1,)),
        ],
        NOTHING: [
            History(nothing),
            History(lambda p: examined(p, site=None), (1,)),
            History(lambda p: examined(p, repository=OPENED | {"site": None}), (1,)),
            History(lambda p: examined(p, repository=OPENED | {"beside_source": "loopback"}), (1,)),
        ],
        CONTRADICTED: [
            History(lambda p: examined(p, repository=OPENED | {"site": "Iasi"}), (1,)),
            History(lambda p: examined(p, repository=OPENED | {"beside_source": "path"}), (1,)),
            History(lambda p: examined(p, repository=AT_THE_SOURCE), (1,)),
            History(lambda p: examined(p, repositories={"primary": AT_THE_SOURCE, "ledger_repository": OPENED}), (1,)),
        ],
        EXPIRED: [History(examined, (1,), at=3 * DAY)],
    },
    "workplace-hygiene/secrets": {
        SHOWN: [History(examined, (1,))],
        NOTHING: [
            History(nothing),
            History(lambda p: examined(p, secrets=[]), (1,)),
            History(lambda p: examined(p, secrets=[SECRET | {"there": False}]), (1,)),
        ],
        CONTRADICTED: [
            History(lambda p: examined(p, secrets=[SECRET | {"open_to_others": True}]), (1,)),
            History(lambda p: examined(p, secrets=[SECRET | {"weak": True}]), (1,)),
            History(lambda p: examined(p, secrets=[SECRET, SECRET | {"also_in": ["q"]}]), (1,)),
        ],
        EXPIRED: [
            History(examined, (1,), at=3 * DAY),
            History(lambda p: examined(p, secrets=[SECRET | {"changed": "2024-01-01T00:00:00Z"}]), (1,)),
        ],
    },
    "access-control/four-eyes": approvals([]) | {
        SHOWN: [
            History(lambda p: (version(p, -2), approved(p, -1)), (2,), plan="approved"),
            History(lambda p: (version(p, -2), approved(p, -1), approval_used(p, -0.5)), (2, 3), plan="approved"),
            History(lambda p: (glass_broken(p, -99 * DAY), glass_reviewed(p, -98 * DAY), version(p, -2), approved(p, -1)), (4,), plan="approved"),
        ],
        NOTHING: [
            History(nothing),
            History(lambda p: (version(p, -2), approved(p, -1), glass_broken(p, -0.5), glass_reviewed(p, -0.4)), (3,), plan="approved"),
        ],
        CONTRADICTED: [
            History(lambda p: (approved(p, -3, "1" * 64), version(p, -2)), (1,), plan="approved"),
            History(lambda p: (version(p, -2), approved(p, -1), glass_broken(p, -0.5)), (3,), plan="approved"),
        ],
    },
    "access-control/roles": {
        SHOWN: [
            History(lambda p: roles_tried(p, -3), (1,)),
            History(lambda p: (roles_tried(p, -3, "BROKEN"), roles_tried(p, -2)), (2,)),
        ],
        NOTHING: [
            History(nothing),
            History(lambda p: roles_tried(p, -3, "NOT_SHOWN"), (1,)),
            History(lambda p: roles_tried(p, -3, "CANNOT_SEPARATE"), (1,)),
            History(lambda p: roles_tried(p, -3, repository="1" * 64)),
            History(lambda p: (roles_tried(p, -9, "BROKEN", repository="1" * 64), roles_tried(p, -3, "NOT_SHOWN")), (2,)),
            History(lambda p: (roles_tried(p, -9, "BROKEN"), roles_tried(p, -3, "NOT_SHOWN", state="not_named")), (2,)),
        ],
        CONTRADICTED: [
            History(lambda p: (roles_tried(p, -3), roles_tried(p, -2, "BROKEN")), (2,)),
            History(lambda p: (roles_tried(p, -3, "BROKEN"), roles_tried(p, -2, "NOT_SHOWN")), (1, 2)),
        ],
        EXPIRED: [History(lambda p: roles_tried(p, -93 * DAY), (1,))],
    },
    "access-control/access-review": {
        STATED: [
            History(lambda p: access_reviewed(p, -3), (1,)),
            History(lambda p: access_reviewed(p, -3, unread=2, elsewhere_sha256=NOUGHT, by=BY), (1,), plan="approved"),
            History(lambda p: (access_reviewed(p, -9, "to_be_changed"), access_reviewed(p, -3)), (2,)),
            History(lambda p: access_reviewed(p, -3, unread=2, elsewhere_sha256=NOUGHT), (1,)),
        ],
        NOTHING: [
            History(nothing),
            History(lambda p: access_reviewed(p, -3), (1,), plan="approved"),
            History(lambda p: access_reviewed(p, -3, unread=2, elsewhere_sha256=NOUGHT), (1,), plan="approved"),
            History(lambda p: access_reviewed(p, -3, unread=2), (1,)),
            History(lambda p: access_reviewed(p, -3, unread=2, not_read=["accounts of crm"]), (1,)),
        ],
        CONTRADICTED: [History(lambda p: access_reviewed(p, -3, "to_be_changed"), (1,))],
        EXPIRED: [History(lambda p: access_reviewed(p, -93 * DAY), (1,))],
    },
    "threats/leaps": {
        SHOWN: [History(grown, (4,)), History(lambda p: p.stored(-0.5, "a", canaries={"door": NOUGHT}), (1,))],
        NOTHING: [History(nothing), History(well, (3,))],
        CONTRADICTED: [History(lambda p: (grown(p), p.stored(-0.2, "z", suspect=["incompressible"], growth=GROWTH)), (5,))],
        EXPIRED: [History(grown, (4,), at=9)],
    },
    "incident-reporting/incidents": {
        SHOWN: [
            History(lambda p: opened(p, -5), (1,)),
            History(lambda p: (begun(p, -5, "r-1"), opened(p, -4.9, run="r-1")), (2,)),
            History(lambda p: (opened(p, -80, clocks=[]), closed(p, -30, not_due=[])), (1,)),
        ],
        STATED: [
            History(lambda p: (opened(p, -80), filed(p, -30)), (1,)),
            History(lambda p: (opened(p, -80), closed(p, -30)), (1,)),
        ],
        NOTHING: [History(nothing)],
        CONTRADICTED: [
            History(lambda p: opened(p, -80), (1,)),
            History(lambda p: begun(p, -5, "r-1"), (1,)),
            History(lambda p: (opened(p, -6, run="r-0"), begun(p, -5, "r-1")), (2,)),
        ],
        EXPIRED: [
            History(lambda p: (opened(p, -80), closed(p, -30)), (1,), at=YEAR),
            History(lambda p: (opened(p, -100), filed(p, -90)), (1,), at=91 * DAY),
        ],
    },
    "legal-compliance/erasures": {
        SHOWN: [
            History(lambda p: (erased(p, -5), replayed(p, -4)), (1, 2)),
        ],
        STATED: [History(lambda p: (erased(p, -5), nobody_found(p, -4), answered_for(p, -3)), (1, 2, 3))],
        NOTHING: [
            History(nothing),
            History(lambda p: erased(p, -5), (1,)),
            History(lambda p: (erased(p, -5), replayed(p, -4, "ERASED")), (1, 2)),
            History(lambda p: (erased(p, -5), nobody_found(p, -4)), (1, 2)),
            History(lambda p: (erased(p, -5), nobody_found(p, -4, missing=())), (1, 2)),
            History(lambda p: (erased(p, -5), replayed(p, -4, found=[PLANTED])), (1, 2)),
        ],
        CONTRADICTED: [
            History(lambda p: (erased(p, -5), replayed(p, -4), replayed(p, -3, "FAILED")), (1, 3)),
            History(lambda p: (erased(p, -5), replayed(p, -4, "ERASED", canaries=1, found=[PERSON | {"late": True}], point=rfc3339(p.at(-4)))), (1, 2)),
            History(lambda p: (erased(p, -5), replayed(p, -4, "FAILED", handed_over=True), replayed(p, -3)), (1, 3)),
        ],
        EXPIRED: [
            History(lambda p: (erased(p, -5), replayed(p, -4), erased(p, -3, entries=2)), (2, 3)),
            History(lambda p: (well(p), erased(p, -5), replayed(p, -4)), (4, 5), at=3 * DAY),
        ],
    },
}  # fmt: skip

CASES = [
    (part, state, history) for part, states in HISTORIES.items() for state, all_ in states.items() for history in all_
]
