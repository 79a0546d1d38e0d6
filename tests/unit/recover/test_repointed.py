"""What of the plan is otherwise once everything stands at its new place: told key by key, and nothing where it is as
before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.manifests import a_manifest

from ccdr.jobs.recover.result import edited_plan, keep_edited, lines_of, repointed
from ccdr.plans.targets import Target

NEW = Path("/srv/n")


def asked(
    site: Site, assets: str, places: dict[str, dict[str, Any]] | None = None, **more: Any
) -> dict[tuple[str, str], Any]:
    site.plan(assets)
    loaded = site.loaded()
    if places is None:
        places = {name: {"new_server": {"directory": NEW / name}} for name in loaded.plan.assets}
    targets = {name: Target.model_validate(where) for name, where in places.items()}
    return {(one.asset, one.key): one for one in repointed(loaded, targets, **more)}


def keys(found: dict[tuple[str, str], Any]) -> dict[str, str | None]:
    return {key: one.now for (_, key), one in found.items()}


@pytest.mark.parametrize(
    ("asset", "now"),
    [
        (
            "crm: {engine: postgres, connection: {host: /var/run/postgresql, user: u, database: d}}",
            {"connection.host": "/srv/n/crm/run"},
        ),
        ("crm: {engine: postgres, connection: {host: 127.0.0.1, port: 5444, user: u, database: d}}", {}),
        ("crm: {engine: postgres, connection: {host: localhost, user: u, database: d}}", {}),
        (
            "crm: {engine: postgres, connection: {host: db1.example, user: u, database: d}}",
            {"connection.host": "127.0.0.1"},
        ),
        (
            "crm: {engine: postgres, connection: {host: 127.0.0.1, user: u, database: d, password_file: gone.pw}}",
            {"connection.host": "/srv/n/crm/run", "connection.password_file": None},
        ),
        (
            "crm: {engine: mariadb, method: physical, connection: {host: /run/mysqld, user: u, database: d}}",
            {
                "connection.host": "/srv/n/crm/run/mysqld.sock",
                "connection.user": "root",  # no account of this host is called u
                "data_directory": "/srv/n/crm/data",
            },
        ),
        (
            "crm: {engine: mariadb, connection: {host: db2, user: u, database: d, password_file: gone.pw}}",
            {
                "connection.host": "/srv/n/crm/run/mysqld.sock",
                "connection.user": "root",
                "connection.password_file": None,
            },
        ),
        (
            "crm: {engine: mariadb, connection: {host: /run/mysqld, user: nobody, database: d}}",
            {"connection.host": "/srv/n/crm/run/mysqld.sock"},
        ),
        ("crm: {engine: mariadb, connection: {host: 127.0.0.1, user: u, database: d}}", {}),
        ("crm: {engine: redis, connection: {host: /run/r.sock}}", {"connection.host": "/srv/n/crm/run/r.sock"}),
        ("crm: {engine: redis, connection: {host: 127.0.0.1}}", {}),
    ],
)
def test_a_new_server_changes_the_keys_by_which_it_is_reached_and_no_other(
    site: Site, asset: str, now: dict[str, str | None]
) -> None:
    assert keys(asked(site, asset)) == now


def test_a_redis_without_users_listens_on_its_socket_alone(site: Site) -> None:
    bare = {"crm": a_manifest(contents={"users": None})}
    found = asked(site, "crm: {engine: redis, connection: {host: 127.0.0.1}}", manifests=bare)
    assert keys(found) == {"connection.host": "/srv/n/crm/run/redis.sock"}


def test_another_port_and_another_address_are_told(site: Site) -> None:
    place = {"crm": {"new_server": {"directory": NEW, "address": "10.0.0.9", "port": 5440}}}
    crm = "crm: {engine: postgres, connection: {host: 10.0.0.1, user: u, database: d}}"
    assert keys(asked(site, crm, place)) == {"connection.host": "10.0.0.9", "connection.port": "5440"}
    place["crm"]["new_server"]["address"] = "10.0.0.1"
    assert keys(asked(site, crm, place)) == {"connection.port": "5440"}


def test_a_spare_goes_on_at_the_server_that_was_started(site: Site) -> None:
    one = "connection: {host: /one, user: u, database: crm}"
    assets = (
        f"crm: {{engine: postgres, {one}}}\nwhole: {{engine: postgres, method: physical, {one}, log_shipping: {{}}}}\n"
    )
    found = asked(site, assets, spares={"crm": "whole"})
    assert {asset: of.now for (asset, _), of in found.items()} == dict.fromkeys(("crm", "whole"), "/srv/n/whole/run")


def test_a_database_on_a_server_that_runs(site: Site) -> None:
    place = {"crm": {"server": "postgresql://postgres@db9:5440/crm_new"}}
    found = asked(site, "crm: {engine: postgres, connection: {host: db1, user: u, database: d}}", place)
    assert keys(found) == {"connection.host": "db9", "connection.port": "5440", "connection.database": "crm_new"}


def test_files_are_put_back_and_a_check_of_their_rows_is_told_too(site: Site) -> None:
    site.write(
        "restore_tests/calls.yaml",
        "restore_test: calls\nchecks:\n  - {kind: reconcile, name: calls, with: rec, root: /var/spool/rec/a,"
        " query: select 1}\n",
    )
    assets = (
        "rec: {engine: files, paths: [/var/spool/rec]}\n"
        "cdr: {engine: sqlite, path: /var/lib/cdr.db, restore_test: {schedule: '0 3 * * *', checks: [calls]}}\n"
    )
    found = asked(site, assets, {"rec": {"directory": "/srv/n/rec"}, "cdr": {"directory": "/srv/n/cdr"}})
    rec, cdr, root = found["rec", "paths"], found["cdr", "path"], found["cdr", "root of “calls”"]
    assert (rec.now, cdr.now) == ("/srv/n/rec/var/spool/rec", "/srv/n/cdr/cdr.db")
    assert rec.back == "mkdir -p /var/spool && mv -T /srv/n/rec/var/spool/rec /var/spool/rec"
    assert (root.file, root.now) == ("restore_tests/calls.yaml", "/srv/n/rec/var/spool/rec/a")
    said = list(lines_of(list(found.values()), site.loaded()))
    assert f"    {cdr.back}" in said and cdr.back.endswith("mv -T /srv/n/cdr/cdr.db /var/lib/cdr.db")


def test_what_still_stands_where_files_are_put_back_is_kept_aside_by_the_same_line(site: Site, tmp_path: Path) -> None:
    was, to = tmp_path / "spool", tmp_path / "new"
    for path, words in ((was, "old"), (to / str(was).lstrip("/"), "new")):
        path.mkdir(parents=True)
        (path / "a").write_text(words)
    places = {"rec": {"directory": str(to)}}
    found = asked(site, f"rec: {{engine: files, paths: [{was}]}}\n", places, stands=os.path.lexists)
    line = str(found["rec", "paths"].back)
    heading, told = list(lines_of(list(found.values()), site.loaded()))
    assert "what stands there is kept as NAME.lost" in heading and told == f"    {line}"
    subprocess.run(["sh", "-c", line], check=True)
    assert ((was / "a").read_text(), (tmp_path / "spool.lost" / "a").read_text()) == ("new", "old")
    again = subprocess.run(["sh", "-c", line], check=False)
    assert again.returncode != 0 and (was / "a").read_text() == "new", "nothing is there to take its place"


def test_the_log_of_a_database_that_was_gone_is_named_where_another_is_put_back(site: Site, tmp_path: Path) -> None:
    """It would be replayed into that."""
    was, to = tmp_path / "cdr.db", tmp_path / "new"
    to.mkdir()
    (to / "cdr.db").write_text("new")
    found = asked(
        site, f"cdr: {{engine: sqlite, path: {was}}}\n", {"cdr": {"directory": str(to)}}, stands=os.path.lexists
    )
    line, lost = str(found["cdr", "path"].back), tmp_path / "cdr.db-wal"
    lost.write_text("old")
    refused = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True)
    assert refused.returncode != 0 and refused.stderr == f"{lost}\n" and not was.exists()
    lost.unlink()
    subprocess.run(["sh", "-c", line], check=True)
    assert was.read_text() == "new"


def test_the_plan_that_was_edited_is_right_and_names_what_lives(site: Site, tmp_path: Path) -> None:
    site.plan(
        "crm: {engine: postgres, connection: {host: db1, user: u, database: d}}  # ours\n"
        "rec: {engine: files, paths: [/var/spool/rec]}\n"
    )
    loaded = site.loaded()
    places = {
        "crm": Target.model_validate({"new_server": {"directory": NEW, "port": 5440}}),
        "rec": Target(directory=Path("/srv/n/rec")),
    }
    found = repointed(loaded, places)
    text = edited_plan(loaded, found)
    assert text is not None and "{port: 5440, host: 127.0.0.1" in text
    assert "user: u, database: d}}  # ours" in text
    site.write("plans/p.yaml", text)
    assert [one for one in repointed(site.loaded(), places) if one.back is None] == []
    kept = tmp_path / "p.yaml"
    assert f"    cp {kept} {loaded.path}" in lines_of(found, loaded, kept)
    assert edited_plan(loaded, [one for one in found if one.back]) is None


SHARES = """\
crm: {engine: postgres, connection: &server {host: db1, user: u, database: d, password_file: gone.pw}}
whole: {engine: postgres, method: physical, connection: *server}
"""


def test_what_two_assets_of_one_server_share_in_the_plan_is_left_to_a_person_who_is_told_why(
    site: Site, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    """One of them comes back elsewhere: where the other one is captured from stays."""
    site.plan(SHARES)
    loaded, into = site.loaded(), tmp_path / "into"
    into.mkdir()
    new = {name: Target.model_validate({"new_server": {"directory": NEW / name}}) for name in loaded.plan.assets}
    for places in ({"crm": new["crm"]}, new):
        found = repointed(loaded, places)
        assert keep_edited(loaded, found, into) is None and list(into.iterdir()) == []
        first, *_ = lines_of(found, loaded)
        assert first == wording
    together = repointed(loaded, new, spares={"crm": "whole"})
    text = edited_plan(loaded, together)
    assert (
        text is not None and "connection: &server {host: /srv/n/whole" in text and "/run, user: u, database: d}" in text
    )
    assert not any("by hand" in line for line in lines_of(together, loaded))
