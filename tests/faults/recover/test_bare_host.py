"""A host that has nothing but plan and key, before a repository that holds many snapshots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.harness import PASSWORD, Site

MANY = 30


def restic(site: Site, *args: str) -> str:
    env = {**os.environ, "RESTIC_REPOSITORY": str(site.repo), "RESTIC_PASSWORD": PASSWORD}
    return subprocess.run(["restic", *args], env=env, capture_output=True, text=True, check=True).stdout


def half_hourly_before(site: Site, asset: str) -> None:
    """What is stored of an asset, as if it had been every half hour before that, too."""
    stored: list[dict[str, Any]] = json.loads(restic(site, "snapshots", "--json", "--tag", f"asset={asset}"))
    one = stored[-1]
    captured = next(path for path in one["paths"] if path.endswith("/ccdr-capture"))
    restic(site, "restore", one["id"], "--target", "/", "--include", captured)
    for number in range(1, MANY + 1):
        when = datetime.now(UTC) - timedelta(minutes=30 * number)
        tags = [tag for tag in one["tags"] if not tag.startswith("run=")]
        named = [word for tag in [*tags, f"run={when:%Y%m%dT%H%M%S}-abcdef"] for word in ("--tag", tag)]
        local = f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
        restic(site, "backup", "--time", local, *named, "--", *one["paths"])
    shutil.rmtree(captured)


def test_a_bare_host_reads_the_newest_manifests_alone_and_snapshots_lists_them_all(centre: Site, lost: Path) -> None:
    half_hourly_before(centre, "recordings")
    shutil.rmtree(centre.state)
    dry = centre.run("recover", "p", "--under", str(centre.root / "back"), "--dry-run")
    assert dry.code == 0, dry
    assert any(
        "recordings: " in note and "were not looked at" in note for note in dry.json["would_recover"]["notes"]
    ), dry.json
    assert len(list((centre.state / "catalogue" / "p" / "recordings").glob("*.json"))) < MANY / 2
    done = centre.run("recover", "p", "--under", str(centre.root / "back"), "--yes-i-mean", "p")
    assert (done.code, done.json["state"]) == (0, "done"), done
    twin = centre.run("snapshots", "p", "--asset", "recordings")
    assert twin.code == 0 and len(twin.json["snapshots"]) == MANY + 1, twin
    assert not twin.json["findings"], twin
