"""A site whose plan has copies."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.harness import PASSWORD, Ran, Site
from tests.support.repositories import Key, new_repository
from tests.support.stored import settled_file

OTHER = "another password"


def copies_of(site: Site, *names: str, more: str = "") -> str:
    """The plan's `copies:`, each a repository of its own beside the site's, with another password."""
    site.write("plans/far.key", OTHER + "\n", mode=0o600)
    lines = [
        f'  {name}: {{url: {site.root / name}, password_file: far.key, site: Site {name}, schedule: "0 4 * * *"{more}}}'
        for name in names
    ]
    return "copies:\n" + "\n".join(lines) + "\n"


def add_copies(site: Site, *names: str, more: str = "", bare: bool = False, extra: str = "") -> None:
    """Into the plan that is there. `bare`: the copies' repositories are not there yet."""
    path = site.root / "plans" / "p.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("assets:\n", copies_of(site, *names, more=more) + extra + "assets:\n"), "utf-8")
    for name in names if not bare else ():
        new_repository(site.root / name, OTHER)
        if "log_shipping:" in text:
            new_repository(site.root / name / "log", OTHER)


def with_copies(tmp_path: Path, *names: str, more: str = "", bare: bool = False, calls: int = 0, **plan: Any) -> Site:
    """Recordings (or, with `calls`, a SQLite database of so many), backed up once; `offsite` by default. `bare`: the copies' repositories are not there yet."""
    site = Site(tmp_path)
    names = names or ("offsite",)
    settled_file(tmp_path / "tree" / "a.wav", b"a" * 5000)
    extra = plan.pop("extra", "")
    if calls:
        with closing(sqlite3.connect(tmp_path / "cdr.db")) as database:
            database.execute("create table call (id integer)")
            database.executemany("insert into call values (?)", [(n,) for n in range(calls)])
            database.commit()
        site.cdr(tmp_path / "cdr.db", checks="restore_test: cdr\nchecks:\n  - {kind: identical}\n")
    else:
        site.recordings(tmp_path / "tree")
    add_copies(site, *names, more=more, bare=bare, extra=extra)
    site.backed_up()
    return site


def copied(site: Site, *more: str) -> dict[str, Any]:
    """One copying that must go well: what it gave."""
    done = site.run("copy", "p", *more)
    assert done.code == 0, done
    return dict(done.json["copies"][0])


def one(done: Ran) -> dict[str, Any]:
    return dict(done.json["copies"][0])


def ids_of(done: Ran) -> list[str]:
    return [s["id"] for s in done.json["snapshots"]]


def wrong_with(site: Site) -> list[dict[str, Any]]:
    """What `status` says of the plan's care, but that nothing was restored from a copy yet."""
    told = site.run("status").json["plans"][0]["troubles"]
    return [p for p in told if not (p["code"] == "COPY_UNTESTED" and "never restored from there" in p["text"])]


def restic_of(at: Path, *args: str, password: str = OTHER) -> Any:
    """What restic itself says of a copy, as JSON."""
    argv = ["restic", "-r", str(at), "--no-cache", "--no-lock", "--json", *args]
    done = subprocess.run(
        argv, env={**os.environ, "RESTIC_PASSWORD": password}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def copied_by_hand(site: Site, snapshot: str, to: Path) -> None:
    """By restic, as whoever has both passwords may."""
    secrets = {"RESTIC_PASSWORD": OTHER, "RESTIC_FROM_PASSWORD": PASSWORD}
    argv = ["restic", "-r", str(to), "--no-cache", "copy", "--from-repo", str(site.repo), snapshot]
    subprocess.run(argv, env={**os.environ, **secrets}, capture_output=True, check=True)


def planted(at: Path, snapshot: Mapping[str, object], before: str | None = None) -> str:
    """A snapshot that restic did not make, in a copy; its id, which comes `before` that one."""
    key = restic_of(at, "cat", "masterkey")
    material = [b64decode(part) for part in (key["encrypt"], key["mac"]["k"], key["mac"]["r"])]
    while True:
        sealed = Key.of(b"".join(material)).sealed(snapshot)
        if (name := sha256(sealed).hexdigest()) < (before or "g"):
            (at / "snapshots" / name).write_bytes(sealed)
            return name


__all__ = [
    "OTHER", "PASSWORD", "add_copies", "copied", "copied_by_hand", "copies_of", "ids_of", "one", "planted", "restic_of",
    "with_copies", "wrong_with",
]  # fmt: skip
