"""`ccdr access review`: who is root on this host, or may become it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from ccdr.jobs.access.host_accounts import accounts, of_this_host, rules


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
    told = {one["name"]: (one["logs_in"], one["by"]) for one in accounts(users, groups)}
    assert told == {
        "root": (True, ["uid 0"]),
        "toor": (False, ["uid 0"]),
        "ana": (True, ["sudo", "docker"]),
        "dan": (True, ["docker"]),
        "ci": (False, ["docker"]),
    }, "of whom a group is the first one is a member, too"


def test_the_rules_of_sudo_are_told_as_they_stand(tmp_path: Path) -> None:
    main, more, lacking = tmp_path / "sudoers", tmp_path / "sudoers.d", list[str]()
    more.mkdir()
    main.write_text(
        "# a remark\nDefaults env_reset\n@includedir /etc/sudoers.d\n#includedir /etc/old\nUser_Alias OPS = ana\n"
        "root ALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) \\\n  ALL\n#1005 ALL = /bin/ls\n\n"
    )
    (more / "backup").write_text("OPS ALL=(root) NOPASSWD: /usr/bin/docker\n")
    (more / "backup.dpkg-old").write_text("nobody ALL=(ALL) ALL\n")
    told = {one["name"]: one["by"] for one in rules((main, more), lambda what, why: lacking.append(what))}
    assert told == {
        "root": ["sudo: ALL=(ALL:ALL) ALL"],
        "%sudo": ["sudo: ALL=(ALL:ALL) ALL"],
        "#1005": ["sudo: ALL = /bin/ls"],
        "OPS": ["sudo: ALL=(root) NOPASSWD: /usr/bin/docker"],
    } and not lacking  # fmt: skip


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
    assert any(one["name"] == "root" and "uid 0" in one["by"] for one in of_this_host(lambda *_: None))
