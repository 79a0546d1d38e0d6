"""`ccdr access review`: who is root on this host, or may become it."""

from __future__ import annotations

import base64
import grp
import os
import pwd
from hashlib import sha256
from pathlib import Path

import pytest

from ccdr.jobs.access import reviews as host_accounts
from ccdr.jobs.access.reviews import accounts, keys_of, of_this_host, rules


def user(name: str, uid: int, gid: int, shell: str = "/bin/bash") -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", f"/home/{name}", shell))


def group(name: str, gid: int, *members: str) -> grp.struct_group:
    return grp.struct_group((name, "x", gid, list(members)))


def test_whoever_is_root_or_becomes_it_by_a_group_is_listed_and_nobody_else() -> None:
    users = [
        user("root", 0, 0), user("toor", 0, 0, "/usr/sbin/nologin"), user("ana", 1000, 1000), user("dan", 1001, 998),
        user("crm", 1002, 1002), user("ci", 999, 999, "/bin/false"),
    ]  # fmt: skip
    groups = [group("sudo", 27, "ana"), group("docker", 998, "ana", "ci"), group("audio", 29, "crm")]
    told = {one.name: (one.logs_in, one.by) for one in accounts(users, groups)}
    assert told == {
        "root": (True, ["uid 0"]),
        "toor": (False, ["uid 0"]),
        "ana": (True, ["sudo", "docker"]),
        "dan": (True, ["docker"]),
        "ci": (False, ["docker"]),
    }, "of whom a group is the first one is a member, too"


def test_the_rules_of_sudo_name_everybody_they_are_for(tmp_path: Path) -> None:
    main, more, lacking = tmp_path / "sudoers", tmp_path / "sudoers.d", list[str]()
    more.mkdir()
    main.write_text(
        "# a remark\nDefaults env_reset\n@includedir /etc/sudoers.d\n#includedir /etc/old\n"
        "User_Alias OPS = ana, DBAS : DBAS = mia,leo\nRunas_Alias DB = postgres\n"
        "root ALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) \\\n  ALL\n#1005 ALL = /bin/ls\n\n"
        "eva, zoe ALL=(root) NOPASSWD: /usr/bin/cat\ndan,\\\n kim ALL=(ALL) ALL\n"
    )
    (more / "backup").write_text("OPS ALL=(root) NOPASSWD: /usr/bin/docker, /usr/bin/restic\n")
    (more / "backup.dpkg-old").write_text("nobody ALL=(ALL) ALL\n")
    told = {one.name: one.text for one in rules((main, more), lambda what, why: lacking.append(what))}
    docker, cat = "ALL=(root) NOPASSWD: /usr/bin/docker, /usr/bin/restic", "ALL=(root) NOPASSWD: /usr/bin/cat"
    everything = "ALL=(ALL) ALL"
    assert told == {
        "root": "ALL=(ALL:ALL) ALL", "%sudo": "ALL=(ALL:ALL) ALL", "#1005": "ALL = /bin/ls",
        "eva": cat, "zoe": cat, "dan": everything, "kim": everything, "ana": docker, "mia": docker, "leo": docker,
    } and not lacking  # fmt: skip


def test_an_alias_of_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "sudoers"
    path.write_text("User_Alias A = B, ana : B = A\nA ALL=(ALL) ALL\n")
    assert {one.name for one in rules((path,), lambda *_: None)} == {"A", "ana"}


def test_members_of_a_group_that_sudo_names_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "sudoers"
    path.write_text("%ops ALL=(root) /usr/bin/restic\n")
    monkeypatch.setattr(host_accounts, "SUDOERS", (path,))
    monkeypatch.setattr(pwd, "getpwall", lambda: [user("ana", 1000, 1000), user("dan", 1001, 1001)])
    monkeypatch.setattr(grp, "getgrall", lambda: [group("ops", 50, "ana")])
    told = [(one.name, one.by) for one in of_this_host(lambda *_: None)]
    assert told == [("ana", ["ops"]), ("%ops", ["sudo: ALL=(root) /usr/bin/restic"])]


def test_the_keys_by_which_somebody_enters_as_root_are_told(tmp_path: Path) -> None:
    (ssh := tmp_path / ".ssh").mkdir()
    blob = base64.b64encode(b"a key").decode()
    (ssh / "authorized_keys").write_text(
        f'# ssh-rsa {blob} old\nfrom="10.0.0.0/8" ssh-ed25519 {blob} contractor of ACME\nssh-rsa nonsense!\n'
    )
    root = pwd.struct_passwd(("root", "x", 0, 0, "", str(tmp_path), "/bin/bash"))
    (told,) = keys_of(root, lambda *_: None)
    printed = base64.b64encode(sha256(b"a key").digest()).decode().rstrip("=")
    assert told.by == [f"ssh: SHA256:{printed} (contractor of ACME)"]
    assert list(keys_of(user("x", 0, 0), lambda *_: None)) == [], "there is no such directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look like somebody else")
def test_rules_that_may_not_be_read_are_said_to_be_lacking(tmp_path: Path) -> None:
    path, lacking = tmp_path / "sudoers", list[tuple[str, str]]()
    path.write_text("root ALL=(ALL:ALL) ALL\n")
    path.chmod(0o440)
    tmp_path.chmod(0o755)
    was = os.geteuid()
    os.seteuid(65534)
    try:
        told = list(rules((path, tmp_path / "none"), lambda what, why: lacking.append((what, why))))
    finally:
        os.seteuid(was)
    assert told == [] and lacking[0][0] == "rules of sudo on this host" and "sudo -l -U" in lacking[0][1]


def test_this_host_has_root() -> None:
    assert any(one.name == "root" and "uid 0" in one.by for one in of_this_host(lambda *_: None))
