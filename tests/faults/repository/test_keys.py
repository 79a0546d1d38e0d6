"""The passwords of a repository: added, removed, rotated, and never so that nobody can open it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import PASSWORD, Quiet, ShiftedClock, Site
from tests.support.repositories import add_key_cheaply, new_repository
from tests.support.rotating import add_cheaply, killed
from tests.support.schema import document_misfits as misfits
from tests.support.signed import key, signed, signers
from tests.support.sites import whole_copy_of

from ccdr.jobs import repository_keys as changing
from ccdr.jobs.approvals import Given
from ccdr.jobs.examining import examine
from ccdr.jobs.repository_keys import Rotation, rotate
from ccdr.model.errors import UsageProblem
from ccdr.plans import load_named
from ccdr.telling.status import upkeep_problems

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
    return whole_copy_of(backed_up, tmp_path / "site")


@pytest.fixture(autouse=True)
def cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """restic's own keys take half a second each time; those that commands add (`site.run`) are real."""

    monkeypatch.setattr(changing, "add_key", add_cheaply)


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
    assert not misfits("repository key add", added.json) and not misfits("repository key remove", removed.json)
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
    new = done.json["new"]["p: primary"]
    assert not misfits("repository key rotate", done.json)
    assert new in keys(site) and old not in keys(site) and done.json["removed"] == {"p: primary": [old]}
    assert done.json["previous"] is None and not list((site.root / "plans").glob("key.*"))
    assert stat.S_IMODE((site.root / "plans/key").stat().st_mode) == 0o640, "its owner and modes stay"
    assert not opens(site.repo, site.root / "before") and opens(site.repo, site.root / "plans/key")
    told = [r for r in site.records() if r["kind"].startswith("repository.") and r.get("why") != "fast"]
    assert [r["kind"] for r in told] == [
        "repository.password.made",
        "repository.key.added",
        "repository.key.switched",
        "repository.key.removed",
    ], "a fast key comes beside it where restic's own is slow: test_fast_key.py"
    site.ledger_holds()
    site.backed_up()
    assert site.run("snapshots", "p").code == 0


def rotated(site: Site, **given: Any) -> Rotation:
    """As the command does it, in this process."""
    plans = [
        load_named(path.stem, path.parent, site.root / "restore_tests") for path in (site.root / "plans").glob("*.yaml")
    ]
    return rotate(site.loaded(), plans, site.services(), Quiet(), **given)


def test_killed_at_each_step_it_goes_on_and_at_no_moment_does_nobody_open_it(site: Site) -> None:
    """One after the other: each call goes on from where the one before was killed, one step later."""
    new_repository(site.log, PASSWORD)
    (site.root / "plans/key").rename(site.root / "plans/outbound.key")
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("password_file: key", "password_file: outbound.key"))
    before = keys(site)
    seen: list[set[str]] = []
    for at in range(40):
        if not killed(site.root, at):
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
    (used,) = site.records("approve.operation")
    assert (used["about"]["operation"], used["about"]["about"]) == ("key-remove", old)
    (new,) = keys(site)
    other = add_key_cheaply(site.repo, (site.root / "plans/key").read_text().strip(), OTHER)
    refused = site.run("repository", "key", "remove", "p", other, "--approval", str(file))
    assert refused.code == 2 and keys(site) == {new, other}, "an approval is of one key, and for once"
    assert json.dumps(site.records("approval.refused")[-1]["why"]) == '"another_operation"'


def test_four_eyes_are_not_passed_by_for_another_plan_of_the_same_repository(site: Site) -> None:
    """That one wants nobody's approval."""
    [*approved(site)]
    site.plan(
        "tree:\n  engine: files\n  paths: [/etc]", name="q", repository=f"{{url: {site.repo}, password_file: key}}"
    )
    other = add_key_cheaply(site.repo, PASSWORD, OTHER)
    before = keys(site)
    refused = site.run("repository", "key", "remove", "q", other)
    assert refused.code == 2 and "the plan p" in refused.json["error"] and keys(site) == before, refused
    refused = site.run("repository", "key", "rotate", "q")
    assert refused.code == 2 and "the plan p" in refused.json["error"] and keys(site) == before, refused
    assert not list((site.root / "plans").glob("key.*")), "nothing was begun"
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("approval:", "# approval:", 1))
    assert site.run("repository", "key", "remove", "q", other).code == 0, "the twin"


def test_a_key_that_somebody_added_past_ccdr_is_told_until_somebody_answers_for_it(site: Site) -> None:
    clock = ShiftedClock()
    services = site.services(clock)

    def codes() -> set[str]:
        return {p.trouble.name for p in upkeep_problems([site.loaded()], services)["p"]} & {"ACCESS_UNUSUAL"}

    examine([site.loaded()], [], services)
    clock.shift = timedelta(days=8)
    examine([site.loaded()], [], services)
    assert codes() == set(), "the healthy twin: it was there before"
    added = add_key_cheaply(site.repo, PASSWORD, OTHER)
    examine([site.loaded()], [], services)
    assert codes() == {"ACCESS_UNUSUAL"}
    (plan,) = site.run("status", "p").json["plans"]
    (told,) = [t for t in plan["troubles"] if t["code"] == "ACCESS_UNUSUAL"]
    assert added[:16] in told["text"] and "ccdr ack ACCESS_UNUSUAL p" in told["next_step"]
    done = site.run("ack", "ACCESS_UNUSUAL", "p", "--until", "1d", "--why", "it is mine")
    assert done.code == 0, done
    assert codes() == set() and not site.run("status", "p").json["acknowledged"], "it is answered for, for good"
    site.ledger_holds()


def refusal(site: Site, **given: Any) -> str:
    before = keys(site)
    with pytest.raises(UsageProblem) as refused:
        rotated(site, **given)
    assert keys(site) == before and not list((site.root / "plans").glob("key.[np]*")), "nothing was begun"
    return f"{refused.value} {refused.value.hint}"


def test_what_ccdr_cannot_put_another_password_into_is_left_alone(site: Site) -> None:
    key, path = site.root / "plans/key", site.root / "plans/p.yaml"
    kept = key.rename(site.root / "kept")
    key.symlink_to(kept)
    assert "is a link" in refusal(site)
    key.unlink()
    kept.rename(key)
    path.write_text(path.read_text().replace("password_file: key", f"password_command: [cat, {key}]"))
    assert "from a command" in refusal(site) and "--generate" in refusal(site)


def test_a_persons_own_password_is_taken_if_it_is_a_good_one(site: Site) -> None:
    weak = site.write("weak.key", "hunter2hunter2\n", mode=0o600)
    assert "may be guessed" in refusal(site, new_password_file=weak)
    assert "needs no approval" in refusal(site, given=Given(reason="in a hurry"))
    own = site.write("own.key", OTHER + "\n", mode=0o600)
    assert rotated(site, new_password_file=own, keep_old=True).previous is not None
    assert (site.root / "plans/key").read_text() == OTHER + "\n"
    with pytest.raises(UsageProblem, match="under way"):
        rotated(site, new_password_file=own)
    assert rotated(site).previous is None and opens(site.repo, own)
