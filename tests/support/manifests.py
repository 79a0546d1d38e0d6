"""A manifest as a backup stores it, and a snapshot as the catalogue has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ccdr.model.values import FileDigest, Manifest, Snapshot

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


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
    )
    return replace(made, **changes)


def a_snapshot(number: int, point: datetime) -> Snapshot:
    return Snapshot(
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
