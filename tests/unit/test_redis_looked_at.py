"""How a person looks at a new Redis server: never as another user than the plan's without being told."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import a_manifest

from ccdr.engines.redis.engine import Redis
from ccdr.engines.redis.new_server import Maker
from ccdr.ports.new_server import Owner, Site

# As redis-cli and valkey-cli 8: once AUTH has failed they go on as `default`, and end with 0. One AUTH fails with -e.
CLIENT = """#!/bin/sh
case "$*" in
  *AUTH*) [ "$(cat)" = right ] || exit 1; echo OK;;
  *) read -r p; [ "$p" = right ] || echo "AUTH failed" >&2; echo "# Keyspace";;
esac
"""


def maker(tmp_path: Path, **connection: Any) -> Maker:
    given = {"host": "127.0.0.1", "user": "ccdr_backup", **connection}
    return Maker(Redis.model_validate({"engine": "redis", "connection": given}), Site(tmp_path))


def manifest(users: object = ("default", "ccdr_backup")) -> Any:
    held = {"server": "redis", "version": "8.0", "settings": {}, "cluster_node": False, "replica": False}
    return a_manifest(contents={**held, "users": list(users) if users else None})  # type: ignore[call-overload]


def look(made: Maker, of: Any) -> str:
    (line,) = made.start_lines(of, "image", Owner(999, 999)).look
    return line


@pytest.mark.parametrize(
    ("host", "captured", "users", "listens"),
    [
        ("127.0.0.1", {"port": "6390"}, True, True),
        ("127.0.0.1", {"port": "0"}, True, False),  # by TLS alone, say
        ("/run/r/s", {"port": "6379"}, True, True),
        ("/run/r/s", {"port": "0"}, True, False),
        ("127.0.0.1", {}, True, True),
        ("/run/r/s", {}, True, False),  # nobody knows
        ("127.0.0.1", {"port": "6379"}, False, False),
    ],
)
@pytest.mark.parametrize("stated", [None, 6400])
def test_a_source_without_a_port_gets_none(
    tmp_path: Path, host: str, captured: dict[str, str], users: bool, listens: bool, stated: int | None
) -> None:
    made = Maker(maker(tmp_path, host=host).asset, Site(tmp_path, port=stated))
    of = manifest(("default",) if users else None)
    of.contents["settings"] = captured
    ports = re.findall("^port (.*)$", made._text(of, "/home"), re.MULTILINE)
    assert ports == [str(stated or 6379) if listens else "0"]
    assert made.by_socket_alone(of) is not listens
    told = [note for note in made.notes(of, None) if "alone" in note]  # type: ignore[arg-type]
    assert len(told) == (not listens) and any(" port 6" in text for text in made.will(of)) is listens
    at = made.captured_at(of)
    assert ("connection.port" in at) is (listens and not host.startswith("/"))
    assert str(at["connection.host"]).startswith(str(tmp_path)) is not ("connection.port" in at)


@pytest.mark.parametrize(("password", "code", "said"), [("right", 0, "OK\n# Keyspace\n"), ("wrong", 1, "")])
def test_a_wrong_password_ends_the_look(tmp_path: Path, password: str, code: int, said: str) -> None:
    (secret := tmp_path / "pw").write_text(f"{password}\n")
    client = tmp_path / "redis-cli"
    client.write_text(CLIENT)
    client.chmod(0o755)
    line = look(maker(tmp_path, password_file=str(secret)), manifest())
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (code, said)


def test_a_password_that_a_command_gives_is_typed(tmp_path: Path) -> None:
    """And the command of a plan is in no line that is to be typed: nobody may have confirmed it."""
    line = look(maker(tmp_path, password_command=["pass", "queues"]), manifest())
    assert "password: " in line and "AUTH ccdr_backup && " in line and "pass queues" not in line


def test_a_user_whose_password_nobody_has_is_not_asked_for(tmp_path: Path) -> None:
    made = maker(tmp_path, password_file=str(tmp_path / "lost"))
    assert look(made, manifest()) == f"redis-cli -s {tmp_path}/run/redis.sock -e INFO keyspace"
    assert "ccdr_backup" not in look(maker(tmp_path, password_file=str(tmp_path)), manifest(None))


def test_a_password_that_is_lost_is_told_with_what_sets_a_new_one(tmp_path: Path, wording: SnapshotAssertion) -> None:
    secret = tmp_path / "pw"
    made = maker(tmp_path, password_file=str(secret))
    (note,) = [text for text in made.notes(manifest(), None) if "no repository holds" in text]  # type: ignore[arg-type]
    assert f"mkdir -p {tmp_path}; " in note, "bootstrap makes no directory for it"
    assert str(secret) in note and note.replace(str(tmp_path), "") == wording
    secret.write_text("here\n")
    assert not any("no repository holds" in text for text in made.notes(manifest(), None))  # type: ignore[arg-type]


def test_a_server_that_keeps_nothing_is_told_with_the_way_out(tmp_path: Path) -> None:
    """Its RDB lies there all the same: each start would read the hour of the disaster again."""

    def told(save: str, appendonly: str, stated: dict[str, str]) -> list[str]:
        of = manifest()
        of.contents["settings"] = {"save": save, "appendonly": appendonly}
        made = Maker(maker(tmp_path).asset, Site(tmp_path, settings=stated))
        return [note for note in made.notes(of, None) if note.startswith("it keeps nothing")]  # type: ignore[arg-type]

    (note,) = told("", "no", {})
    assert 'settings: {appendonly: "yes"}' in note
    line = note.split("`")[-2]
    subprocess.run(["sh", "-c", line], check=True)
    assert (tmp_path / "redis.conf").read_text() == "save 3600 1\nsave 300 100\nsave 60 10000\n"
    for kept in (told("3600 1", "no", {}), told("", "yes", {}), told("", "no", {"appendonly": "yes"})):
        assert not kept


@pytest.mark.parametrize(
    ("rule", "told"),
    [("on #{} ~* +@all", False), ("on #{}0 ~* +@all", True), ("on nopass ~* +@all", False), (None, False)],
    ids=["the same", "another", "none needed", "no such user"],
)
def test_a_password_that_the_captured_users_do_not_have_is_told_at_the_end(
    tmp_path: Path, rule: str | None, told: bool
) -> None:
    """Made anew before the recovery, it is in a file, and not in the server."""
    (secret := tmp_path / "pw").write_text("word\n")
    known = hashlib.sha256(b"word").hexdigest()
    own = "" if rule is None else f"user ccdr_backup {rule.format(known).replace(known + '0', known[::-1])}\n"
    (tmp_path / "users.acl").write_text(f"user default on nopass\n{own}")
    note = maker(tmp_path, password_file=str(secret))._other_password(manifest(), tmp_path)
    assert (note is not None) is told
    assert note is None or ("ACL SETUSER" in note and "word" not in note.replace("password", ""))
