"""What is asked of a whole server before a base backup, while it runs, and after it; and again of the restored one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ccdr.engines.postgres.connection import CONNECTABLE, STRICT
from ccdr.engines.postgres.inventory import texts
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

LARGEST = 1000  # tables that a manifest names
AT_ONCE = 3  # databases whose catalogues are read side by side: a fifth of a second each, and a new server has three
# How many relations and functions the database that is asked holds beside the server's own.
OBJECTS = """(select count(*) from (
      select oid from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and relpersistence <> 't'
      union all select oid from pg_proc) o where oid >= 16384)"""
# The names are those of the inventory of a dump, where they mean the same. Sizes are asked without a lock.
CLUSTER = f"""\
select jsonb_build_object(
  'version', current_setting('server_version'),
  'superuser', current_setting('is_superuser') = 'on',
  'standby', pg_is_in_recovery(),
  'timezone', current_setting('TimeZone'),
  'lc_monetary', (select current_setting('lc_monetary') where exists (
      select from pg_attribute where atttypid = 'money'::regtype and attrelid >= 16384)),
  'bootstrap', (select rolname from pg_roles where oid = 10),
  'superusers', (select jsonb_agg(rolname order by oid) from pg_roles where rolsuper and rolcanlogin),
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'recovery', nullif(current_setting('ccdr.recovery', true), ''),
  'data_checksums', current_setting('data_checksums') = 'on',
  'timeline', (select timeline_id from pg_control_checkpoint()),
  'summarizes_wal', coalesce(current_setting('summarize_wal', true), 'off') = 'on',
  'block_size', current_setting('block_size')::int,
  'horizon', pg_snapshot_xmin(pg_current_snapshot())::text,
  'tablespaces', (select jsonb_object_agg(oid, jsonb_build_object(
      'name', spcname, 'location', pg_tablespace_location(oid))) from pg_tablespace where oid >= 16384),
  'databases', (select jsonb_object_agg(d.datname, jsonb_build_object(
      'bytes', case when has_database_privilege(d.oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage')
          then pg_database_size(d.oid) end,
      'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
      'locale_provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
      'icu_locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
      'asked', {CONNECTABLE} and has_database_privilege(d.oid, 'connect'))) from pg_database d),
  'database', current_database(),
  'encoding', (select pg_encoding_to_char(encoding) from pg_database where datname = current_database()),
  'extensions', coalesce((select jsonb_object_agg(extname, extversion) from pg_extension), '{{}}'),
  'object_count', {OBJECTS},
  'unlogged', (select count(*) from held where relpersistence = 'u'),
  'unlogged_tables', coalesce((select jsonb_agg(name order by name) from (
      select concat(n.nspname, ' ', c.relname) as name from held h join pg_class c on c.oid = h.oid
      join pg_namespace n on n.oid = c.relnamespace where h.relpersistence = 'u' order by 1 limit 20) u), '[]'),
  'slots', coalesce((select jsonb_agg(slot_name order by slot_name) from pg_replication_slots
      where not temporary and slot_name not like 'ccdr\\_%'), '[]'),
  'tables', coalesce((select jsonb_object_agg(name, jsonb_build_object('rows', rows, 'bytes', bytes)) from (
      select oid::regclass::text as name, greatest(reltuples::bigint, pg_stat_get_live_tuples(oid)) as rows,
             relpages::bigint * current_setting('block_size')::int as bytes
      from held order by relpages desc, 2 desc, oid limit {LARGEST}) t), '{{}}'))
from (select) nothing;
"""
HELD = """\
with held as (select oid, reltuples, relpages, relpersistence from pg_class
  where relkind in ('r', 'm') and relpersistence <> 't' and oid >= 16384
    and relnamespace <> 'information_schema'::regnamespace)
"""
CLUSTER = HELD + CLUSTER
# The numbers of those that lie at a path of their own.
TABLESPACES = """\
select coalesce(json_agg(oid::text), '[]') from pg_tablespace where oid >= 16384 and pg_tablespace_location(oid) <> '';
"""
# How far the source is, asked again and again while it is read. A commit that was acknowledged before this is asked
# stands before `at` in the log. On a standby it is the newest replayed commit that the data is true for.
HOW_FAR = """\
select extract(epoch from clock_timestamp()),
  case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end,
  case when pg_is_in_recovery() then extract(epoch from pg_last_xact_replay_timestamp()) end,
  (select string_agg(concat_ws(' ', phase, backup_streamed), ', ' order by pid) from pg_stat_progress_basebackup),
  (select sum(backup_streamed) from pg_stat_progress_basebackup);
"""

# Statistics, rows of large objects, and what follows from other catalogues.
_LEFT_OUT = (
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_depend",
    "pg_shdepend",
)
# Columns that the server overwrites in place, outside of any transaction.
_IN_PLACE = (
    "relpages",
    "reltuples",
    "relallvisible",
    "relallfrozen",
    "relfrozenxid",
    "relminmxid",
    "relhasindex",
    "relhasrules",
    "relhastriggers",
    "datfrozenxid",
    "datminmxid",
    "dathasloginevt",
)
# Where a catalogue names the table that a row belongs to: rows of temporary tables come and go all the time.
_OF_TABLE = ("attrelid", "indrelid", "adrelid", "conrelid", "ev_class", "tgrelid", "inhrelid", "typrelid", "seqrelid")


# One digest for each catalogue, over the rows that are older than :horizon, each with the transaction that wrote it.
# Two equal digests, one before and one after: then none of these rows was changed, or removed, in between, and the
# same digest must be found in whatever was copied in between. Rights and references are taken by OID: how they are
# printed depends on other catalogues. `shared` asks for those of the whole server, too.
CATALOGUES = f"""\
with catalogue as (
  select c.oid, c.relname from pg_class c
  where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and has_table_privilege(c.oid, 'select')
    and (:shared or not c.relisshared) and c.relname not in ({texts(_LEFT_OUT)})),
named as (
  select c.relname,
    string_agg(case
      when a.attname in ({texts(_IN_PLACE)}) then null
      when a.atttypid = 'aclitem[]'::regtype then format(
        $q$(select string_agg(concat_ws('/', grantor, grantee, privilege_type, is_grantable), ',')
            from aclexplode(t.%I))$q$, a.attname)
      when a.atttypid::regtype::text like 'reg%' then format('t.%I::oid', a.attname)
      else format('t.%I', a.attname) end, ', ' order by a.attnum) as columns,
    max(a.attname) filter (where a.attname in ({texts(_OF_TABLE)})) as of_table,
    bool_or(a.attname = 'relpersistence') as has_persistence,
    bool_or(a.attname = 'typnamespace') as has_types
  from catalogue c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  group by 1)
select format($q$
select %L, count(*), encode(sha256(convert_to(coalesce(string_agg(
    encode(sha256(convert_to(r, getdatabaseencoding())), 'hex'), '' order by r collate "C"), ''), 'SQL_ASCII')), 'hex')
from (select t.xmin::text || ' ' || row(%s)::text as r from pg_catalog.%I t
      where (t.xmin::text::bigint < 3 or (t.xmin::text::bigint - %s + 4294967296) %% 4294967296 >= 2147483648) %s) x$q$,
  relname, columns, relname, (:'horizon'::numeric % 4294967296)::bigint,
  case when has_persistence then $q$and t.relpersistence <> 't'$q$
       when has_types then $q$and not pg_is_other_temp_schema(t.typnamespace)$q$
       when of_table is not null then format(
         $q$and not exists (select from pg_class c where c.oid = t.%I and c.relpersistence = 't')$q$, of_table) end)
from named order by relname
\\gexec
"""
# What would have two equal rows printed otherwise.
PINNED = "-c search_path=pg_catalog -c DateStyle=ISO -c bytea_output=hex -c extra_float_digits=1"
UTC = "-c TimeZone=UTC"  # not where CLUSTER is asked, which tells the source's own


def read_cluster(answer: str) -> dict[str, Any]:
    """Parse CLUSTER's one line; CommandFailed where it is none."""
    try:
        facts: dict[str, Any] = json.loads(answer)
        return {key: facts[key] for key in sorted(facts)}
    except (ValueError, TypeError, AttributeError) as error:
        raise CommandFailed(["psql"], 0, f"its answer describes no server: {type(error).__name__}") from None


def read_catalogues(answer: str) -> dict[str, str]:
    """Parse what CATALOGUES gives: rows and digest, by catalogue. CommandFailed where a line is none."""
    digests = {}
    for line in answer.splitlines():
        name, rows, digest = (*line.split("|"), "", "")[:3]
        if not rows.isdigit() or len(digest) != 64:
            raise CommandFailed(["psql"], 0, "its answer describes no catalogue")
        digests[name] = f"{rows} {digest}"
    return digests


def unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The catalogues in which none of the rows that were there before has changed."""
    return {name: digest for name, digest in before.items() if after.get(name) == digest}


def catalogues(place: Place, env: Mapping[str, str], horizon: str, *, shared: bool) -> dict[str, str]:
    """CATALOGUES, asked of the database that `env` names."""
    argv = [*STRICT, "-v", f"horizon={horizon}", "-v", f"shared={shared}", "-f", "-"]
    return read_catalogues(place.run(argv, env=env, stdin=CATALOGUES, what="reading the catalogues").stdout)
