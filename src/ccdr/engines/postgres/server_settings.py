"""What somebody has set for a whole server, so that a new one can be set alike; and what a restored one does not do by
itself until somebody says so. A manifest has no value that may be secret.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from ccdr.engines.postgres.connection import STRICT
from ccdr.engines.postgres.inventory import texts
from ccdr.engines.servers.new_server import Silenced
from ccdr.ports.place import Place

# What a restored PostgreSQL server does not do by itself until somebody says so: archive, subscribe, follow another
# server, wait for one, run jobs.

# Of the captured server's settings these are never taken over, wherever they stood.
SILENCED = frozenset(
    (
        *("archive_mode", "archive_command", "archive_library", "archive_timeout"),
        *("archive_cleanup_command", "recovery_end_command", "restore_command"),
        *("primary_conninfo", "primary_slot_name", "sync_replication_slots"),
        *("synchronous_standby_names", "synchronized_standby_slots"),
        *("bonjour", "max_logical_replication_workers"),
    )
)
LIBRARIES = "shared_preload_libraries"
SUBSCRIBERS = "max_logical_replication_workers"  # none: no subscription is at work
# A library that runs jobs, and the setting by which it runs none: the extension still works.
SCHEDULERS: Mapping[str, tuple[str, str]] = {
    "pg_cron": ("cron.launch_active_jobs", "off"),
    "timescaledb": ("timescaledb.max_background_workers", "0"),
}
# Libraries that act by themselves and have no such setting: the server does not load them.
ACTING = frozenset(
    (
        *("bdr", "citus", "pg_net", "pg_partman_bgw", "pg_squeeze", "pg_tracing", "pgactive", "pglogical", "spock"),
        "vectorize",
    )
)


def libraries_of(settings: Mapping[str, str]) -> list[str]:
    """What a server with these loads when it starts, by name."""
    named = settings.get(LIBRARIES, "")
    return [name for part in named.split(",") if (name := part.strip().strip('"'))]


def without_jobs(settings: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """`settings`, and before them what a person has `stated`; but that no library runs jobs, unless that was stated,
    and none is loaded for `settings` alone that acts by itself."""
    loaded = libraries_of(settings)
    kept = [name for name in loaded if name not in ACTING]
    out = {**settings, **({} if kept == loaded else {LIBRARIES: ",".join(kept)}), **stated}
    return {**dict(SCHEDULERS[name] for name in libraries_of(out) if name in SCHEDULERS), **out}


def of_settings(captured: Mapping[str, str], wanted: Mapping[str, str], conf: str) -> Iterator[Silenced]:
    """What of the captured server's stands still, by its settings, but for what is `wanted`; `conf` is the path of the
    new configuration, which a server that is started anew reads."""
    if captured.get("archive_mode") in ("on", "always") and "archive_mode" not in wanted:
        lines = shlex.join(["archive_mode = on", "archive_command = '…'"])
        yield Silenced("it archives no log (archive_mode, archive_command)", f"printf '%s\\n' {lines} >> {conf}")
    for name in libraries_of({**captured, **wanted}):
        setting, _ = SCHEDULERS.get(name, (LIBRARIES, ""))
        if name in SCHEDULERS and setting not in wanted:
            yield Silenced(f"the jobs of {name} ({setting})", f"sed -i '/^{setting} /d' {conf}")
        elif name in ACTING and LIBRARIES not in wanted:
            line = shlex.quote(f"{LIBRARIES} = '{captured[LIBRARIES]}'")
            yield Silenced(f"{name}, which acts by itself, is not loaded ({LIBRARIES})", f"echo {line} >> {conf}")


def of_subscriptions(named: str, conf: str) -> Silenced:
    """`named` are they, in words."""
    what = f"{named} ({SUBSCRIBERS} = 0): what their publishers sent after that moment is not in it, so make them anew"
    return Silenced(what, f"sed -i '/^{SUBSCRIBERS} /d' {conf}")


FILE = "settings.json"  # in the captured directory: name and value of the texts that the manifest has by name alone
# The log that a base needs makes use of as many as the source had.
AT_LEAST = ("max_connections", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction")
ALWAYS = (*AT_LEAST, "max_wal_senders", "shared_preload_libraries")
# Texts that hold names and formats of PostgreSQL's own. All others (commands, connection strings, paths, whatever
# applications keep under a name with a dot) may be secrets.
HARMLESS = (
    *("DateStyle", "TimeZone", "default_table_access_method", "default_text_search_config", "lc_messages"),
    *("lc_monetary", "lc_numeric", "lc_time", "local_preload_libraries", "log_timezone", "search_path"),
    *("session_preload_libraries", "shared_preload_libraries", "timezone_abbreviations"),
)
# A new server has its own: where its files lie, where it listens, how and in which language it logs, what of this
# host's memory and kernel it uses, to where it recovers, what has it pass over damage, what stands still until somebody
# says so.
NOT_SET = SILENCED | frozenset(
    (
        *("config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "stats_temp_directory"),
        *("dynamic_library_path", "extension_control_path"),
        *("bonjour_name", "listen_addresses", "port", "unix_socket_directories", "unix_socket_group"),
        *("unix_socket_permissions", "krb_server_keyfile", "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_crl_dir"),
        *("ssl_crl_file", "ssl_dh_params_file", "ssl_key_file", "ssl_passphrase_command"),
        *("event_source", "log_destination", "log_directory", "log_filename", "logging_collector", "syslog_ident"),
        *("dynamic_shared_memory_type", "huge_page_size", "huge_pages", "io_method", "jit_provider"),
        *("debug_io_direct", "lc_messages", "max_stack_depth"),
        *("max_files_per_process", "min_dynamic_shared_memory", "shared_memory_type", "wal_sync_method"),
        *("recovery_min_apply_delay", "recovery_target", "recovery_target_action", "recovery_target_inclusive"),
        *("recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_timeline"),
        *("recovery_target_xid", "ignore_checksum_failure", "ignore_invalid_pages"),
        *("ignore_system_indexes", "zero_damaged_pages", "ccdr.recovery"),
    )
)


_UNTIMED = """\
\\set ON_ERROR_STOP off
set statement_timeout = 0;
set statement_timeout = 0;
set transaction_timeout = 0;
\\set ON_ERROR_STOP on
"""
_FILES = (
    "select distinct on (lower(f.name)) f.name, f.setting from pg_file_settings f left join pg_settings s "
    "on lower(s.name) = lower(f.name) where f.applied or s.pending_restart order by lower(f.name), f.seqno desc"
)
# Each in its own unit. What the role or the database of whoever asks has set hides the server's own, names with a dot
# that no library knows are in no view, and what waits for a restart or a reload is not in force: of these the server's
# files tell, where they may be read; but not of what a log that was written so far needs. A role's timeouts are put off
# by a statement, not by an option: the server's own are then still told.
_ASKED = f"""\
select has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'execute') as able \\gset
\\if :able
\\set files '{_FILES}'
\\else
\\set files 'select null::text, null::text where false'
\\endif
with own as (
  select name, vartype, context, unit, case source when 'session' then reset_val else setting end as setting, case
    when source <> 'session' then source
    when exists (select from pg_db_role_setting, unnest(setconfig) c where split_part(c, '=', 1) = s.name
      and setrole in (0, (select oid from pg_roles where rolname = session_user)) and (setdatabase = 0 or setdatabase =
        (select oid from pg_database where datname = current_database()))) then 'user'
    when reset_val = boot_val then 'default' else 'configuration file' end as source
  from pg_settings s),
there as (
  select name, setting, source ~ '^(global|user|database)' as hidden,
    vartype = 'string' and name not in ({texts(HARMLESS)}) as words
  from own
  where name in ({texts(ALWAYS)})
    or context <> 'internal' and source not in ('default', 'override', 'client', 'session', 'interactive')),
written as (
  select coalesce(s.name, f.name) as name, f.setting from (:files) f(name, setting)
  left join own s on lower(s.name) = lower(f.name)
  where case when s.name is null then f.name ~ '[.]'
    when context = 'internal' or s.name in ({texts(AT_LEAST)}) then false
    when source ~ '^(global|user|database)' then true
    when source not in ('default', 'configuration file') then false
    when vartype = 'bool' then f.setting ~* '^(on|t|tr|tru|true|y|ye|yes|1)$' <> (s.setting = 'on')
    when f.setting ~ '^-?[0-9]+([.][0-9]+)?$' and s.setting ~ '^-?[0-9]+([.][0-9]+)?$'
      then f.setting::numeric <> s.setting::numeric
    when unit ~ 'B$' and f.setting ~ '^ *[0-9]+([.][0-9]+)? *[kMGT]?B *$'
      then pg_size_bytes(f.setting) <> s.setting::numeric * pg_size_bytes(regexp_replace(unit, '^(?=[^0-9])', '1'))
    when unit in ('ms', 's', 'min') and f.setting ~ '^ *[0-9]+([.][0-9]+)? *(us|ms|s|min|h|d) *$'
      then extract(epoch from f.setting::interval) <> s.setting::numeric
        * case unit when 'ms' then 0.001 when 's' then 1 else 60 end
    else lower(f.setting) <> lower(s.setting) end)
select jsonb_build_object(
  'settings', (select jsonb_object_agg(name, setting) from there where not hidden and not words)
      || coalesce((select jsonb_object_agg(name, null) from there where hidden or words), '{{}}')
      || coalesce((select jsonb_object_agg(name, case when name in ({texts(HARMLESS)}) then setting end)
                   from written), '{{}}'),
  'words', coalesce((select jsonb_object_agg(name, setting) from there where words and not hidden), '{{}}')
      || coalesce((select jsonb_object_agg(name, setting) from written), '{{}}'))
"""
_ALL = "select jsonb_object_agg(name, case source when 'session' then reset_val else setting end) from pg_settings"


def captured(place: Place, env: Mapping[str, str], into: Path) -> dict[str, str | None]:
    """For the manifest, None where it has the name alone; the values of texts go into a file. `env` is libpq's."""
    asked = json.loads(_answer(place, env, _ASKED))
    path = into / FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps(asked["words"], sort_keys=True), "utf-8", "surrogateescape")
    settings: dict[str, str | None] = asked["settings"]
    return dict(sorted(settings.items()))


def all_of(place: Place, env: Mapping[str, str]) -> dict[str, str]:
    """How a server is set, by name; `env` is libpq's."""
    there: dict[str, str] = json.loads(_answer(place, env, _ALL))
    return there


def _answer(place: Place, env: Mapping[str, str], sql: str) -> str:
    """Asked by a session that sets nothing itself, but that it is its own role: that would hide the server's own."""
    plain = {**env, "PGOPTIONS": "-c role=none", "PGCLIENTENCODING": "UTF8"}
    argv = [*STRICT, "-f", "-"]
    return place.run(argv, stdin=f"{_UNTIMED}{sql}", env=plain, what="asking for the settings").stdout


def compared(captured: Mapping[str, str | None]) -> dict[str, str | None]:
    """What of it any server is to have that stands in the source's place."""
    return {name: value for name, value in captured.items() if name not in NOT_SET}


def for_server(captured: Mapping[str, str | None], there: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What of it a server takes whose settings are `there`: a name without a dot is to be known to it. Notes."""
    known = {name.lower() for name in there}
    wanted = compared(captured)
    unknown = [name for name in wanted if "." not in name and name.lower() not in known]
    taken = {name: value for name, value in wanted.items() if value is not None and name not in unknown}
    lacking = [name for name in wanted if name not in taken]
    return taken, [f"set at the source, and not here: {', '.join(lacking)}"] if lacking else []
