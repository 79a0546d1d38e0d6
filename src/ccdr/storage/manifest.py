"""A snapshot's manifest: exact bytes, so that its hash can be compared, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from ccdr.model.erasure import RegisterHead
from ccdr.model.errors import BackupBad, OfBefore, require_format
from ccdr.model.values import (
    MANIFEST_FORMAT,
    Attestation,
    FileDigest,
    GroupRun,
    Manifest,
    Needed,
    Snapshot,
    rfc3339,
    utc,
)

MANIFEST = "ccdr-manifest.json"


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it goes into the snapshot: exact bytes, so that its hash can be compared."""
    body = asdict(manifest) | {"consistent_point": rfc3339(manifest.consistent_point)}
    body["files"] = {name: asdict(digest) for name, digest in manifest.files.items()}
    if manifest.group is None:
        del body["group"]
    if not manifest.upon:
        del body["upon"]
    del body["attested"]
    del body["erasures"]
    if manifest.erasures is not None:
        body["erasures"] = manifest.erasures.as_json()
    if manifest.attested is not None:
        body |= manifest.attested.flat()
    return json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"


def parse_manifest(text: str) -> Manifest:
    """The inverse of `manifest_text`; BackupBad where the text is no manifest of ours, WrittenByNewer where it is one
    of a format that is yet to come."""
    try:
        body = json.loads(text)
        require_format("its manifest", body["format"], MANIFEST_FORMAT)
        if unknown := sorted(body.keys() - _KEYS):
            raise ValueError(f"no manifest has the key {unknown[0][:40]!a}")
        body["attested"] = Attestation.of(body)
        body["consistent_point"] = utc(body["consistent_point"])
        body["files"] = {name: FileDigest(**digest) for name, digest in body["files"].items()}
        body["group"] = _group(body.get("group"))
        body["upon"] = _upon(body.get("upon"))
        body["erasures"] = RegisterHead.of(body.get("erasures"))
        return Manifest(**{key: value for key, value in body.items() if key in _OWN})
    except RecursionError:
        raise BackupBad("its manifest cannot be read: it is nested without end") from None
    except (ValueError, KeyError, TypeError, AttributeError, OfBefore) as error:
        raise BackupBad(f"its manifest cannot be read: {error}") from None


_OWN = frozenset(key.name for key in fields(Manifest))
_KEYS = _OWN - {"attested"} | {"ledger", "ledger_seq", "ledger_head", "ledger_start", "ledger_prev", "installation"}


def text_digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# The last part of the captured directory's path; a snapshot's paths tell by it where the manifest is.
CAPTURED = "ccdr-capture"


def snapshot_of(
    manifest: Manifest, text: str, snapshot_id: str, root: str, usable_at: datetime, note: str | None = None
) -> Snapshot:
    own = sum(d.bytes for d in manifest.files.values())
    outside = manifest.contents.get("bytes", 0)
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
        note=note,
        source=str(manifest.contents.get("source")),
        group=manifest.group,
        upon=manifest.upon,
        attested=manifest.attested,
    )


def _group(body: Mapping[str, Any] | None) -> GroupRun | None:
    """KeyError or TypeError where it is none."""
    return None if body is None else GroupRun(str(body["name"]), str(body["run"]), tuple(map(str, body["assets"])))


def _upon(body: Sequence[Mapping[str, Any]] | None) -> tuple[Needed, ...]:
    """KeyError or TypeError where it is none."""
    return tuple(Needed(str(one["id"]), str(one["manifest_sha256"])) for one in body or ())
