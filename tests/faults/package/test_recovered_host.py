"""Honest twins of a forged ledger: a host that came back without its state, and one that was collected."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.stored import two_days

from ccdr.evidence.lineage.comparison import read_id
from ccdr.jobs.attest.storing import store
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.services import limits_of


def test_a_host_that_came_back_verifies_by_its_new_key_and_by_the_old_one(tmp_path: Path) -> None:
    """The lost ledger comes from the repository and is in the package, with the anchor that its auditor kept of it; the
    new one has a key of its own, which its auditor pins, too."""
    site = two_days(tmp_path / "site")
    old_key = str(signing_keys.create(site.services()).key)
    old = tmp_path / "old.txt"
    old.write_bytes(make(site.services()).checkpoint.contents)
    services, loaded = site.services(), site.loaded()
    store(services.repository(loaded, limits_of(loaded)), services)
    lost = read_id(site.state / "ledger")
    shutil.rmtree(site.state / "ledger")
    shutil.rmtree(site.state / "keys")
    shutil.rmtree(site.state / "checkpoints")
    site.backed_up()
    assert site.run("ledger", "recover").code == 0
    new_key = str(signing_keys.create(site.services()).key)
    new = tmp_path / "new.txt"
    new.write_bytes(make(site.services()).checkpoint.contents)
    package = tmp_path / "package"
    assert site.run("ledger", "export", str(package)).code == 0
    assert (package / f"data/ledgers/{lost}").is_dir()
    new.write_bytes(max(package.glob(f"data/checkpoints/{read_id(site.state / 'ledger')}/*.txt")).read_bytes())
    both = ("--pin", old_key, "--pin", new_key, "--anchor", str(old), "--anchor", str(new))
    done = site.run("ledger", "verify", str(package), *both)
    assert (done.code, done.json["says"]) == (0, "verified"), done
    alone = site.run("ledger", "verify", str(package), "--pin", old_key, "--anchor", str(old), "--anchor", str(new))
    assert alone.code == 1 and "KEY_NOT_PINNED" in {one["code"] for one in alone.json["findings"]}, "it is another key"


def test_a_collected_ledger_brings_its_checkpoints_along(tmp_path: Path) -> None:
    """So that whoever collected it verifies it by its key, and so that it is in a package of both hosts, proven."""
    site, other = two_days(tmp_path / "one"), two_days(tmp_path / "two")
    keys, anchors = list[str](), list[str]()
    for one in (site, other):
        keys += ["--pin", str(signing_keys.create(one.services()).key)]
        path = tmp_path / f"{one.root.name}.txt"
        path.write_bytes(make(one.services()).checkpoint.contents)
        anchors += ["--anchor", str(path)]
    assert site.run("ledger", "collect", str(other.state)).code == 0
    was = read_id(other.state / "ledger")
    assert list((site.state / f"checkpoints/{was}").glob("*.txt"))
    alone = site.run("ledger", "verify", "--ledger", str(was), *keys, *anchors)
    assert (alone.code, alone.json["says"]) == (0, "verified"), alone
    assert site.run("ledger", "export", str(tmp_path / "package")).code == 0
    notes = (tmp_path / "package/data/checkpoints").glob(f"{read_id(site.state / 'ledger')}/*.txt")
    (tmp_path / "one.txt").write_bytes(max(notes).read_bytes())
    done = site.run("ledger", "verify", str(tmp_path / "package"), *keys, *anchors)
    assert (done.code, done.json["says"]) == (0, "verified"), done
