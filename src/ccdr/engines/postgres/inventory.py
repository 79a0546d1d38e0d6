"""What a dump does not hold, asked of the source and again of the restored server: by the same SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ccdr.engines.servers.erasing import told_columns
from ccdr.engines.servers.inventory import ServerInventory
from ccdr.model.errors import CommandFailed

OPEN_SNAPSHOT = """\
begin transaction isolation level repeatable read read only;
select pg_export_snapshot();
"""
# Names are told as they stand in full, whatever the role or the database has set.
PINNED = "-c search_path=pg_catalog -c quote_all_identifiers=off"
# Whoever set a timeout on the role or database did not mean the session that holds the dump's snapshot.
NO_TIMEOUTS = """\
select count(set_config(name, '0', false)) from pg_settings
where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
  'transaction_timeout');
"""
# What the tables are by name, by file and by columns: asked by the snapshot, and again of the present state. Of
# materialised views, and of most tables of extensions, a dump holds no rows.
TABLES = """\
select coalesce(jsonb_object_agg(c.oid, jsonb_build_array(
    c.relnamespace::bigint, n.nspname, format('%I.%I', n.nspname, c.relname), c.relfilenode::bigint,
    (select hashtextextended(string_agg(concat_ws(' ', attnum, atttypid, attisdropped, attname), ','
                                        order by attnum), 0)
     from pg_attribute where attrelid = c.oid and attnum > 0))), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where relkind = 'r' and relpersistence <> 't' and c.oid >= 16384 and relfilenode <> 0 and (ONES)
  and not exists (select from pg_depend e join pg_extension x on x.oid = e.refobjid
                  where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e'
                    and not c.oid = any (coalesce(x.extconfig, '{}')));
"""
ALL_TABLES = TABLES.replace("ONES", "true")
# On a standby the newest replayed commit's time is what its data is true for.
CLOCK = """\
select extract(epoch from clock_timestamp()), pg_is_in_recovery(),
       case when pg_is_in_recovery() then extract(epoch from pg_last_xact_replay_timestamp()) end;
"""
# Rows of catalogues go through to_jsonb where a column's name differs between major versions.
INVENTORY = """\
select jsonb_build_object(
  'version', current_setting('server_version'),
  'superuser', current_setting('is_superuser') = 'on',
  'timezone', current_setting('TimeZone'),
  'lc_monetary', (select current_setting('lc_monetary') where exists (
      with recursive money(type) as (
        select 'money'::regtype::oid
        union
        select y.oid from pg_type y left join pg_range on y.oid in (rngtypid, rngmultitypid)
        join money on type in (typbasetype, typelem, rngsubtype)
      )
      select from pg_attribute join money on atttypid = type where attrelid >= 16384)),
  'bootstrap', (select rolname from pg_roles where oid = 10),
  'system_identifier', case when has_function_privilege('pg_catalog.pg_control_system()', 'execute') then
      (xpath('/row/n/text()', query_to_xml('select system_identifier as n from pg_catalog.pg_control_system()',
                                           false, true, '')))[1]::text end,
  'recovery', nullif(current_setting('ccdr.recovery', true), ''),
  'data_checksums', current_setting('data_checksums') = 'on',
  'database', d.datname,
  'database_bytes', pg_database_size(d.oid),
  'encoding', pg_encoding_to_char(d.encoding),
  'collate', d.datcollate,
  'ctype', d.datctype,
  'locale_provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
  'icu_locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
  'icu_rules', to_jsonb(d) ->> 'daticurules',
  'connection_limit', d.datconnlimit,
  'database_settings', coalesce((
      select jsonb_object_agg(coalesce(r.rolname, ''), (select jsonb_agg(c order by c) from unnest(s.setconfig) c))
      from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole where s.setdatabase = d.oid), '{}'),
  'role_all_settings', coalesce((
      select jsonb_agg(format('ALTER ROLE ALL SET %I TO ', split_part(c, '=', 1)) || case
               when split_part(c, '=', 1) in ('search_path', 'temp_tablespaces', 'session_preload_libraries',
                                              'local_preload_libraries') then substr(c, strpos(c, '=') + 1)
               else quote_literal(substr(c, strpos(c, '=') + 1)) end || ';' order by c)
      from pg_db_role_setting s, unnest(s.setconfig) c where s.setdatabase = 0 and s.setrole = 0), '[]'),
  'extension_rows', coalesce((
      select jsonb_object_agg(c.oid::regclass::text,
               (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %s', c.oid::regclass),
                                                    false, true, '')))[1]::text)
      from pg_class c join pg_depend e on e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e'
      join pg_extension x on x.oid = e.refobjid
      where c.relkind = 'r' and c.oid >= 16384 and not c.oid = any (coalesce(x.extconfig, '{}'))
        and has_table_privilege(c.oid, 'select')), '{}'),
  'disabled_constraints', coalesce((
      select jsonb_agg(distinct t.tgrelid::regclass::text) from pg_trigger t
      where t.tgisinternal and t.tgenabled <> 'O'), '[]'),
  'detaching', coalesce((
      select jsonb_agg(inhrelid::regclass::text order by inhrelid::regclass::text) from pg_inherits i
      where to_jsonb(i) ->> 'inhdetachpending' = 'true'), '[]'),
  'unlike_parent', coalesce((
      select jsonb_object_agg(format('%s.%I', a.attrelid::regclass, a.attname), concat_ws(' ',
               case when a.attnotnull then 'not null' end, a.attstorage, to_jsonb(a) ->> 'attcompression'))
      from pg_attribute a join pg_class c on c.oid = a.attrelid
      where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and a.attinhcount > 0 and exists (
        select from pg_inherits i join pg_attribute p on p.attrelid = i.inhparent and p.attname = a.attname
        where i.inhrelid = a.attrelid and (p.attnotnull, p.attstorage, to_jsonb(p) ->> 'attcompression')
          is distinct from (a.attnotnull, a.attstorage, to_jsonb(a) ->> 'attcompression'))), '{}'),
  'foreign_servers', coalesce((select jsonb_agg(srvname order by srvname) from pg_foreign_server), '[]'),
  'reaching', coalesce((
      with recursive edge(class, object, of_class, of_object) as (
        select d.refclassid, d.refobjid, 'pg_class'::regclass::oid, r.ev_class
        from pg_depend d join pg_rewrite r on r.oid = d.objid
        where d.classid = 'pg_rewrite'::regclass and r.ev_type = '1'
        union all
        select refclassid, refobjid, classid, objid from pg_depend
        where classid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_constraint'::regclass)
        union all
        select 'pg_constraint'::regclass, oid, 'pg_type'::regclass, contypid from pg_constraint where contypid <> 0
        union all
        select 'pg_class'::regclass, inhrelid, 'pg_class'::regclass, inhparent from pg_inherits
      ), reaching(class, object) as (
        select 'pg_class'::regclass::oid, ftrelid from pg_foreign_table
        union
        select 'pg_proc'::regclass, oid from pg_proc where prosrc ~* 'dblink'  -- its own, or calls one
        union
        select of_class, of_object from reaching join edge using (class, object)
      ), running(class, object) as (
        select class, object from (
          -- Nobody knows what it does, but of an extension that anybody may have.
          select 'pg_proc'::regclass::oid as class, oid as object from pg_proc p where oid >= 16384 and not exists (
            select from pg_depend e join pg_extension x on x.oid = e.refobjid
            join pg_available_extension_versions v on v.name = x.extname
            where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e'
              and to_jsonb(v) ->> 'trusted' = 'true')
          union all  -- what calls the server's own that do something
          select 'pg_class'::regclass, ev_class from pg_rewrite where ev_class >= 16384 and ev_type = '1' and exists (
            select from regexp_matches(ev_action::text, ':funcid ([0-9]+)', 'g') f join pg_proc p on p.oid = f[1]::oid
            where p.oid < 16384 and provolatile = 'v')) begun
        union
        select of_class, of_object from running join edge using (class, object)
      ), others as (
        select from pg_foreign_server union all select from pg_extension where extname = 'dblink'
      )
      select jsonb_agg(jsonb_build_array(n.nspname, c.relname, case
               when exists (select from reaching where class = 'pg_class'::regclass and object = c.oid) then true
               when exists (select from others) then false end) order by nspname, relname)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and c.relispopulated and (exists (select from others)
        or exists (select from running where class = 'pg_class'::regclass and object = c.oid))), '[]'),
  'rules', coalesce((
      select jsonb_agg(name order by name) from (
        select conname as name from pg_constraint where oid >= 16384 and contype in ('c', 'f', 'p', 'u', 'x')
        union
        select relname from pg_index join pg_class c on c.oid = indexrelid
        where indisunique and indexrelid >= 16384) r), '[]'),
  'columns', coalesce((
      select jsonb_object_agg(n.nspname || '.' || c.relname, coalesce((
               select jsonb_agg(a.attname order by a.attnum) from pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'))
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and c.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema')), '{}'),
  'prepared', (select count(*) from pg_prepared_xacts where database = d.datname),
  'login_triggers', coalesce((
      select jsonb_agg(evtname order by evtname) from pg_event_trigger
      where evtevent = 'login' and evtenabled in ('O', 'A') and current_setting('event_triggers', true) = 'on'), '[]'),
  'subscriptions', coalesce((
      select jsonb_agg(subname order by subname) from pg_subscription where subdbid = d.oid), '[]'),
  'user_mappings', coalesce((
      select jsonb_agg(srvname || ' for ' || usename order by srvname, usename) from pg_user_mappings), '[]'),
  'extensions', coalesce((select jsonb_object_agg(extname, extversion) from pg_extension), '{}'),
  'roles', coalesce((
      select jsonb_object_agg(rolname, jsonb_build_array(rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
             rolreplication, rolbypassrls, rolconnlimit, extract(epoch from rolvaliduntil),
             (select jsonb_agg(c order by c) from unnest(rolconfig) c)))
      from pg_roles where rolname !~ '^pg_'), '{}'),
  'memberships', coalesce((
      select jsonb_agg(m order by m) from (
        select member.rolname || ' in ' || role.rolname
               || case when a.admin_option then ' with admin' else '' end
               || coalesce(' inherit ' || (to_jsonb(a) ->> 'inherit_option'), '')
               || coalesce(' set ' || (to_jsonb(a) ->> 'set_option'), '') as m
        from pg_auth_members a join pg_roles member on member.oid = a.member join pg_roles role on role.oid = a.roleid
        group by 1) x), '[]')
) from pg_database d where d.datname = current_database();
"""
# Compared between source and restored server; the rest is for setting the sandbox up or for people.
COMPARED = (
    "encoding",
    "collate",
    "ctype",
    "locale_provider",
    "icu_locale",
    "icu_rules",
    "connection_limit",
    "database_settings",
    "role_all_settings",
    "extension_rows",
    "disabled_constraints",
    "detaching",
    "unlike_parent",
    "subscriptions",
    "user_mappings",
)


@dataclass(frozen=True)
class Inventory(ServerInventory):
    """A typed look at the JSON that INVENTORY gives, and that the manifest keeps as `contents`."""

    @property
    def superuser(self) -> bool:
        return bool(self.facts["superuser"])

    @property
    def timezone(self) -> str:
        return str(self.facts["timezone"])

    @property
    def settings(self) -> dict[str, str | None]:
        """What somebody has set for the whole server; None where the snapshot alone has the value."""
        return dict(self.facts["settings"])

    @property
    def abbreviations(self) -> dict[str, str]:
        """The setting of time zones' abbreviations, where somebody has set it: texts are read by it."""
        name = "timezone_abbreviations"
        return {name: value} if (value := self.settings.get(name)) else {}

    @property
    def lc_monetary(self) -> str | None:
        """The locale that money is written in, where any column holds money, by whatever types."""
        return self.facts["lc_monetary"]  # type: ignore[no-any-return]

    @property
    def encoding(self) -> str:
        return str(self.facts["encoding"])

    @property
    def role_all_settings(self) -> list[str]:
        """`ALTER ROLE ALL SET …` statements."""
        return list(self.facts["role_all_settings"])

    @property
    def bootstrap(self) -> str:
        """The name of the cluster's first superuser, whom grants may name as their grantor."""
        return str(self.facts["bootstrap"])

    @property
    def extensions(self) -> dict[str, str]:
        return dict(self.facts["extensions"])


def read_inventory(answer: str) -> Inventory:
    """Parse INVENTORY's one line; CommandFailed where it is none."""
    try:
        facts = json.loads(answer)
        kept = {key: facts[key] for key in facts if key != "columns"} | told_columns(facts["columns"])
        return Inventory({key: kept[key] for key in sorted(kept)})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CommandFailed(["psql"], 0, f"its answer is no inventory: {type(error).__name__}") from None


def quote_ident(name: str) -> str:
    """As pg_dumpall writes an identifier: quoted only where it must be."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quote_name(name)


def quote_name(name: str) -> str:
    """An identifier, quoted whether it must be or not."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def texts(names: Iterable[str]) -> str:
    """As SQL has a list of them."""
    return ", ".join(map(quote_text, names))


def conninfo(database: str) -> str:
    """A database's name where a client's option would also take a connection string."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def conf_line(key: str, value: str) -> str:
    """One line of postgresql.conf; its quote is doubled, its backslash too."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", " ")
    return f"{key} = '{escaped}'\n"
