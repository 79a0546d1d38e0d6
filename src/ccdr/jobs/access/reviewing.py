"""`ccdr access review`: who may do what, read from the systems as they are; and that somebody has looked at it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.access import HOLDS, Review
from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_EXPORTED, ACCESS_REVIEWED, ACCESS_TESTED
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.access import AccessExported
from ccdr.evidence.records.statements import MOST_NAMED, REVIEW_ACCESS, UNREAD, ExportOfAccess, Statement
from ccdr.evidence.records.values import recorded_user
from ccdr.host.signatures import trusted_signers, verify
from ccdr.host.state_files import plain
from ccdr.jobs.access.files import files_of, signers_of
from ccdr.jobs.access.host_accounts import of_this_host
from ccdr.jobs.access.store import store_of
from ccdr.jobs.approvals.plans import signed_by
from ccdr.jobs.repository_keys.opened import log_below, stated_in
from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.errors import CcdrError, RepositoryMissing, UsageProblem, require_format
from ccdr.model.values import PRIMARY, rfc3339, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.model import Approval
from ccdr.ports.accounts import Accounts
from ccdr.ports.place import Progress
from ccdr.storage.repository_keys import keys_of
from ccdr.storage.restic import Restic

FORMAT = 2
PATIENCE = 20.0  # seconds that one question to a source may take
LARGEST = 1 << 24  # bytes of an export
SECTIONS = ("store", "repository_keys", "databases", "host_accounts", "files", "approvers")
Section = list[dict[str, Any]]


@dataclass
class Export:
    """Who may do what of one plan, at one moment. `unread`: what could not be read, and why."""

    plan: str
    at: datetime
    host: str
    sections: dict[str, Section] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    unread: list[dict[str, str]] = field(default_factory=list)

    def lacks(self, what: str, why: str) -> None:
        self.unread.append({"what": what, "why": why})

    @property
    def entries(self) -> int:
        return sum(map(_lines, self.sections.values()))

    def as_json(self) -> dict[str, object]:
        head = {"access_review": FORMAT, "plan": self.plan, "at": rfc3339(self.at), "host": self.host}
        return {**head, **self.sections, "unread": self.unread, "entries": self.entries}


def _lines(section: Section) -> int:
    """What a person looks at: of a database each of its accounts."""
    return sum(len(one["accounts"]) if "accounts" in one else 1 for one in section)


def review(loaded: LoadedPlan, services: Services, progress: Progress) -> Export:
    """Ask every system. What cannot be read is said, and stops nothing."""
    made = Export(loaded.plan.plan, services.clock.now().replace(microsecond=0), services.ledger.host)
    parts: Sequence[tuple[str, Callable[[], None]]] = (
        ("the store", lambda: _store(loaded, services, made)),
        ("the repositories' keys", lambda: _keys(loaded, services, made)),
        ("the sources", lambda: ask_sources(loaded, services, progress, made)),
        (
            "who is root on this host",
            lambda: made.sections["host_accounts"].extend(of_this_host(made.lacks)),
        ),
        (
            "files of this host",
            lambda: made.sections["files"].extend(files_of(loaded, services.state.root, made.lacks)),
        ),
        ("who may approve", lambda: made.sections["approvers"].extend(signers_of(loaded, made.lacks))),
    )
    for what, look in parts:
        progress.step(f"asking: {what}")
        look()
    return made


def _store(loaded: LoadedPlan, services: Services, made: Export) -> None:
    plan = loaded.plan
    for name, repository in stated_in(loaded).items():
        made.sections["store"].extend(store_of(plan, name, repository, made.lacks))
    last = services.histories().get((plan.plan, None), AssetHistory()).newest.get(ACCESS_TESTED)
    if last is None:
        made.lacks("what each role's credential may do at the store", "never tried: `ccdr access test` tries it")
        return
    for one in last["promises"]:
        told = {"tried": str(last["time"]), "record": last["seq"], "promise": one["promise"], "result": one["result"]}
        made.sections["store"].append({"repository": PRIMARY, "kind": "trial", **told})


def _keys(loaded: LoadedPlan, services: Services, made: Export) -> None:
    """Of each repository that the plan names, and of the shipped log's below one: whoever opens that reads as much."""
    twins = services.twins(loaded.plan.plan)
    for name, settings in stated_in(loaded).items():
        try:
            repo = services.opened(settings, limits_of(loaded)).impatient()
            made.sections["repository_keys"] += _keys_in(repo, name, twins)
        except CcdrError as error:
            made.lacks(f"keys of the repository {name}", _why(error))
            continue
        try:
            made.sections["repository_keys"] += _keys_in(log_below(repo), f"{name}.log", twins)
        except RepositoryMissing:  # none is shipped
            continue
        except CcdrError as error:
            made.lacks(f"keys of the repository {name}.log", _why(error))


def _keys_in(repo: Restic, name: str, twins: Mapping[str, str]) -> Section:
    return [{"repository": name, **plain(key)} for key in keys_of(repo, twins)]


def ask_sources(loaded: LoadedPlan, services: Services, progress: Progress, made: Export) -> None:
    """The accounts of each source's server."""
    for name, engine in loaded.plan.assets.items():
        if not engine.has_server:
            continue
        job = Job(loaded, name)
        try:
            found = _asked(job, services, progress)
        except CcdrError as error:
            made.lacks(f"accounts of {name}", _why(error))
            continue
        accounts = plain(found.accounts)
        made.sections["databases"].append({"asset": name, "engine": engine.engine_name, "accounts": accounts})
        for what in found.unread:
            made.lacks(f"of {name}", what)


def _asked(job: Job, services: Services, progress: Progress) -> Accounts:
    """What the source's server tells, by the client's own user."""
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("into")
        services.write_credentials(job, credentials)
        opened = services.lab.source(
            job.engine, run.id, into, credentials, PATIENCE, progress, any_client=True, gentle=False
        )
        with opened as (source, _):
            return job.engine.accounts(source)


def _why(error: CcdrError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)


# --- that somebody has looked ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reviewed:
    """A review, as it was recorded."""

    plan: str
    review: Review
    export: str

    def as_json(self) -> dict[str, object]:
        one = self.review
        return {
            "plan": self.plan,
            "export_sha256": self.export,
            "by": one.by,
            "key": one.key,
            "in_order": one.in_order,
            "entries": one.entries,
            "unread": one.unread,
            "not_read": list(one.not_read),
            "elsewhere": one.elsewhere,
            "valid_until": rfc3339(one.valid_until),
            "record": one.seq,
        }


def record_export(loaded: LoadedPlan, made: Export, written: bytes, services: Services) -> None:
    """That the systems told this, in a file of these bytes: who reviews it is held to that. CcdrError where the disk
    refuses."""
    exported = AccessExported(
        plan=made.plan,
        export_sha256=sha256(written).hexdigest(),
        entries=made.entries,
        unread=len(made.unread),
        tenant=loaded.plan.tenant_of(None),
        who=recorded_user(),
    )
    services.ledger.write(exported)


def _require_as_exported(plan: str, export: str, counts: tuple[int, int], services: Services) -> None:
    """UsageProblem where this host has exported no such file."""
    for record in services.ledger.newest(ACCESS_EXPORTED):
        if (record["plan"], record["export_sha256"]) == (plan, export):
            if (record["entries"], record["unread"]) == counts:
                return
            break
    raise UsageProblem(
        "no record of this host tells of such an export: it was changed since it was written, or made elsewhere",
        hint=f"ccdr access review {plan} --out FILE   asks the systems anew; look at that file",
    )


def looked_at(
    loaded: LoadedPlan,
    export: Path,
    found: str,
    services: Services,
    *,
    in_order: bool,
    elsewhere: str | None = None,
) -> Statement[ExportOfAccess]:
    """What is to be signed or recorded: the words are kept from now on; `elsewhere` says who looked at what could not
    be read. UsageProblem where the file is no export of this plan's that this host has made, or too old."""
    plan, now = loaded.plan.plan, services.clock.now().replace(microsecond=0)
    raw = _read(export)
    told = _of_plan(raw, export, plan)
    exported = _in_time(utc(str(told["at"])), now, plan)
    until, counts = min(exported, now) + HOLDS, (int(told["entries"]), len(told["unread"]))
    _require_as_exported(plan, digest := sha256(raw).hexdigest(), counts, services)
    seen = keep_payload(services.state, elsewhere) if elsewhere and counts[1] else None
    names = _not_read(told["unread"])
    of = ExportOfAccess(
        export_sha256=digest,
        exported=exported,
        entries=counts[0],
        unread=counts[1],
        not_read=names,
        result="in_order" if in_order else "to_be_changed",
        elsewhere_sha256=seen,
    )
    return stated(services, "review", of, plan=plan, until=until, words=found)


def _not_read(unread: Sequence[object]) -> tuple[str, ...]:
    """By names that a record may hold, each once."""
    names = [str(one.get("what")) for one in unread if isinstance(one, dict)]
    return tuple(dict.fromkeys(one if re.fullmatch(UNREAD, one) else "a file of this host" for one in names))[
        :MOST_NAMED
    ]


def record_review(
    loaded: LoadedPlan,
    given: Statement[ExportOfAccess],
    services: Services,
    signature: str | None,
    signed: str | None = None,
) -> Reviewed:
    """Record it; `signed` is the text of the signature where that was made elsewhere. UsageProblem where it is of
    another plan, too old, or not signed by who may: then nothing is recorded."""
    plan, now, of = loaded.plan.plan, services.clock.now(), given.about
    if given.plan != plan:
        raise UsageProblem(
            f"this is a review of {str(given.plan)[:63]}, not of {plan}", hint="name the plan that it is of"
        )
    _in_time(of.exported, now, plan)
    _require_as_exported(plan, of.export_sha256, (of.entries, of.unread), services)
    if given.made > now + AHEAD or not now < given.expiry <= of.exported + HOLDS:
        raise UsageProblem(
            f"this review, written at {rfc3339(given.made)}, is for a time that is past, or for more than three months",
            hint=f"ccdr access review {plan} --out FILE   asks the systems anew",
        )
    by = None
    if signature is not None:
        text = signed if signed is not None else given.text()
        signers = (loaded.plan.approval or Approval()).signers
        space = REVIEW_ACCESS.namespace
        by = signed_by(verify(text, signature, trusted_signers(signers), space, services.host), signature)
    record_statement(given, services, by, {"tenant": loaded.plan.tenant_of(None)})
    newest = services.histories()[plan, None].newest[ACCESS_REVIEWED]
    return Reviewed(plan, Review.of(newest), of.export_sha256)


def _in_time(exported: datetime, now: datetime, plan: str) -> datetime:
    if -AHEAD <= now - exported < HOLDS:
        return exported
    raise UsageProblem(
        f"the export was made at {rfc3339(exported)}: it does not tell who has access today",
        hint=f"ccdr access review {plan} --out FILE   asks the systems anew",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageProblem(f"{path}, which was looked at, cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise UsageProblem(f"{path} has more than {LARGEST} bytes: it is no export of ccdr's")
    return raw


def _of_plan(raw: bytes, path: Path, plan: str) -> Mapping[str, Any]:
    """The export of this plan, alone in its file or beside others: each with as many lines as it says."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        told = json.loads(raw)
        every = [dict(one) for one in told.get("plans", [told])]
        for one in every:
            require_format(f"the export {path}", one["access_review"], FORMAT)
            if (
                not isinstance(one["unread"], list)
                or one["entries"] != sum(_lines(one.get(name, [])) for name in SECTIONS)
                or not one["entries"]
            ):
                raise ValueError
            utc(str(one["at"]))
        if not (own := [one for one in every if one["plan"] == plan]):
            of = ", ".join(str(one["plan"])[:63] for one in every)
            raise UsageProblem(f"{path} is an export of {of}, not of {plan}", hint="give the plan's own")
        return own[0]
    raise UsageProblem(
        f"{path} is no export of ccdr's", hint="`ccdr access review PLAN --out FILE` writes one; look at that file"
    )
