"""A new Redis or Valkey server is what was captured: its clients find their keys once it is started by the lines that
ccdr gives, also where it has an append-only file, and it is backed up as the one before it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.new_server import made
from tests.support.new_server_redis import ask, started
from tests.support.redis_source import PASSWORD, image_of, queues, redis_server, small

HELD = (("DBSIZE",), ("-n", "3", "DBSIZE"), ("ACL", "LIST"), ("FUNCTION", "LIST"), ("XINFO", "GROUPS", "events"))
LIMITS = ("--maxmemory", "99mb", "--maxmemory-policy", "volatile-lru")


@pytest.mark.parametrize(("server", "appendonly", "save"), [("redis", "yes", ""), ("valkey", "no", "3600 1 300 100")])
def test_of_an_rdb(server: str, appendonly: str, save: str, site: Site, tmp_path: Path) -> None:
    home = tmp_path / "new"
    with redis_server(server, "--appendonly", appendonly, "--save", save, *LIMITS, guarded=True) as source:
        small(source)
        queues(site, source, extra=f"image: {image_of(server)}")
        site.backed_up()
        held = [ask(source.container, server, "/sockets/s", *words, password=PASSWORD) for words in HELD]
    done = made(site, "queues", home)
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert {c["status"] for c in done.json["checks"]} == {"PASS"}, done.json["checks"]
    with started(done.json["start"]["docker"], home, server) as (container, socket):
        assert [ask(container, server, socket, *words, password=PASSWORD) for words in HELD] == held
        assert "NOAUTH" in ask(container, server, socket, "GET", "counter")
        assert "NOPERM" in ask(container, server, socket, "GET", "counter", user="dialler", password="correct horse")
        known = {"appendonly": appendonly, "save": save, "maxmemory-policy": "volatile-lru", "maxmemory": "103809024"}
        for name, value in known.items():
            told = ask(container, server, socket, "CONFIG", "GET", name, password=PASSWORD)
            assert told.split("\n")[1:] == [value] or (not value and told == name), (name, told)
        assert ask(container, server, socket, "SET", "written", "1", password=PASSWORD) == "OK"
        plan = site.root / "plans/p.yaml"
        plan.write_text(plan.read_text().replace(str(source.socket), str(socket)))
        site.backed_up()
    with started(done.json["start"]["docker"], home, server) as (container, socket):  # ended, and started once more
        kept = ask(container, server, socket, "GET", "written", password=PASSWORD)
        assert kept == "1"
