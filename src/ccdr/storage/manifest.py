"""A snapshot's manifest: exact bytes, so that its hash can be compared, and back."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256

from ccdr.host.state_files import decoded, plain
from ccdr.model.errors import BackupBad, OfBefore
from ccdr.model.values import Manifest, Snapshot

MANIFEST = "ccdr-manifest.json"


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it goes into the snapshot: exact bytes, so that its hash can be compared."""
    return json.dumps(plain(manifest), sort_keys=True, separators=(",", ":")) + "\n"


def parse_manifest(text: str) -> Manifest:
    """The inverse of `manifest_text`; BackupBad where the text is no manifest of ours, WrittenByNewer where it is one
    of a format that is yet to come."""
    try:
        manifest = decoded(text, Manifest, "its manifest")
        if manifest.consistent_point.tzinfo is None:
            raise ValueError("its time has no zone")
        return manifest
    except (ValueError, OfBefore) as error:
        raise BackupBad(f"its manifest cannot be read: {error}") from None


def text_digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# The last part of the captured directory's path; a snapshot's paths tell by it where the manifest is.
CAPTURED = "ccdr-capture"


MOST_MISSING = 1e10  # seconds; more than any clock tells


def _seconds(told: object) -> float:
    """BackupBad where it is no length of time."""
    if type(told) not in (int, float) or not 0 <= float(str(told)) <= MOST_MISSING:
        raise BackupBad("its manifest is not what ccdr wrote: 'missing_s' is no length of time")
    return float(str(told))


def snapshot_of(manifest: Manifest, text: str, snapshot_id: str, root: str, usable_at: datetime) -> Snapshot:
    own = sum(d.bytes for d in manifest.files.values())
    outside, in_use = manifest.contents.get("bytes", 0), manifest.contents.get("unsettled", 0)
    return Snapshot(
        id=snapshot_id,
        plan=manifest.plan,
        asset=manifest.asset,
        run=manifest.run,
        engine=manifest.engine,
        method=manifest.method,
        consistent_point=manifest.consistent_point,
        usable_at=max(usable_at, manifest.consistent_point),
        bytes=own + (outside if isinstance(outside, int) else 0),
        root=root,
        manifest_sha256=text_digest(text),
        source=str(manifest.contents["source"]),
        group=manifest.group,
        upon=manifest.upon,
        attested=manifest.attested,
        arrived=None,
        in_use=in_use if isinstance(in_use, int) else 0,
        missing_s=_seconds(manifest.contents.get("missing_s", 0.0)),
    )
