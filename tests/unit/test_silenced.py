"""What a restored server would do to others by itself does not start; each is told, with the line that switches it on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.manifests import a_manifest

from ccdr.engines.mariadb.new_server import own
from ccdr.engines.mariadb.server import silenced as of_mariadb
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.server_settings import SILENCED, of_settings, of_subscriptions, without_jobs
from ccdr.engines.redis.new_server import silenced as of_redis
from ccdr.ports.new_server import Site

LIBRARIES = "shared_preload_libraries"
ACTING = {
    "archive_mode": "on",
    "archive_command": "cp %p /archive/%f",
    "archive_library": "basic_archive",
    "primary_conninfo": "host=primary",
    "synchronous_standby_names": "*",
    "restore_command": "cp /archive/%f %p",
    LIBRARIES: 'auto_explain, "pg_cron", pg_net, timescaledb',
    "work_mem": "4096",
}


def written(text: str) -> dict[str, str]:
    return {key: value.strip("'") for key, _, value in (line.partition(" = ") for line in text.splitlines()[1:])}


def test_a_new_postgres_server_is_given_nothing_by_which_it_acts_on_others() -> None:
    made = written(conf.postgresql_conf(Site(Path("/srv/crm")), 5432, ACTING, {}))
    assert not SILENCED & made.keys()
    assert made["work_mem"] == "4096", "the rest is as captured"
    assert made[LIBRARIES] == "auto_explain,pg_cron,timescaledb"
    assert (made["cron.launch_active_jobs"], made["timescaledb.max_background_workers"]) == ("off", "0")
    plain = {LIBRARIES: 'auto_explain, "pgaudit"'}
    assert without_jobs(plain, {}) == plain


def test_no_library_runs_jobs_in_a_sandbox() -> None:
    """They would change what is compared. Whoever states that they shall, is believed."""
    assert without_jobs({}, {LIBRARIES: "pg_cron,pg_net"}) == {
        LIBRARIES: "pg_cron,pg_net",
        "cron.launch_active_jobs": "off",
    }
    stated = {LIBRARIES: "pg_cron", "cron.launch_active_jobs": "on"}
    assert without_jobs({LIBRARIES: "pg_net"}, stated) == stated
    assert without_jobs({LIBRARIES: "pg_net"}, {}) == {LIBRARIES: ""}
    acting = "citus, pgactive, vectorize, pg_tracing, pgaudit"
    assert without_jobs({LIBRARIES: acting}, {}) == {LIBRARIES: "pgaudit"}


def test_each_of_them_is_told_with_the_line_that_switches_it_on(tmp_path: Path) -> None:
    """The lines do it: typed, the file no longer keeps it silent."""
    path = tmp_path / "postgresql.conf"
    more = {"max_logical_replication_workers": "0"}
    path.write_text(conf.postgresql_conf(Site(Path("/srv/crm")), 5432, ACTING, more))
    found = [*of_settings(ACTING, {}, str(path)), of_subscriptions("its subscription s", str(path))]
    assert len(found) == 5
    for one in found:
        subprocess.run(["sh", "-ec", one.on], check=True)
    after = written(path.read_text())
    assert after["archive_mode"] == "on" and "archive_command" in after
    assert after[LIBRARIES] == ACTING[LIBRARIES]
    assert not {"cron.launch_active_jobs", "timescaledb.max_background_workers", *more} & after.keys()


def test_what_the_plan_asks_for_is_not_silenced() -> None:
    wanted = {"archive_mode": "on", LIBRARIES: "pg_net,pg_cron", "cron.launch_active_jobs": "on"}
    made = written(conf.postgresql_conf(Site(Path("/srv/crm"), settings=wanted), 5432, ACTING, {}))
    assert {name: made[name] for name in wanted} == wanted
    assert not list(of_settings(ACTING, wanted, "x"))
    assert not list(of_settings({"archive_mode": "off", LIBRARIES: "auto_explain"}, {}, "x"))


MARIA_PLUGINS = {"FEDERATED": "ha_federatedx.so", "ARCHIVE": "ha_archive.so", "ROCKSDB": "ha_rocksdb.so"}
MARIA_PLUGINS |= {"NEW_ONE": "ha_new_one.so", "ed25519": "auth_ed25519.so"}


def maria(**more: str) -> own.Own:
    settings = {"log_bin": "OFF", "innodb_buffer_pool_size": "0", "time_zone": "SYSTEM", **more}
    manifest = a_manifest(
        contents={"version": "11.8.2", "settings": settings, "plugins": MARIA_PLUGINS, "utc_offset_s": 0}
    )
    site = Site(Path("/srv/dialler"))
    return own.Own(site, manifest, 3306, Path("/srv/dialler/run/s"), {}, 2**32)


def test_a_new_mariadb_server_runs_no_events_follows_nobody_and_opens_no_table_elsewhere(tmp_path: Path) -> None:
    made = maria(event_scheduler="ON", wsrep_on="ON").options("/srv/dialler")
    assert made["event_scheduler"] == "OFF" and made["skip_slave_start"] == "1" and made["symbolic_links"] == "0"
    shut = {name.removeprefix("loose-plugin-"): value for name, value in made.items() if "loose-plugin-" in name}
    assert shut == dict.fromkeys(("federated", "spider", "connect", "s3", "sphinx", "new_one"), "OFF"), (
        "others are local"
    )
    assert not [name for name in made if "wsrep" in name]
    path = tmp_path / "my.cnf"
    path.write_text(maria(event_scheduler="ON").text("/srv/dialler"))
    found = list(of_mariadb({"event_scheduler": "ON"}, MARIA_PLUGINS, {}, str(path), "true"))
    assert len(found) == 3
    for one in found:
        subprocess.run(["sh", "-ec", one.on], check=True)
    lines = path.read_text().splitlines()
    assert "event_scheduler=ON" in lines and not [
        line for line in lines if "=OFF" in line and ("federated" in line or "new_one" in line)
    ]
    assert [line for line in lines if "plugin-spider" in line], "no other"
    assert not list(of_mariadb({"event_scheduler": "OFF"}, {}, {}, "x", "true"))
    assert not list(of_mariadb({"event_scheduler": "ON"}, {}, {"event_scheduler": "ON"}, "x", "true"))


@pytest.mark.parametrize(("replica", "told"), [(True, 1), (False, 0)])
def test_a_new_redis_server_follows_nobody(replica: bool, told: int) -> None:
    found = list(of_redis(replica=replica, client="redis-cli -s /srv/q/run/redis.sock"))
    assert len(found) == told
    assert all(one.on.startswith("redis-cli -s /srv/q/run/redis.sock REPLICAOF ") for one in found)
