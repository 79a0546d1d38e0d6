"""Snapshots vanish, come from the future, or are not what they claim. Every damage is done to a copy of one good repository, whose undamaged twin passes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.support.harness import Ran, Site, texts
from tests.support.repository_damage import flip, ids
from tests.support.stored import assert_clean, restic_of, settled_file


def test_flipped_snapshot_file_never_passes(twin: Site) -> None:
    flip(twin.repo / "snapshots" / ids(twin)[-1])
    done = twin.run("test", "p")
    assert done.code in (1, 3) and done.json["verdict"] != "PASS", done
    assert_clean(twin)


def test_removed_newest_snapshot_is_a_finding_and_fails(twin: Site) -> None:
    older, newest = ids(twin)
    restic_of(twin.root, "forget", newest)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert newest[:8] in done.json["reason"] and "vanished" in done.json["reason"]
    assert any(newest[:8] in f and "vanished" in f for f in texts(done.json["findings"]))
    assert (done.json["snapshot"]["id"], done.json["snapshot"]["verdict"]) == (older, "PASS")
    assert_clean(twin)


def test_removed_older_snapshot_is_a_finding(twin: Site) -> None:
    older, newest = ids(twin)
    restic_of(twin.root, "forget", older)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS"), done
    assert any(older[:8] in f and "vanished" in f for f in texts(done.json["findings"]))
    assert done.json["snapshot"]["id"] == newest
    shown = twin.run("snapshots", "p")
    listed = {s["id"]: (s["there"], s["counts"], s["why_not"]) for s in shown.json["snapshots"]}
    assert shown.code == 1 and listed == {older: (False, False, "vanished"), newest: (True, True, None)}
    assert texts(shown.json["findings"])[0].endswith("recover.md, A snapshot that vanished")


def test_all_snapshots_removed_fails(twin: Site) -> None:
    restic_of(twin.root, "forget", *ids(twin))
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert done.json["rpo"] == {**done.json["rpo"], "achieved_s": None, "verdict": "BREACHED"}


TAGS = "ccdr-3,kind=backup,plan=p,asset=recordings,run=20261124T020000-abcdef"


def planted(site: Site, manifest: Callable[[dict[str, object]], None] | None, *flags: str) -> str:
    """Somebody puts a snapshot with our tags there; with a copy of today's manifest, changed by `manifest`."""
    place = site.root / "planted" / "ccdr-capture"
    place.mkdir(parents=True)
    if manifest is None:
        (place / "notes.txt").write_text("no manifest\n")
    else:
        entry = json.loads((site.state / "catalogue" / "p" / "recordings" / f"{ids(site)[-1]}.json").read_text())
        body = json.loads(entry["manifest"])
        manifest(body)
        (place / "ccdr-manifest.json").write_text(json.dumps(body) + "\n")
    said = restic_of(site.root, "backup", "--json", "--host", "ccdr", "--tag", TAGS, *flags, str(place))
    return str(json.loads(said.splitlines()[-1])["snapshot_id"])


def in_future(body: dict[str, object]) -> None:
    body["consistent_point"] = "2099-01-01T00:00:00Z"


def now(body: dict[str, object]) -> None:
    body["consistent_point"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("consistent", [in_future, now])
def test_snapshot_dated_in_the_future_is_a_finding_and_not_selected(
    twin: Site, consistent: Callable[[dict[str, object]], None]
) -> None:
    newest = ids(twin)[-1]
    fake = planted(twin, consistent, "--time", "2099-01-01 00:00:00")
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS"), done
    assert done.json["snapshot"]["id"] == newest
    assert any(fake[:8] in f and "future" in f for f in texts(done.json["findings"]))
    assert done.json["rpo"]["verdict"] == "MET", "exposure is told from snapshots that count"


def test_consistent_point_in_the_future_is_not_selected(twin: Site) -> None:
    newest = ids(twin)[-1]
    fake = planted(twin, in_future)
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "future" in f for f in texts(done.json["findings"]))


def test_planted_snapshot_without_manifest_does_not_count(twin: Site) -> None:
    fake, newest = planted(twin, None), ids(twin)[-1]
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "does not count" in f for f in texts(done.json["findings"]))
    assert done.json["verdict"] == "FAIL" and f"the newer snapshot {fake[:8]}" in done.json["reason"], (
        "it is what is wanted"
    )
    assert done.json["snapshot"]["verdict"] == "PASS" and not done.json["newer_failed"]
    assert twin.run("test", "p", "--snapshot", newest).json["verdict"] == "PASS", "which is judged by itself alone"
    assert any(f"the newer snapshot {fake[:8]}" in note for note in restored(twin).json["would_restore"]["notes"])
    assert fake not in ids(twin)


def restored(site: Site) -> Ran:
    return site.run("restore", "p", "--asset", "recordings", "--to", str(site.root / "back"), "--dry-run")


@pytest.mark.parametrize("manifest", ["[" * 100_000, "{", None])
def test_snapshot_whose_manifest_is_damaged_is_told_where_nothing_else_is_known(
    twin: Site, manifest: str | None
) -> None:
    """With no state: there is one, and it cannot be read. Without any there is none."""
    newest = ids(twin)[-1]
    restic_of(twin.root, "forget", *ids(twin))
    shutil.rmtree(twin.state)
    if manifest is not None:
        place = twin.root / "planted" / "ccdr-capture"
        settled_file(place / "ccdr-manifest.json", manifest.encode())
        newest = json.loads(
            restic_of(twin.root, "backup", "--json", "--host", "ccdr", "--tag", TAGS, str(place)).splitlines()[-1]
        )["snapshot_id"]
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert ("1 snapshot of p/recordings that cannot " in done.json["reason"]) is (manifest is not None)
    assert any(newest[:8] in said and "does not count" in said for said in texts(done.json["findings"])) is (
        manifest is not None
    )
    real = restored(twin)
    assert (real.code, real.json["error"]) == (2, done.json["reason"]), "a restore for real says the same of it"
    assert ("A damaged repository" in real.json["hint"]) is (manifest is not None)


def test_manifest_of_another_asset_does_not_count(twin: Site) -> None:
    fake, newest = planted(twin, lambda body: body.update(asset="crm")), ids(twin)[-1]
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "p/crm" in f for f in texts(done.json["findings"]))
    assert fake not in ids(twin)


def test_planted_manifest_without_its_files_fails(twin: Site) -> None:
    """A whole forged snapshot is selected, since it claims to be the newest; it cannot pass."""
    fake = planted(twin, now)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (1, "FAIL", fake), done
    assert "incomplete" in done.json["reason"]


def test_failed_newer_backup_fails_the_latest_though_the_older_is_good(twin: Site) -> None:
    newest = ids(twin)[-1]
    shutil.move(twin.root / "tree", twin.root / "unmounted")
    assert twin.run("backup", "p").code == 1
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "is not there" in done.json["reason"], "the failed backup is named"
    assert done.json["snapshot"] == {**done.json["snapshot"], "id": newest, "verdict": "PASS"}
    assert all(c["status"] == "PASS" for c in done.json["checks"]) and done.json["checks"]
    assert done.json["newer_failed"] is True, "and nothing else is wrong"
    own = twin.run("test", "p", "--snapshot", newest)
    assert (own.code, own.json["verdict"]) == (0, "PASS"), "another selection judges only its own"
    shutil.move(twin.root / "unmounted", twin.root / "tree")
    assert twin.run("status").code == 1
    twin.backed_up()
    assert twin.run("status").code == 0, "the next good backup heals it"
    assert twin.run("test", "p").json["verdict"] == "PASS"
    assert_clean(twin)


TRUNCATING = """\
#!/bin/sh
{real} "$@"
code=$?
case " $* " in *" restore "*)
  find {state}/scratch -name today.wav -exec truncate -s 1000 {{}} + ;;
esac
exit $code
"""


def test_truncated_restore_fails(twin: Site) -> None:
    """restic says that all is well, and a file is short."""
    script = TRUNCATING.format(real=shutil.which("restic"), state=twin.state)
    twin.write("bin/restic", script, mode=0o755)
    done = twin.run("test", "p", env={"PATH": f"{twin.root / 'bin'}:{os.environ['PATH']}"})
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert_clean(twin)
    assert twin.run("test", "p").json["verdict"] == "PASS"
