"""Honest twins of a forged ledger: a host that came back without its state, and one whose ledger an older ccdr began."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from tests.support.packages import Exporting, made
from tests.support.recorded import backup, test
from tests.support.stored import two_days

from ccdr.evidence.lineage.beside import read_id
from ccdr.jobs.attest.storing import store
from ccdr.jobs.checkpoints import signing_keys
from ccdr.jobs.checkpoints.making import make
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
    both = ("--pin", old_key, "--pin", new_key, "--anchor", str(old), "--anchor", str(new))
    done = site.run("ledger", "verify", str(package), *both)
    assert (done.code, done.json["says"]) == (0, "verified"), done
    alone = site.run("ledger", "verify", str(package), "--pin", old_key, "--anchor", str(old), "--anchor", str(new))
    assert alone.code == 1 and "KEY_NOT_PINNED" in {one["code"] for one in alone.json["findings"]}, "it is another key"


def test_a_ledger_that_an_older_ccdr_began_verifies(tmp_path: Path) -> None:
    """Its first records are as they were written then, of an older version, and before any key."""
    exporting: Exporting = made(tmp_path)
    kinds = {record["version"] for record in exporting.world.ledger.records()}
    assert min(kinds) < max(kinds)
    exporting.world.clock.on(hours=1)
    backup(exporting.world.ledger, "b9", "recordings")
    test(exporting.world.ledger, "t9", "recordings-b9", "PASS", "recordings")
    exporting.world.clock.at += timedelta(minutes=1)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)
    exporting.export()
    assert exporting.by_pin() == (0, "verified", [])
