"""Anchoring: a checkpoint of the ledger is given to somebody whom root on this host cannot make take it back.

What a kind of anchor is, and the list of them; those that are due are made side by side and in bounded time; and where
they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from ccdr.evidence.checkpoints import timestamps
from ccdr.evidence.checkpoints.checkpoint import OBJECT_LOCK, TOLD
from ccdr.evidence.checkpoints.names import ANCHORS
from ccdr.evidence.checkpoints.receipts import Receipt, noted
from ccdr.evidence.checkpoints.verification import CLOCKS_APART
from ccdr.evidence.judgement.anchors import AnchorAsked, AnchorsStanding
from ccdr.evidence.judgement.anchors import standing as judged
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.own_records import Anchoring as RecordedAnchoring
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.records import LedgerAnchored
from ccdr.evidence.records.checkpoints import ConfiguredAnchor, LedgerAnchors
from ccdr.evidence.records.values import code
from ccdr.host.files import write_durably
from ccdr.host.secrets import env_file
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.checkpoints.publishing import Publishing
from ccdr.jobs.checkpoints.store import directory_of, newest_in, read_grown
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, PlanInvalid, UsageProblem
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import rfc3339, so_many, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.anchors import BESIDE, SLACK, AnyAnchor, anchors_beside
from ccdr.storage.evidence_bucket import EvidenceBucket
from ccdr.storage.s3 import Refused
from ccdr.telling.notify.message import Message
from ccdr.telling.notify.targets import MessageTarget, at_once, read_targets, send

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.plans.anchors import ObjectLock, Rfc3161, Told
    from ccdr.ports.place import Clock

# What a kind of anchor owes, and the list of them. To add one: a class of settings in `plans/anchors.py`, a class here
# that makes it, and a line below.

SECONDS = 20.0  # for all anchors together
EACH = 15.0  # for one answer


class Anchoring(Protocol):
    """One anchor of anchors.yaml, ready to be made. It works in a thread of its own, and may be given up: it writes
    nothing of ours."""

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        """Give the checkpoint away, and say what is to be kept of that. Within EACH seconds; CcdrError, in words of
        ours and without a secret, where it could not be done."""


def _rfc3161(settings: Any, services: Services) -> Anchoring:

    return TimeStamped(settings, services.clock)


def _told(settings: Any, services: Services) -> Anchoring:

    return SentByApprise(settings, services.clock)


def _object_lock(settings: Any, services: Services) -> Anchoring:

    return LockedObject(settings, services)


# By `kind`: from its settings, and what use-cases are handed, to one that can be made. Imported when it is made.
KINDS: dict[str, Callable[[Any, Services], Anchoring]] = {
    "rfc3161": _rfc3161,
    "told": _told,
    "object_lock": _object_lock,
}


TRIES = "tries.json"  # beside the receipts: how often each was tried in vain since it last held


class AnchorMade(Struct, frozen=True):
    """`at`: since when it holds the checkpoint; null: it could not be made, and `why`."""

    name: str
    kind: str
    records: int
    at: datetime | None = None
    why: str | None = None


def note_configured(anchors: Iterable[AnyAnchor], services: Services, lineage: Lineage) -> bool:
    """Record which anchors are configured, where that has changed: one that is taken away shows. Was it? CcdrError
    where the ledger cannot be written."""
    now = [
        ConfiguredAnchor(name=one.name, kind=code(one.kind), where_sha256=one.where_sha256, every=float(one.every))
        for one in sorted(anchors, key=lambda one: one.name)
    ]
    before = [
        ConfiguredAnchor(name=one.name, kind=code(one.kind), where_sha256=one.where_sha256, every=one.every)
        for one in lineage.anchoring.configured
    ]
    if lineage.ledger is None or now == before:
        return False
    services.ledger.write(LedgerAnchors(anchors=now))
    return True


def is_due(anchor: AnyAnchor, known: RecordedAnchoring, size: int, now: datetime) -> bool:
    """Is the checkpoint of `size` records to be anchored there now?"""
    last = known.last.get(anchor.name)
    if last is None or last.where_sha256 != anchor.where_sha256:
        return last is None or last.size < size
    at = utc(last.at)
    return last.size < size and not now - anchor.interval < at <= now + SET_BACK


def anchor_newest(
    anchors: Sequence[AnyAnchor],
    services: Services,
    lineage: Lineage,
    *,
    every: bool = False,
    seconds: float = SECONDS,
) -> list[AnchorMade]:
    """Anchor the newest checkpoint where that is due, or (`every`) wherever it is not yet: all side by side, and no
    longer than `seconds`. Nothing where another process is at it. CcdrError where the ledger, or the state, cannot be
    read or written."""
    if lineage.ledger is None or not anchors:
        return []
    there, now = directory_of(services.state, lineage.ledger), services.clock.now()
    grown = read_grown(there)
    if not every and grown and not any(is_due(one, lineage.anchoring, grown.tree.size, now) for one in anchors):
        return []
    newest = newest_in(there)
    if newest is None:
        return []
    directory = there / ANCHORS
    with services.state.turn("anchors") as mine:
        return _anchored(anchors, services, newest, directory, every=every, seconds=seconds) if mine else []


def _anchored(
    anchors: Sequence[AnyAnchor],
    services: Services,
    checkpoint: Checkpoint,
    directory: Path,
    *,
    every: bool,
    seconds: float,
) -> list[AnchorMade]:
    lineage, now = services.lineage(), services.clock.now()
    known, size = lineage.anchoring, checkpoint.size
    held = {one.name: one for one in anchors if (last := known.last.get(one.name)) and last.size >= size}
    wanted = [one for one in anchors if one.name not in held and (every or is_due(one, known, size, now))]
    receipts: dict[str, Receipt] = {}
    calls = {one.name: _call(one, services, checkpoint, receipts) for one in wanted}
    answers = at_once(calls, seconds)
    outcomes = [AnchorMade(one.name, one.kind, size, utc(known.last[one.name].at)) for one in held.values() if every]
    for one in wanted:
        why = answers[one.name]
        if why is None:
            receipt = receipts[one.name]
            _record(one, services, checkpoint, receipt, directory)
            outcomes.append(AnchorMade(one.name, one.kind, size, receipt.at))
        else:
            outcomes.append(AnchorMade(one.name, one.kind, size, why=why))
    if wanted:
        _count(directory, outcomes)
    return outcomes


def _call(
    settings: AnyAnchor, services: Services, checkpoint: Checkpoint, receipts: dict[str, Receipt]
) -> Callable[[], str | None]:
    """None once its receipt is among them, or why not. One that is given up may put it there later: nobody looks."""

    def made() -> str | None:
        make = KINDS.get(settings.kind)
        if make is None:
            return f"this ccdr cannot make an anchor of the kind {settings.kind}"
        try:
            receipts[settings.name] = make(settings, services).anchor(checkpoint)
        except CcdrError as error:
            return str(error)
        return None

    return made


def _record(settings: AnyAnchor, services: Services, checkpoint: Checkpoint, receipt: Receipt, directory: Path) -> None:
    """The file first: a record of a receipt that is not there is a finding."""
    from ccdr.evidence.checkpoints.receipts import name_of

    write_durably(directory / name_of(checkpoint.size, settings.name, settings.kind), receipt.contents)
    anchored = LedgerAnchored(
        name=settings.name,
        anchor=code(settings.kind),
        size=checkpoint.size,
        at=receipt.at,
        checkpoint_sha256=sha256(checkpoint.contents).hexdigest(),
        receipt_sha256=receipt.sha256,
    )
    services.ledger.write(anchored)


def tries(services: Services, lineage: Lineage) -> Mapping[str, int]:
    """By name: how often it was tried in vain since it last held."""
    if lineage.ledger is None:
        return {}
    return _tries(directory_of(services.state, lineage.ledger) / ANCHORS)


def _tries(directory: Path) -> dict[str, int]:
    return state_or_none(directory / TRIES, dict[str, int]) or {}


def _count(directory: Path, outcomes: Iterable[AnchorMade]) -> None:
    before = _tries(directory)
    counted = {**before}
    for one in outcomes:
        counted[one.name] = 0 if one.why is None else before.get(one.name, 0) + 1
    if counted != before:
        write_state(directory / TRIES, counted)


# The ledger's lines and its signed checkpoints in a bucket that locks each version: whoever has nothing but a
# credential for that bucket takes them in (`ccdr ledger collect s3:…`).

NO_MORE = EACH - 5.0  # seconds: no further object is begun


@dataclass(frozen=True)
class LockedObject:
    """By a credential that may only put. What of it was put stays put: a given-up one goes on at the next run."""

    settings: ObjectLock
    services: Services

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        began, clock, settings = self.services.clock.monotonic(), self.services.clock, self.settings
        store = EvidenceBucket.of(settings.url, env_file(settings.env_file), lock_days=settings.lock_days)
        publishing = Publishing(store, self.services, with_plans=settings.plans)
        try:
            done = publishing.publish(checkpoint, lambda: clock.monotonic() - began < NO_MORE)
        except Refused as refused:
            problem = f"the evidence bucket {store.bucket.name} takes nothing ({refused.code})"
            hint = refused.next_step if refused.unknown_credential else "`ccdr doctor` says what it lacks"
            raise CcdrError(problem, hint=hint) from None
        where: dict[str, str | int] = {
            "bucket": store.bucket.name,
            "key": store.prefix + done.checkpoint.key,
            "version": done.checkpoint.version or "",
            "sha256": done.checkpoint.sha256,
            "objects_of_lines": done.objects,
        }
        return noted(OBJECT_LOCK, settings.name, checkpoint, clock.now(), where)


# A time-stamping authority's token over a checkpoint (RFC 3161): `openssl ts -verify -in RECEIPT -data CHECKPOINT
# -CAfile CA` verifies it without us.

_TYPE = "application/timestamp-query"


@dataclass(frozen=True)
class TimeStamped:
    """What is sent is a digest and a random number; the answer is verified before it is kept."""

    settings: Rfc3161
    clock: Clock

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        certificates = self._certificates()
        asked = timestamps.request_of(checkpoint.contents)
        answer = self._asked(asked.contents)
        try:
            at = timestamps.verified(answer, checkpoint.contents, certificates, asked.nonce)
        except ValueError as why:
            hint = f"{self.settings.ca_file} must hold the certificate of the authority's CA"
            raise CcdrError(f"what the time-stamping authority answered {_rfc3161_told(why)}", hint=hint) from None
        now = self.clock.now()
        if abs(at - now) > CLOCKS_APART:
            text = f"the time-stamping authority says that it is {rfc3339(at)}, and this host {rfc3339(now)}"
            raise CcdrError(text, hint="see to this host's clock")
        return Receipt(at, answer)

    def _certificates(self) -> list[Certificate]:
        path = self.settings.ca_file
        try:
            return timestamps.certificates_of(path.read_bytes())
        except OSError as error:
            raise CcdrError(f"{path} cannot be read: {error.strerror}", hint="name the CA's certificate") from None
        except ValueError as why:
            raise CcdrError(f"{path} {why}", hint="name the CA's certificate, in PEM") from None

    def _asked(self, request: bytes) -> bytes:
        """The answer's bytes. A redirect is not followed: it might lead anywhere."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        class Stay(HTTPRedirectHandler):
            def redirect_request(self, *_: object) -> None:
                return None

        headers = {"Content-Type": _TYPE, "Accept": "application/timestamp-reply", "User-Agent": "ccdr"}
        sent = Request(self.settings.url, request, headers)  # noqa: S310 - http or https: see plans/anchors.py
        try:
            with build_opener(Stay).open(sent, timeout=EACH) as answer:
                contents: bytes = answer.read(timestamps.LARGEST + 1)
        except HTTPError as error:
            raise CcdrError(f"the time-stamping authority answered {error.code}", hint=_LATER) from None
        except (URLError, OSError, HTTPException, ValueError):
            raise CcdrError("the time-stamping authority does not answer", hint=_LATER) from None
        if len(contents) > timestamps.LARGEST:
            raise CcdrError("the time-stamping authority answered more than a token", hint=_LATER)
        return contents


_LATER = "check the address; the next run tries again"


def _rfc3161_told(why: ValueError) -> str:
    return f"does not verify: {why}" if isinstance(why, timestamps.NotVerified) else str(why)


# Where the anchors stand now, from the ledger and anchors.yaml alone.


def plans_of(plans: Iterable[LoadedPlan]) -> Path | None:
    """The directory of these plans."""
    return next((loaded.path.parent for loaded in plans), None)


def standing(plans: Path | None, services: Services, lineage: Lineage) -> AnchorsStanding:
    """By the file beside the directory of plans; where that is wrong, or there is none (None), by what was recorded.
    CcdrError where the ledger cannot be read."""
    mistake, known = None, lineage.anchoring
    asked = _recorded(known)
    try:
        if plans is not None:
            asked = [
                AnchorAsked(one.name, one.kind, one.interval, one.overdue_after, one.where_sha256)
                for one in anchors_beside(plans)
            ]
    except PlanInvalid as error:
        first = error.problems[0]
        mistake = f"{BESIDE} is wrong, and nothing is anchored: line {first.line}: {first.message}"
    except UsageProblem as error:
        mistake = f"{BESIDE} cannot be read, and nothing is anchored: {error}"
    now = services.clock.now()
    sizes = {one.name: last.size if (last := known.last.get(one.name)) else 0 for one in asked}
    waits = _waiting(services.ledger, set(sizes.values())) if known.key is not None else {}
    since = {name: waits.get(size) for name, size in sizes.items()}
    found = judged(asked, known, now, since, dict(tries(services, lineage)) if asked else {})
    return replace(found, mistake=mistake)


def _recorded(known: RecordedAnchoring) -> list[AnchorAsked]:
    return [
        AnchorAsked(one.name, one.kind, every := timedelta(seconds=one.every), 2 * every + SLACK, one.where_sha256)
        for one in known.configured
    ]


def _waiting(ledger: Ledger, sizes: set[int]) -> dict[int, datetime | None]:
    """By size: of when the first record behind it is that is to be anchored: of one that says that something was
    anchored there is no need."""
    numbered, found = ledger.numbering(), dict[int, datetime | None]()
    for size in sizes:
        seq = size + 1
        while isinstance(record := numbered(seq), LedgerAnchored):
            seq += 1
        found[size] = None if record is None else record.time
    return found


# The signed checkpoint, sent by Apprise to somebody who keeps it: pasted into a file it is an anchor for `ccdr ledger
# verify --anchor`.


@dataclass(frozen=True)
class SentByApprise:
    """To all addresses of the file; it holds where each has taken it."""

    settings: Told
    clock: Clock

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        targets, message = read_targets(self.settings.urls_file), message_of(checkpoint)
        answers = at_once({one: _sending(one, message) for one in targets}, EACH)
        if failed := {target.name: why for target, why in answers.items() if why is not None}:
            name, why = next(iter(failed.items()))
            more = f"; and {len(failed) - 1} more like this" if len(failed) > 1 else ""
            raise CcdrError(f"{name}: {why}{more}", hint="correct the address; the next run tries again")
        kinds = ", ".join(sorted({target.url.partition("://")[0].lower() for target in targets}))
        where: dict[str, str | int] = {"addresses": len(targets), "kinds": kinds}
        return noted(TOLD, self.settings.name, checkpoint, self.clock.now(), where)


def _sending(target: MessageTarget, message: Message) -> Callable[[], str | None]:
    return lambda: send(target.url, message)


def message_of(checkpoint: Checkpoint) -> Message:
    """Origin, size and root for people; then the note, to be kept as it is."""
    return Message(
        f"ccdr: checkpoint of {so_many(checkpoint.size, 'record')}",
        f"ledger: {checkpoint.origin}\nrecords: {checkpoint.size}\nroot: {checkpoint.root.hex()}\n\n"
        "Keep this message. Later, save the lines below, from the first to the last, in a file:\n"
        "`ccdr ledger verify DIRECTORY --anchor FILE` then shows whether a record before it was changed.\n\n"
        f"{checkpoint.note}",
        wrong=False,
    )
