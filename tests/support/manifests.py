"""A manifest as a backup stores it, and a snapshot as the catalogue has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ccdr.model.values import Attestation, FileDigest, Manifest, Snapshot

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAID = Attestation("a" * 32, 17, "b" * 64, 16, "c" * 12, "d" * 64)  # of another host's ledger


def a_manifest(**changes: object) -> Manifest:
    made = Manifest(
        plan="p",
        asset="crm",
        run="r1",
        engine="postgres",
        method="dump",
        host="h",
        consistent_point=NOW,
        clock_skew_s=0.1,
        tools={"restic": "0.18.0"},
        contents={"source": "crm", "tables": {"public call": {"rows": 3}}},
        files={"dump/toc.dat": FileDigest(10, "a" * 64), "dump/1.dat": FileDigest(90, "b" * 64, 5)},
        attested=SAID,
    )
    return replace(made, **changes)


def counted(*known: Any, **more: Any) -> Snapshot:
    """A snapshot of which the catalogue knows this, up to its manifest's digest, and nothing else that not each has."""
    left = {"source": None, "group": None, "upon": (), "arrived": None, "in_use": 0, "missing_s": 0.0}
    return Snapshot(*known, **{**left, "attested": SAID, **more})


def a_snapshot(number: int, point: datetime) -> Snapshot:
    return counted(
        id=f"{number:064x}",
        plan="p",
        asset="crm",
        run=f"r{number}",
        engine="postgres",
        method="dump",
        consistent_point=point,
        usable_at=point + timedelta(minutes=1),
        bytes=1,
        root="/",
        manifest_sha256="0" * 64,
        source="db",
    )
