"""Entries of a plan's register of erasures: whom somebody wants erased, never read from arguments; added, had by the
repository, and answered for.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from ccdr import __version__
from ccdr.engines.servers.erasing import column_of, meant
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.erasures import ErasureAdd, RecordedHead
from ccdr.evidence.records.statements import Handover, RegisterEntry, Statement
from ccdr.evidence.records.values import code, recorded_user
from ccdr.evidence.statements import Operation
from ccdr.jobs import in_force
from ccdr.jobs.approvals import (
    NOTHING,
    Given,
    Wanted,
    allowed,
    believed,
    block_of,
    reviewer,
)
from ccdr.jobs.erasure.register import (
    Entry,
    Register,
    RegisterBad,
    Shown,
    anchored,
    require_agreement,
    store,
    stored_register,
)
from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.erasure import UNSHOWN, EntryState, Rows, Selector, Unlooked
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import Manifest, RecordRef, so_many, utc
from ccdr.plans import LoadedPlan, Plan
from ccdr.plans.model import Approval
from ccdr.plans.yamlfile import MAX_BYTES, parse, read_bytes
from ccdr.storage.listing import OURS
from ccdr.storage.restic import Restic

# Whom somebody wants erased, read from a file or from standard input: never from arguments, which everybody on a host
# may read. What is wrong is told by line and key; no value is repeated.

_KEYS = {"asset", "rows", "table", "key", "keys", "files", "erased_at", "canary", "may_lack", "person"}
_KINDS = {"postgres": "rows", "mariadb": "rows", "sqlite": "rows", "redis": "keys", "files": "files"}
HINT = "docs/how-to/erase.md shows one for each engine"


@dataclass(frozen=True)
class Asked:
    selector: Selector
    erased_at: datetime | None
    canary: bool
    person: str | None = None  # what the owner calls them by, in each asset


def read(source: str, plan: Plan) -> Asked:
    """`source` is a file, or `-` for standard input. UsageProblem where it is no selector of this plan."""
    raw = sys.stdin.buffer.read(MAX_BYTES + 1) if source == "-" else read_bytes(Path(source))
    where = "standard input" if source == "-" else source
    document, problems = parse(raw)
    if problems:
        raise _wrong("\n".join(f"{where}:{p.line}: it is not well-formed" for p in problems))
    body = document.data if document is not None else None
    if not isinstance(body, dict):
        raise _wrong(f"{where} is no mapping")
    if unknown := body.keys() - _KEYS:
        raise _wrong(
            f"{where} has {len(unknown)} keys that a selector does not have; it has {', '.join(sorted(_KEYS))}"
        )
    asset = body.get("asset")
    if not isinstance(asset, str) or asset not in plan.assets:
        raise _wrong(f"{where}: `asset:` names no asset of {plan.plan}; it has {', '.join(plan.assets)}")
    if not isinstance(body.get("canary", False), bool):
        raise _wrong(f"{where}: `canary:` is neither true nor false")
    engine = plan.assets[asset].engine_name
    person = None if body.get("person") is None else _text(where, "`person:`", body["person"])
    selector, erased_at = _selector(where, asset, engine, body), _time(where, body.get("erased_at"))
    return Asked(selector, erased_at, body.get("canary") is True, person)


def _selector(where: str, asset: str, engine: str, body: Mapping[str, Any]) -> Selector:
    kind = _KINDS[engine]
    if "table" in body or "key" in body:
        body = {**body, "rows": [{k: body[k] for k in ("table", "key", "may_lack") if k in body}]}
    if given := {"rows", "keys", "files"} & body.keys() - {kind}:
        raise _wrong(f"{where}: {asset} is of {engine}, which is erased from by `{kind}:`, not `{given.pop()}:`")
    stated = body.get(kind)
    if not isinstance(stated, list) or not stated:
        raise _wrong(f"{where}: `{kind}:` is no list, or an empty one")
    if kind == "rows":
        return Selector(asset, rows=tuple(_rows(where, n, one) for n, one in enumerate(stated, 1)))
    texts = tuple(_text(where, f"{kind}[{n}]", one) for n, one in enumerate(stated, 1))
    if kind == "keys":
        if any(not text.strip("*?") for text in texts):
            raise _wrong(f"{where}: a pattern in `keys:` would name every key")
        return Selector(asset, keys=texts)
    return Selector(asset, files=tuple(_path(where, text) for text in texts))


def _rows(where: str, number: int, body: object) -> Rows:
    if not isinstance(body, dict) or not {"table", "key"} <= body.keys() <= {"table", "key", "may_lack"}:
        raise _wrong(f"{where}: rows[{number}] is not made of `table:` and `key:` (and `may_lack: true`)")
    key, table = body["key"], _text(where, f"rows[{number}].table", body["table"])
    if not isinstance(key, dict) or not key:
        raise _wrong(f"{where}: rows[{number}].key names no column")
    values = {str(c): _text(where, f"rows[{number}].key", value) for c, value in key.items()}
    return Rows(table, tuple(sorted(values.items())), body.get("may_lack") is True)


def _text(where: str, what: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value) == "":
        raise _wrong(f"{where}: {what} is neither text nor a whole number: write other values in quotes")
    return str(value)


def _path(where: str, text: str) -> str:
    if ".." in text.split("/") or not text.strip("/*?"):
        raise _wrong(f"{where}: a path in `files:` goes up, or would name every file")
    return text


def _time(where: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return utc(str(value))
    except ValueError:
        raise _wrong(f"{where}: `erased_at:` is no time like 2026-11-20T10:00:00Z") from None


def _wrong(text: str) -> UsageProblem:
    return UsageProblem(text, hint=HINT)


# Does the newest snapshot hold the tables and columns that somebody names in an entry? A slip would stop every
# restore. Its manifest tells, as far as it holds their names.

SHOWN = 20  # names that an error lists


@dataclass(frozen=True)
class Held:
    """What the newest snapshot holds. `tables` is empty where its manifest tells none, `columns` lacks what it does not
    tell of. `called` may stand before the name of a table that has no schema."""

    of: str
    tables: Collection[str]
    columns: Mapping[str, Collection[str]] = field(default_factory=dict)
    called: str = ""

    @classmethod
    def by(cls, manifest: Manifest, of: str) -> Held:
        columns = manifest.contents.get("columns")
        told = cast("Mapping[str, Collection[str]]", columns) if isinstance(columns, dict) else {}
        return cls(of, {*_tables(manifest), *told}, told, _called(manifest))


def require_named(services: Services, plan: str, asked: Asked) -> Unlooked | None:
    """UsageProblem where the newest snapshot that is known here holds no such table or column, or several such tables.
    Else what could not be looked at; None where all was."""
    if not asked.selector.rows:
        return None
    known = services.catalogue.snapshots(plan, asked.selector.asset)
    if not known:
        return Unlooked.SNAPSHOT
    held = Held.by(services.catalogue.manifest(known[-1]), f"the newest snapshot of {plan}/{asked.selector.asset}")
    looked = [_look(held, number, rows) for number, rows in enumerate(asked.selector.rows, 1)]
    return next((one for one in looked if one is not None), None)


def _look(held: Held, number: int, rows: Rows) -> Unlooked | None:
    if not held.tables:
        return Unlooked.TABLES
    there = meant(held.tables, rows.table, called=held.called)
    if len(there) > 1:
        raise UsageProblem(
            f"rows[{number}] names a table without its schema, and {held.of} holds "
            f"{so_many(len(there), 'table')} of that name: {', '.join(sorted(there))}",
            hint="write `table: SCHEMA.NAME`, and a line for each of them that the person is in",
        )
    if not there:
        if rows.may_lack:
            return None
        raise UsageProblem(
            f"{held.of} holds no table with rows of the name that rows[{number}] has; it holds {_some(held.tables)}",
            hint="mend `table:`; of a partitioned table, and of one that only some snapshots hold, say "
            "`may_lack: true`",
        )
    columns = held.columns.get(there[0])
    if columns is None:
        return Unlooked.COLUMNS
    if any(column_of(columns, column) is None for column, _ in rows.key):
        raise UsageProblem(
            f"{there[0]} of {held.of} has no column of a name that rows[{number}].key has; it has {_some(columns)}",
            hint="mend `key:`; each restore would stop at it",
        )
    return None


def _some(names: Collection[str]) -> str:
    """In alphabetical order, the first ones."""
    shown = sorted(names)[:SHOWN]
    more = f" and {so_many(len(names) - SHOWN, 'other')}" if len(names) > SHOWN else ""
    return ", ".join(shown) + more


def _called(manifest: Manifest) -> str:
    if manifest.engine == "mariadb":
        return str(manifest.contents["database"])
    return "main" if manifest.engine == "sqlite" else ""


def _tables(manifest: Manifest) -> Collection[str]:
    """Nothing where the manifest does not tell."""
    tables = manifest.contents.get("tables")
    if not isinstance(tables, dict):
        return ()
    if manifest.engine == "postgres":
        if "roles" not in manifest.contents:
            return ()
        from ccdr.engines.postgres.dump import parts

        return parts.names_of(manifest)
    return tables


VERB = "erasure"
FIRST = "first"  # entry of a register, that has no key of its own yet: what a request is about


@dataclass(frozen=True)
class Added:
    """`known`: the same person was there already, and nothing was done. `about`: what a request for its approval names,
    where it would take one. `unlooked`: why nobody could look whether its tables and columns are there."""

    entry: Entry
    entries: int
    known: bool = False
    about: str | None = None
    unlooked: Unlooked | None = None
    snapshot: str | None = None
    record: RecordRef | None = None


def opened(loaded: LoadedPlan, services: Services, repo: Restic) -> Register | None:
    """The plan's register, as all that tells of it says that it should be. RegisterBad where it is not."""
    plan = loaded.plan.plan
    listed = repo.snapshots([OURS, f"plan={plan}"])
    register = stored_register(repo, listed, plan)
    require_agreement(register, anchored(services.ledger, listed, plan), plan)
    return register


def add(
    loaded: LoadedPlan, asked: Asked, services: Services, given: Given = NOTHING, *, dry_run: bool = False
) -> Added:
    """UsageProblem where the newest snapshot holds no such table or column, ApprovalRefused where the plan wants an
    approval of it and `given` is none, Locked where somebody else adds one, RegisterBad where the register cannot be
    trusted: then nothing was added."""
    plan, now = loaded.plan.plan, services.clock.now()
    if asked.erased_at is not None and asked.erased_at > now:
        raise UsageProblem("`erased_at:` is in the future", hint="say when they were erased at the source")
    unlooked = require_named(services, plan, asked)
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.lock(plan, "", VERB), services.state.reading(repo.location):
        before = opened(loaded, services, repo)
        if before is not None and (same := before.same(asked.selector)) is not None:
            return Added(same, len(before.entries), known=True)
        register = (before or Register.begin(plan)).added(
            asked.selector, asked.erased_at or now, now, canary=asked.canary, person=asked.person
        )
        entry = register.entries[-1]
        about = FIRST if before is None else entry.pseudonym
        if dry_run:
            asks = about if needs_approval(loaded, services) else None
            return Added(entry, len(register.entries), about=asks, unlooked=unlooked)
        allowed(Wanted(Operation.REGISTER, loaded, about), services, given)
        return replace(_stored(loaded, services, repo, register, entry), unlooked=unlooked)


def needs_approval(loaded: LoadedPlan, services: Services) -> bool:
    """Does an edit of the register take a request that another person has signed?"""
    return block_of(loaded, services) is not None


def withdraw(loaded: LoadedPlan, entry: str, services: Services, why: str, given: Given = NOTHING) -> Added:
    """Of an entry that was wrong: it is replayed no more. UsageProblem where there is none such, ApprovalRefused as
    for `add`."""
    plan, now = loaded.plan.plan, services.clock.now()
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.lock(plan, "", VERB), services.state.reading(repo.location):
        before = opened(loaded, services, repo)
        found = before.standing_one(entry) if before is not None else None
        if before is None or found is None:
            raise UsageProblem(
                f"the register of {plan} has no entry {entry!a} that stands", hint=f"`ccdr erasure list {plan}`"
            )
        allowed(Wanted(Operation.REGISTER, loaded, entry), services, given)
        register = before.withdrawn(found, now)
        return _stored(loaded, services, repo, register, register.entries[-1], why)


def _stored(
    loaded: LoadedPlan, services: Services, repo: Restic, register: Register, entry: Entry, why: str | None = None
) -> Added:
    in_force.record(loaded, services)
    ledger, plan = services.ledger, loaded.plan.plan
    with services.state.run(services.clock) as run:
        told = {"writer": ledger.actor, "host": ledger.host, "ccdr": __version__}
        snapshot = store(register, repo, run.directory("erasures"), told)
        run.clear()
    repository = loaded.facts.repository
    added = ErasureAdd(
        plan=plan,
        asset=entry.asset,
        entry=entry.id,
        what=code(entry.what),
        canary=entry.canary,
        erased_at=entry.erased_at,
        pseudonym=entry.pseudonym,
        person=entry.person,
        rule_version=entry.rule_version,
        head=RecordedHead(**asdict(register.head)),
        withdraws=entry.withdraws,
        why_sha256=None if why is None else keep_payload(services.state, why),
        snapshot=snapshot,
        repository=repository.location if repository else None,
        tenant=loaded.plan.tenant_of(entry.asset),
        who=recorded_user(),
    )
    record = ledger.write(added)
    _require_ours(loaded, services, repo, register)
    return Added(entry, len(register.entries), snapshot=snapshot, record=record)


def _require_ours(loaded: LoadedPlan, services: Services, repo: Restic, register: Register) -> None:
    """Two hosts may have added to the same register at the same moment: neither knows of the other's."""
    try:
        there = opened(loaded, services, repo)
    except RegisterBad:
        there = None
    if there is None or there.head != register.head:
        raise CcdrError(
            "the register that is stored is not the one that was: another host adds to it at the same time",
            hint="let one host add to it; the entry is in a snapshot of the register, and nothing is lost",
        )


# Somebody answers for what was handed over though erased people may be in it, or for an entry that finds nobody.

NOBODY = "nobody."  # before the entry, in what a request is about: whoever signs it sees that it is no withdrawal


def to_review(
    loaded: LoadedPlan, services: Services, why: str, asset: str | None = None, record: int | None = None
) -> list[Statement[Handover]]:
    """What is to be signed or recorded of each hand-over that waits for a review: of an asset, or of one replay, where
    these are named. UsageProblem where none waits."""
    plan = loaded.plan.plan
    found = [of for name, of in _waiting(loaded, services) if asset in (None, name) and record in (None, of.replay)]
    if not found:
        raise UsageProblem(
            f"nothing of {plan}{f'/{asset}' if asset else ''} waits for a review", hint="`ccdr status` shows what does"
        )
    return [stated(services, "review", of, plan=plan, words=why) for of in found]


def _waiting(loaded: LoadedPlan, services: Services) -> list[tuple[str, Handover]]:
    plan, histories = loaded.plan.plan, believed([loaded], services)
    there = ((name, histories.get((plan, name), AssetHistory()).handed_over) for name in loaded.plan.assets)
    return [(name, Handover(replay=seq, at=at)) for name, each in there for seq, at in each]


def review(
    loaded: LoadedPlan, services: Services, given: Statement[Handover], signature: str | None = None
) -> tuple[str, int]:
    """Record that somebody has looked at what was handed over: of which asset, by which replay. UsageProblem where it
    does not wait, or where they may not, or are who handed it over."""
    plan, block = loaded.plan.plan, block_of(loaded, services)
    name = next((name for name, of in _waiting(loaded, services) if of == given.about), None)
    if given.plan != plan or name is None:
        raise UsageProblem(f"nothing of {plan} waits for that review", hint="`ccdr status` shows what does")
    if signature is None and block is not None:
        raise UsageProblem(
            f"where a plan is to be approved, whoever reviews signs, and {plan} is",
            hint=f'ccdr erasure review {plan} --record {given.about.replay} --why "…" --key KEY',
        )
    by = None if signature is None else reviewer(given, signature, block or Approval(), services)[1]
    record_statement(given, services, by, {"tenant": loaded.plan.tenant_of(name)}, asset=name)
    return name, given.about.replay


def nobody(loaded: LoadedPlan, entry: str, services: Services, why: str, given: Given = NOTHING) -> tuple[Entry, int]:
    """Of an entry that no snapshot has found: a person states that nobody is to be found by it. UsageProblem where
    there is none such, or nothing is to be stated of it; ApprovalRefused where the plan wants an approval of it, as of
    every edit of the register, and `given` is none."""
    plan = loaded.plan.plan
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    found = register.standing_one(entry) if register is not None else None
    if found is None:
        raise UsageProblem(
            f"the register of {plan} has no entry {entry!a} that stands", hint=f"`ccdr erasure list {plan}`"
        )
    shown = Shown.of(loaded, services, found.asset)
    if (state := shown.state(found)) not in (*UNSHOWN, EntryState.NOT_DUE):
        raise UsageProblem(
            f"nothing is to be stated of {found.id}: {state.value.replace('_', ' ')}",
            hint=f"`ccdr erasure list {plan}` shows of which entries nobody was found",
        )
    allowed(Wanted(Operation.REGISTER, loaded, f"{NOBODY}{found.id}"), services, given)
    about = RegisterEntry(entry=found.id, missing=shown.looked(found).missing)
    given_for = stated(services, "answer", about, plan=plan, words=why)
    whose = {"tenant": loaded.plan.tenant_of(found.asset)}
    return found, record_statement(given_for, services, more=whose, asset=found.asset)
