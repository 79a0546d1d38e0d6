"""What there is in a database, tables, views and code, and what of its server a dump does not hold: asked of the
source, and again of what was restored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from ccdr.engines.mariadb import variables
from ccdr.engines.mariadb.client import Login, answers, quote_text
from ccdr.engines.servers.erasing import told_columns
from ccdr.engines.servers.inventory import ServerInventory
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

# What there is in a database: tables, views, code, and what tells one state of it from the next.

# Kept by one snapshot for the whole dump; what else there may be is read under a lock, or not at all.
TRANSACTIONAL = ("InnoDB",)
LOCKABLE = ("MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "BLACKHOLE")
WITHOUT_ROWS = ("MRG_MyISAM", "MRG_MYISAM")  # a view of other tables


def objects_sql(database: str) -> str:
    """What there is, a JSON array for each, with what tells one state of it from the next: `read_objects`.

    A routine is read where it is stored: whoever lacks the right to see one is told nothing of it.
    """
    db = quote_text(database)
    sql = f"""\
SELECT JSON_ARRAY('table', table_name, table_type, engine, create_time, data_length, table_comment)
  FROM information_schema.tables WHERE table_schema = {db} AND table_type NOT IN ('VIEW', 'TEMPORARY');
SELECT JSON_ARRAY('view', table_name, definer, security_type, check_option, MD5(view_definition))
  FROM information_schema.views WHERE table_schema = {db};
SELECT JSON_ARRAY('routine', LOWER(type), name, definer, modified) FROM mysql.proc WHERE db = {db};
SELECT JSON_ARRAY('event', name, definer, modified, status) FROM mysql.event WHERE db = {db};
SELECT JSON_ARRAY('trigger', trigger_name, definer, event_object_table, action_timing, event_manipulation,
    action_order, created) FROM information_schema.triggers WHERE trigger_schema = {db};
"""
    if re.fullmatch(r"[A-Za-z0-9_]+", database):  # as it is called in file names, and so in InnoDB
        pattern = database.replace("_", r"\_") + "/%"
        sql += f"""\
SELECT JSON_ARRAY('innodb', name, table_id) FROM information_schema.innodb_sys_tables
  WHERE name LIKE {quote_text(pattern)} AND name NOT LIKE '%/#sql%' AND name NOT LIKE '%/FTS\\_%';
"""
    return sql


@dataclass(frozen=True)
class Table:
    """`bytes` is what its rows take at the server. `engine` is None where it cannot be opened: `comment` says why."""

    name: str
    type: str
    engine: str | None
    bytes: int
    comment: str

    @property
    def is_sequence(self) -> bool:
        return self.type == "SEQUENCE"


@dataclass(frozen=True)
class Objects:
    """What a database holds. `state` changes whenever one of them is made, altered, emptied or dropped."""

    tables: tuple[Table, ...]
    views: tuple[str, ...]
    named: Mapping[str, str]  # `trigger stamp` and its like: what else is to be told of it
    definers: Mapping[str, str]  # by the same names
    state: frozenset[tuple[object, ...]]
    left_out: tuple[str, ...] = ()  # `view answered`

    @property
    def with_rows(self) -> tuple[Table, ...]:
        return tuple(t for t in self.tables if not t.is_sequence and t.engine not in WITHOUT_ROWS)

    @property
    def nothing(self) -> bool:
        """Functions, views or events alone are something."""
        return not self.tables and not self.named

    @property
    def locked(self) -> tuple[Table, ...]:
        """Tables that no transaction keeps as they are."""
        return tuple(t for t in self.with_rows if t.engine not in TRANSACTIONAL)

    def lasting(self, before: Objects) -> tuple[Table, ...]:
        """Tables that were there `before` as well. What their rows take says nothing: they are written meanwhile, and
        the server looks at it again when it likes."""
        known = {(t.name, t.type, t.engine) for t in before.tables}
        return tuple(t for t in self.tables if (t.name, t.type, t.engine) in known)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Tables that cannot be captured, and why."""
        known = (*TRANSACTIONAL, *LOCKABLE, *WITHOUT_ROWS)
        return tuple(
            _unopened(t.name, FreeText(t.comment)) if t.engine is None else f"{t.name} is of the engine {t.engine}"
            for t in self.tables
            if t.engine not in known
        )

    @property
    def histories(self) -> bool:
        return any(t.type == "SYSTEM VERSIONED" for t in self.tables)

    def without(self, views: Collection[str]) -> Objects:
        """All but these views."""
        gone = {f"view {name}" for name in views}
        return Objects(
            self.tables,
            tuple(name for name in self.views if name not in views),
            {name: definition for name, definition in self.named.items() if name not in gone},
            {name: definer for name, definer in self.definers.items() if name not in gone},
            frozenset(part for part in self.state if part[0] != "view" or part[1] not in views),
            tuple(sorted(gone & self.named.keys())),
        )


def read_objects(rows: Iterable[Any]) -> Objects:
    """Parse the answers to `objects_sql`."""
    tables, views, named, definers, state = [], [], {}, {}, set()
    for kind, *rest in rows:
        if kind == "table":
            name, type_, engine, created, size, comment = rest
            tables.append(Table(name, type_, engine, int(size or 0), comment or ""))
            state.add((kind, name, type_, engine, created))
            if type_ == "SEQUENCE":
                named[f"sequence {name}"] = ""
            continue
        state.add((kind, *rest))
        if kind == "view":
            name, definer, security, option, _ = rest
            views.append(name)
            named[f"view {name}"], definers[f"view {name}"] = f"{security}, check option {option}", definer
        elif kind == "routine":
            type_, name, definer, _ = rest
            named[f"{type_} {name}"], definers[f"{type_} {name}"] = "", definer
        elif kind == "event":
            name, definer, _, status = rest
            named[f"event {name}"], definers[f"event {name}"] = status, definer
        elif kind == "trigger":
            name, definer, table, timing, event, order, _ = rest
            what = f"{timing} {event} of {table}, number {order}"
            named[f"trigger {name}"], definers[f"trigger {name}"] = what, definer
    by_name = sorted(tables, key=lambda t: t.name)
    return Objects(tuple(by_name), tuple(sorted(views)), _sorted(named), _sorted(definers), frozenset(state))


def objects_of(place: Place, login: Login, database: str) -> Objects:
    return read_objects(answers(place, login, objects_sql(database), "listing what there is"))


def _unopened(table: str, words: FreeText) -> str:
    """In place of its comment the server tells why."""
    return f"{table} cannot be opened" + (f" ({words.answer})" if words.answer else "")


def broken_views(place: Place, login: Login, database: str) -> list[str]:
    """Views that do not work: of one whose tables or columns are gone, or that the user may not read through, the
    server tells no column."""
    db = quote_text(database)
    sql = f"""SELECT JSON_QUOTE(table_name) FROM information_schema.views WHERE table_schema = {db}
      AND table_name NOT IN (SELECT table_name FROM information_schema.columns WHERE table_schema = {db}) ORDER BY 1;"""
    return [str(name) for name in answers(place, login, sql, "looking for views that do not work")]


def _sorted(objects: Mapping[str, str]) -> dict[str, str]:
    return {name: objects[name] for name in sorted(objects)}


# What decides how statements and values are understood, so that the sandbox must have it as the source has it.
SETTINGS = (
    "sql_mode",
    "old_mode",
    "default_storage_engine",
    "default_regex_flags",
    "block_encryption_mode",
    "character_set_server",
    "collation_server",
    "character_set_collations",
    "lower_case_table_names",
    "explicit_defaults_for_timestamp",
    "innodb_page_size",
    "innodb_strict_mode",
    "innodb_default_row_format",
    "innodb_compression_default",
    "div_precision_increment",
    "default_week_format",
    "lc_time_names",
    "group_concat_max_len",
    "ft_min_word_len",
    "ft_max_word_len",
    "innodb_ft_min_token_size",
    "innodb_ft_max_token_size",
)
# Recorded beside them: for people, for the time zone, for what is recovered to a point in time.
RECORDED = (
    "version",
    "time_zone",
    "system_time_zone",
    "event_scheduler",
    "log_bin",
    "binlog_row_image",
    "server_id",
    "hostname",
    "port",
    "max_heap_table_size",
    "gtid_slave_pos",
)
# How the source's server is set up: what a new server in its place is given too. Sizes, counts, and words of the
# server's own.
OF_SERVER = (
    "binlog_expire_logs_seconds",
    "binlog_format",
    "gtid_domain_id",
    "gtid_strict_mode",
    "innodb_autoinc_lock_mode",
    "innodb_buffer_pool_size",
    "innodb_file_per_table",
    "innodb_flush_log_at_trx_commit",
    "innodb_io_capacity",
    "innodb_lock_wait_timeout",
    "innodb_log_file_size",
    "interactive_timeout",
    "join_buffer_size",
    "key_buffer_size",
    "local_infile",
    "log_bin_trust_function_creators",
    "max_allowed_packet",
    "max_binlog_size",
    "max_connections",
    "max_statement_time",
    "query_cache_size",
    "query_cache_type",
    "skip_name_resolve",
    "sort_buffer_size",
    "sync_binlog",
    "table_open_cache",
    "thread_cache_size",
    "thread_handling",
    "tmp_table_size",
    "tx_isolation",
    "wait_timeout",
)

# What CONVERT_TZ makes of a time by each name: how many names there are, and one number for what all of them say.
ZONES = """\
SELECT JSON_ARRAY('zones', COUNT(DISTINCT n.name),
    COALESCE(SUM(CRC32(CONCAT_WS(' ', n.name, z.use_leap_seconds, t.transition_time, k.offset))), 0))
  FROM mysql.time_zone_name n JOIN mysql.time_zone z USING (time_zone_id)
  JOIN mysql.time_zone_transition_type k USING (time_zone_id)
  LEFT JOIN mysql.time_zone_transition t USING (time_zone_id, transition_type_id);
"""


def facts_sql(database: str) -> str:
    """One JSON object: `read_facts` understands it."""
    db = quote_text(database)
    wanted = ", ".join(quote_text(name.upper()) for name in (*SETTINGS, *RECORDED, *OF_SERVER))
    return f"""\
SELECT JSON_ARRAY('setting', LOWER(variable_name), variable_value) FROM information_schema.global_variables
  WHERE variable_name IN ({wanted}) ORDER BY variable_name;
{variables.ASKED}SELECT JSON_ARRAY('database', default_character_set_name, default_collation_name, schema_comment)
  FROM information_schema.schemata WHERE schema_name = {db};
SELECT JSON_ARRAY('bytes', COALESCE(SUM(data_length + index_length), 0),
    COALESCE(SUM(IF(engine = 'MEMORY', data_length + index_length, 0)), 0))
  FROM information_schema.tables WHERE table_schema = {db};
SELECT JSON_ARRAY('utc offset', TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(),
    CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone)));
{ZONES}SELECT JSON_ARRAY('installed', MIN(create_time)) FROM information_schema.tables WHERE table_schema = 'mysql';
SELECT JSON_ARRAY('plugin', plugin_name, plugin_library) FROM information_schema.plugins
  WHERE plugin_status = 'ACTIVE' AND plugin_library IS NOT NULL
    AND plugin_type IN ('AUTHENTICATION', 'STORAGE ENGINE', 'DATA TYPE', 'FUNCTION');
SELECT JSON_ARRAY('elsewhere', 'user-defined functions', COUNT(*)) FROM mysql.func;
SELECT JSON_ARRAY('elsewhere', 'servers of other tables', COUNT(*)) FROM mysql.servers;
SELECT JSON_ARRAY('elsewhere', 'statistics that ANALYZE took', COUNT(*)) FROM mysql.table_stats WHERE db_name = {db};
SELECT JSON_ARRAY('rounded', c.table_name, c.column_name) FROM information_schema.columns c
  JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
  WHERE c.table_schema = {db} AND c.data_type = 'float' AND t.table_type <> 'VIEW' ORDER BY 1;
SELECT JSON_ARRAY('column', c.table_name, c.column_name) FROM information_schema.columns c
  JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
  WHERE c.table_schema = {db} AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
  ORDER BY c.table_name, c.ordinal_position;
"""


def as_recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest holds of them: the database's comment is anybody's words, so a digest stands for it."""
    return {
        **{name: fact for name, fact in facts.items() if name != "comment"},
        "variables": variables.as_recorded(facts["variables"]),
        "comment_sha256": sha256(str(facts["comment"]).encode("utf-8", "surrogateescape")).hexdigest(),
    }


def facts_of(place: Place, login: Login, database: str) -> dict[str, Any]:
    """CommandFailed where there is no such database."""
    rows = answers(place, login, facts_sql(database), "asking for the server's settings")
    settings = {name: value for kind, name, value in (r for r in rows if r[0] == "setting") if kind}
    by_name = {row[0]: row[1:] for row in rows if row[0] in ("database", "bytes", "utc offset", "zones", "installed")}
    if "database" not in by_name:
        raise CommandFailed(["mariadb"], 1, f"there is no database {database}, or the user may not see it")
    charset, collation, comment = by_name["database"]
    size, memory = by_name["bytes"]
    columns: dict[str, list[str]] = {}
    for _, table, column in (r for r in rows if r[0] == "column"):
        columns.setdefault(table, []).append(column)
    return {
        "version": settings.pop("version"),
        "settings": settings,
        "variables": variables.told(rows),
        "database": database,
        "charset": charset,
        "collation": collation,
        "comment": comment,
        "database_bytes": int(size),
        "memory_bytes": int(memory),
        "utc_offset_s": by_name["utc offset"][0],
        "named_zones": by_name["zones"][0] > 0,
        "zones": [int(number) for number in by_name["zones"]],
        "installed": by_name["installed"][0],
        "plugins": {row[1]: row[2] for row in rows if row[0] == "plugin"},
        "elsewhere": [f"{count} {what}" for kind, what, count in (r for r in rows if r[0] == "elsewhere") if count],
        "rounded": [f"{table}.{column}" for kind, table, column in (r for r in rows if r[0] == "rounded")],
        **told_columns(columns),
    }


@dataclass(frozen=True)
class Inventory(ServerInventory):
    """A typed look at a manifest's `contents`."""

    @property
    def memory_bytes(self) -> int:
        """What its MEMORY tables take."""
        return int(self.facts["memory_bytes"])

    @property
    def settings(self) -> Mapping[str, str]:
        return cast("Mapping[str, str]", self.facts["settings"])

    @property
    def variables(self) -> Mapping[str, str | None]:
        """Whatever somebody has set for the whole server; None for free text, which only the snapshot holds."""
        return cast("Mapping[str, str | None]", self.facts["variables"])

    @property
    def libraries(self) -> list[str]:
        """Of the plugins that a server loads beside its own."""
        return sorted(set(self.facts["plugins"].values()))

    @property
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        return cast("Mapping[str, Mapping[str, Any]]", self.facts["tables"])

    @property
    def changed(self) -> Mapping[str, int]:
        """How many values of which column (`call.note`) the dump holds as others."""
        return cast("Mapping[str, int]", self.facts["changed"])

    @property
    def histories(self) -> bool:
        return bool(self.facts["histories"])

    @property
    def objects(self) -> Mapping[str, str]:
        """Everything else that has a name: `view answered`, and what is to be told of it."""
        return cast("Mapping[str, str]", self.facts["objects"])

    @property
    def names(self) -> set[str]:
        """Of tables and of everything else."""
        return {*self.tables, *self.facts["without_rows"], *(name.partition(" ")[2] for name in self.objects)}

    @property
    def definers(self) -> Mapping[str, str]:
        """Whom views, triggers, routines and events act for, by `view answered` and its like."""
        return cast("Mapping[str, str]", self.facts["definers"])

    @property
    def orphans(self) -> list[str]:
        """Those of them whose definer did not exist at the source either."""
        return [str(name) for name in self.facts["orphans"]]

    @property
    def left_out(self) -> list[str]:
        """What the plan leaves out of the dump (`view answered`)."""
        return [str(name) for name in self.facts["left_out"]]

    @property
    def zones(self) -> list[int]:
        """As `ZONES` asks; empty where the source knows no names."""
        return list(self.facts["zones"]) if self.facts["named_zones"] else []

    @property
    def zone(self) -> str:
        """The time zone that its times without a zone are of, as the sandbox can be told: a name only where the source
        knows names; else the offset that it had at the capture."""
        named = self.settings["time_zone"]
        if named.startswith(("+", "-")) or (named != "SYSTEM" and self.facts["named_zones"]):
            return named
        offset = int(self.facts["utc_offset_s"] or 0)
        sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}"
