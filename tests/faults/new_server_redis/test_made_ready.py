"""A new Redis or Valkey server is what was captured: its clients find their keys once it is started by the lines that
ccdr gives, also where it has an append-only file, and it is backed up as the one before it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.debian import started_by_debian
from tests.support.erased import added
from tests.support.harness import Site
from tests.support.new_server import looked, made
from tests.support.new_server_redis import answering, ask, started
from tests.support.opened import is_it
from tests.support.redis_source import PASSWORD, image_of, queues, redis_server, small

HELD = (("DBSIZE",), ("-n", "3", "DBSIZE"), ("ACL", "LIST"), ("FUNCTION", "LIST"), ("XINFO", "GROUPS", "events"))
CANARY = "asset: queues\nkeys: [counter]\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n"
LIMITS = ("--maxmemory", "99mb", "--maxmemory-policy", "volatile-lru")


def captured(site: Site, server: str, *options: str) -> tuple[list[str], str]:
    """What its users may be told, and where its socket was."""
    with redis_server(server, *options, *LIMITS, guarded=True) as source:
        small(source)
        queues(site, source, extra=f"image: {image_of(server)}")
        site.backed_up()
        return held(source.container, server, "/sockets/s"), str(source.socket)


def held(container: str, server: str, socket: Path | str) -> list[str]:
    return [ask(container, server, socket, *words, password=PASSWORD) for words in HELD]


def set_to(container: str, server: str, socket: Path, **wanted: str) -> None:
    for name, value in {**wanted, "maxmemory-policy": "volatile-lru", "maxmemory": "103809024"}.items():
        told = ask(container, server, socket, "CONFIG", "GET", name, password=PASSWORD)
        assert told.split("\n")[1:] == [value] or (not value and told == name), (name, told)
    assert "NOAUTH" in ask(container, server, socket, "GET", "counter")
    assert "NOPERM" in ask(container, server, socket, "GET", "counter", user="dialler", password="correct horse")


def restored(site: Site, home: Path) -> Any:
    done = made(site, "queues", home)
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert {c["status"] for c in done.json["checks"]} == {"PASS"}, done.json["checks"]
    return done.json["start"]


def test_with_an_append_only_file_started_by_docker_and_backed_up_again(site: Site, tmp_path: Path) -> None:
    was, socket_was = captured(site, "redis", "--appendonly", "yes")
    start = restored(site, home := tmp_path / "new")
    with started(start["docker"], home, "redis") as (container, socket):
        assert held(container, "redis", socket) == was
        set_to(container, "redis", socket, appendonly="yes", save="")
        assert ask(container, "redis", socket, "CONFIG", "GET", "port", password=PASSWORD).split() == ["port", "0"]
        assert "db0:keys=" in looked(start, container)
        assert is_it(site, "queues", home, "any")
        assert not is_it(site, "queues", tmp_path / "another", "any", sockets=socket.parent)
        assert (
            ask(container, "redis", socket, "CONFIG", "SET", "repl-diskless-sync-delay", "0", password=PASSWORD) == "OK"
        )
        assert ask(container, "redis", socket, "SET", "written", "1", password=PASSWORD) == "OK"
        plan = site.root / "plans/p.yaml"
        plan.write_text(plan.read_text().replace(socket_was, str(socket)))
        site.backed_up()
    with started(start["docker"], home, "redis") as (container, socket):  # ended, and started once more
        assert ask(container, "redis", socket, "GET", "written", password=PASSWORD) == "1"


def test_without_one_started_by_debian(site: Site, tmp_path: Path) -> None:
    was, _ = captured(site, "valkey", "--save", "3600 1 300 100")
    start = restored(site, home := tmp_path / "new")
    with started_by_debian(image_of("valkey"), home, start["debian"]) as container:
        socket = answering(container, home, "valkey")
        assert held(container, "valkey", socket) == was
        set_to(container, "valkey", socket, appendonly="no", save="3600 1 300 100")


def test_who_was_erased_is_in_no_file_of_it(site: Site, tmp_path: Path) -> None:
    with redis_server("redis", "--appendonly", "yes", *LIMITS, guarded=True) as source:
        small(source)
        source.fill("SET caller:40721000017 x\nSET caller:40721000018 y\nRPUSH seen:40721000017 a")
        source.fill("SET seen[40721000017] x")
        source.fill("SET caller:40721000017 z", database=3)
        queues(site, source, extra=f"image: {image_of('redis')}")
        site.backed_up()
    added(site, "asset: queues\nkeys: ['caller:40721000017', '*:40721000017', 'seen[40721000017]']\n", CANARY)
    restored(site, home := tmp_path / "new")
    held = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"40721000017" not in held and b"40721000018" in held
    (replay,) = site.records("erasure.replay")
    assert (replay["result"], [one["found_before"] for one in replay["found"]]) == ("PROVEN", [4, 1])
    proof = site.run("erasure", "prove", "p")
    assert (proof.code, proof.json["proofs"][0]["result"]) == (0, "PROVEN"), proof
