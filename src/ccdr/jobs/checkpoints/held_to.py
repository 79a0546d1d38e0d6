"""What a ledger is held to when it is verified: the checkpoints that lie with it, and what whoever verifies brings."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.checkpoint import (
    GIVEN,
    OBJECT_LOCK,
    RFC3161,
    TOLD,
    Anchor,
    Checkpoint,
    origin_of,
    read_checkpoint,
)
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.receipts import Receipts, anchors_in, missing
from ccdr.evidence.checkpoints.verification import END_OF_A_DAY, Asked, Checked, check, leaves
from ccdr.evidence.ledger.ledger import BEGINNING, extent_of, lines
from ccdr.evidence.lineage.comparison import directory_of as directory_of_ledger
from ccdr.evidence.lineage.comparison import id_in, lies_at, reader
from ccdr.evidence.records import KIND_OF, LedgerAnchored, LedgerKey, Unread
from ccdr.jobs.checkpoints.store import all_published, checkpoints_in, directory_of
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import so_many, utc

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from ccdr.jobs.services import Services

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
LARGEST = 64 * 1024  # bytes of a file that is taken for a key or a checkpoint


@dataclass(frozen=True)
class Brought:
    """What whoever verifies had from elsewhere: pinned keys, and anchors."""

    pins: tuple[Pin, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    certificates: tuple[Certificate, ...] = ()  # of the CAs of time-stamping authorities
    files: tuple[Path, ...] = ()  # where all that was read from

    @property
    def anything(self) -> bool:
        return bool(self.pins or self.anchors or self.certificates)

    @classmethod
    def of(cls, pins: Sequence[str], anchors: Sequence[str], tsa: Sequence[Path] = ()) -> Brought:
        """`pins`: keys, fingerprints, or files of one; `anchors`: files of checkpoints, or directories of them, with
        `@TIME` where it is known when they were had; `tsa`: files of certificates in PEM. UsageProblem where one is
        none."""
        dated = [_dated(text) for text in anchors]
        brought = tuple(one for path, had in dated for one in _anchors(path, had))
        files = (*filter(_is_file, map(Path, pins)), *(path for path, _ in dated), *tsa)
        certificates = tuple(one for path in tsa for one in _certificates(path))
        return cls(tuple(map(_pin, pins)), brought, certificates, files)

    def require_from_elsewhere(self, directory: Path) -> None:
        """UsageProblem where something of it lies in what is verified: who made that could have put it there."""
        for one in self.files:
            if one.resolve().is_relative_to(directory.resolve()):
                raise UsageProblem(
                    f"{one} lies in what is to be verified, and vouches for nothing there",
                    hint="name a key, an anchor or a certificate that you had by another way",
                )


NOTHING_BROUGHT = Brought()


def _is_file(path: Path) -> bool:
    """Or is it a key itself, perhaps longer than a path may be?"""
    return len(str(path)) < 4096 and path.is_file()


def _pin(text: str) -> Pin:
    path = Path(text)
    try:
        if _is_file(path):
            text = path.read_bytes()[:LARGEST].decode("ascii")
        first, _, _ = text.strip().partition("\n")  # `ccdr ledger key show` prints its history below
        return Pin.of(text if text.lstrip().startswith("-----") else first)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as why:
        said = text.partition("\n")[0][:200]
        what = f"{path}, named by --pin," if _is_file(path) else f"--pin: there is no file {said}, and as a key it"
        hint = "`ccdr ledger key show` prints the key and its fingerprint; a file may hold either, or PEM"
        raise UsageProblem(f"{what} {'is no text' if isinstance(why, UnicodeError) else why}", hint=hint) from None


def _certificates(path: Path) -> list[Certificate]:
    from ccdr.evidence.checkpoints.timestamps import certificates_of

    hint = "name the certificate of the authority's CA, in PEM, that you had from elsewhere"
    try:
        return certificates_of(path.read_bytes())
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    except ValueError as why:
        raise UsageProblem(f"the file of --tsa, {path}, {why}", hint=hint) from None


def _dated(text: str) -> tuple[Path, datetime | None]:
    """A path, and when what lies there was had: `FILE@2026-11-25T10:00:00Z`; by a date alone, until its end."""
    path, _, time = text.rpartition("@")
    try:
        if path and _DATE.fullmatch(time):
            when = utc(f"{time}T{END_OF_A_DAY}Z")
        elif path:
            when = utc(time)
        else:
            return Path(text), None
    except (ValueError, OverflowError):
        return Path(text), None
    if when.date() > datetime.now(UTC).date():
        raise UsageProblem(f"--anchor {text}: that is in the future", hint="say when you had it")
    return Path(path), when


def _anchors(path: Path, had: datetime | None) -> list[Anchor]:
    paths = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found = []
    for one in paths:
        try:
            contents = one.read_bytes()[: LARGEST + 1]
            found.append(Anchor(GIVEN, one.name, read_checkpoint(contents), had, independent=True))
        except OSError as error:
            raise UsageProblem(f"{one} cannot be read: {error.strerror}") from None
        except ValueError as why:
            if one == path:
                hint = (
                    "name a checkpoint that you had from elsewhere: a signed note, as `ccdr ledger checkpoint` prints; "
                    "of a mail save it alone, from the line that names the ledger to those that begin with —"
                )
                raise UsageProblem(f"{one} {why}", hint=hint) from None
    if not found:
        raise UsageProblem(f"{path} holds no checkpoint")
    return found


def of_live(services: Services, brought: Brought) -> Checked:
    """This host's ledger. CcdrError where it cannot be read."""
    ledger = services.lineage().ledger
    there = None if ledger is None else directory_of(services.state, ledger)
    return _checked(services.ledger.directory, ledger, there, brought, made=None, live=True)


def of_live_against(services: Services, anchors: Sequence[Anchor]) -> Checked:
    """This host's ledger, held to these anchors alone."""
    ledger = services.lineage().ledger
    return _checked(services.ledger.directory, ledger, None, Brought((), tuple(anchors)), made=None)


def of_beside(services: Services, ledger: str, brought: Brought = NOTHING_BROUGHT) -> Checked:
    """Another ledger that lies beside ours, held to the checkpoints that are kept of it, and to what the evidence
    buckets that were read hold of it. CcdrError where it cannot be read."""
    known = services.lineage().beside.get(ledger)
    directory = directory_of_ledger(services.state, ledger) if known is None else lies_at(services.state, known)
    published = all_published(services.state, ledger)
    anchors = (*brought.anchors, *(anchor for one in published for anchor in one.anchors))
    there, made = directory_of(services.state, ledger), None if known is None else utc(known.at)
    all_of_it = replace(brought, anchors=anchors)
    checked = _checked(directory, ledger, there, all_of_it, made=made, kinds=(RFC3161,))
    found = dict.fromkeys((*(finding for one in published for finding in one.findings), *checked.findings))
    return replace(checked, findings=tuple(found))


def of_directory(directory: Path, checkpoints: Path | None, brought: Brought, made: datetime | None) -> Checked:
    """A copy of a ledger that was made at `made`."""
    return _checked(directory, id_in(directory), checkpoints, brought, made=made)


def _checked(
    directory: Path,
    ledger: str | None,
    checkpoints: Path | None,
    brought: Brought,
    *,
    made: datetime | None,
    live: bool = False,
    kinds: Collection[str] = (RFC3161, TOLD, OBJECT_LOCK),
) -> Checked:
    """`kinds` of anchors whose receipts must lie there."""
    extent = extent_of(directory)
    found: list[Checkpoint] = []
    unreadable: list[str] = []
    try:
        if checkpoints is not None:
            found, wrong = checkpoints_in(checkpoints)
            unreadable = [f"{one.name} {one.why}" for one in wrong]
    except OSError as error:
        raise CcdrError(f"{checkpoints} cannot be read: {error.strerror}", hint="run as its owner") from None
    keys: list[LedgerKey | Unread] = []
    anchored: list[LedgerAnchored] = []
    with contextlib.suppress(LedgerBroken):  # the chain's own verification tells of a line that is no record
        for record in reader(directory).of_itself(BEGINNING):
            keys += [record] if isinstance(record, LedgerKey | Unread) and record.kind == KIND_OF[LedgerKey] else []
            anchored += [record] if isinstance(record, LedgerAnchored) and record.anchor in kinds else []
    receipts = _receipts(checkpoints, anchored, brought, live=live)
    asked = Asked(
        ledger=ledger,
        origin=None if ledger is None else origin_of(ledger),
        checkpoints=found,
        anchors=(*brought.anchors, *receipts.anchors),
        pins=brought.pins,
        made=made,
        unreadable=unreadable,
        key_records=keys,
        findings=receipts.findings,
        notes=receipts.notes,
    )
    return check(asked, leaves(lines(directory, extent)) if found or asked.anchors else ())


def _receipts(
    checkpoints: Path | None, anchored: Sequence[LedgerAnchored], brought: Brought, *, live: bool
) -> Receipts:
    """What anchors have left with the checkpoints. Where none of them lie with a copy at all, nothing of it is missing:
    that is said."""
    if checkpoints is None or not (live or checkpoints.is_dir()):
        without = [f"{so_many(len(anchored), 'anchor is', 'anchors are')} recorded, and no receipt lies with this copy"]
        return Receipts(notes=without if anchored else [])
    try:
        receipts = anchors_in(checkpoints, brought.certificates)
        receipts.findings += missing(anchored, checkpoints)
    except OSError as error:
        raise CcdrError(f"{checkpoints} cannot be read: {error.strerror}", hint="run as its owner") from None
    return receipts
