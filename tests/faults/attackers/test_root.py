"""Somebody is root on the host that backs up. What they can do there is done, and who notices is asked: this host, another
one, or nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.attacking import forged_pass, in_a_locked_bucket
from tests.support.attested import cut
from tests.support.harness import Site
from tests.support.repository_damage import flip, ids
from tests.support.signed import key, signers
from tests.support.stored import other_host, settled_file

from ccdr.demo.store import DemoStore
from ccdr.evidence.lineage.comparison import keep


def tested(site: Site, **more: dict[str, str]) -> tuple[int, str]:
    done = site.run("test", "p", **more)
    return done.code, done.json["verdict"]


def damaged(site: Site) -> None:
    """The pack that holds most."""
    flip(max((site.repo / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0))


def coverage(site: Site) -> tuple[int, str, str]:
    done = site.run("status")
    (asset,) = done.json["plans"][0]["assets"]
    return done.code, asset["coverage"], asset["last_test"]["verdict"]


def test_a_passed_test_that_never_was_looks_true_until_somebody_does_it_again(twin: Site) -> None:
    assert tested(twin) == (0, "PASS")
    damaged(twin)
    forged_pass(twin)
    assert coverage(twin) == (0, "tested", "PASS")
    assert twin.run("ledger", "verify", "--repository").code == 0, "a false record at its source looks true"
    assert twin.run("test", "p", "--snapshot", ids(twin)[-1]).json["verdict"] == "FAIL"


LYING = """\
#!/bin/sh
case " $* " in
  *" restore "*)
    {real} "$@" >/dev/null 2>&1
    while [ "$1" != --target ]; do shift; done
    mkdir -p "$2{tree}" && cp -a {tree}/. "$2{tree}/"
    exit 0 ;;
esac
exec {real} "$@"
"""


def test_a_restic_of_their_own_makes_this_hosts_tests_pass_and_no_other_hosts(twin: Site, tmp_path: Path) -> None:
    """What it brings back it takes from the source itself."""
    there = other_host(twin, tmp_path / "there")
    damaged(twin)
    script = LYING.format(real=shutil.which("restic"), tree=twin.root / "tree")
    twin.write("bin/restic", script, mode=0o755)
    lying = {"PATH": f"{twin.root / 'bin'}:{os.environ['PATH']}"}
    assert tested(twin, env=lying) == (0, "PASS")
    assert tested(there) == (1, "FAIL")
    assert tested(twin) == (1, "FAIL"), "and so says the real one here"


def test_what_is_false_at_its_source_is_backed_up_and_passes(twin: Site) -> None:
    settled_file(twin.root / "tree/agent0/call0.wav", b"another conversation" * 900)
    twin.backed_up()
    assert tested(twin) == (0, "PASS")


def test_who_may_write_the_file_of_signers_approves_by_a_key_of_their_own_and_its_record_names_that_key(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("s")
    site, theirs = Site(root), key(root, "theirs")
    settled_file(root / "tree/one.wav", b"one")
    site.recordings(root / "tree")
    path = root / "plans/p.yaml"
    may = signers(root / "signers", {"ana@x": key(root, "ana")})
    path.write_text(path.read_text().replace("assets:\n", f"approval: {{signers: {may}}}\nassets:\n", 1))
    approve = ("plan", "approve", "p", "--key", str(theirs))
    assert site.run(*approve).code == 2
    with may.open("a") as file:
        file.write(f"bob@x {theirs.with_name('theirs.pub').read_text()}")
    assert site.run(*approve).code == 0
    (record,) = site.records("approve.plan")
    argv = ["ssh-keygen", "-lf", f"{theirs}.pub"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]
    assert record["by"]["name"] == "bob@x" and record["by"]["key"] == shown


def hidden(site: Site) -> None:
    """What this host keeps of its ledger beside it, made to fit to a ledger that was cut."""
    for name in ("chain.json", "verified.json", "compared.json"):
        (site.state / name).unlink(missing_ok=True)
    shutil.rmtree(site.state / "catalogue")
    keep(site.services().state, site.services().ledger, anew=True)


def test_what_is_hidden_behind_markers_contradicts_the_ledger_once_they_are_gone(twin: Site, store: DemoStore) -> None:
    """A bucket that keeps versions has the snapshots still that attest the records which were cut off."""
    held = in_a_locked_bucket(twin, store, f"root-{sha256(str(twin.root).encode()).hexdigest()[:12]}")
    before, newest = held.versions(), ids(twin)[-1]
    cut(twin)
    hidden(twin)
    held.deleted(*(key for key in held.everything("snapshots/") if key.endswith(newest)))
    assert twin.run("ledger", "verify", "--repository").code == 0, "what both say fits"
    held.as_it_was(before)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and "is not the one that" in " ".join(done.json["problems"]), done
