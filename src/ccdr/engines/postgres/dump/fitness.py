"""Whether a server may take a restore, and what it says of itself: asked before anything is written there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ccdr.engines.postgres.address import shown
from ccdr.engines.postgres.connection import STRICT, Connection, answer, major_number
from ccdr.engines.postgres.inventory import Inventory, quote_text
from ccdr.engines.servers.target import of_other_restores, refuse_in_use, room_needed
from ccdr.model.errors import CommandFailed, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.place import Place

LOOK = """\
select jsonb_build_object(
  'version', current_setting('server_version'),
  'superuser', current_setting('is_superuser') = 'on',
  'standby', pg_is_in_recovery(),
  'encoding', pg_encoding_to_char((select encoding from pg_database where datname = current_database())),
  'identifier', case when has_function_privilege('pg_catalog.pg_control_system()', 'execute') then
      (select system_identifier::text from pg_control_system()) end,
  'started', extract(epoch from pg_postmaster_start_time())::text,
  'databases', (select jsonb_agg(datname order by datname) from pg_database),
  'roles', (select jsonb_agg(rolname) from pg_roles),
  'extensions', (select jsonb_object_agg(name, default_version) from pg_available_extensions))
"""
# Anything that somebody made, of whatever kind (OIDs below 16384 are initdb's), and what goes with a database.
CONTENTS = """\
select (select sum((xpath('/row/n/text()', query_to_xml(format('select count(*) as n from pg_catalog.%I%s', relname,
            case when relname <> 'pg_largeobject_metadata' then ' where oid >= 16384' end),
          false, true, '')))[1]::text::int)
        from pg_class c where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r' and not relisshared
          and exists (select from pg_attribute where attrelid = c.oid and attname = 'oid'))
  + (select count(*) from pg_subscription where subdbid = d.oid)
  + (select count(*) from pg_replication_slots where datoid = d.oid)
  + (select count(*) from pg_db_role_setting where setdatabase = d.oid)
  + (select count(*) from (select classoid, objoid from pg_shdescription union all
                           select classoid, objoid from pg_shseclabel) s
     where classoid = 'pg_database'::regclass and objoid = d.oid),
  (select count(*) from pg_stat_activity where datid = d.oid and pid <> pg_backend_pid()
     and backend_type = 'client backend')
from pg_database d where datname = current_database()
"""


@dataclass(frozen=True)
class Facts:
    """What a target says of itself; `extensions` that it could have, with their versions. `identifier` is its
    cluster's, which a copy or a standby shares; None where it does not tell. A copy has `started` at another time:
    in seconds since 1970, to the microsecond."""

    version: str
    superuser: bool
    standby: bool
    encoding: str
    identifier: str | None
    started: str
    databases: Collection[str]
    roles: Collection[str]
    extensions: Mapping[str, str]

    @classmethod
    def ask(cls, place: Place, env: Mapping[str, str]) -> Facts:
        output = place.run([*STRICT, "-f", "-"], stdin=LOOK, env=env, what="asking the target")
        return cls(**json.loads(output.stdout))


def refuse_unfit(to: Connection, facts: Facts, inventory: Inventory) -> None:
    here, there = major_number(facts.version), major_number(inventory.version)
    if facts.standby:
        raise UsageProblem(f"{shown(to)} is a standby, which cannot be written", hint="name its primary")
    if here < there:
        raise UsageProblem(
            f"{shown(to)} is PostgreSQL {facts.version}, the backup is of {inventory.version}",
            hint=f"name a server of major version {there} or newer",
        )
    if not facts.superuser:
        raise UsageProblem(
            f"{to.user} is no superuser at {shown(to)}: owners and grants would not come back",
            hint="name a superuser in --to",
        )
    if lacks := sorted(set(inventory.extensions) - set(facts.extensions)):
        raise UsageProblem(
            f"{shown(to)} lacks the extension {', '.join(lacks)}",
            hint="install its package on that server, then restore again",
        )


def refuse_unless_empty(place: Place, env: Mapping[str, str], to: Connection) -> None:
    """`env` leads into the database that `to` names."""
    argv = [*STRICT, "-f", "-"]
    what = "looking whether the target is empty"
    objects, sessions = map(int, place.run(argv, stdin=CONTENTS, env=env, what=what).stdout.strip().split("|"))
    refuse_in_use(to.database, shown(to), objects, sessions)


def refuse_locale(place: Place, env: Mapping[str, str], to: Connection, inventory: Inventory, encoding: str) -> None:
    """Tried in a transaction that is rolled back. A locale of another encoding cannot be tried so."""
    facts = inventory.facts
    if facts["locale_provider"] == "b" or inventory.encoding != encoding:
        return
    collate, ctype = quote_text(facts["collate"]), quote_text(facts["ctype"])
    tried = {"libc": f"provider = libc, lc_collate = {collate}, lc_ctype = {ctype}"}
    if facts["locale_provider"] == "i":
        tried["ICU"] = f"provider = icu, locale = {quote_text(facts['icu_locale'])}"
    for kind, options in tried.items():
        sql = f"begin; create collation pg_temp.ccdr_look ({options}); rollback"
        try:
            answer(place, env, sql, "trying the locale")
        except CommandFailed as error:
            if "locale" not in error.stderr and "collation" not in error.stderr:
                raise
            raise UsageProblem(
                f"{shown(to)} lacks the {kind} locale of the database, {facts['collate']}",
                hint="install it on that server (Debian: locales-all) and restart the server, then restore again",
            ) from None


def notes(facts: Facts, manifest: Manifest, inventory: Inventory, *, new_roles: bool) -> list[str]:
    """What whoever restores should know, and what is no reason to refuse."""
    notes = [room_needed(inventory.database_bytes)]
    other = [
        f"{name} {version} will be {facts.extensions[name]}"
        for name, version in sorted(inventory.extensions.items())
        if facts.extensions[name] != version
    ]
    if other:
        notes.append(f"extensions come in the server's versions: {', '.join(other)}")
    if new_roles and not manifest.contents["role_passwords"]:
        notes.append("the new roles have no passwords: the backup was taken by a role that may not read them")
    if inventory.role_all_settings:
        notes.append("settings for all roles (ALTER ROLE ALL) are not carried over; see roles.sql of the snapshot")
    for name in inventory.facts["subscriptions"]:
        notes.append(f"the subscription {name} comes back disabled, and without its slot, which is the source's")
    return [*notes, *of_other_restores(facts.databases)]
