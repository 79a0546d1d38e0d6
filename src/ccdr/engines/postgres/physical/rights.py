"""What the client's role may do at the source: all that a base backup asks for, and what it then holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres import grants
from ccdr.engines.postgres.connection import CONNECTABLE, PSQL, Connection, answer
from ccdr.engines.postgres.inventory import conninfo
from ccdr.engines.postgres.physical.facts import OBJECTS
from ccdr.engines.postgres.physical.parents import FIRST_MAJOR
from ccdr.engines.postgres.wal import canary_grant, nearly
from ccdr.model.errors import CommandFailed
from ccdr.model.values import Probe, human_bytes, so_many
from ccdr.ports.place import Source

RIGHTS = f"""\
select jsonb_build_object(
  'replication', rolreplication or rolsuper,
  'superuser', rolsuper,
  'role', quote_ident(current_user),
  'inherits', rolinherit,
  'reads_roles', has_table_privilege('pg_authid', 'select'),
  'reads_settings', rolsuper or pg_has_role('pg_read_all_settings', 'usage'),
  'creates', has_database_privilege(current_database(), 'create'),
  'major', current_setting('server_version_num')::int / 10000,
  'summarizes_wal', coalesce(current_setting('summarize_wal', true), 'off') = 'on',
  'senders', current_setting('max_wal_senders')::int,
  'wal_level', current_setting('wal_level'),
  'data_checksums', current_setting('data_checksums') = 'on',
  'unlogged', (select count(*) from pg_class where relpersistence = 'u' and relkind = 'r'),
  'objects', {OBJECTS},
  'databases', (select count(*) from pg_database where {CONNECTABLE}),
  'slot_keeps', (select case setting when '-1' then -1 else setting::bigint * 1048576 end from pg_settings
                 where name = 'max_slot_wal_keep_size'),
  'slots', (select coalesce(jsonb_agg(jsonb_build_object('name', slot_name, 'status', wal_status, 'kept',
      case when pg_is_in_recovery() then 0 else coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) end)
      order by slot_name), '[]') from pg_replication_slots where slot_name like 'ccdr\\_%'))
from pg_roles where rolname = current_user
"""
SENDERS = 2  # one for the files, one for the log beside them


def probes(
    source: Source, connection: Connection, *, increments: bool = False, shipping: LogShipping | None = None
) -> Iterator[Probe]:
    env = {**connection.environment(source.credentials), "PGOPTIONS": "-c statement_timeout=20s"}
    facts = json.loads(answer(source.place, env, RIGHTS, "asking for the role's rights"))
    refusal = None
    if facts["replication"]:
        replication = [*PSQL, "-d", f"{conninfo(connection.database)} replication=true", "-c", "IDENTIFY_SYSTEM"]
        try:
            source.place.run(replication, env=env, what="connecting for replication")
        except CommandFailed as error:
            refusal = str(error)
    yield from judged(facts, connection, refusal)
    if increments:
        yield _increments(facts)
    if shipping is not None:
        yield from _slots(facts, shipping)
        if shipping.canary is not None:
            yield _canary(facts, connection)


def judged(facts: Mapping[str, Any], connection: Connection, refusal: str | None) -> Iterator[Probe]:
    """`refusal`: how a connection for replication ended."""
    what, user = "rights to read", connection.user
    if not facts["replication"]:
        problem = f"{user} may not take a base backup: it lacks REPLICATION"
        yield Probe.fail(what, problem, f"as a superuser: ALTER ROLE {facts['role']} REPLICATION;")
    elif refusal is not None:
        where = "local" if connection.socket else "hostssl" if connection.verified_tls else "host"
        line = f"{where} replication {user} " + ("" if connection.socket else "ADDRESS ") + "scram-sha-256"
        yield Probe.fail(what, refusal, f"let it in, in pg_hba.conf: {line}; then SELECT pg_reload_conf();")
    elif not facts["objects"]:
        problem = f"the database {connection.database} holds no object of its own"
        yield Probe.fail(what, problem, "name the one that matters in `connection:`: checks ask it")
    else:
        yield Probe.ok(what, f"{user} may copy the whole server: {so_many(facts['databases'], 'database')}")
    if facts["wal_level"] == "minimal" or facts["senders"] < SENDERS:
        problem = f"wal_level is {facts['wal_level']}, max_wal_senders {facts['senders']}"
        yield Probe.fail(
            "base backups", problem, f"set wal_level = replica, max_wal_senders to {SENDERS} or more; restart"
        )
    if not facts["data_checksums"]:
        yield Probe.warn(
            "page checksums",
            "off: damage in the source's own files is copied along, and seen late",
            "with the server stopped: pg_checksums --enable",
        )
    if facts["unlogged"]:
        problem = f"a base backup leaves out the rows of {facts['unlogged']} unlogged tables"
        yield Probe.warn("unlogged tables", problem, "ALTER TABLE … SET LOGGED, where they matter")
    yield _beyond(facts, user)


def _increments(facts: Mapping[str, Any]) -> Probe:
    what = "increments"
    if facts["major"] < FIRST_MAJOR:
        problem = f"PostgreSQL {facts['major']} has none: every base is a full one"
        return Probe.warn(what, problem, f"leave `incremental:` out, or upgrade to {FIRST_MAJOR} or later")
    if not facts["summarizes_wal"]:
        problem = "the source keeps no summaries of its log: every base is a full one"
        return Probe.fail(
            what, problem, "as a superuser: ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();"
        )
    return Probe.ok(what, "the source summarizes its log")


def _slots(facts: Mapping[str, Any], shipping: LogShipping) -> Iterator[Probe]:
    """All of ccdr's on that server: whichever plan's it is, they fill one disk."""
    what, keeps, slots, bad = "replication slots", int(facts["slot_keeps"]), facts["slots"], False
    for slot in slots:
        name, kept = slot["name"], human_bytes(int(slot["kept"]))
        if slot["status"] == "lost":
            bad = True
            yield Probe.fail(
                what, f"the source gave {name} up: log is missing", "run `ccdr backup PLAN` for a new base"
            )
        elif slot["kept"] > nearly(keeps, shipping):
            bad = True
            sentence = f"the source keeps {kept} of log for {name}" + (
                f", and gives up at {human_bytes(keeps)}" if keeps >= 0 else ""
            )
            yield Probe.warn(
                what, sentence, "find out why it is not received: `ccdr status`; is `ccdr ship PLAN` running?"
            )
    if keeps < 0:
        yield Probe.warn(
            what,
            "max_slot_wal_keep_size is not set: a slot whose log is not fetched fills the source's disk",
            "as a superuser: ALTER SYSTEM SET max_slot_wal_keep_size = 'what its disk can spare';"
            " SELECT pg_reload_conf();",
        )
    elif not bad:
        most = human_bytes(max((int(slot["kept"]) for slot in slots), default=0))
        sentence = (
            f"{so_many(len(slots), 'slot')} of ccdr's: the source keeps {most} of log, of at most {human_bytes(keeps)}"
        )
        yield Probe.ok(what, sentence)


def _canary(facts: Mapping[str, Any], connection: Connection) -> Probe:
    user, database = connection.user, connection.database
    if not facts["creates"]:
        problem = (
            f"{user} may make no schema in {database}, where the canary of `log_shipping:` is kept: no log is shipped"
        )
        return Probe.fail("canary", problem, f"as a superuser: {canary_grant(connection)} or leave `canary:` out")
    return Probe.ok("canary", f"{user} may make its schema in {database}")


def _beyond(facts: Mapping[str, Any], user: str) -> Probe:
    """Whoever may copy every file has read everything already; it need not be able to write."""
    what = "rights to write"
    if facts["superuser"]:
        return Probe.warn(
            what,
            f"{user} is a superuser: whoever has its password may change everything",
            "back up as a role that only reads: CREATE ROLE … LOGIN REPLICATION;"
            " GRANT pg_read_all_data, pg_monitor TO …;",
        )
    lacks = [
        role
        for role, has in (("pg_read_all_data", facts["reads_roles"]), ("pg_monitor", facts["reads_settings"]))
        if not has
    ]
    if lacks:
        return Probe.warn(
            what,
            f"{user} may change nothing, and sees less than its copy holds: not all can be compared later",
            "as a superuser: "
            + grants.member(", ".join(lacks), facts["role"], inherits=facts["inherits"], major=facts["major"]),
        )
    if facts["creates"]:
        return Probe.ok(
            what, f"{user} may change nothing that is there, and make schemas of its own (as a canary needs)"
        )
    return Probe.ok(what, f"{user} may change nothing")
