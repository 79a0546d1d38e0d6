"""Is a package what it says it is? All of it is held to itself; what a verifier had from elsewhere (pins, anchors)
says whether that proves anything. Nothing in a package is carried out, and nothing in it says who may sign."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from ccdr.evidence.checkpoints.checkpoint import (
    LARGEST,
    Anchor,
    Checkpoint,
    VerifierKey,
    origin_of,
    read_checkpoint,
)
from ccdr.evidence.checkpoints.keys import KeyRecord, Pin
from ccdr.evidence.checkpoints.names import ANCHORS, checkpoint_name
from ccdr.evidence.checkpoints.receipts import Receipts, anchors_in, is_receipt, missing
from ccdr.evidence.checkpoints.verification import (
    CLOCKS_APART,
    END_OF_A_DAY,
    NOT_PINNED,
    Asked,
    Checked,
    Finding,
    check,
)
from ccdr.evidence.due_gaps import DueRuns, LedgerGap
from ccdr.evidence.ledger.ledger import LEDGER
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.lineage.comparison import is_id
from ccdr.evidence.package import bag, statements
from ccdr.evidence.package import statements as sign_offs
from ccdr.evidence.package.bag import BY_LEDGER, DATA, Bag
from ccdr.evidence.package.lines import LINES, TREE, Shown
from ccdr.evidence.records import (
    LedgerAnchored,
    LedgerCollected,
    LedgerExported,
    LedgerLinked,
    LedgerRecovered,
    PlanVersion,
    Record,
    StatementRecord,
)
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.kinds import about
from ccdr.model.values import rfc3339, so_many, to_the_second, utc
from ccdr.plans import load_plan
from ccdr.plans.facts import PlanFacts

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MADE, FROM, TO = "Ccdr-Made", "Ccdr-Period-From", "Ccdr-Period-To"
VERSION, SCOPE, RECORDS, PLANS, TENANT = "Ccdr-Package", "Ccdr-Scope", "Ccdr-Records", "Ccdr-Plans", "Ccdr-Tenant"
AGENT, COMMAND, HOST, BY = "Bag-Software-Agent", "Ccdr-Command", "Ccdr-Host", "Ccdr-By"
TEXTS = "Ccdr-Plan-Texts"  # of each version that is shown, or of none
FOLDERS = ("ledgers", "checkpoints", "keys", statements.FOLDER, sign_offs.SIGN_OFFS_FOLDER, "plans")  # each held to


def info_of(told: LedgerExported, ledger: str, lines: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """What a bag says of itself, by the record that its ledger ends with. `lines`: shown, and all there are, by
    ledger."""
    made = rfc3339(told.time)
    info = {
        AGENT: f"ccdr {told.ccdr}",
        "Bagging-Date": made[:10],
        VERSION: bag.FORMAT,
        COMMAND: _command(told),
        HOST: told.host,
        BY: told.actor,
        MADE: made,
        "Ccdr-Time-Zone": "UTC",
        FROM: rfc3339(told.begins),
        TO: rfc3339(told.ends or told.time),
        BY_LEDGER: ledger,
        SCOPE: told.scope,
        RECORDS: " ".join(
            f"{name}={lines[name][0]}/{lines[name][1]}" for name in (ledger, *sorted(lines.keys() - {ledger}))
        ),
        TEXTS: "all" if told.texts else "none",
    }
    info |= {} if told.plans is None else {PLANS: " ".join(told.plans)}
    info |= {} if told.tenant is None else {TENANT: told.tenant}
    return bag.as_read(info)


def _command(told: LedgerExported) -> str:
    """That would write such a package, but for where."""
    words = ["ccdr", "ledger", "export"]
    if told.tenant is not None:
        words += ["--tenant", told.tenant]
    else:
        words += [word for plan in told.plans or () for word in ("--plan", plan)]
    if told.scope == "part":
        words += ["--from", rfc3339(told.begins), "--to", rfc3339(told.ends or told.time)]
    return shlex.join([*words, *(() if told.texts else ("--without-plans",))])


@dataclass(frozen=True)
class OfLedger:
    """What was found of one of the ledgers in a package; `shown` of its records are lines, the others hashes.
    `to_the_end`: the last line chains all that are shown."""

    ledger: str
    verification: Verification
    checked: Checked
    shown: int
    to_the_end: bool


class NotCovered(Struct, frozen=True):
    """What no anchor of the verifier's reaches: so many records, and the hours up to when the package was made."""

    records: int
    hours: float
    reached: Annotated[int, about("the record up to which an anchor reaches; 0: there is none")]
    cut_off: Annotated[bool, about("it does not end with the record of its export: more may have been there")]

    def __str__(self) -> str:
        where = (
            f"beyond record {self.reached}, up to which your anchor reaches" if self.reached else "beyond any anchor"
        )
        beyond = f"{so_many(self.records, 'record')} of the last {self.hours} hours lie {where}"
        text = f"{beyond}: that they are as they were written, it does not show"
        if not self.cut_off:
            return text
        return (
            f"{text}; it does not end with the record of its export: by whom, when and of what it was made is its own "
            "word, and more that was written in these hours may have been cut off"
        )


@dataclass(frozen=True)
class PackageChecked:
    """What was found of a package. `ours` is the ledger of the host that made it; `findings` are all but what
    `ours.checked` has; `unproven`: sentences on what could not be judged."""

    info: Mapping[str, str]
    ours: OfLedger | None
    others: tuple[OfLedger, ...]
    findings: tuple[Finding, ...]
    unproven: tuple[str, ...]
    gaps: tuple[LedgerGap, ...] = ()  # of `ours`, within the period
    signed: tuple[StatementRecord, ...] = ()  # records that somebody has signed, of `ours`
    payload: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each file, by its path
    told: Mapping[str, str] | None = None  # `info` by the record that it ends with; None: it ends with none
    version: str | None = None  # of the ccdr that wrote it, by that record
    beyond: NotCovered | None = None


@dataclass
class _Open:
    """What is gathered of a package while its ledgers are read."""

    package: Bag
    pins: Sequence[Pin]
    anchors: Sequence[Anchor]
    certificates: Sequence[Certificate]
    found: list[Finding] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    taken_in: dict[str, tuple[int, str, int]] = field(default_factory=dict)  # by our records: how many, head, by which
    set_aside: set[str] = field(default_factory=set)  # names of files that records tell of
    due: DueRuns = field(default_factory=DueRuns)
    names: Sequence[str] = ()  # of the ledgers in it
    last: Record | None = None  # of ours, that is shown
    start: datetime | None = None  # of the period that it tells of
    end: datetime | None = None

    def strange(self, anchor: Anchor) -> bool:
        """Is it of none of the ledgers in the package?"""
        return all(anchor.checkpoint.origin != origin_of(name) for name in self.names)

    def time_of(self, label: str) -> datetime | None:
        try:
            return utc(self.package.info[label])
        except (KeyError, ValueError, OverflowError):
            self.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} has no time as {label}"))
            return None


def verify_package(
    root: Path,
    pins: Sequence[Pin] = (),
    anchors: Sequence[Anchor] = (),
    certificates: Sequence[Certificate] = (),
    *,
    now: datetime,
) -> PackageChecked:
    """`certificates` are those of time-stamping authorities' CAs, `now` is by the verifier's clock. OSError where it
    cannot be read."""
    package, found = bag.examine(root)
    at = _Open(package, pins, anchors, certificates, found)
    if not package.readable:
        return PackageChecked({}, None, (), tuple(found), ())
    if package.info.get(VERSION, bag.FORMAT) != bag.FORMAT:
        text = f"a package of format {package.info.get(VERSION, '')[:20]!a}: this ccdr reads {bag.FORMAT}"
        return PackageChecked(package.info, None, (), tuple(found), (text,))
    made, at.start, at.end = at.time_of(MADE), at.time_of(FROM), at.time_of(TO)
    if made is not None:
        _require_times(anchors, made)
        if made > now + CLOCKS_APART:
            text = f"{bag.INFO}: it was made at {rfc3339(made)}, and it is {to_the_second(rfc3339(now))} here"
            at.found.append(Finding("PACKAGE_INFO_WRONG", text))
    own = package.info.get(BY_LEDGER, "")
    names = sorted({path.split("/")[0] for path in package.below("ledgers")}, key=lambda one: (one != own, one))
    if not is_id(own) or own not in names:
        at.found.append(Finding("PACKAGE_LEDGER_MISSING", f"{bag.INFO} names no ledger that is in it ({BY_LEDGER})"))
    if strange := [one for one in names if not is_id(one)]:
        at.found.append(Finding("PACKAGE_FILE_EXTRA", f"{DATA}/ledgers/{strange[0]} is no ledger's directory"))
    at.names = names
    if len({one[:8] for one in names}) < len(names):  # by which rows and statements name them
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", "the ids of two ledgers in it begin alike"))
    of = {one: _of_ledger(at, one, made, ours=one == own) for one in names if is_id(one)}
    shown = {name: shown for name, (shown, _) in of.items()}
    exported = _exported(at, shown[own]) if own in shown else None
    _claims(at, shown, exported)
    _keys(at, [key for _, one in of.values() for key in one.checked.keys])
    _statements(at, shown, [] if own not in of else [key.key for key in of[own][1].checked.keys])
    _sign_offs(at, shown)
    _plans(at, own, shown)
    _checkpoints_of_none(at)
    others = tuple(one for name, (_, one) in of.items() if name != own)
    ours = of[own][1] if own in of else None
    _beside(at, ours, others)
    gaps = tuple(at.due.gaps(at.start, at.end))
    signed = tuple(shown[own].signed) if own in shown else ()
    told, version, beyond = None, None, None
    if ours is not None:
        beyond = _not_covered(ours, shown[own], made if exported is None else None)
        at.unproven += [str(beyond)] if beyond else []
        if exported is not None:
            _ended(at, ours, exported)
            told = info_of(exported, own, {name: (one.shown, one.size) for name, one in shown.items()})
            version = exported.ccdr
    found_ = tuple(dict.fromkeys(at.found)), tuple(at.unproven)
    return PackageChecked(package.info, ours, others, *found_, gaps, signed, package.payload, told, version, beyond)


def _exported(at: _Open, shown: Shown) -> LedgerExported | None:
    """The record of this package, with which it ends."""
    return at.last if isinstance(at.last, LedgerExported) and at.last.seq == shown.size else None


def _ended(at: _Open, ours: OfLedger, exported: LedgerExported) -> None:
    """Of a ledger that a key signs, it ends with a checkpoint; and a whole one has all that there were before."""
    there = ours.checked.held
    if ours.checked.keys and ours.verification.records not in there:
        text = f"no checkpoint of its {so_many(ours.verification.records, 'record')} is there"
        at.unproven.append(f"{text}: it was taken out, or no key could sign it")
    if exported.scope == "whole" and len(set(there) - {exported.seq}) < exported.checkpoints:
        text = (
            f"there were {so_many(exported.checkpoints, 'checkpoint')} before, by record {exported.seq}, and fewer fit"
        )
        at.found.append(Finding("CHECKPOINT_MISSING", text, exported.seq))


def _require_times(anchors: Sequence[Anchor], made: datetime) -> None:
    """Of one that was had on the day that the package was made, a date alone does not say whether that was before.
    UsageProblem."""
    for one in anchors:
        if one.at is not None and one.at.time() == END_OF_A_DAY and one.at.date() == made.date():
            raise UsageProblem(
                f"{one} was had on the day that the package was made ({to_the_second(rfc3339(made))}): before that?",
                hint=f"if you had it by then: --anchor {one.where}@{made:%Y-%m-%dT%H:%M:%SZ}; else say the later time",
            )


def _of_ledger(at: _Open, name: str, made: datetime | None, *, ours: bool) -> tuple[Shown, OfLedger]:
    def each(record: Record) -> None:
        if ours and isinstance(record, LedgerCollected | LedgerLinked):
            for one in record.ledgers if isinstance(record, LedgerLinked) else (record.ledger,):
                at.taken_in[one] = record.records, record.head, record.seq
        if isinstance(record, LedgerRecovered):
            at.set_aside.add(f"ledgers/{name}/{record.file}")
        if named is not None and record.plan not in named:
            text = f"record {record.seq} is shown, and its plan is none of those that {bag.INFO} names"
            at.found.append(Finding("PACKAGE_INFO_WRONG", text, record.seq))
        if ours:
            at.last = record
            at.due.take(record)
            if made is not None and record.time > made:
                text = f"record {record.seq} says {rfc3339(record.time)}, and the package was made at {rfc3339(made)}"
                at.found.append(Finding("RECORD_AFTER_PACKAGE", text, record.seq))

    plans = at.package.info.get(PLANS)
    named = None if plans is None else {None, *plans.split()}
    shown = Shown(name, at.package.root / DATA / "ledgers" / name, each, ours)
    if not shown.whole and f"{DATA}/ledgers/{name}/{LINES}" not in at.package.payload:
        at.found.append(Finding("PACKAGE_FILE_MISSING", f"{DATA}/ledgers/{name} has a {TREE}, and no {LINES}"))
        shown.directory /= "nothing"  # is there, and holds no lines
    shown.verify_chain()
    _is_there(at, name, whole=shown.whole)
    checkpoints, unreadable = _checkpoints(at.package, name)
    receipts = _receipts(at, name, shown.anchored, ours=ours)
    brought = [one for one in at.anchors if one.checkpoint.origin == origin_of(name) or (ours and at.strange(one))]
    asked = Asked(
        ledger=name,
        origin=origin_of(name),
        checkpoints=checkpoints,
        anchors=[*brought, *receipts.anchors],
        pins=at.pins,
        made=made,
        unreadable=unreadable,
        key_records=shown.keys,
        findings=receipts.findings,
        notes=receipts.notes,
    )
    checked = check(asked, shown.leaves())
    if shown.named != name:
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", f"the ledger in {name[:8]}… says that it is another one"))
    at.found += shown.findings
    at.found += [
        Finding(getattr(one, "code", LEDGER), f"ledger {name[:8]}…: {one}", getattr(one, "record", None))
        for one in shown.problems
    ]
    at.unproven += [f"record {one}: a line that was changed was set aside; no answer is shown" for one in shown.spoilt]
    verification = shown.verification
    if verification.unknown:
        many = so_many(verification.unknown, "record")
        at.unproven.append(f"ledger {name[:8]}…: {many} of a version or kind that this ccdr does not read")
    return shown, OfLedger(name, verification, checked, shown.shown, shown.to_the_end)


def _is_there(at: _Open, name: str, *, whole: bool) -> None:
    """Nothing but the ledger: whoever reads a package by other means must not read other lines."""
    own = re.compile(r"id|[0-9]{12}\.jsonl" if whole else rf"id|{LINES}|{TREE}")
    for file in at.package.below(f"ledgers/{name}"):
        if not own.fullmatch(file) and f"ledgers/{name}/{file}" not in at.set_aside:
            at.found.append(Finding("PACKAGE_FILE_EXTRA", f"{DATA}/ledgers/{name}/{file} is no file of a ledger's"))
    if at.package.payload.get(f"{DATA}/ledgers/{name}/id") != sha256(f"{name}\n".encode()).hexdigest():
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", f"{DATA}/ledgers/{name}/id is of another one"))


def _receipts(at: _Open, name: str, anchored: Sequence[LedgerAnchored], *, ours: bool) -> Receipts:
    """What anchors have left with the checkpoints; those that records tell of, and that are not there."""
    directory = at.package.root / DATA / "checkpoints" / name
    receipts = anchors_in(directory, at.certificates)
    if ours or (directory / ANCHORS).is_dir():
        receipts.findings += missing(anchored, directory)
    elif anchored:
        many = so_many(len(anchored), "anchor is", "anchors are")
        receipts.notes.append(f"ledger {name[:8]}…: {many} recorded, and the host that took it in has no receipt")
    return receipts


def _checkpoints(package: Bag, name: str) -> tuple[list[Checkpoint], list[str]]:
    found, wrong = list[Checkpoint](), list[str]()
    for file in package.below(f"checkpoints/{name}"):
        folder, _, receipt = file.rpartition("/")
        if folder == ANCHORS and is_receipt(receipt):
            continue  # what anchors them: they are told of by whoever keeps them
        try:
            checkpoint = read_checkpoint(package.read(f"{DATA}/checkpoints/{name}/{file}", LARGEST))
            if checkpoint_name(checkpoint.size) != file:
                raise ValueError(f"is a checkpoint of {checkpoint.size} records")
            found.append(checkpoint)
        except ValueError as why:
            wrong.append(f"{file} {why}")
    return found, wrong


def _claims(at: _Open, shown: Mapping[str, Shown], exported: LedgerExported | None) -> None:
    """What the bag says of how much is in it."""
    counted = " ".join(f"{name}={one.shown}/{one.size}" for name, one in shown.items())
    if at.package.info.get(RECORDS) != counted:
        at.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} counts other records than there are: {counted}"))
    whole = "whole" if all(one.whole for one in shown.values()) else "part"
    if {at.package.info.get(SCOPE), exported.scope if exported else whole} != {whole}:
        at.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} does not say that this is the {whole} of it"))


def key_files(keys: Sequence[KeyRecord]) -> dict[str, bytes]:
    """For openssl, by their names: each key that a record names."""
    pem = {f"{one.key.id}.pem": one.key.pem.encode() for one in keys}
    return pem | {f"{one.key.id}.vkey": f"{one.key}\n".encode() for one in keys}


def _keys(at: _Open, keys: Sequence[KeyRecord]) -> None:
    wanted = {name: sha256(text).hexdigest() for name, text in key_files(keys).items()}
    for name in {*wanted, *at.package.below("keys")}:
        if at.package.payload.get(path := f"{DATA}/keys/{name}") != wanted.get(name):
            at.found.append(Finding("KEY_FILE_WRONG", f"{path} is not there, or not the key that a record names"))


def _statements(at: _Open, shown: Mapping[str, Shown], keys: Sequence[VerifierKey]) -> None:
    wanted = {name: payload for one in shown.values() for name, payload in one.statements.items()}
    unsigned = 0
    for name in at.package.below(statements.FOLDER):
        path, payload = f"{DATA}/{statements.FOLDER}/{name}", wanted.pop(name, None)
        try:
            enveloped = statements.opened(at.package.read(path))
        except ValueError as why:
            at.found.append(Finding("STATEMENT_WRONG", f"{path} {why}"))
            continue
        if payload is None:
            at.found.append(Finding("STATEMENT_UNKNOWN", f"{path} is of no restore test that the lines tell of"))
        elif enveloped.payload != payload:
            said, is_ = statements.result_in(enveloped.payload), statements.result_in(payload)
            text = f"says {said}, and the record {is_}" if said != is_ else "says something else than the records"
            at.found.append(Finding("STATEMENT_WRONG", f"{path} {text}"))
        if not enveloped.signatures:
            unsigned += 1
        elif enveloped.signed_by(keys) is None:
            at.found.append(Finding("STATEMENT_WRONG", f"{path} is not signed by a key of the ledger"))
    at.found += [
        Finding("STATEMENT_MISSING", f"{DATA}/{statements.FOLDER}/{name} is not there, and its test is among the lines")
        for name in sorted(wanted)
    ]
    if unsigned:
        at.unproven.append(f"{so_many(unsigned, 'statement')} of restore tests, which no key has signed")


def _sign_offs(at: _Open, shown: Mapping[str, Shown]) -> None:
    """Each is the text, the signature and the signer of a record. Whether the signature holds, and whether that signer
    may sign, `ssh-keygen` tells, by the file of signers that a verifier has."""
    wanted = {name: text for one in shown.values() for name, text in one.sign_offs.items() if bag.is_safe(name)}
    for name in at.package.below(sign_offs.SIGN_OFFS_FOLDER):
        path, text = f"{DATA}/{sign_offs.SIGN_OFFS_FOLDER}/{name}", wanted.pop(name, None)
        digest = None if text is None else sha256(text.encode()).hexdigest()
        if digest != at.package.payload[path]:
            at.found.append(Finding("SIGNED_FILE_WRONG", f"{path} is not what a record says that somebody has signed"))
    at.found += [
        Finding(
            "SIGNED_FILE_MISSING",
            f"{DATA}/{sign_offs.SIGN_OFFS_FOLDER}/{name} is not there, and its record is among the lines",
        )
        for name in sorted(wanted)
    ]


def _plans(at: _Open, own: str, shown: Mapping[str, Shown]) -> None:
    """`plans/<plan>/<digest>/<file>`: the texts of versions, held to the digests in the records; what these say that a
    version promises, to its text."""
    known = {key: record for one in shown.values() for key, record in one.versions.items()}
    there = defaultdict[tuple[str, str], set[str]](set)
    for name in at.package.below("plans"):
        plan, _, rest = name.partition("/")
        digest, _, file = rest.partition("/")
        record = known.get((plan, digest))
        if record is None or record.files.get(file) != at.package.payload[f"{DATA}/plans/{name}"]:
            text = f"{DATA}/plans/{name} is not the text that a record of the plan's version has the digest of"
            at.found.append(Finding("PLAN_TEXT_WRONG", text))
        else:
            there[plan, digest].add(file)
    ours = shown[own].versions if own in shown else {}
    for (plan, digest), record in known.items() if at.package.info.get(TEXTS) != "none" else ():
        if there[plan, digest] != set(record.files):
            if (plan, digest) not in ours:
                continue  # another host has it
            text = f"the text of the plan {plan} that record {record.seq} has the digests of is not there"
            at.found.append(Finding("PLAN_TEXT_MISSING", text, record.seq))
        elif record.files:
            _promises(at, plan, digest, record)


def _promises(at: _Open, plan: str, digest: str, record: PlanVersion) -> None:
    directory = at.package.root / DATA / "plans" / plan / digest
    try:
        text = load_plan(directory / "plans" / f"{plan}.yaml", directory / "restore_tests").facts
        wrong = _promised(text) != _promised(record.facts)
    except (CcdrError, ValueError):
        at.unproven.append(f"the text of the plan {plan} of record {record.seq}: this ccdr does not read it")
        return
    if wrong:
        told = f"record {record.seq} says that the plan {plan} promises something else than its text does"
        at.found.append(Finding("PLAN_FACTS_WRONG", told, record.seq))


def _promised(facts: PlanFacts) -> object:
    """By which it is judged what was due, and how well it was done."""
    assets = {name: (of.rpo, of.rto, of.backup, of.test, of.shipping, of.control) for name, of in facts.assets.items()}
    return facts.timezone, facts.mtd, facts.prune, facts.check, facts.owner, assets


def _not_covered(ours: OfLedger, shown: Shown, made: datetime | None) -> NotCovered | None:
    """`made`: by the package's own word alone, since its last record does not tell of it."""
    boundary, last = ours.checked.boundary, shown.last
    reached, since = (boundary.record, boundary.time) if boundary else (0, ours.verification.first_time)
    number, until = last or (0, made)
    if made is None and number <= reached:
        return None
    until = made or until
    hours = (until - (since or until)).total_seconds() / 3600 if until else 0.0
    return NotCovered(number - reached, round(hours, 1), reached, cut_off=made is not None)


def _checkpoints_of_none(at: _Open) -> None:
    for name in at.package.below("checkpoints"):
        if name.split("/")[0] not in at.names:
            text = f"{DATA}/checkpoints/{name} is of no ledger that is in it"
            at.found.append(Finding("PACKAGE_FILE_EXTRA", text))


def _beside(at: _Open, ours: OfLedger | None, others: Sequence[OfLedger]) -> None:
    """Ledgers of other hosts: proven by checkpoints of their own, or by our record of how they were taken in. That
    nobody has pinned another host's key is no finding: it proves nothing then by its own."""
    boundary = ours.checked.boundary.record if ours is not None and ours.checked.boundary is not None else 0
    if TENANT not in at.package.info:  # whose package has no record of how others were taken in
        there = {one.ledger for one in others}
        gone = sorted(at.taken_in.keys() - there) if at.package.info.get(SCOPE) == "whole" else []
        for name in (*gone, *sorted(there - at.taken_in.keys())):
            text = f"ledger {name[:8]}… is {'here' if name in there else 'not here'}, and that it was taken in, "
            text += "no record of ours tells" if name in there else f"record {at.taken_in[name][2]} tells"
            at.found.append(Finding("PACKAGE_LEDGER_WRONG", text))
    for one in others:
        of_it = [finding for finding in one.checked.findings if finding.code != NOT_PINNED]
        at.found += [Finding(f.code, f"ledger {one.ledger[:8]}…: {f.text}", f.record) for f in of_it]
        records, head, by = at.taken_in.get(one.ledger, (0, "", 0))
        fits = one.to_the_end and (records, head) == (one.verification.records, one.verification.head)
        if not fits and records and one.verification.records <= records:
            text = f"ledger {one.ledger[:8]}… is not as it was taken in, by record {by}"
            if one.shown == one.verification.records:
                at.found.append(Finding("LEDGER_NOT_AS_TAKEN_IN", text, by))
        if not one.checked.proven and not (fits and 0 < by <= boundary):
            at.unproven.append(
                f"ledger {one.ledger[:8]}…: neither an anchor of its own, nor an anchored record of how it was taken in"
            )
