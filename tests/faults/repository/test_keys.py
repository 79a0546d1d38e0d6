"""The passwords of a repository: added, removed, rotated, and never so that nobody can open it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import PASSWORD, Quiet, Site
from tests.support.repositories import add_key_cheaply, new_repository
from tests.support.signed import key, signed, signers

from ccdr.jobs.approvals import Given
from ccdr.jobs.repository_keys import Rotation, changing, rotate
from ccdr.jobs.services import Services
from ccdr.plans import load_named
from ccdr.storage.restic import Restic

OTHER = "another horse, another battery, 4711"


def opens(at: Path, password_file: Path) -> bool:
    argv = ["restic", "-r", str(at), "--no-cache", "--no-lock", "cat", "config"]
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD_FILE": str(password_file)}
    return subprocess.run(argv, env=env, capture_output=True, check=False).returncode == 0


def keys(site: Site) -> set[str]:
    return {path.name for path in (site.repo / "keys").iterdir()}


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("keys")
    site = Site(root)
    (root / "tree").mkdir()
    (root / "tree/one").write_text("one")
    site.plan(f"tree:\n  engine: files\n  paths: [{root}/tree]\n  settle: 0s")
    site.backed_up()
    return site


@pytest.fixture
def site(backed_up: Site, tmp_path: Path) -> Site:
    """With a repository of its own, that holds one backup."""
    root = tmp_path / "site"
    shutil.copytree(backed_up.root, root, symlinks=True, ignore=shutil.ignore_patterns("locks", "cache", "scratch"))
    (root / "repo/locks").mkdir(exist_ok=True)
    made = Site(root)
    text = (root / "plans/p.yaml").read_text().replace(str(backed_up.root), str(root))
    (root / "plans/p.yaml").write_text(text)
    return made


@pytest.fixture(autouse=True)
def cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """restic's own keys take half a second each time; those that commands add (`site.run`) are real."""

    def add(repo: Restic, password_file: Path) -> None:
        by = Path(repo.env["RESTIC_PASSWORD_FILE"]).read_text().strip()
        add_key_cheaply(Path(repo.location), by, password_file.read_text().strip())

    monkeypatch.setattr(changing, "add_key", add)


def test_a_password_is_added_listed_and_removed_and_nothing_tells_it(site: Site) -> None:
    (own,) = keys(site)
    path = site.write("second.key", OTHER + "\n", mode=0o600)
    added = site.run("repository", "key", "add", "p", "--new-password-file", str(path))
    assert added.code == 0, added
    (new,) = keys(site) - {own}
    assert (
        added.json["added"] == {"primary": new} and opens(site.repo, path) and opens(site.repo, site.root / "plans/key")
    )
    listed = site.run("repository", "key", "list", "p").json["repositories"]
    assert [(k["id"], k["current"]) for k in listed[0]["keys"]] == [(own, True), (new, False)]
    again = site.run("repository", "key", "add", "p", "--new-password-file", str(path))
    assert again.code == 0 and len(keys(site)) == 2, "what it opens already stays as it is"
    removed = site.run("repository", "key", "remove", "p", new[:8])
    assert removed.code == 0 and keys(site) == {own}, removed
    assert any("master key did not change" in note for note in removed.json["notes"])
    told = [(r["kind"], r["key"], r["keys"], r["why"]) for r in site.records() if r["kind"].startswith("repository.")]
    assert told == [
        ("repository.key.added", new, 2, "command"),
        ("repository.key.removed", new, 1, "command"),
    ], "each once"
    site.ledger_holds()
    for file in site.state.rglob("*"):
        if file.is_file():
            assert OTHER.encode() not in file.read_bytes(), file


def test_the_key_in_use_and_the_last_one_stay(site: Site) -> None:
    (own,) = keys(site)
    refused = site.run("repository", "key", "remove", "p", own)
    assert refused.code == 2 and "the last key" in refused.json["error"]
    add_key_cheaply(site.repo, PASSWORD, OTHER)
    refused = site.run("repository", "key", "remove", "p", own)
    assert refused.code == 2 and "the plan's own password" in refused.json["error"]
    assert len(keys(site)) == 2 and not site.records("repository.key.removed")


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [("hunter2hunter2", 0o600, "may be guessed"), (OTHER, 0o644, "others than its owner"), ("", 0o600, "empty")],
)
def test_a_bad_password_is_not_added(site: Site, text: str, mode: int, why: str) -> None:
    path = site.write("second.key", text + "\n", mode=mode)
    done = site.run("repository", "key", "add", "p", "--new-password-file", str(path))
    assert done.code == 2 and why in done.json["error"] and len(keys(site)) == 1


def test_a_rotation_leaves_one_password_and_it_opens_all_that_was_stored(site: Site) -> None:
    (old,) = keys(site)
    (site.root / "plans/key").chmod(0o640)
    shutil.copy(site.root / "plans/key", site.root / "before")
    done = site.run("repository", "key", "rotate", "p")
    assert done.code == 0, done
    (new,) = keys(site)
    assert done.json["new"] == {"p: primary": new} and done.json["removed"] == {"p: primary": [old]}
    assert done.json["previous"] is None and not list((site.root / "plans").glob("key.*"))
    assert stat.S_IMODE((site.root / "plans/key").stat().st_mode) == 0o640, "its owner and modes stay"
    assert not opens(site.repo, site.root / "before") and opens(site.repo, site.root / "plans/key")
    assert [r["kind"] for r in site.records() if r["kind"].startswith("repository.")] == [
        "repository.key.added",
        "repository.key.switched",
        "repository.key.removed",
    ]
    site.ledger_holds()
    site.backed_up()
    assert site.run("snapshots", "p").code == 0


def rotated(site: Site, **given: Any) -> Rotation:
    """As the command does it, in this process."""
    plans = [
        load_named(path.stem, path.parent, site.root / "restore_tests") for path in (site.root / "plans").glob("*.yaml")
    ]
    return rotate(site.loaded(), plans, site.services(), Quiet(), **given)


class Killed:
    """`Progress` that ends the process at the step of this number, as a power cut would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self, text: str) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def amount(self, done: int, total: int | None) -> None: ...


def killed(site: Site, services: Services, at: int) -> bool:
    """A rotation in a process of its own that is killed at its step of this number; was it?"""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            rotate(site.loaded(), [site.loaded()], services, Killed(at))
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def test_killed_at_each_step_it_goes_on_and_at_no_moment_does_nobody_open_it(site: Site) -> None:
    """One after the other: each call goes on from where the one before was killed, one step later."""
    new_repository(site.log, PASSWORD)
    (site.root / "plans/key").rename(site.root / "plans/outbound.key")
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("password_file: key", "password_file: outbound.key"))
    before = keys(site)
    seen: list[set[str]] = []
    for at in range(40):
        if not killed(site, site.services(), at):
            break
        assert opens(site.repo, site.root / "plans/outbound.key") and opens(site.log, site.root / "plans/outbound.key")
        seen.append({p.name for p in (site.root / "plans").glob("outbound.key*")})
        if "outbound.key.previous" not in seen[-1] and "outbound.key.next" not in seen[-1] and seen[:-1]:
            assert all("outbound.key.next" not in one for one in seen), "only before it has begun"
    else:
        pytest.fail("it never came to its end")
    assert {"outbound.key", "outbound.key.next"} in seen and {"outbound.key", "outbound.key.previous"} in seen
    assert len(keys(site)) == 1 and keys(site) != before and len(list((site.log / "keys").iterdir())) == 1
    assert opens(site.repo, site.root / "plans/outbound.key") and opens(site.log, site.root / "plans/outbound.key")
    assert not list((site.root / "plans").glob("outbound.key.*"))
    told = [(r["kind"], r.get("of_log")) for r in site.records() if r["kind"].startswith("repository.key")]
    assert sorted(map(str, told)) == sorted(
        map(
            str,
            [
                ("repository.key.added", False),
                ("repository.key.added", True),
                ("repository.key.switched", None),
                ("repository.key.removed", False),
                ("repository.key.removed", True),
            ],
        )
    ), "each once, however often it was killed"
    site.ledger_holds()


def test_both_passwords_open_it_until_the_other_hosts_have_the_new_one(site: Site) -> None:
    shutil.copy(site.root / "plans/key", site.root / "on-another-host")
    assert rotated(site, keep_old=True).previous == site.root / "plans/key.previous"
    assert opens(site.repo, site.root / "on-another-host") and opens(site.repo, site.root / "plans/key")
    assert rotated(site).previous is None
    assert not opens(site.repo, site.root / "on-another-host") and opens(site.repo, site.root / "plans/key")


def test_what_the_same_file_opens_is_changed_with_it(site: Site) -> None:
    second = new_repository(site.root / "second", PASSWORD)
    site.plan("tree:\n  engine: files\n  paths: [/etc]", name="q", repository=f"{{url: {second}, password_file: key}}")
    assert set(rotated(site).new) == {"p: primary", "q: primary"}
    assert opens(second, site.root / "plans/key") and len(list((second / "keys").iterdir())) == 1
    assert {r["plan"] for r in site.records("repository.key.switched")} == {"p", "q"}


def test_a_plan_that_opens_it_by_the_same_password_from_elsewhere_is_not_locked_out(site: Site) -> None:
    shutil.copy(site.root / "plans/key", site.root / "plans/own.key")
    site.plan(
        "tree:\n  engine: files\n  paths: [/etc]", name="q", repository=f"{{url: {site.repo}, password_file: own.key}}"
    )
    before = keys(site)
    done = site.run("repository", "key", "rotate", "p")
    assert done.code == 2 and "the plan q opens primary of p" in done.json["error"], done
    assert keys(site) == before and not list((site.root / "plans").glob("key.*"))


def approved(site: Site) -> Iterator[Path]:
    ana, dan = key(site.root, "ana"), key(site.root, "dan")
    known = signers(site.root / "signers", {"ana@x": ana, "dan@x": dan})
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", f"approval: {{signers: {known}}}\nassets:", 1))
    yield ana
    yield dan


def test_where_the_plan_is_to_be_approved_a_key_goes_by_four_eyes_alone(site: Site) -> None:
    ana, dan = approved(site)
    (old,) = keys(site)
    refused = site.run("repository", "key", "rotate", "p")
    assert refused.code == 2 and f"--about {old}" in refused.json["hint"], refused
    assert keys(site) == {old} and not list((site.root / "plans").glob("key.*")), "nothing was begun"
    file = site.root / "remove.txt"
    asked = site.run("approval", "request", "p", "key-remove", "--about", old, "--key", str(ana), "--out", str(file))
    assert asked.code == 0, asked
    (site.root / "remove.txt.sig").write_text(signed(file.read_text(), dan))
    requested = (site.root / "remove.txt.requested").read_text()
    given = Given(file.read_text(), requested, (site.root / "remove.txt.sig").read_text())
    assert rotated(site, given=given).removed == {"p: primary": [old]}
    (used,) = site.records("approval.used")
    assert (used["operation"], used["about"]) == ("key-remove", old)
    (new,) = keys(site)
    other = add_key_cheaply(site.repo, (site.root / "plans/key").read_text().strip(), OTHER)
    refused = site.run("repository", "key", "remove", "p", other, "--approval", str(file))
    assert refused.code == 2 and keys(site) == {new, other}, "an approval is of one key, and for once"
    assert json.dumps(site.records("approval.refused")[-1]["why"]) == '"another_operation"'
