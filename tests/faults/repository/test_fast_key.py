"""A password of random bits that ccdr made opens in a tenth of a second, and no other does; where it opens nothing any
more, its fast key opens nothing either."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.repository.test_keys import keys, opens, rotated
from tests.support import repositories
from tests.support.harness import PASSWORD, Site
from tests.support.repositories import add_key_cheaply, new_repository
from tests.support.rotating import add_cheaply
from tests.support.sites import whole_copy_of

from ccdr.jobs import repository_keys as changing
from ccdr.jobs.examining import examine
from ccdr.jobs.services import limits_of
from ccdr.storage import fast_keys, key_file
from ccdr.storage.fast_keys import KeyHint, quicken
from ccdr.storage.key_file import KeyFile
from ccdr.storage.restic import Restic
from ccdr.telling.status import upkeep_problems

SLOW = {"N": 2**15, "r": 8, "p": 2}  # of a guess: twice what a fast key costs


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for restic's own keys costs more than a fast one, whatever the machine does meanwhile."""
    monkeypatch.setattr(repositories, "COST", SLOW)
    monkeypatch.setattr(changing, "add_key", add_cheaply)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Its password is one that ccdr made, as far as its ledger tells; its own key is a slow one."""
    site = Site(tmp_path_factory.mktemp("fast"), bare=True)
    site.plan(f"tree:\n  engine: files\n  paths: [{site.write('tree/one', 'one').parent}]\n  settle: 0s")
    site.services().record_made(PASSWORD, "p")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repositories, "COST", SLOW)
        new_repository(site.repo, PASSWORD)
    site.backed_up()
    return site


@pytest.fixture
def site(backed_up: Site, tmp_path: Path) -> Site:
    return whole_copy_of(backed_up, tmp_path / "site")


def repo_of(site: Site) -> Restic:
    loaded = site.loaded()
    return site.services().repository(loaded, limits_of(loaded))


def given_a_fast_key(site: Site) -> tuple[str, str]:
    """The slow key, and the fast one that stands beside it now."""
    (own,) = keys(site)
    fast = quicken(repo_of(site))
    assert fast is not None and keys(site) == {own, fast}
    return own, fast


def test_what_init_made_opens_fast_from_the_first_backup_on(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    tree = site.write("tree/one", "one").parent
    os.utime(tree / "one", (1, 1))
    assert site.run("init", str(tree), "--name", "p", "--repository", str(site.repo)).code in (0, 1)
    site.backed_up()
    secret = (site.root / "plans/secrets/p.key").read_text().strip()
    files = [key_file.read(path.read_bytes()) for path in (site.repo / "keys").iterdir()]
    assert any(one is not None and one.fast and one.opened(secret) for one in files)
    assert repo_of(site).call_env["RESTIC_KEY_HINT"] in keys(site)
    (made,) = site.records("repository.password.made")
    assert secret not in str(made) and made["plan"] == "p"
    site.ledger_holds()


def test_restic_opens_by_the_fast_key_that_stands_as_its_own_do(site: Site) -> None:
    _, fast = given_a_fast_key(site)
    path = site.repo / "keys" / fast
    assert path.stat().st_mode == (site.repo / "config").stat().st_mode
    assert not [one for one in site.repo.rglob("*") if "tmp" in one.name or "trial" in one.name]
    assert repo_of(site).call_env["RESTIC_KEY_HINT"] == fast
    listed = site.run("repository", "key", "list", "p").json["repositories"][0]["keys"]
    assert {(one["id"], one["current"], one["twin_of"]) for one in listed} == {
        (fast, True, next(iter(keys(site) - {fast}))),
        (next(iter(keys(site) - {fast})), True, None),
    }
    checked = ["restic", "-r", str(site.repo), "--no-cache", "check"]
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": PASSWORD, "RESTIC_KEY_HINT": fast}
    assert subprocess.run(checked, env=env, capture_output=True, check=False).returncode == 0


def test_it_is_found_on_a_bare_host_by_what_it_costs(site: Site) -> None:
    _, fast = given_a_fast_key(site)
    shutil.rmtree(site.state)
    assert repo_of(site).call_env["RESTIC_KEY_HINT"] == fast


def test_a_password_that_ccdr_did_not_make_gets_none(site: Site) -> None:
    repo = repo_of(site)
    assert repo.hint is not None
    assert quicken(replace(repo, hint=replace(repo.hint, wanted=lambda: site.services().has_made("another")))) is None
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("password_file: key", "password_file: key, fast_key: false"))
    assert quicken(repo_of(site)) is None, "declined"
    assert len(keys(site)) == 1


def test_what_could_not_be_taken_back_is_not_put_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a credential that may only add."""

    def refused(self: object, name: str) -> None:
        raise PermissionError(name)

    monkeypatch.setattr("ccdr.storage.remains.Directory.remove", refused)
    assert quicken(repo_of(site)) is None
    assert keys(site) == {fast_keys.TRIAL.removeprefix("keys/"), *(one for one in keys(site) if len(one) == 64)}
    assert len(keys(site)) == 2 and opens(site.repo, site.root / "plans/key")


def test_a_fast_key_by_which_restic_opens_nothing_goes_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (own,) = keys(site)
    whole = KeyFile.sealed
    monkeypatch.setattr(KeyFile, "sealed", lambda master, *given, **more: whole(master[:-9], *given, **more))
    assert quicken(repo_of(site)) is None
    assert keys(site) == {own} and "RESTIC_KEY_HINT" not in repo_of(site).call_env
    site.backed_up()


def test_a_rotation_takes_both_and_gives_both(site: Site) -> None:
    given_a_fast_key(site)
    shutil.copy(site.root / "plans/key", site.root / "before")
    before = keys(site)
    done = rotated(site)
    assert len(keys(site)) == 2 and not keys(site) & before
    assert not opens(site.repo, site.root / "before") and opens(site.repo, site.root / "plans/key")
    hint = repo_of(site).call_env["RESTIC_KEY_HINT"]
    assert keys(site) == {hint, done.new["p: primary"]}, "the record names restic's own"
    told = [
        (r["kind"], r["why"]) for r in site.records() if r["kind"] in ("repository.key.added", "repository.key.removed")
    ]
    assert told == [
        ("repository.key.added", "fast"),
        ("repository.key.added", "rotation"),
        ("repository.key.added", "fast"),
        ("repository.key.removed", "rotation"),
        ("repository.key.removed", "rotation"),
    ]
    site.ledger_holds()


@pytest.mark.parametrize("named", [0, 1])
def test_removing_one_of_a_pair_removes_the_other(site: Site, named: int) -> None:
    path = site.root / "second.key"
    pair = [*given_a_fast_key(site)]
    rotated_away = site.run("repository", "key", "add", "p", "--generate", str(path))
    assert rotated_away.code == 0, rotated_away
    (site.root / "plans/key").write_text(path.read_text())
    assert site.run("repository", "key", "remove", "p", pair[named]).code == 0
    assert not set(pair) & keys(site) and not opens(site.repo, site.write("old", PASSWORD + "\n"))


@pytest.mark.parametrize("gone", ["own", "fast"])
def test_what_is_left_of_a_pair_of_which_one_was_removed_past_ccdr_is_told(site: Site, gone: str) -> None:
    """`restic key remove`, and `restic key passwd`, take one of them, and the password opens it still."""
    own, fast = given_a_fast_key(site)
    services = site.services()
    removed, left = (own, fast) if gone == "own" else (fast, own)

    def told() -> list[str]:
        examine([site.loaded()], [], services)
        return [p.step or "" for p in upkeep_problems([site.loaded()], services)["p"] if p.about == f"parted {left}"]

    assert told() == [], "the healthy twin"
    (site.repo / "keys" / removed).unlink()
    (step,) = told()
    assert f"ccdr repository key remove p {left[:8]}" in step
    seen = site.records("plan.examined")[-1]["repositories"]["primary"]
    assert (seen["keys"], seen["parted_keys"]) == (1, [left])


def test_what_a_key_file_says_of_itself_is_not_believed(site: Site) -> None:
    """Whoever may add files may write into them that they are the twin of another password's key."""
    (own,) = keys(site)
    escrow = add_key_cheaply(site.repo, PASSWORD, "in the safe, and nowhere else, 4711")
    kept = site.write("safe", "in the safe, and nowhere else, 4711\n")
    master = repo_of(site).ask(["cat", "masterkey"], what="the master key").encode()
    forged, text = key_file.contents_of(KeyFile.sealed(master, PASSWORD, sibling=escrow))
    (site.repo / "keys" / forged).write_bytes(text)
    site.services().forget_key_hints()
    listed = site.run("repository", "key", "list", "p").json["repositories"][0]["keys"]
    assert {one["id"] for one in listed if one["current"]} == {forged} and not any(one["twin_of"] for one in listed)
    rotated(site)
    assert escrow in keys(site) and opens(site.repo, kept) and not {own, forged} & keys(site)


@pytest.mark.parametrize(
    "spoilt",
    [{"r": 0}, {"p": 0}, {"N": 3}, {"N": -1}, {"N": 2**70, "r": 0}, {"N": 2**40}, {"data": ""}, {"data": "AAAA"}, None],
    ids=str,
)
def test_a_spoilt_key_file_stops_nobody(tmp_path: Path, spoilt: dict[str, object] | None) -> None:
    at = new_repository(tmp_path / "repo", PASSWORD)
    (own,) = (at / "keys").iterdir()
    text = "[" * 100_000 if spoilt is None else json.dumps({**json.loads(own.read_bytes()), "p": 1, **spoilt})
    (at / "keys" / ("0" * 64)).write_text(text)
    os.mkfifo(at / "keys" / ("1" * 64))
    (at / "keys" / os.fsdecode(b"\xff")).write_bytes(b"")
    hint = KeyHint(PASSWORD, {}, "key", kept=tmp_path / "kept")
    assert hint.of(str(at)) is None
    for kept in hint.kept.iterdir() if hint.kept else ():
        kept.write_bytes(b"\xff" * 64)
    assert hint.of(str(at)) is None
