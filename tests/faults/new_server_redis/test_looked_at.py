"""`ccdr recover check` of a new Redis server: opened where nobody has started it, and asked itself where somebody has."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.harness import Ran, Site
from tests.support.listeners import free_port
from tests.support.new_server import as_it_is, started_by_docker
from tests.support.new_server_redis import answering, ask
from tests.support.repository_damage import flip
from tests.support.stored import left

CHECKS = """\
restore_test: queues
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: keys, match: "queue:*", at_least: 2}
  - {kind: keys, match: events, newest_within: 100000d}
"""


def statuses(done: Ran) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in done.json["steps"][0]["checks"]:
        found.setdefault(check["kind"], set()).add(check["status"])
    return found


def test_it_is_opened_for_its_checks_and_asked_once_it_is_started(captured_site: Site, tmp_path: Path) -> None:
    site, home = captured_site, tmp_path / "looked"  # its container bears that name, and there are others
    site.write("restore_tests/queues.yaml", CHECKS)
    where = f"{{directory: {home}, port: {free_port()}}}"
    targets = site.write("targets.yaml", f"targets:\n  queues: {{new_server: {where}}}\n")
    assert site.run("recover", "p", "--to", str(targets), "--yes-i-mean", "p").code == 0
    before, well = as_it_is(home), {"server": {"PASS"}, "identical": {"PASS"}, "integrity": {"PASS"}, "keys": {"PASS"}}
    done = site.run("recover", "check", "p")
    assert (done.code, statuses(done)) == (0, well), done
    assert as_it_is(home) == before and left(site) == []

    users = (home / "users.acl").read_bytes()
    (home / "users.acl").write_bytes(users.replace(b"+@list", b"+@hash"))
    done = site.run("recover", "check", "p")
    assert (done.code, statuses(done)["identical"]) == (1, {"PASS", "FAIL"}), done
    (home / "users.acl").write_bytes(users)

    (base,) = (home / "data").glob("appendonlydir/*.base.rdb")
    whole = base.read_bytes()
    flip(base)
    done = site.run("recover", "check", "p")
    assert done.code in (1, 3) and not {"identical", "keys"} & statuses(done).keys(), done
    base.write_bytes(whole)

    lines = json.loads((home / "ccdr-server.json").read_text())["start"]["docker"]
    with started_by_docker(lines) as container:
        socket = answering(container, home, "redis")
        done = site.run("recover", "check", "p")
        expected = {"server": {"PASS"}, "identical": {"SKIPPED"}, "integrity": {"SKIPPED"}, "keys": {"PASS"}}
        assert (done.code, statuses(done)) == (0, expected), done
        assert ask(container, "redis", socket, "-n", "3", "DEL", "queue:other") == "1"
        done = site.run("recover", "check", "p")
        assert (done.code, statuses(done)["keys"]) == (1, {"PASS", "FAIL"}), done
        assert ask(container, "redis", socket, "ACL", "SETUSER", "default", "-eval") == "OK"
        done = site.run("recover", "check", "p")
        assert (done.code, statuses(done)["keys"]) == (0, {"SKIPPED"}), "its user may not count"

        by_its_password(site, container, socket)


def by_its_password(site: Site, container: str, socket: str) -> None:
    """With a wrong one the client would go on as `default`, in database 0, and count what is there."""
    plan = site.root / "plans/p.yaml"
    assert ask(container, "redis", socket, "ACL", "SETUSER", "backup", "on", ">right", "~*", "+@all") == "OK"
    plan.write_text(plan.read_text().replace("connection: {", "connection: {user: backup, password_file: b.pw, ", 1))
    for word, code in (("wrong", 3), ("right", 1)):  # a queue is gone: that is found
        site.write("plans/b.pw", f"{word}\n", mode=0o600)
        done = site.run("recover", "check", "p")
        assert done.code == code, done
        (step,) = done.json["steps"]
        if word == "wrong":
            assert step["checks"] == [] and "refused user or password" in step["reason"], done
            assert "A password that is lost" in step["hint"]
        else:
            assert statuses(done)["keys"] == {"PASS", "FAIL"}, done
